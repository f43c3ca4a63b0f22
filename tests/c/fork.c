/* fork(): in the child the parent's handles answer WSABI_ERR_FORKED and a runtime of its own works;
 * the parent notices nothing. exec(): no descriptor of the library comes along. */
#include "functions.h"

#include "child.h"

#include <fcntl.h>
#include <sys/wait.h>

#define DESCRIPTORS 256

/* How this program was called, and which descriptors were open then: a '+' or '-' for each. */
static const char *program;
static char open_at_start[DESCRIPTORS + 1];

static void list_descriptors(char list[DESCRIPTORS + 1])
{
    int fd;
    for (fd = 0; fd < DESCRIPTORS; fd++)
        list[fd] = fcntl(fd, F_GETFD) < 0 ? '-' : '+';
    list[DESCRIPTORS] = 0;
}

static void check_parents_handles(const pair *it)
{
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_send_text(it->client, "from the child", 14));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_server_close(it->server));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_runtime_free(it->runtime));
}

/* Nothing that the child tries with them reaches what they stand for. */
static void every_function_knows_handles_of_the_parent(void)
{
    living it;
    pid_t child;
    size_t i;
    int status;
    living_init(&it);
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* A thread of the parent may have had it, which is not here. */
        init_taking();
        for (i = 0; i < COUNT_OF(functions); i++) {
            circumstance = functions[i].name;
            CHECK_STATUS(WSABI_ERR_FORKED, functions[i].call(it.handles[functions[i].kind]));
            CHECK(wsabi_last_error()[0] != 0);
            CHECK(made == 0);
        }
        end_child(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    living_end(&it);
}

/* A server and a client of the child alone. */
static void check_runtime_of_its_own(void)
{
    record message;
    pair own;
    pair_init(&own);
    pair_connect(&own);
    CHECK_OK(wsabi_socket_send_text(own.client, "in the child", WSABI_NUL_TERMINATED));
    message = wait_for_message(&own.at_server, 1);
    CHECK(is_text(&message, "in the child"));
    CHECK_OK(wsabi_runtime_shutdown(own.runtime, DEADLINE_MS));
    wait_for_close(&own.at_client);
    CHECK_EVENTS(&own.at_client, "OC");
    pair_free(&own);
}

/* The threads of the library in this process that were told of their start. */
static pthread_mutex_t hook_mutex = PTHREAD_MUTEX_INITIALIZER;
static int started;

static void thread_starts(void *unused)
{
    (void)unused;
    CHECK(pthread_mutex_lock(&hook_mutex) == 0);
    started++;
    CHECK(pthread_mutex_unlock(&hook_mutex) == 0);
}

/* The hooks of the parent are there, and can be replaced. */
static void check_thread_hooks(void)
{
    wsabi_runtime runtime = new_runtime();
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK(started > 0 || delivery() == WITHOUT_THREADS);
    CHECK_OK(wsabi_set_thread_hooks(NULL, NULL, NULL));
    started = 0;
    runtime = new_runtime();
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK(started == 0);
}

static void check_default_runtime(void)
{
    wsabi_options options = recording_options();
    wsabi_server server;
    wsabi_socket client;
    recorder at_server, at_client;
    recorder_init(&at_server);
    recorder_init(&at_client);
    server = listen_on_loopback(WSABI_DEFAULT_RUNTIME, options, &at_server);
    client = connect_to_port(WSABI_DEFAULT_RUNTIME, wsabi_server_port(server), options, &at_client);
    wait_for_open(&at_client);
    CHECK_OK(wsabi_socket_close(client, 1000, "", 0));
    wait_for_close(&at_client);
    wait_for_close(&at_server);
    CHECK_OK(wsabi_server_close(server));
    CHECK_OK(wsabi_socket_release(client));
    wait_for_releases(&at_client, 1);
    wait_for_releases(&at_server, 1);
    CHECK_OK(wsabi_options_free(options));
    recorder_free(&at_server);
    recorder_free(&at_client);
}

/* Ends with a signal if anything in the child hangs, and otherwise becomes this program again. */
static void live_as_a_child(const pair *parents)
{
    alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
    /* Threads of the parent may have had them, which are not here. */
    pthread_mutex_init(&hook_mutex, NULL);
    init_taking();
    started = 0;
    check_parents_handles(parents);
    check_thread_hooks();
    check_runtime_of_its_own();
    check_default_runtime();
    execl(program, program, open_at_start, (char *)NULL);
    CHECK(!"exec works");
}

/* The life after exec: the descriptors have to be those from before the library was used. */
static int compare_descriptors(const char *before)
{
    char now[DESCRIPTORS + 1];
    list_descriptors(now);
    CHECK(strcmp(now, before) == 0);
    return 0;
}

static void echo(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_text(event->handle, (const char *)event->data, event->len));
}

/* Sends one message after the other, and awaits each echo, until told to stop. */
typedef struct talker {
    pthread_mutex_t mutex;
    pair *parents;
    size_t sent;
    int stop;
} talker;

static void *talk(void *argument)
{
    talker *self = (talker *)argument;
    int stop = 0;
    while (!stop) {
        CHECK_OK(wsabi_socket_send_text(self->parents->client, "from the parent", 15));
        wait_for_message(&self->parents->at_client, ++self->sent);
        pthread_mutex_lock(&self->mutex);
        stop = self->stop;
        pthread_mutex_unlock(&self->mutex);
    }
    return NULL;
}

/* Uses what the whole process shares, until told to stop: fork() may come in the middle. */
static void *share(void *argument)
{
    talker *self = (talker *)argument;
    int i, stop = 0;
    while (!stop) {
        wsabi_socket socket;
        for (i = 0; i < 100; i++)
            CHECK_OK(wsabi_set_thread_hooks(thread_starts, NULL, NULL));
        for (i = 0; i < 100; i++)
            CHECK_STATUS(WSABI_ERR_URL, wsabi_socket_connect(WSABI_DEFAULT_RUNTIME, "no URL", 6,
                                                             0, NULL, &socket));
        pthread_mutex_lock(&self->mutex);
        stop = self->stop;
        pthread_mutex_unlock(&self->mutex);
    }
    return NULL;
}

/* Forks while other threads and the library's are at work. */
static void fork_under_traffic(const pair *it)
{
    int round, rounds = repetitions(20);
    for (round = 0; round < rounds; round++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            live_as_a_child(it);
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(int argc, char **argv)
{
    talker it;
    pthread_t threads[3];
    size_t i;
    pair parents;
    if (argc == 2)
        return compare_descriptors(argv[1]);
    program = argv[0];
    list_descriptors(open_at_start);
    check_default_runtime();
    every_function_knows_handles_of_the_parent();
    pair_init(&parents);
    parents.at_server.hook = echo;
    pair_connect(&parents);
    pthread_mutex_init(&it.mutex, NULL);
    it.parents = &parents;
    it.sent = 0;
    it.stop = 0;
    CHECK_OK(wsabi_set_thread_hooks(thread_starts, NULL, NULL));
    CHECK(pthread_create(&threads[0], NULL, talk, &it) == 0);
    CHECK(pthread_create(&threads[1], NULL, share, &it) == 0);
    CHECK(pthread_create(&threads[2], NULL, share, &it) == 0);
    fork_under_traffic(&parents);
    pthread_mutex_lock(&it.mutex);
    it.stop = 1;
    pthread_mutex_unlock(&it.mutex);
    for (i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_OK(wsabi_socket_close(parents.client, 1000, "", 0));
    wait_for_clean_close(&parents.at_client, 1000, NULL);
    CHECK(count_events(&parents.at_client, WSABI_EVENT_MESSAGE) == it.sent);
    pair_free(&parents);
    return 0;
}
