/* The process ends in every way that it can while connections are open, handlers run and threads
 * send: at once, and with the status that it was given. */
#include "../c/pair.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "process.h"

/* The child's connections, with messages on the way for ever, and what else its end may meet. */
static pair it;

static void echo(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        wsabi_socket_send_binary(event->handle, event->data, event->len);
}

static void *send_for_ever(void *unused)
{
    (void)unused;
    for (;;)
        wsabi_socket_send_text(it.client, "on and on", 9);
    return NULL;
}

static void sleep_for_ever(void)
{
    for (;;)
        rest_ms(60000);
}

static void begin_traffic(void)
{
    pthread_t thread;
    int i;
    pair_init(&it);
    it.at_server.hook = echo;
    CHECK_OK(wsabi_options_set_max_buffered(it.client_options, 10000));
    CHECK_OK(wsabi_options_set_max_buffered(it.server_options, 10000));
    pair_connect(&it);
    for (i = 0; i < 4; i++)
        CHECK(pthread_create(&thread, NULL, send_for_ever, NULL) == 0);
    wait_for_message(&it.at_client, 100);
}

static void return_from_main(void)
{
    begin_traffic();
    exit(7); /* which is what a return from main does */
}

static void return_at_once(void)
{
    begin_traffic();
    _exit(7);
}

static void exit_in_handler(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        exit(7);
}

static void a_handler_exits(void)
{
    pair_init(&it);
    it.at_client.hook = exit_in_handler;
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "go", 2));
    sleep_for_ever();
}

static void free_everything(void)
{
    CHECK_OK(wsabi_runtime_free(it.runtime));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_release(it.client));
}

static void main_exits_and_frees_at_exit(void)
{
    atexit(free_everything);
    return_from_main();
}

static void a_handler_exits_and_frees_at_exit(void)
{
    atexit(free_everything);
    a_handler_exits();
}

static void connect_late(void)
{
    wsabi_socket socket = connect_to_port(WSABI_DEFAULT_RUNTIME, wsabi_server_port(it.server),
                                          it.client_options, &it.at_client);
    CHECK_OK(wsabi_socket_release(socket));
}

static void main_exits_and_connects_at_exit(void)
{
    begin_traffic();
    it.at_client.handed_over = 2;
    atexit(connect_late);
    exit(7);
}

static int is_stuck;

static void get_stuck(const wsabi_event *event, recorder *self)
{
    (void)event;
    pthread_mutex_lock(&self->mutex);
    is_stuck = 1;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    sleep_for_ever();
}

static void main_exits_while_a_handler_never_returns(void)
{
    struct timespec until = deadline();
    pair_init(&it);
    it.at_client.hook = get_stuck;
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    it.client = connect_to_port(it.runtime, wsabi_server_port(it.server), it.client_options,
                                &it.at_client);
    pthread_mutex_lock(&it.at_client.mutex);
    while (!is_stuck)
        wait_for_change(&it.at_client, &until, "a stuck handler");
    pthread_mutex_unlock(&it.at_client.mutex);
    exit(7);
}

static void exit_at_once_in_handler(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        _exit(7);
}

/* The rest of the process goes on without the thread that called main. */
static void main_ends_its_thread_and_a_handler_exits(void)
{
    pair_init(&it);
    it.at_client.hook = exit_at_once_in_handler;
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "go", 2));
    pthread_exit(NULL);
}

/* The children begin with a process in which the library has not been called. */
static void check_end(const char *name, void (*live)(void))
{
    int64_t began = now_ms();
    int status;
    pid_t child = fork();
    circumstance = name;
    CHECK(child >= 0);
    if (child == 0) {
        alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
        live();
        _exit(99);
    }
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7) {
        fprintf(stderr, "%s: ended with status %d, signal %d\n", name, WEXITSTATUS(status),
                WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        _Exit(1);
    }
    CHECK(now_ms() - began < 3000 * slowness());
}

int main(void)
{
    int round, rounds = repetitions(is_long() ? 1000 : 10);
    for (round = 0; round < rounds; round++) {
        check_end("main returns", return_from_main);
        check_end("_exit", return_at_once);
        check_end("a handler exits", a_handler_exits);
        check_end("free at exit of main", main_exits_and_frees_at_exit);
        check_end("free at exit of a handler", a_handler_exits_and_frees_at_exit);
        check_end("connect at exit", main_exits_and_connects_at_exit);
        check_end("a stuck handler", main_exits_while_a_handler_never_returns);
        check_end("main ends its thread", main_ends_its_thread_and_a_handler_exits);
    }
    return 0;
}
