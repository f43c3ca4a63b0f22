/* Handlers that do not return: by a C++ exception, by pthread_exit, by longjmp. To be compiled as
 * C++. The first argument names what leaves, the second out of which function of the application. */
#include "../c/pair.h"

#include <setjmp.h>
#include <sys/resource.h>

static const char *way_out;

static void leave(void)
{
    if (strcmp(way_out, "exception") == 0)
        throw 5;
    pthread_exit(NULL);
}

static void leave_handler(const wsabi_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    leave();
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

/* Connects a client of `runtime` to a server on threads of its own. */
static void connect_client(pair *it, wsabi_runtime runtime)
{
    it->server = listen_on_loopback(it->runtime, it->server_options, &it->at_server);
    it->client = connect_to_port(runtime, wsabi_server_port(it->server), it->client_options,
                                 &it->at_client);
}

static int leave_from(const char *place)
{
    static pair it;
    pair_init(&it);
    if (strcmp(place, "handler") == 0)
        CHECK_OK(wsabi_options_on_open(it.client_options, leave_handler));
    else if (strcmp(place, "release") == 0)
        CHECK_OK(wsabi_options_on_release(it.client_options, leave_pointer));
    else if (strcmp(place, "log") == 0)
        CHECK_OK(wsabi_set_log_handler(5, leave_log, NULL));
    else if (strcmp(place, "start") == 0)
        CHECK_OK(wsabi_set_thread_hooks(leave_pointer, NULL, NULL));
    else
        CHECK_OK(wsabi_set_thread_hooks(NULL, leave_pointer, NULL));
    /* What runs on the way of this thread is a call of the library as well. */
    CHECK_OK(wsabi_runtime_free(new_runtime()));
    connect_client(&it, it.runtime);
    wait_for_open(&it.at_client);
    CHECK_OK(wsabi_socket_release(it.client));
    return wait_in_vain();
}

static jmp_buf outside;

static void jump_out(const wsabi_event *event, void *user_data)
{
    (void)event;
    (void)user_data;
    longjmp(outside, 1);
}

/* The runtime is stuck, but says so, and nothing else is. */
static int jump_from_a_poll(uint32_t threads)
{
    static pair it;
    static wsabi_runtime runtime;
    int64_t began;
    int32_t status;
    pair_init(&it);
    CHECK_OK(wsabi_runtime_new(threads, WSABI_DELIVER_ON_POLL, &runtime));
    CHECK_OK(wsabi_options_on_open(it.client_options, jump_out));
    connect_client(&it, runtime);
    if (setjmp(outside) == 0) {
        wsabi_runtime_poll(runtime, 0, DEADLINE_MS);
        wsabi_runtime_poll(runtime, 0, DEADLINE_MS);
        wsabi_runtime_poll(runtime, 0, DEADLINE_MS);
        CHECK(!"the handler is called");
    }
    began = now_ms();
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_runtime_poll(runtime, 0, -1));
    CHECK(strstr(wsabi_last_error(), "its handler has not returned") != NULL);
    /* It cannot wait. Only a thread of the runtime can have closed the socket meanwhile. */
    status = wsabi_runtime_shutdown(runtime, -1);
    CHECK(status == WSABI_ERR_TIMEOUT || (status == WSABI_OK && threads > 0));
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    CHECK_OK(wsabi_socket_release(it.client));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(it.client));
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_poll(runtime, 0, -1));
    CHECK(now_ms() - began < 1000 * slowness());
    CHECK_OK(wsabi_runtime_free(it.runtime));
    wait_for_releases(&it.at_server, 1);
    return 0;
}

int main(int argc, char **argv)
{
    const struct rlimit no_core = {0, 0};
    CHECK(argc == 3);
    setrlimit(RLIMIT_CORE, &no_core);
    way_out = argv[1];
    if (strcmp(way_out, "longjmp") == 0)
        return jump_from_a_poll((uint32_t)atoi(argv[2]));
    return leave_from(argv[2]);
}
