/* Very many connections, one after the other and side by side, in every way that they can begin, fail
 * and end: the process has no more descriptors, threads, memory and handles afterwards than before. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include "../c/pair.h"

#include "../c/certificate.h"

#include "heap.h"
#include "process.h"

/* What workers keep for messages and handshakes to come: as much as was ever needed at a time, which
 * is some kilobytes for each connection. */
enum { FOR_BUFFERS = 256 << 10 };

/* How many there are of each way at a time, and of all objects with handles: both ends of each, and
 * what they are made with. */
enum { SIDE_BY_SIDE = 5, PLACES = 200 };

/* Where clients of a way connect to: a server with TLS or without; one that refuses everybody; one
 * whose certificate they do not trust; a port without a server. */
enum target { PLAIN, SECURE, REFUSING, DISTRUSTED, NOWHERE, TARGETS };

/* How their life goes: what comes at once they do not wait to open for. */
enum life { CLOSED, ABORTED, RELEASED, ECHOED, FAILED, ABORTED_AT_ONCE, RELEASED_AT_ONCE };

static const struct {
    enum target target;
    enum life life;
} ways[] = {
    {PLAIN, CLOSED},
    {PLAIN, ABORTED},
    {PLAIN, RELEASED},
    {PLAIN, ECHOED},
    {PLAIN, ABORTED_AT_ONCE},
    {PLAIN, RELEASED_AT_ONCE},
    {SECURE, ECHOED},
    {SECURE, ABORTED},
    {SECURE, ABORTED_AT_ONCE},
    {REFUSING, FAILED},
    {DISTRUSTED, FAILED},
    {NOWHERE, FAILED},
};

enum { WAYS = COUNT_OF(ways) };

/* Events and releases so far, of all clients of a way. */
typedef struct counts {
    pthread_mutex_t mutex;
    unsigned long opens, messages, errors, closes, releases;
} counts;

static counts clients[WAYS];

static void count_event(const wsabi_event *event, void *user_data)
{
    counts *self = (counts *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->opens += event->kind == WSABI_EVENT_OPEN;
    self->messages += event->kind == WSABI_EVENT_MESSAGE;
    self->errors += event->kind == WSABI_EVENT_ERROR;
    self->closes += event->kind == WSABI_EVENT_CLOSE;
    pthread_mutex_unlock(&self->mutex);
}

static void count_release(void *user_data)
{
    counts *self = (counts *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->releases++;
    pthread_mutex_unlock(&self->mutex);
}

static unsigned long number(counts *self, const unsigned long *which)
{
    unsigned long count;
    pthread_mutex_lock(&self->mutex);
    count = *which;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

static void wait_for_number(size_t way, const unsigned long *which, unsigned long expected)
{
    int64_t until = now_ms() + (int64_t)DEADLINE_MS * slowness();
    while (number(&clients[way], which) < expected) {
        CHECK(now_ms() < until && "what is waited for comes in time");
        sched_yield();
    }
    CHECK(number(&clients[way], which) == expected);
}

static void echo(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
}

static void refuse(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    CHECK_OK(wsabi_request_reject(event->handle, 403, "no", 2));
}

/* Of a host that is not called back. */
static void handle(const wsabi_event *event, void *user_data)
{
    if (user_data != NULL)
        count_event(event, user_data);
    else if (event->kind == WSABI_EVENT_MESSAGE)
        echo(event, user_data);
    else if (event->kind == WSABI_EVENT_REQUEST)
        refuse(event, user_data);
}

/* Who is there to connect to, and how. */
typedef struct world {
    wsabi_runtime runtime;
    char urls[TARGETS][64];
    wsabi_options trusting, distrusting;
} world;

static wsabi_options client_options(void)
{
    wsabi_options options = 0;
    CHECK_OK(wsabi_options_new(&options));
    CHECK_OK(wsabi_options_on_event(options, 0, count_event));
    CHECK_OK(wsabi_options_on_release(options, count_release));
    return options;
}

static void listen_at(world *self, enum target target)
{
    const char *scheme = target == SECURE || target == DISTRUSTED ? "wss" : "ws";
    wsabi_options options = 0;
    wsabi_server server = 0;
    char url[64];
    CHECK_OK(wsabi_options_new(&options));
    CHECK_OK(wsabi_options_on_message(options, echo));
    CHECK_OK(wsabi_options_set_tls_identity(options, cert_pem, WSABI_NUL_TERMINATED, key_pem,
                                            WSABI_NUL_TERMINATED));
    if (target == REFUSING)
        CHECK_OK(wsabi_options_on_event(options, WSABI_EVENT_REQUEST, refuse));
    snprintf(url, sizeof url, "%s://127.0.0.1:0/", scheme);
    CHECK_OK(wsabi_server_listen(self->runtime, url, WSABI_NUL_TERMINATED, options, NULL,
                                 &server));
    snprintf(self->urls[target], sizeof self->urls[target], "%s://127.0.0.1:%d/", scheme,
             (int)wsabi_server_port(server));
    CHECK_OK(wsabi_options_free(options));
}

static void world_begin(world *self)
{
    memset(self, 0, sizeof *self);
    self->runtime = new_runtime_of(2);
    listen_at(self, PLAIN);
    listen_at(self, SECURE);
    listen_at(self, REFUSING);
    listen_at(self, DISTRUSTED);
    snprintf(self->urls[NOWHERE], sizeof self->urls[NOWHERE], "ws://127.0.0.1:1/");
    self->trusting = client_options();
    CHECK_OK(wsabi_options_set_tls_ca(self->trusting, cert_pem, WSABI_NUL_TERMINATED));
    self->distrusting = client_options();
    CHECK_OK(wsabi_options_set_tls_ca(self->distrusting, cert_pem, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_options_set_tls_server_name(self->distrusting, "elsewhere", 9));
}

static void world_end(world *self)
{
    CHECK_OK(wsabi_runtime_free(self->runtime));
    CHECK_OK(wsabi_options_free(self->trusting));
    CHECK_OK(wsabi_options_free(self->distrusting));
}

/* The lowest 24 bits of a handle are the place of its object in a table. */
static unsigned place_of(wsabi_socket socket)
{
    return (unsigned)(socket & 0xFFFFFF);
}

/* Makes the table of handles as large as it has to be for good. */
static void use_places(void)
{
    static wsabi_options all[PLACES];
    size_t i;
    for (i = 0; i < PLACES; i++)
        CHECK_OK(wsabi_options_new(&all[i]));
    for (i = 0; i < PLACES; i++)
        CHECK_OK(wsabi_options_free(all[i]));
}

static wsabi_socket connect_one(const world *self, size_t way)
{
    const enum target target = ways[way].target;
    wsabi_socket socket = 0;
    CHECK_OK(wsabi_socket_connect(self->runtime, self->urls[target], WSABI_NUL_TERMINATED,
                                  target == DISTRUSTED ? self->distrusting : self->trusting,
                                  &clients[way], &socket));
    CHECK(place_of(socket) < PLACES);
    if (ways[way].life == ABORTED_AT_ONCE)
        CHECK_OK(wsabi_socket_abort(socket));
    if (ways[way].life == RELEASED_AT_ONCE)
        CHECK_OK(wsabi_socket_release(socket));
    return socket;
}

/* From OPEN to the end, of those that open. */
static void live_on(size_t way, const wsabi_socket *sockets, const counts *before)
{
    int i;
    if (ways[way].life > ECHOED)
        return;
    wait_for_number(way, &clients[way].opens, before->opens + SIDE_BY_SIDE);
    for (i = 0; i < SIDE_BY_SIDE && ways[way].life == ECHOED; i++)
        CHECK_OK(wsabi_socket_send_text(sockets[i], "there and back", 14));
    if (ways[way].life == ECHOED)
        wait_for_number(way, &clients[way].messages, before->messages + SIDE_BY_SIDE);
    for (i = 0; i < SIDE_BY_SIDE; i++) {
        if (ways[way].life == ABORTED)
            CHECK_OK(wsabi_socket_abort(sockets[i]));
        else if (ways[way].life == RELEASED)
            CHECK_OK(wsabi_socket_release(sockets[i]));
        else
            CHECK_OK(wsabi_socket_close(sockets[i], 1000, "", 0));
    }
}

/* Until nobody holds anything of them. */
static void end(size_t way, const wsabi_socket *sockets, const counts *before)
{
    const enum life life = ways[way].life;
    int i;
    if (life != RELEASED && life != RELEASED_AT_ONCE) {
        wait_for_number(way, &clients[way].closes, before->closes + SIDE_BY_SIDE);
        for (i = 0; i < SIDE_BY_SIDE; i++)
            CHECK_OK(wsabi_socket_release(sockets[i]));
    }
    wait_for_number(way, &clients[way].releases, before->releases + SIDE_BY_SIDE);
    if (life == FAILED)
        CHECK(clients[way].errors == before->errors + SIDE_BY_SIDE && clients[way].opens == 0);
}

static void one_round(const world *self)
{
    wsabi_socket sockets[WAYS][SIDE_BY_SIDE];
    counts before[WAYS];
    size_t way;
    int i;
    memcpy(before, clients, sizeof before);
    for (i = 0; i < SIDE_BY_SIDE; i++) {
        for (way = 0; way < WAYS; way++)
            sockets[way][i] = connect_one(self, way);
    }
    for (way = 0; way < WAYS; way++)
        live_on(way, sockets[way], &before[way]);
    for (way = 0; way < WAYS; way++)
        end(way, sockets[way], &before[way]);
}

static void live(int rounds)
{
    size_t at_first = 0;
    int round, descriptors;
    world it;
    world_begin(&it);
    descriptors = count_descriptors();
    for (round = 0; round < rounds; round++) {
        one_round(&it);
        wait_for_count(count_descriptors, descriptors, "descriptors");
        if (round == rounds / 10)
            at_first = used_memory();
    }
    check_memory(at_first, FOR_BUFFERS);
    world_end(&it);
}

int main(void)
{
    int rounds = (is_long() ? 100000 : repetitions(5000)) / (SIDE_BY_SIDE * WAYS) + 1;
    int descriptors = count_descriptors(), threads = count_threads();
    size_t i, memory;
    count_all_memory();
    handle_taken = handle;
    for (i = 0; i < WAYS; i++)
        pthread_mutex_init(&clients[i].mutex, NULL);
    use_places();
    live(2);
    wait_for_nothing_left(descriptors, threads);
    memory = used_memory();
    live(rounds);
    wait_for_nothing_left(descriptors, threads);
    check_memory(memory, FOR_LOCKS);
    return 0;
}
