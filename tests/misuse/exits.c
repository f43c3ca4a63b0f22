/* The process ends in every way that it can while connections are open, handlers run and threads
 * send: at once, and with the status that it was given. To be compiled as C++, whose objects are
 * destroyed then. */
#include "../c/pair.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "process.h"

/* The child's connections, with messages on the way for ever, and what else its end may meet. */
static pair it;

/* What the destructors of C++ do, of the program's objects and of a thread's. */
static void (*at_static_end)(void);
static void (*at_thread_end)(void);

struct static_object {
    ~static_object()
    {
        if (at_static_end != NULL)
            at_static_end();
    }
};

struct thread_object {
    int use;
    ~thread_object()
    {
        if (at_thread_end != NULL)
            at_thread_end();
    }
};

static static_object of_program;
static thread_local thread_object of_thread;

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

/* A whole life: nothing that it needs has been taken down. */
static void live_late(void)
{
    pair late;
    pair_init(&late);
    pair_connect(&late);
    CHECK_OK(wsabi_socket_send_text(late.client, "late", 4));
    wait_for_message(&late.at_server, 1);
    pair_free(&late);
    free_everything();
}

static void main_exits_and_an_object_lives_on(void)
{
    at_static_end = live_late;
    return_from_main();
}

static void a_handler_exits_and_an_object_frees(void)
{
    at_static_end = free_everything;
    a_handler_exits();
}

static void main_exits_and_an_object_of_its_thread_lives_on(void)
{
    of_thread.use = 1;
    at_thread_end = live_late;
    return_from_main();
}

static int calls_at_thread_end;

/* Neither the sentence of a failure, nor a call that succeeds. */
static void call_late(void)
{
    wsabi_runtime runtime = 0;
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_send_text(1, "late", 4));
    CHECK(wsabi_last_error() != NULL);
    CHECK_OK(wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &runtime));
    CHECK_OK(wsabi_runtime_free(runtime));
    __atomic_fetch_add(&calls_at_thread_end, 1, __ATOMIC_SEQ_CST);
}

static void use_object(const wsabi_event *event, recorder *self)
{
    (void)event;
    (void)self;
    of_thread.use = 1;
}

/* It is destroyed on a thread of the library. */
static void a_thread_of_the_library_ends_with_an_object_that_calls(void)
{
    at_thread_end = call_late;
    pair_init(&it);
    it.at_client.hook = use_object;
    pair_connect(&it);
    free_everything();
    CHECK(calls_at_thread_end == 1);
    at_thread_end = NULL;
    exit(7);
}

static void main_exits_quickly(void)
{
    begin_traffic();
    quick_exit(7);
}

static void main_exits_quickly_and_frees(void)
{
    at_quick_exit(free_everything);
    main_exits_quickly();
}

static void exit_quickly_in_handler(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        quick_exit(7);
}

static void a_handler_exits_quickly_and_frees(void)
{
    at_quick_exit(free_everything);
    pair_init(&it);
    it.at_client.hook = exit_quickly_in_handler;
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "go", 2));
    sleep_for_ever();
}

/* Polled by the thread that exits: its handler never returns. */
static void a_handler_exits_in_a_poll(uint32_t threads)
{
    wsabi_runtime runtime = 0;
    pair_init(&it);
    it.at_client.hook = exit_in_handler;
    CHECK_OK(wsabi_runtime_new(threads, WSABI_DELIVER_ON_POLL, &runtime));
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    it.client = connect_to_port(runtime, wsabi_server_port(it.server), it.client_options,
                                &it.at_client);
    while (count_events(&it.at_client, WSABI_EVENT_OPEN) == 0)
        CHECK(wsabi_runtime_poll(runtime, 0, DEADLINE_MS) >= 0);
    it.runtime = runtime;
    atexit(free_everything);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "go", 2));
    for (;;)
        CHECK(wsabi_runtime_poll(runtime, 0, DEADLINE_MS) >= 0);
}

static void a_handler_exits_in_a_poll_of_a_thread(void)
{
    a_handler_exits_in_a_poll(1);
}

static void a_handler_exits_in_a_poll_without_threads(void)
{
    a_handler_exits_in_a_poll(0);
}

static void main_aborts(void)
{
    begin_traffic();
    abort();
}

static void abort_in_handler(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        abort();
}

static void a_handler_aborts(void)
{
    pair_init(&it);
    it.at_client.hook = abort_in_handler;
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "go", 2));
    sleep_for_ever();
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

/* How a child ends that exits with 7, and one that aborts. */
enum { EXITS = 7 << 8, ABORTS = SIGABRT };

static const struct {
    const char *name;
    void (*live)(void);
    int end;
} lives[] = {
    {"main returns", return_from_main, EXITS},
    {"_exit", return_at_once, EXITS},
    {"quick_exit", main_exits_quickly, EXITS},
    {"abort", main_aborts, ABORTS},
    {"a handler exits", a_handler_exits, EXITS},
    {"a handler aborts", a_handler_aborts, ABORTS},
    {"a handler exits in a poll", a_handler_exits_in_a_poll_of_a_thread, EXITS},
    {"a handler exits in a poll without threads", a_handler_exits_in_a_poll_without_threads, EXITS},
    {"free at exit of main", main_exits_and_frees_at_exit, EXITS},
    {"free at exit of a handler", a_handler_exits_and_frees_at_exit, EXITS},
    {"free at quick_exit of main", main_exits_quickly_and_frees, EXITS},
    {"free at quick_exit of a handler", a_handler_exits_quickly_and_frees, EXITS},
    {"connect at exit", main_exits_and_connects_at_exit, EXITS},
    {"a static object", main_exits_and_an_object_lives_on, EXITS},
    {"a static object that frees", a_handler_exits_and_an_object_frees, EXITS},
    {"an object of main's thread", main_exits_and_an_object_of_its_thread_lives_on, EXITS},
    {"an object of a thread", a_thread_of_the_library_ends_with_an_object_that_calls, EXITS},
    {"a stuck handler", main_exits_while_a_handler_never_returns, EXITS},
    {"main ends its thread", main_ends_its_thread_and_a_handler_exits, EXITS},
};

/* The children begin with a process in which the library has not been called. */
static void check_end(const char *name, void (*live)(void), int end)
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
    if (status != end) {
        fprintf(stderr, "%s: ended with status %d, signal %d\n", name, WEXITSTATUS(status),
                WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        _Exit(1);
    }
    CHECK(now_ms() - began < 3000 * slowness());
}

int main(void)
{
    const struct rlimit no_core = {0, 0};
    int round, rounds = repetitions(is_long() ? 500 : 5);
    size_t i;
    setrlimit(RLIMIT_CORE, &no_core);
    for (round = 0; round < rounds; round++) {
        for (i = 0; i < COUNT_OF(lives); i++)
            check_end(lives[i].name, lives[i].live, lives[i].end);
    }
    return 0;
}
