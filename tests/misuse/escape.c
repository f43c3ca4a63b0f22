/* Functions of the application that do not return: by a C++ exception, by pthread_exit, by longjmp. To
 * be compiled as C++. The first argument names what leaves, the second out of which function of the
 * application; the third how many threads a runtime has that is polled, if one is. */
#include "../c/pair.h"

#include <setjmp.h>
#include <sys/resource.h>

static const char *way_out, *place;

static jmp_buf outside;

/* Whether this thread is where `outside` is. */
static __thread int can_jump;

static void leave(void)
{
    if (strcmp(way_out, "exception") == 0)
        throw 5;
    if (strcmp(way_out, "pthread_exit") == 0)
        pthread_exit(NULL);
    if (can_jump)
        longjmp(outside, 1);
}

static int is_from(const char *function)
{
    return strcmp(place, function) == 0;
}

static void leave_handler(const wsabi_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    leave();
}

/* `leave_pointer` is called when this has returned. */
static void release_socket(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    CHECK_OK(wsabi_socket_release(event->handle));
}

static void leave_pointer(void *user_data)
{
    (void)user_data;
    leave();
}

static void leave_log(int32_t level, const char *target, const char *message, size_t len,
                      void *user_data)
{
    (void)level;
    (void)target;
    (void)message;
    (void)len;
    leave_pointer(user_data);
}

/* The process has to end by itself. */
static int wait_in_vain(void)
{
    struct timespec until = deadline();
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    return 0;
}

/* One function of the application leaves, and the others are as in every test. */
static void set_up(pair *it)
{
    if (is_from("handler"))
        CHECK_OK(wsabi_options_on_open(it->client_options, leave_handler));
    else if (is_from("release")) {
        CHECK_OK(wsabi_options_on_open(it->client_options, release_socket));
        CHECK_OK(wsabi_options_on_release(it->client_options, leave_pointer));
    } else if (is_from("request"))
        CHECK_OK(wsabi_options_on_event(it->server_options, WSABI_EVENT_REQUEST, leave_handler));
    else if (is_from("log"))
        CHECK_OK(wsabi_set_log_handler(5, leave_log, NULL));
    else if (is_from("start"))
        CHECK_OK(wsabi_set_thread_hooks(leave_pointer, NULL, NULL));
    else if (is_from("stop"))
        CHECK_OK(wsabi_set_thread_hooks(NULL, leave_pointer, NULL));
    else
        CHECK(is_from("ready"));
}

/* Connects a client of one runtime to a server of another. */
static void connect_client(pair *it, wsabi_runtime clients, wsabi_runtime servers)
{
    it->server = listen_on_loopback(servers, it->server_options, &it->at_server);
    it->client = connect_to_port(clients, wsabi_server_port(it->server), it->client_options,
                                 &it->at_client);
}

static int leave_from_a_thread(void)
{
    static pair it;
    pair_init(&it);
    set_up(&it);
    /* What runs on the way of this thread is a call of the library as well. */
    CHECK_OK(wsabi_runtime_free(new_runtime()));
    connect_client(&it, it.runtime, it.runtime);
    return wait_in_vain();
}

/* A runtime to be polled, whose client or server has the function that leaves. */
static wsabi_runtime connect_polled(pair *it, uint32_t threads)
{
    wsabi_runtime runtime = 0;
    pair_init(it);
    CHECK_OK(wsabi_runtime_new(threads, WSABI_DELIVER_ON_POLL, &runtime));
    set_up(it);
    if (is_from("ready"))
        CHECK_OK(wsabi_runtime_on_ready(runtime, leave_pointer, NULL));
    if (is_from("request"))
        connect_client(it, it->runtime, runtime);
    else
        connect_client(it, runtime, it->runtime);
    return runtime;
}

static int leave_from_a_poll(uint32_t threads)
{
    static pair it;
    wsabi_runtime runtime = connect_polled(&it, threads);
    int64_t until = now_ms() + (int64_t)DEADLINE_MS * slowness();
    while (now_ms() < until)
        wsabi_runtime_poll(runtime, 0, 100);
    return 0;
}

/* Nothing else is stuck. The options are those of the runtime that is. */
static void check_others(pair *it)
{
    recorder at_server, at_client;
    wsabi_server server;
    wsabi_socket client;
    wsabi_options options = recording_options();
    recorder_init(&at_server);
    recorder_init(&at_client);
    CHECK_OK(wsabi_options_on_event(it->client_options, 0, record_event));
    CHECK_OK(wsabi_options_on_release(it->client_options, record_release));
    server = listen_on_loopback(it->runtime, options, &at_server);
    client = connect_to_port(it->runtime, wsabi_server_port(server), it->client_options,
                             &at_client);
    wait_for_open(&at_client);
    wait_for_open(&at_server);
    CHECK_OK(wsabi_socket_send_text(client, "on", 2));
    wait_for_message(&at_server, 1);
    CHECK_OK(wsabi_socket_close(client, 1000, "", 0));
    wait_for_clean_close(&at_client, 1000, NULL);
    wait_for_close(&at_server);
    CHECK_OK(wsabi_socket_release(client));
    CHECK_OK(wsabi_server_close(server));
    wait_for_releases(&at_client, 1);
    wait_for_releases(&at_server, 1);
    CHECK_OK(wsabi_options_free(options));
    recorder_free(&at_client);
    recorder_free(&at_server);
}

/* The runtime is stuck, but says so, and nothing else is. */
static int jump_from_a_poll(uint32_t threads)
{
    static pair it;
    static wsabi_runtime runtime;
    static int64_t until, began;
    int32_t status;
    runtime = connect_polled(&it, threads);
    until = now_ms() + (int64_t)DEADLINE_MS * slowness();
    if (setjmp(outside) == 0) {
        can_jump = 1;
        while (now_ms() < until)
            CHECK(wsabi_runtime_poll(runtime, 0, 100) >= 0);
        CHECK(!"the function is called");
    }
    can_jump = 0;
    began = now_ms();
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_runtime_poll(runtime, 0, -1));
    CHECK(strstr(wsabi_last_error(), "its handler has not returned") != NULL);
    /* It cannot wait. Only a thread of the runtime can have closed the socket meanwhile. */
    status = wsabi_runtime_shutdown(runtime, -1);
    CHECK(status == WSABI_ERR_TIMEOUT || (status == WSABI_OK && threads > 0));
    if (is_from("handler")) {
        CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
        CHECK_OK(wsabi_socket_release(it.client));
    }
    check_others(&it);
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_poll(runtime, 0, -1));
    CHECK(now_ms() - began < 1000 * slowness());
    CHECK_OK(wsabi_runtime_free(it.runtime));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(it.client));
    if (!is_from("request"))
        wait_for_releases(&it.at_server, 1);
    return 0;
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = {0, 0};
    CHECK(argc == 3 || argc == 4);
    setrlimit(RLIMIT_CORE, &no_core);
    alarm((unsigned)(2 * DEADLINE_MS / 1000 * slowness()));
    way_out = argv[1];
    place = argv[2];
    if (argc == 3)
        return leave_from_a_thread();
    if (strcmp(way_out, "longjmp") == 0)
        return jump_from_a_poll((uint32_t)atoi(argv[3]));
    return leave_from_a_poll((uint32_t)atoi(argv[3]));
}
