/* Memory for what is large is refused, while all that is small is had: messages that come, in every
 * way in which they can, messages that are sent, and the heads of HTTP. None of it ends the process;
 * what fails says so, and the rest goes on. */
#include "../c/asking.h"

#include "../c/raw_peer.h"
#include "../c/secure.h"
#include "allocator.h"

/* Nothing larger is had. */
static size_t most = SIZE_MAX;
static int refusals;

static int is_refused(size_t len)
{
    if (len <= __atomic_load_n(&most, __ATOMIC_SEQ_CST))
        return 0;
    __atomic_fetch_add(&refusals, 1, __ATOMIC_SEQ_CST);
    return 1;
}

static void refuse_over(size_t len)
{
    refusals = 0;
    __atomic_store_n(&most, len, __ATOMIC_SEQ_CST);
}

static void refuse_nothing(void)
{
    __atomic_store_n(&most, SIZE_MAX, __ATOMIC_SEQ_CST);
}

enum { LARGE = 3 << 20, REFUSED_OVER = 1 << 20 };

/* What does not compress, and what does. */
static char noise[LARGE], silence[LARGE];

static const char *const schemes[] = {"ws", "wss"};

/* A pair over `scheme`, with short times. */
static void connect_over(pair *it, const char *scheme, int compresses)
{
    size_t i;
    pair_init(it);
    for (i = 0; i < 2; i++) {
        wsabi_options options = i == 0 ? it->server_options : it->client_options;
        CHECK_OK(wsabi_options_set_compression(options, compresses));
        CHECK_OK(wsabi_options_set_close_timeout_ms(options, 500 * (uint32_t)slowness()));
    }
    pair_connect_over(it, scheme);
}

static void exchange(pair *it)
{
    const size_t at_server = count_events(&it->at_server, WSABI_EVENT_MESSAGE);
    const size_t at_client = count_events(&it->at_client, WSABI_EVENT_MESSAGE);
    record message;
    CHECK_OK(wsabi_socket_send_text(it->client, "there", 5));
    message = wait_for_message(&it->at_server, at_server + 1);
    CHECK(is_text(&message, "there"));
    CHECK_OK(wsabi_socket_send_text(accepted(it), "back", 4));
    message = wait_for_message(&it->at_client, at_client + 1);
    CHECK(is_text(&message, "back"));
}

/* How a large message comes. */
enum way { WHOLE, IN_PIECES, COMPRESSED, WAYS };

static void send_by(wsabi_socket sender, enum way way)
{
    enum { PIECES = 48 };
    int i;
    if (way == WHOLE)
        CHECK_OK(wsabi_socket_send_binary(sender, noise, LARGE));
    for (i = 0; way == IN_PIECES && i < PIECES; i++)
        CHECK_OK(wsabi_socket_send_fragment(sender, WSABI_BINARY, noise + i * (LARGE / PIECES),
                                            LARGE / PIECES, i + 1 == PIECES));
    if (way == COMPRESSED)
        CHECK_OK(wsabi_socket_send_text(sender, silence, LARGE));
}

static void receive(const char *scheme, enum way way, int to_server, pair *other)
{
    pair it;
    wsabi_socket sender, receiver;
    recorder *seen;
    connect_over(&it, scheme, way == COMPRESSED);
    sender = to_server ? it.client : accepted(&it);
    receiver = to_server ? accepted(&it) : it.client;
    seen = to_server ? &it.at_server : &it.at_client;
    /* Nothing is refused to the sender. */
    CHECK_OK(wsabi_socket_pause(receiver));
    send_by(sender, way);
    refuse_over(REFUSED_OVER);
    CHECK_OK(wsabi_socket_resume(receiver));
    wait_for_error(seen, WSABI_ERR_RESOURCE);
    CHECK(count_events(seen, WSABI_EVENT_MESSAGE) == 0 && refusals > 0);
    exchange(other);
    refuse_nothing();
    exchange(other);
    wait_for_close(to_server ? &it.at_client : &it.at_server);
    pair_free(&it);
}

static void a_message_that_finds_no_memory_fails_its_connection(pair *other)
{
    static const char *const names[] = {"whole", "in pieces", "compressed"};
    size_t i;
    int way, to_server;
    for (i = 0; i < COUNT_OF(schemes); i++) {
        for (way = 0; way < WAYS; way++) {
            circumstance = names[way];
            for (to_server = 0; to_server < 2; to_server++)
                receive(schemes[i], (enum way)way, to_server, other);
        }
    }
    circumstance = "";
}

/* The calls that send: how many messages were taken, or a status. */
enum call { TEXT, BINARY, MANY, FRAGMENT, PUBLISH, CALLS };

static int64_t call(pair *it, wsabi_socket sender, enum call which, const char *data)
{
    wsabi_message messages[2];
    int32_t status;
    memset(messages, 0, sizeof messages);
    messages[0].type = WSABI_BINARY;
    messages[0].data = data;
    messages[0].len = LARGE;
    messages[1] = messages[0];
    switch (which) {
    case TEXT:
        status = wsabi_socket_send_text(sender, data, LARGE);
        break;
    case BINARY:
        status = wsabi_socket_send_binary(sender, data, LARGE);
        break;
    case FRAGMENT:
        status = wsabi_socket_send_fragment(sender, WSABI_BINARY, data, LARGE, 1);
        break;
    case MANY:
        return wsabi_socket_send_many(sender, messages, COUNT_OF(messages));
    default:
        return wsabi_server_publish(it->server, NULL, 0, WSABI_BINARY, data, LARGE);
    }
    return status == WSABI_OK ? 1 : status;
}

/* Waits until so many messages have come; 0: CLOSE has come first. */
static int have_come(recorder *seen, size_t count)
{
    struct timespec until = deadline();
    int have;
    pthread_mutex_lock(&seen->mutex);
    while (seen->count_of[WSABI_EVENT_MESSAGE] < count && seen->count_of[WSABI_EVENT_CLOSE] == 0)
        wait_for_change(seen, &until, "messages or CLOSE");
    have = seen->count_of[WSABI_EVENT_MESSAGE] >= count;
    pthread_mutex_unlock(&seen->mutex);
    return have;
}

/* Where the first part of a message has left already, and the rest finds no memory to wait in, its
 * connection fails. */
static void send_one(pair *it, int from_server, enum call which, const char *data)
{
    wsabi_socket sender = from_server ? accepted(it) : it->client;
    wsabi_socket receiver = from_server ? it->client : accepted(it);
    recorder *seen = from_server ? &it->at_client : &it->at_server;
    int64_t count, i;
    /* What is taken is received when nothing is refused any more. */
    CHECK_OK(wsabi_socket_pause(receiver));
    refuse_over(REFUSED_OVER);
    count = call(it, sender, which, data);
    if (count < 0) {
        CHECK_STATUS(WSABI_ERR_RESOURCE, count);
        CHECK(strstr(wsabi_last_error(), "memory") != NULL);
    }
    refuse_nothing();
    CHECK_OK(wsabi_socket_resume(receiver));
    if (count > 0 && !have_come(seen, (size_t)count)) {
        wait_for_error(from_server ? &it->at_server : &it->at_client, WSABI_ERR_RESOURCE);
        return;
    }
    for (i = 1; i <= count; i++) {
        record message = wait_for_message(seen, (size_t)i);
        CHECK(message.len == LARGE && memcmp(message.data, data, LARGE) == 0);
    }
    exchange(it);
}

static void a_message_is_taken_whole_refused_or_the_end_of_its_connection(void)
{
    static const char *const names[] = {"text", "binary", "many", "fragment", "publish"};
    size_t i;
    int compresses, from_server, which;
    for (i = 0; i < COUNT_OF(schemes); i++) {
        for (compresses = 0; compresses < 2; compresses++) {
            for (from_server = 0; from_server < 2; from_server++) {
                for (which = 0; which < (from_server ? CALLS : PUBLISH); which++) {
                    pair it;
                    circumstance = names[which];
                    connect_over(&it, schemes[i], compresses);
                    send_one(&it, from_server, (enum call)which, which == TEXT ? silence : noise);
                    pair_free(&it);
                }
            }
        }
    }
    circumstance = "";
}

enum { LONG_VALUE = 15000, REFUSED_IN_HEADS = 4096 };

/* A field of a head that is nearly as long as a head may be. */
static const char *long_field(void)
{
    static char field[8 + LONG_VALUE + 3] = "X-Long: ";
    memset(field + 8, 'x', LONG_VALUE);
    memcpy(field + 8 + LONG_VALUE, "\r\n", 3);
    return field;
}

/* Whether OPEN has come; else it is ERROR and CLOSE. */
static int has_opened(recorder *seen)
{
    struct timespec until = deadline();
    int has;
    pthread_mutex_lock(&seen->mutex);
    while (seen->count_of[WSABI_EVENT_OPEN] == 0 && seen->count_of[WSABI_EVENT_CLOSE] == 0)
        wait_for_change(seen, &until, "OPEN or CLOSE");
    has = seen->count_of[WSABI_EVENT_OPEN] > 0;
    pthread_mutex_unlock(&seen->mutex);
    return has;
}

static char body[65536], value[65536];

/* The server's answer, with a long field or a long body. */
static void answer(int fd, int is_refusal)
{
    char head[4096], accepting[512];
    raw_receive_head(fd, head, sizeof head);
    raw_write_response(head, accepting, sizeof accepting);
    if (is_refusal) {
        snprintf(head, sizeof head, "HTTP/1.1 403 Forbidden\r\nContent-Length: %lu\r\n\r\n",
                 (unsigned long)sizeof body);
        CHECK(raw_send_text(fd, head) && raw_send(fd, body, sizeof body));
        return;
    }
    /* Before its last line, which is empty. */
    CHECK(raw_send(fd, accepting, strlen(accepting) - 2));
    CHECK(raw_send_text(fd, long_field()) && raw_send_text(fd, "\r\n"));
}

/* Memory is refused while the answer comes, or only to whoever reads what has come. */
static void a_client_outlives_a_long_answer(pair *other, int is_refusal, int has_come)
{
    int port, fd, listener = raw_listen(&port);
    recorder seen;
    wsabi_socket socket;
    recorder_init(&seen);
    socket = connect_to_port(other->runtime, port, other->client_options, &seen);
    fd = raw_accept(listener);
    if (!has_come)
        refuse_over(REFUSED_IN_HEADS);
    answer(fd, is_refusal);
    if (!has_opened(&seen))
        wait_for_error(&seen, is_refusal ? WSABI_ERR_HTTP : WSABI_ERR_RESOURCE);
    CHECK(has_come || refusals > 0);
    refuse_over(REFUSED_IN_HEADS);
    if (has_come && is_refusal)
        CHECK(wsabi_socket_fact(socket, WSABI_FACT_RESPONSE_BODY, value, sizeof value) ==
              sizeof body);
    if (has_come && !is_refusal)
        CHECK(wsabi_socket_response_header(socket, "X-Long", 6, value, sizeof value) == LONG_VALUE);
    refuse_nothing();
    exchange(other);
    CHECK_OK(wsabi_socket_release(socket));
    wait_for_releases(&seen, 1);
    recorder_free(&seen);
    close(fd);
    close(listener);
}

static void a_client_outlives_long_answers(pair *other)
{
    int is_refusal, has_come;
    memset(body, 'b', sizeof body);
    for (is_refusal = 0; is_refusal < 2; is_refusal++) {
        for (has_come = 0; has_come < 2; has_come++)
            a_client_outlives_a_long_answer(other, is_refusal, has_come);
    }
}

static void a_server_outlives_long_requests(pair *other)
{
    static const char request[] = "GET /a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    int is_asked;
    for (is_asked = 0; is_asked < 2; is_asked++) {
        char status[16] = "";
        asking it;
        int fd;
        asking_init(&it, NULL);
        if (!is_asked)
            CHECK_OK(wsabi_options_on_event(it.pair.server_options, WSABI_EVENT_REQUEST, NULL));
        fd = raw_connect(asking_listen(&it));
        /* Whoever is asked has the head already. */
        refuse_over(is_asked ? SIZE_MAX : REFUSED_IN_HEADS);
        CHECK(raw_send_text(fd, request));
        CHECK(raw_send_text(fd, long_field()));
        CHECK(raw_send_text(fd, "\r\n"));
        if (is_asked) {
            wsabi_request asked = wait_for_event(&it.pair.at_server, WSABI_EVENT_REQUEST, 1).handle;
            refuse_over(REFUSED_IN_HEADS);
            CHECK(wsabi_request_header(asked, "X-Long", 6, value, sizeof value) == LONG_VALUE);
            accept_request(&it, asked, NULL);
        }
        CHECK(raw_receive_all(fd, status, 12));
        CHECK(strcmp(status + 9, is_asked ? "101" : "503") == 0);
        refuse_nothing();
        exchange(other);
        close(fd);
        asking_free(&it);
    }
}

int main(void)
{
    pair other;
    size_t i;
    uint32_t state = 1;
    for (i = 0; i < LARGE; i++) {
        state = state * 1664525 + 1013904223;
        noise[i] = (char)(state >> 24);
        silence[i] = 's';
    }
    connect_over(&other, "wss", 1);
    a_message_that_finds_no_memory_fails_its_connection(&other);
    a_message_is_taken_whole_refused_or_the_end_of_its_connection();
    a_client_outlives_long_answers(&other);
    a_server_outlives_long_requests(&other);
    pair_free(&other);
    return 0;
}
