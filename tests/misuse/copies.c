/* Memory is refused for large payloads, one allocation after the other, while messages come and wait
 * to be polled. A message is told whole, or its connection fails. */
#include "../c/polled.h"

#include "../c/raw_peer.h"
#include "allocator.h"

/* Nothing is refused that is smaller. */
static size_t large;
static int is_counting, fails_at, fails_for, allocations;

static int is_refused(size_t len)
{
    int number;
    if (!__atomic_load_n(&is_counting, __ATOMIC_SEQ_CST) || len < large)
        return 0;
    number = __atomic_fetch_add(&allocations, 1, __ATOMIC_SEQ_CST);
    return number >= fails_at && number - fails_at < fails_for;
}

static uint8_t payload[50000];

/* What the handler has seen. It takes no memory. */
typedef struct seen {
    int messages, errors, closes;
} seen;

static void look(const wsabi_event *event, void *user_data)
{
    seen *self = (seen *)user_data;
    self->messages += event->kind == WSABI_EVENT_MESSAGE;
    self->errors += event->kind == WSABI_EVENT_ERROR;
    self->closes += event->kind == WSABI_EVENT_CLOSE;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK(event->len == sizeof payload && memcmp(event->data, payload, sizeof payload) == 0);
    if (event->kind == WSABI_EVENT_ERROR) {
        CHECK_STATUS(WSABI_ERR_RESOURCE, event->code);
        CHECK(strstr((const char *)event->data, "memory") != NULL);
    }
}

enum { MESSAGES = 3 };

/* Returns whether an allocation was refused. */
static int receive(int in_pieces, int at, int times)
{
    wsabi_runtime runtime = new_polled_runtime();
    wsabi_options options = 0;
    wsabi_socket socket = 0;
    seen it = {0, 0, 0};
    int port, peer, i, listener = raw_listen(&port);
    int64_t until = now_ms() + (int64_t)DEADLINE_MS * slowness();
    char url[64];
    CHECK_OK(wsabi_options_new(&options));
    CHECK_OK(wsabi_options_on_event(options, 0, look));
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
    CHECK_OK(wsabi_socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, &it, &socket));
    /* Without threads, connecting needs polls. */
    while (raw_nobody_waits(listener))
        CHECK(wsabi_runtime_poll(runtime, 0, 1) >= 0);
    peer = raw_accept(listener);
    {
        char head[4096], response[512];
        CHECK(wsabi_runtime_poll(runtime, 0, io_threads == 0 ? 1 : 0) >= 0);
        raw_receive_head(peer, head, sizeof head);
        raw_write_response(head, response, sizeof response);
        CHECK(raw_send_text(peer, response));
    }
    while (wsabi_socket_ready_state(socket) != WSABI_OPEN)
        CHECK(wsabi_runtime_poll(runtime, 1, 1) >= 0 && now_ms() < until);
    large = sizeof payload;
    fails_at = at;
    fails_for = times;
    allocations = 0;
    is_counting = 1;
    for (i = 0; i < MESSAGES; i++) {
        const size_t half = sizeof payload / 2;
        if (in_pieces) {
            CHECK(raw_send_frame(peer, RAW_BINARY, 0, payload, half));
            CHECK(raw_send_frame(peer, RAW_FIN, 0, payload + half, half));
        } else {
            CHECK(raw_send_frame(peer, RAW_FIN | RAW_BINARY, 0, payload, sizeof payload));
        }
    }
    /* Events wait, as they do in a budget of none. */
    while (it.messages < MESSAGES && it.closes == 0) {
        wsabi_event none;
        CHECK(wsabi_runtime_next_events(runtime, &none, sizeof none, 0, 1) == 0);
        CHECK(wsabi_runtime_poll(runtime, 1, 1) >= 0 && now_ms() < until);
        if (it.errors == 1)
            shutdown(peer, SHUT_RDWR);
    }
    is_counting = 0;
    CHECK(it.errors == (it.messages < MESSAGES));
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
    close(peer);
    close(listener);
    return allocations > at;
}

static void a_message_is_told_whole_or_the_connection_fails(void)
{
    int in_pieces, at;
    for (in_pieces = 0; in_pieces < 2; in_pieces++) {
        for (at = 0; receive(in_pieces, at, 1); at++)
            receive(in_pieces, at, 1 << 30);
        CHECK(at > 0);
    }
}

int main(void)
{
    static void (*const cases[])(void) = {a_message_is_told_whole_or_the_connection_fails};
    size_t i;
    for (i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 256 + 1);
    run_polled(cases, COUNT_OF(cases));
    return 0;
}
