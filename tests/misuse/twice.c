/* Two copies of the library in one process, as two plugins bring them: they talk to each other, share
 * nothing, and go one after the other. The arguments are their paths. */
#include "loaded.h"

#include "../c/child.h"

#include <pthread.h>
#include <sys/wait.h>

#include "process.h"

enum { SERVER, CLIENT, COPIES };

static loaded copies[COPIES];

/* What each has told. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int messages[COPIES], closes[COPIES], started[COPIES];

/* Each answers by itself. */
static void answer(const wsabi_event *event, int copy)
{
    if (event->kind == WSABI_EVENT_MESSAGE || (event->kind == WSABI_EVENT_OPEN && copy == CLIENT))
        copies[copy].socket_send_text(event->handle, "again", 5);
    pthread_mutex_lock(&mutex);
    messages[copy] += event->kind == WSABI_EVENT_MESSAGE;
    closes[copy] += event->kind == WSABI_EVENT_CLOSE;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void answer_at_server(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    answer(event, SERVER);
}

static void answer_at_client(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    answer(event, CLIENT);
}

static void count_start(void *count)
{
    pthread_mutex_lock(&mutex);
    ++*(int *)count;
    pthread_mutex_unlock(&mutex);
}

static void wait_for_more(int *count, int more)
{
    pthread_mutex_lock(&mutex);
    more += *count;
    while (*count < more)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

/* The two ends, and what they are made of. */
static wsabi_runtime runtimes[COPIES];
static wsabi_socket client;
static char url[64];

static void begin(char **paths)
{
    wsabi_options options[COPIES];
    wsabi_server server = 0;
    int i;
    for (i = 0; i < COPIES; i++) {
        copies[i] = load(paths[i]);
        CHECK_OK(copies[i].set_thread_hooks(count_start, NULL, &started[i]));
        CHECK_OK(copies[i].runtime_new((uint32_t)i + 1, WSABI_DELIVER_ON_THREADS, &runtimes[i]));
        CHECK_OK(copies[i].options_new(&options[i]));
    }
    CHECK(copies[SERVER].runtime_new != copies[CLIENT].runtime_new);
    CHECK_OK(copies[SERVER].options_on_event(options[SERVER], 0, answer_at_server));
    CHECK_OK(copies[CLIENT].options_on_event(options[CLIENT], 0, answer_at_client));
    CHECK_OK(copies[SERVER].server_listen(runtimes[SERVER], "ws://127.0.0.1:0/",
                                          WSABI_NUL_TERMINATED, options[SERVER], NULL, &server));
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", copies[SERVER].server_port(server));
    CHECK_OK(copies[CLIENT].socket_connect(runtimes[CLIENT], url, WSABI_NUL_TERMINATED,
                                           options[CLIENT], NULL, &client));
    for (i = 0; i < COPIES; i++) {
        wait_for_more(&messages[i], 100);
        CHECK(started[i] == i + 1);
        CHECK_OK(copies[i].options_free(options[i]));
    }
}

/* The failures of a thread are those of each copy. */
static void each_remembers_its_own_failure(void)
{
    CHECK(copies[SERVER].socket_send_text(0, "", 0) == WSABI_ERR_HANDLE);
    CHECK(copies[SERVER].last_error()[0] != 0);
    CHECK(copies[CLIENT].last_error()[0] == 0);
}

/* A child forgets what the parent had, with both. */
static void both_know_of_a_fork(void)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        int i;
        for (i = 0; i < COPIES; i++) {
            CHECK_STATUS(WSABI_ERR_FORKED, copies[i].runtime_free(runtimes[i]));
            CHECK_OK(copies[i].runtime_new(1, WSABI_DELIVER_ON_THREADS, &runtimes[i]));
            CHECK_OK(copies[i].runtime_free(runtimes[i]));
        }
        end_child(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    wait_for_more(&messages[CLIENT], 100);
}

/* One goes while the other one's connection is open. */
static void go(int copy)
{
    CHECK_OK(copies[copy].runtime_free(runtimes[copy]));
    unload(&copies[copy]);
    CHECK(closes[copy] == 1);
}

int main(int argc, char **argv)
{
    int descriptors = count_descriptors(), threads = count_threads(), first;
    CHECK(argc == 1 + COPIES);
    alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
    for (first = 0; first < COPIES; first++) {
        memset(messages, 0, sizeof messages);
        memset(closes, 0, sizeof closes);
        memset(started, 0, sizeof started);
        begin(argv + 1);
        if (first == 0)
            each_remembers_its_own_failure();
        both_know_of_a_fork();
        go(first);
        pthread_mutex_lock(&mutex);
        while (closes[!first] == 0)
            pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
        go(!first);
    }
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
