/* Many threads at once: sending on one socket, on many sockets, and while the socket goes away. */
#include "pair.h"

#define THREADS 8

/* Each message begins with eight hexadecimal digits: one for its thread, seven for its number. */
#define TAG_LEN 8

/* Lengths around the borders of the frame header, and one that no socket buffer takes whole. */
static const size_t lengths[] = {8, 64, 125, 126, 127, 1000, 4096, 65535, 65536, 300000, 17};

typedef struct sender {
    pthread_t thread;
    unsigned id;
    unsigned count; /* of messages */
    wsabi_socket *sockets;
    size_t socket_count;
} sender;

/* What the client of `threads_on_one_socket_lose_nothing` has got back; guarded by its recorder. */
typedef struct echoes {
    unsigned next[THREADS];
    unsigned received;
} echoes;

static size_t length_of(unsigned thread, unsigned number)
{
    return lengths[(thread + number) % COUNT_OF(lengths)];
}

static int type_of(unsigned thread, unsigned number)
{
    return (thread + number / 2) % 2 == 0 ? WSABI_TEXT : WSABI_BINARY;
}

/* The letter that fills the message behind its tag. */
static char filling_of(unsigned thread, unsigned number)
{
    return (char)('a' + (thread * 7 + number) % 26);
}

static void start(sender *senders, size_t count, void *(*body)(void *))
{
    size_t i;
    for (i = 0; i < count; i++) {
        senders[i].id = (unsigned)i;
        CHECK(pthread_create(&senders[i].thread, NULL, body, &senders[i]) == 0);
    }
}

static void join(const sender *senders, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++)
        CHECK(pthread_join(senders[i].thread, NULL) == 0);
}

static void echo(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    if (event->type == WSABI_TEXT)
        CHECK_OK(wsabi_socket_send_text(event->handle, (const char *)event->data, event->len));
    else
        CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
}

static void check_echo(const wsabi_event *event, void *user_data)
{
    recorder *self = (recorder *)user_data;
    echoes *got = (echoes *)self->context;
    const char *data = (const char *)event->data;
    char tag[TAG_LEN + 1];
    unsigned thread, number;
    size_t i;
    CHECK(event->len >= TAG_LEN);
    memcpy(tag, data, TAG_LEN);
    tag[TAG_LEN] = 0;
    CHECK(sscanf(tag, "%1x%7x", &thread, &number) == 2);
    CHECK(thread < THREADS);
    CHECK(event->len == length_of(thread, number));
    CHECK(event->type == type_of(thread, number));
    for (i = TAG_LEN; i < event->len; i++)
        CHECK(data[i] == filling_of(thread, number));
    pthread_mutex_lock(&self->mutex);
    CHECK(number == got->next[thread]);
    got->next[thread]++;
    got->received++;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* The context of recorders that messages do not get to, since `echo` is their handler. */
static int is_echoing;

/* As the options have it, where the test itself calls the handlers. */
static void handle(const wsabi_event *event, void *user_data)
{
    const recorder *self = (recorder *)user_data;
    if (event->kind != WSABI_EVENT_MESSAGE || self->context == NULL)
        record_event(event, user_data);
    else if (self->context == &is_echoing)
        echo(event, user_data);
    else
        check_echo(event, user_data);
}

static void *send_tagged(void *argument)
{
    const sender *self = (const sender *)argument;
    char *data = (char *)malloc(300000);
    unsigned number;
    CHECK(data != NULL);
    for (number = 0; number < self->count; number++) {
        size_t len = length_of(self->id, number);
        char tag[TAG_LEN + 1];
        snprintf(tag, sizeof tag, "%01x%07x", self->id & 0xF, number & 0xFFFFFFF);
        memset(data, filling_of(self->id, number), len);
        memcpy(data, tag, TAG_LEN);
        if (type_of(self->id, number) == WSABI_TEXT)
            CHECK_OK(wsabi_socket_send_text(self->sockets[0], data, len));
        else
            CHECK_OK(wsabi_socket_send_binary(self->sockets[0], data, len));
    }
    free(data);
    return NULL;
}

static void threads_on_one_socket_lose_nothing(void)
{
    const unsigned count = (unsigned)repetitions(150);
    struct timespec until = deadline();
    sender senders[THREADS];
    echoes got;
    pair it;
    size_t i;
    memset(&got, 0, sizeof got);
    pair_init(&it);
    it.at_client.context = &got;
    it.at_server.context = &is_echoing;
    CHECK_OK(wsabi_options_set_max_buffered(it.client_options, UINT64_C(1) << 30));
    CHECK_OK(wsabi_options_set_max_buffered(it.server_options, UINT64_C(1) << 30));
    CHECK_OK(wsabi_options_on_message(it.client_options, check_echo));
    CHECK_OK(wsabi_options_on_message(it.server_options, echo));
    pair_connect(&it);
    for (i = 0; i < THREADS; i++) {
        senders[i].sockets = &it.client;
        senders[i].count = count;
    }
    start(senders, THREADS, send_tagged);
    join(senders, THREADS);
    pthread_mutex_lock(&it.at_client.mutex);
    while (got.received < THREADS * count)
        wait_for_change(&it.at_client, &until, "all echoes");
    pthread_mutex_unlock(&it.at_client.mutex);
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    wait_for_close(&it.at_client);
    CHECK(got.received == THREADS * count);
    pair_free(&it);
}

/* Sends to every eighth socket its index and a number. */
static void *send_to_some(void *argument)
{
    const sender *self = (const sender *)argument;
    size_t i;
    for (i = self->id; i < self->socket_count; i += THREADS) {
        unsigned number;
        for (number = 0; number < self->count; number++) {
            unsigned message[2];
            message[0] = (unsigned)i;
            message[1] = number;
            CHECK_OK(wsabi_socket_send_binary(self->sockets[i], message, sizeof message));
        }
    }
    return NULL;
}

static void check_own_messages(recorder *self, unsigned index, unsigned count)
{
    unsigned number;
    for (number = 0; number < count; number++) {
        record message = wait_for_message(self, number + 1);
        unsigned expected[2];
        expected[0] = index;
        expected[1] = number;
        CHECK(message.len == sizeof expected);
        CHECK(memcmp(message.data, expected, sizeof expected) == 0);
    }
}

static void many_sockets_keep_their_messages_apart(void)
{
    enum { SOCKETS = 200, MESSAGES = 20 };
    static recorder ends[SOCKETS];
    static wsabi_socket sockets[SOCKETS];
    const unsigned count = (unsigned)repetitions(SOCKETS);
    wsabi_options options = recording_options();
    wsabi_options echoing = recording_options();
    wsabi_runtime runtime = new_runtime_of(3);
    wsabi_server server;
    recorder at_server;
    sender senders[THREADS];
    unsigned i;
    CHECK_OK(wsabi_options_on_message(echoing, echo));
    recorder_init(&at_server);
    at_server.context = &is_echoing;
    server = listen_on_loopback(runtime, echoing, &at_server);
    for (i = 0; i < count; i++) {
        recorder_init(&ends[i]);
        sockets[i] = connect_to_port(runtime, wsabi_server_port(server), options, &ends[i]);
    }
    for (i = 0; i < count; i++)
        wait_for_open(&ends[i]);
    for (i = 0; i < THREADS; i++) {
        senders[i].sockets = sockets;
        senders[i].socket_count = count;
        senders[i].count = MESSAGES;
    }
    start(senders, THREADS, send_to_some);
    join(senders, THREADS);
    for (i = 0; i < count; i++)
        check_own_messages(&ends[i], i, MESSAGES);
    CHECK_OK(wsabi_runtime_shutdown(runtime, DEADLINE_MS));
    wait_for_event(&at_server, WSABI_EVENT_CLOSE, count);
    for (i = 0; i < count; i++)
        wait_for_close(&ends[i]);
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
    CHECK_OK(wsabi_options_free(echoing));
    CHECK(count_events(&at_server, WSABI_EVENT_CLOSE) == count);
    for (i = 0; i < count; i++) {
        wait_for_releases(&ends[i], 1);
        CHECK(ends[i].count == MESSAGES + 2);
        CHECK(ends[i].records[MESSAGES + 1].kind == WSABI_EVENT_CLOSE);
        recorder_free(&ends[i]);
    }
    recorder_free(&at_server);
}

/* Calls everything that can be called on a socket, until its handle has ended. */
static void *call_anything(void *argument)
{
    const sender *self = (const sender *)argument;
    wsabi_socket socket = self->sockets[0];
    wsabi_stats stats;
    char text[64];
    stats.size = sizeof stats;
    while (wsabi_socket_ready_state(socket) != WSABI_ERR_HANDLE) {
        wsabi_socket_send_text(socket, "text", 4);
        wsabi_socket_send_binary(socket, text, 0);
        wsabi_socket_ping(socket, "ping", 4);
        wsabi_socket_pause(socket);
        wsabi_socket_fact(socket, WSABI_FACT_PEER_ADDRESS, text, sizeof text);
        wsabi_socket_stats(socket, &stats);
        wsabi_socket_buffered_amount(socket);
        wsabi_socket_response_status(socket);
        wsabi_socket_resume(socket);
    }
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_send_text(socket, "text", 4));
    return NULL;
}

static void end_by_close(pair *it)
{
    CHECK_OK(wsabi_socket_close(it->client, 1000, "", 0));
    wait_for_clean_close(&it->at_client, 1000, NULL);
    CHECK_OK(wsabi_socket_release(it->client));
}

static void end_by_abort(pair *it)
{
    CHECK_OK(wsabi_socket_abort(it->client));
    wait_for_error(&it->at_client, WSABI_ERR_ABORTED);
    CHECK_OK(wsabi_socket_release(it->client));
}

static void end_by_release(pair *it)
{
    CHECK_OK(wsabi_socket_release(it->client));
}

static void end_by_freeing_the_runtime(pair *it)
{
    CHECK_OK(wsabi_runtime_free(it->runtime));
    it->runtime = 0;
}

static void a_socket_can_end_while_threads_use_it(void)
{
    static const struct {
        void (*by)(pair *);
        size_t closes;
    } ends[] = {
        {end_by_close, 1},
        {end_by_abort, 1},
        {end_by_release, 0},
        {end_by_freeing_the_runtime, 1},
    };
    int round, i, rounds = repetitions(100);
    for (round = 0; round < rounds; round++) {
        sender senders[4];
        pair it;
        pair_init(&it);
        pair_connect(&it);
        for (i = 0; i < 4; i++)
            senders[i].sockets = &it.client;
        start(senders, 4, call_anything);
        wait_for_message(&it.at_server, 5);
        ends[round % 4].by(&it);
        join(senders, 4);
        wait_for_releases(&it.at_client, 1);
        /* With polling, freeing the runtime tells nobody. */
        CHECK(count_events(&it.at_client, WSABI_EVENT_CLOSE) ==
              (is_polled() && it.runtime == 0 ? 0 : ends[round % 4].closes));
        pair_free(&it);
    }
}

int main(void)
{
    handle_taken = handle;
    threads_on_one_socket_lose_nothing();
    many_sockets_keep_their_messages_apart();
    a_socket_can_end_while_threads_use_it();
    return 0;
}
