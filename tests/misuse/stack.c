/* Stacks: everything can be called on a thread that has little, the reading and writing of wss:// and
 * its handlers included, and the library's own threads have as much as the header says. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "../c/functions.h"

#include <sys/mman.h>

/* As the header says. */
enum { CALLERS = 128 << 10, OWN = 2 << 20 };

static const unsigned char paint = 0xA5;

/* The most that was used of any caller's stack. */
static size_t most_used;

/* The stack grows downwards. What it has not reached is still painted. */
static size_t count_painted(const unsigned char *stack, size_t size)
{
    size_t painted = 0;
    while (painted < size && stack[painted] == paint)
        painted++;
    return painted;
}

/* Calls this on a thread with the smallest stack, of which it must leave a quarter, for systems where
 * it takes more. */
static void call_with_little(void *(*call)(void *), void *argument)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    pthread_attr_t attributes;
    pthread_t thread;
    size_t used;
    unsigned char *guard = (unsigned char *)mmap(NULL, page + CALLERS, PROT_NONE,
                                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *stack = guard + page;
    CHECK(guard != MAP_FAILED && mprotect(stack, CALLERS, PROT_READ | PROT_WRITE) == 0);
    memset(stack, paint, CALLERS);
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstack(&attributes, stack, CALLERS) == 0);
    CHECK(pthread_create(&thread, &attributes, call, argument) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
    used = CALLERS - count_painted(stack, CALLERS);
    CHECK(used < CALLERS / 4 * 3);
    if (used > most_used)
        most_used = used;
    munmap(guard, page + CALLERS);
}

typedef struct call {
    int64_t (*function)(uint64_t handle);
    uint64_t handle;
} call;

static void *call_it(void *argument)
{
    call *self = (call *)argument;
    self->function(self->handle);
    return NULL;
}

/* Whether it gives handlers no recorder to record in. Those are called by `live`. */
static int has_no_recorder(const char *name)
{
    static const char *const names[] = {"connect with", "listen with", "set_user_data",
                                        "request_accept"};
    size_t i;
    for (i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return 1;
    }
    return 0;
}

static void every_function_can_be_called(void)
{
    size_t i;
    for (i = 0; i < COUNT_OF(functions); i++) {
        living it;
        call one;
        if (has_no_recorder(functions[i].name))
            continue;
        circumstance = functions[i].name;
        living_init(&it);
        one.function = functions[i].call;
        one.handle = it.handles[functions[i].kind];
        call_with_little(call_it, &one);
        /* The call may have ended what it was made with. */
        wsabi_runtime_free(it.pair.runtime);
        wsabi_options_free(it.pair.client_options);
        wsabi_options_free(it.pair.server_options);
        recorder_free(&it.pair.at_client);
        recorder_free(&it.pair.at_server);
        recorder_free(&it.asked);
        recorder_free(&it.asking);
    }
    circumstance = "";
}

/* One thread does everything for both ends. */
typedef struct both {
    wsabi_runtime runtime;
    wsabi_options at_client, at_server;
    wsabi_server server;
    wsabi_socket client;
    recorder client_seen, server_seen;
} both;

static void accept_request(const wsabi_event *event, void *user_data)
{
    wsabi_socket socket = 0;
    CHECK_OK(wsabi_request_accept(event->handle, NULL, 0, user_data, &socket));
}

static void echo(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
}

static void poll_until(both *self, recorder *seen, int32_t kind, size_t count)
{
    int64_t until = now_ms() + (int64_t)DEADLINE_MS * slowness();
    while (count_events(seen, kind) < count) {
        CHECK(wsabi_runtime_poll(self->runtime, 0, 100) >= 0);
        CHECK(now_ms() < until && "the events come in time");
    }
}

/* By name, with TLS, compression, and a request that is answered by a handler. */
static void begin(both *self)
{
    char url[64];
    CHECK_OK(wsabi_runtime_new(0, WSABI_DELIVER_ON_POLL, &self->runtime));
    self->at_client = recording_options();
    self->at_server = recording_options();
    CHECK_OK(wsabi_options_set_compression(self->at_client, 1));
    CHECK_OK(wsabi_options_set_compression_level(self->at_client, 9));
    CHECK_OK(wsabi_options_set_compression(self->at_server, 1));
    CHECK_OK(wsabi_options_set_tls_ca(self->at_client, cert_pem, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_options_set_tls_identity(self->at_server, cert_pem, WSABI_NUL_TERMINATED,
                                            key_pem, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_options_on_event(self->at_server, WSABI_EVENT_REQUEST, accept_request));
    self->client_seen.handed_over = self->server_seen.handed_over = 2;
    self->server_seen.hook = echo;
    CHECK_OK(wsabi_server_listen(self->runtime, "wss://localhost:0/", WSABI_NUL_TERMINATED,
                                 self->at_server, &self->server_seen, &self->server));
    snprintf(url, sizeof url, "wss://localhost:%d/", (int)wsabi_server_port(self->server));
    CHECK_OK(wsabi_socket_connect(self->runtime, url, WSABI_NUL_TERMINATED, self->at_client,
                                  &self->client_seen, &self->client));
    poll_until(self, &self->client_seen, WSABI_EVENT_OPEN, 1);
    poll_until(self, &self->server_seen, WSABI_EVENT_OPEN, 1);
}

static char bulk[1 << 20];

static void exchange(both *self)
{
    char text[200];
    int32_t fact;
    CHECK_OK(wsabi_socket_send_binary(self->client, bulk, sizeof bulk));
    CHECK_OK(wsabi_socket_send_fragment(self->client, WSABI_TEXT, "in ", 3, 0));
    CHECK_OK(wsabi_socket_send_fragment(self->client, WSABI_TEXT, "pieces", 6, 1));
    CHECK_OK(wsabi_socket_ping(self->client, "", 0));
    CHECK_OK(wsabi_socket_set_user_data(self->client, &self->client_seen));
    CHECK(wsabi_server_publish(self->server, NULL, 0, WSABI_BINARY, bulk, sizeof bulk) == 1);
    poll_until(self, &self->client_seen, WSABI_EVENT_MESSAGE, 3);
    poll_until(self, &self->client_seen, WSABI_EVENT_PONG, 1);
    for (fact = WSABI_FACT_URL; fact <= WSABI_FACT_RESPONSE_BODY; fact++)
        wsabi_socket_fact(self->client, fact, text, sizeof text);
}

/* The events of a message that goes there and comes back. */
static void take_out(both *self)
{
    static uint8_t buf[10000];
    wsabi_event event;
    size_t bytes = 0;
    int32_t count;
    self->server_seen.hook = NULL;
    CHECK_OK(wsabi_socket_send_text(self->client, "one", 3));
    CHECK(wsabi_runtime_next_events(self->runtime, &event, sizeof event, 1, DEADLINE_MS) == 1);
    CHECK_OK(wsabi_socket_send_text(self->client, "two", 3));
    CHECK(wsabi_runtime_next_packed(self->runtime, buf, sizeof buf, DEADLINE_MS, &bytes) == 1);
    CHECK_OK(wsabi_socket_send_text(self->client, "three", 5));
    count = wsabi_runtime_next_pickled(self->runtime, buf, sizeof buf, DEADLINE_MS, &bytes);
    CHECK(count == 1);
}

static void end(both *self)
{
    CHECK_OK(wsabi_socket_close(self->client, 1000, "", 0));
    poll_until(self, &self->client_seen, WSABI_EVENT_CLOSE, 1);
    poll_until(self, &self->server_seen, WSABI_EVENT_CLOSE, 1);
    CHECK(wsabi_socket_connect(self->runtime, "nonsense", 8, 0, NULL, &self->client) ==
          WSABI_ERR_URL);
    CHECK_OK(wsabi_runtime_shutdown(self->runtime, DEADLINE_MS));
    CHECK_OK(wsabi_runtime_free(self->runtime));
    CHECK_OK(wsabi_options_free(self->at_client));
    CHECK_OK(wsabi_options_free(self->at_server));
}

static void *live(void *argument)
{
    both *self = (both *)argument;
    begin(self);
    exchange(self);
    take_out(self);
    end(self);
    return NULL;
}

static void drop_record(int32_t level, const char *target, const char *message, size_t len,
                        void *unused)
{
    (void)level;
    (void)target;
    (void)message;
    (void)len;
    (void)unused;
}

static void a_thread_with_little_can_do_all_the_work(void)
{
    static both it;
    size_t i;
    for (i = 0; i < sizeof bulk; i++)
        bulk[i] = (char)(i * i >> 8);
    recorder_init(&it.client_seen);
    recorder_init(&it.server_seen);
    CHECK_OK(wsabi_set_log_handler(5, drop_record, NULL));
    call_with_little(live, &it);
    CHECK_OK(wsabi_set_log_handler(0, NULL, NULL));
    recorder_free(&it.client_seen);
    recorder_free(&it.server_seen);
}

/* The stack of the thread that calls. */
static unsigned char *own_stack(size_t *size_out)
{
    pthread_attr_t attributes;
    void *stack = NULL;
    CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
    CHECK(pthread_attr_getstack(&attributes, &stack, size_out) == 0);
    pthread_attr_destroy(&attributes);
    return (unsigned char *)stack;
}

static size_t own_size, own_used;

/* Paints what lies below the frames of this. */
static void paint_own_stack(void *unused)
{
    unsigned char here;
    unsigned char *stack = own_stack(&own_size);
    (void)unused;
    memset(stack, paint, (size_t)(&here - stack) - 8192);
}

static void look_at_own_stack(void *unused)
{
    size_t size;
    const unsigned char *stack = own_stack(&size);
    (void)unused;
    own_used = size - count_painted(stack, size);
}

/* Whatever the limits of the process, and the environment, say. */
static void threads_of_the_library_have_what_is_said(void)
{
    pair it;
    CHECK(setenv("RUST_MIN_STACK", "20000000", 1) == 0);
    CHECK_OK(wsabi_set_thread_hooks(paint_own_stack, look_at_own_stack, NULL));
    pair_init(&it);
    it.at_server.hook = echo;
    CHECK_OK(wsabi_options_set_compression(it.client_options, 1));
    CHECK_OK(wsabi_options_set_compression(it.server_options, 1));
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_binary(it.client, bulk, sizeof bulk));
    wait_for_message(&it.at_client, 1);
    pair_free(&it);
    CHECK(own_size >= OWN && own_size < OWN + OWN / 4);
    CHECK(own_used > 0 && own_used < OWN / 2);
    CHECK_OK(wsabi_set_thread_hooks(NULL, NULL, NULL));
}

int main(void)
{
    /* The first: what the environment says is read once. */
    threads_of_the_library_have_what_is_said();
    a_thread_with_little_can_do_all_the_work();
    printf("%lu bytes of a thread's stack for both ends of wss://\n", (unsigned long)most_used);
    every_function_can_be_called();
    printf("%lu bytes for the largest call, and %lu of a thread of the library\n",
           (unsigned long)most_used, (unsigned long)own_used);
    return 0;
}
