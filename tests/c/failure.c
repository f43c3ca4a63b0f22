/* Peers that are not there, that lie, and that die at every stage, seen from a client: at most one
 * ERROR with the right status, then one CLOSE, in time. */
#include "delivery.h"

#include "raw_peer.h"

/* A client of the library that connects to a peer made by hand. */
typedef struct victim {
    wsabi_runtime runtime;
    wsabi_options options;
    wsabi_socket socket;
    recorder events;
    int listener;
    int port;
} victim;

static void victim_init(victim *self)
{
    self->socket = 0;
    self->listener = raw_listen(&self->port);
    recorder_init(&self->events);
    self->runtime = new_runtime();
    CHECK_OK(wsabi_options_new(&self->options));
    CHECK_OK(wsabi_options_on_event(self->options, 0, record_event));
    CHECK_OK(wsabi_options_on_release(self->options, record_release));
}

static void victim_connect_to(victim *self, const char *url)
{
    CHECK_OK(wsabi_socket_connect(self->runtime, url, WSABI_NUL_TERMINATED, self->options,
                                  &self->events, &self->socket));
}

static void victim_connect(victim *self)
{
    char url[64];
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", self->port);
    victim_connect_to(self, url);
}

/* Starts a victim that is open; returns its peer. */
static int victim_open(victim *self)
{
    int peer;
    victim_connect(self);
    peer = raw_accept_websocket(self->listener);
    wait_for_open(&self->events);
    return peer;
}

static void victim_free(victim *self, const char *letters)
{
    CHECK_OK(wsabi_socket_release(self->socket));
    wait_for_releases(&self->events, 1);
    CHECK_EVENTS(&self->events, letters);
    CHECK_OK(wsabi_runtime_free(self->runtime));
    CHECK_OK(wsabi_options_free(self->options));
    recorder_free(&self->events);
    close(self->listener);
}

/* The error is `status`, and the CLOSE behind it says that there was no Close frame. */
static void check_abnormal(victim *self, int32_t status)
{
    wait_for_error(&self->events, status);
    CHECK(wait_for_close(&self->events).code == 1006);
}

/* Ends the connection in one of the two ways in which a peer can die. */
static void die(int peer, int by_reset)
{
    if (by_reset)
        raw_reset(peer);
    else
        close(peer);
}

static void nothing_listens(void)
{
    victim it;
    int bound = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = raw_address(0);
    socklen_t len = sizeof address;
    victim_init(&it);
    /* A port that is bound but not listened on is nobody else's, and refuses connections. */
    CHECK(bind(bound, (struct sockaddr *)&address, len) == 0);
    CHECK(getsockname(bound, (struct sockaddr *)&address, &len) == 0);
    it.port = ntohs(address.sin_port);
    victim_connect(&it);
    check_abnormal(&it, WSABI_ERR_CONNECT);
    CHECK(wsabi_socket_response_status(it.socket) == 0);
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_socket_response_header(it.socket, "Date", 4, NULL, 0));
    victim_free(&it, "EC");
    close(bound);
}

/* A label of a name has at most 63 bytes, so that no resolver has to ask the network about this
 * one: whether there is a network, and who answers in it, makes no difference. */
#define LABEL_OF_64 "x123456789abcdefx123456789abcdefx123456789abcdefx123456789abcdef"

static void an_unknown_host_name(void)
{
    victim it;
    victim_init(&it);
    CHECK_OK(wsabi_options_set_connect_timeout_ms(it.options, 0));
    victim_connect_to(&it, "ws://" LABEL_OF_64 ".invalid/");
    check_abnormal(&it, WSABI_ERR_DNS);
    CHECK(strstr((const char *)it.events.records[0].data, LABEL_OF_64) != NULL);
    victim_free(&it, "EC");
}

static void a_peer_that_accepts_and_says_nothing(void)
{
    victim it;
    int64_t begin = now_ms();
    victim_init(&it);
    CHECK_OK(wsabi_options_set_connect_timeout_ms(it.options, 200));
    victim_connect(&it);
    check_abnormal(&it, WSABI_ERR_TIMEOUT);
    CHECK(now_ms() - begin >= 190);
    victim_free(&it, "EC");
}

static void a_peer_that_dies_before_it_reads_the_request(void)
{
    int by_reset;
    for (by_reset = 0; by_reset < 2; by_reset++) {
        victim it;
        victim_init(&it);
        victim_connect(&it);
        /* Also a reset that comes before the client has seen that it is connected is the end of a
         * connection: only a reset that answers the attempt itself is WSABI_ERR_CONNECT. */
        die(raw_accept(it.listener), by_reset);
        check_abnormal(&it, WSABI_ERR_IO);
        victim_free(&it, "EC");
    }
}

static void a_peer_that_dies_in_the_middle_of_its_response(void)
{
    static const size_t cuts[] = {0, 1, 8, 12, 13, 34, 35, 60, 100, 128};
    size_t i;
    for (i = 0; i < 2 * COUNT_OF(cuts); i++) {
        char head[4096], response[512];
        victim it;
        int peer;
        victim_init(&it);
        victim_connect(&it);
        peer = raw_accept(it.listener);
        raw_receive_head(peer, head, sizeof head);
        raw_write_response(head, response, sizeof response);
        CHECK(cuts[i / 2] < strlen(response));
        CHECK(raw_send(peer, response, cuts[i / 2]));
        die(peer, i % 2 == 1);
        check_abnormal(&it, WSABI_ERR_IO);
        victim_free(&it, "EC");
    }
}

static void a_peer_that_dies_between_and_inside_frames(void)
{
    static const struct {
        const char *name;
        size_t len;
        const char *bytes;
        const char *letters;
    } stages[] = {
        {"after the response", 0, "", "OEC"},
        {"after a message", 5, "\x81\x03" "abc", "OMEC"},
        {"inside a header", 1, "\x81", "OEC"},
        {"inside a length of two bytes", 3, "\x82\x7E\x01", "OEC"},
        {"inside a length of eight bytes", 9, "\x82\x7F\0\0\0\0\0\x01\0", "OEC"},
        {"before a payload", 2, "\x82\x05", "OEC"},
        {"inside a payload", 5, "\x82\x05" "abc", "OEC"},
        {"between the frames of a message", 5, "\x01\x03" "abc", "OEC"},
        {"inside its second frame", 8, "\x01\x03" "abc\x80\x03" "d", "OEC"},
        {"inside a Close frame", 3, "\x88\x05\x03", "OEC"},
        {"after a ping inside a message", 9, "\x01\x03" "abc\x89\x02" "pi", "OIEC"},
    };
    size_t i;
    for (i = 0; i < COUNT_OF(stages); i++) {
        victim it;
        int peer;
        circumstance = stages[i].name;
        victim_init(&it);
        peer = victim_open(&it);
        CHECK(raw_send(peer, stages[i].bytes, stages[i].len));
        die(peer, 0);
        check_abnormal(&it, WSABI_ERR_IO);
        victim_free(&it, stages[i].letters);
    }
}

static void a_peer_that_resets_while_it_is_open(void)
{
    victim it;
    victim_init(&it);
    raw_reset(victim_open(&it));
    check_abnormal(&it, WSABI_ERR_IO);
    victim_free(&it, "OEC");
}

static void a_peer_that_dies_in_the_closing_handshake(void)
{
    int by_reset;
    for (by_reset = 0; by_reset < 2; by_reset++) {
        victim it;
        int peer;
        victim_init(&it);
        peer = victim_open(&it);
        CHECK_OK(wsabi_socket_close(it.socket, 1000, "bye", 3));
        CHECK(raw_receive_close(peer) == 1000);
        die(peer, by_reset);
        check_abnormal(&it, WSABI_ERR_IO);
        victim_free(&it, "OEC");
    }
}

static void a_peer_that_never_answers_a_close(void)
{
    int64_t begin;
    victim it;
    int peer;
    victim_init(&it);
    CHECK_OK(wsabi_options_set_close_timeout_ms(it.options, 200));
    peer = victim_open(&it);
    begin = now_ms();
    CHECK_OK(wsabi_socket_close(it.socket, 1000, "bye", 3));
    check_abnormal(&it, WSABI_ERR_TIMEOUT);
    CHECK(now_ms() - begin >= 190);
    CHECK(raw_receive_close(peer) == 1000);
    raw_wait_for_end(peer);
    close(peer);
    victim_free(&it, "OEC");
}

static void a_peer_that_answers_a_close_and_keeps_the_connection(void)
{
    victim it;
    int peer;
    victim_init(&it);
    CHECK_OK(wsabi_options_set_close_timeout_ms(it.options, 200));
    peer = victim_open(&it);
    CHECK_OK(wsabi_socket_close(it.socket, 1000, "bye", 3));
    CHECK(raw_receive_close(peer) == 1000);
    CHECK(raw_send_frame(peer, RAW_FIN | RAW_CLOSE, 0, "\x03\xE8", 2));
    wait_for_clean_close(&it.events, 1000, "");
    raw_wait_for_end(peer);
    close(peer);
    victim_free(&it, "OC");
}

/* Answers the request with `answer`; the status of the ERROR has to be `status`. */
static void answer_with(const char *answer, int32_t status)
{
    char head[4096];
    victim it;
    int peer;
    victim_init(&it);
    victim_connect(&it);
    peer = raw_accept(it.listener);
    raw_receive_head(peer, head, sizeof head);
    raw_send_text(peer, answer);
    check_abnormal(&it, status);
    raw_wait_for_end(peer);
    close(peer);
    victim_free(&it, "EC");
}

static void answers_that_are_no_upgrade(void)
{
    static char endless[70000];
    int n = snprintf(endless, sizeof endless, "HTTP/1.1 101 Switching Protocols\r\nX: ");
    memset(endless + n, 'x', sizeof endless - 1 - (size_t)n);
    answer_with("SSH-2.0-OpenSSH_9.2p1\r\n\r\n", WSABI_ERR_HANDSHAKE);
    answer_with("\x16\x03\x01\x02\x01\xFF\xFE\r\n\r\n", WSABI_ERR_HANDSHAKE);
    answer_with("HTTP/1.1 101 Switching Protocols\r\n\r\n", WSABI_ERR_HANDSHAKE);
    answer_with("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
                WSABI_ERR_HANDSHAKE);
    answer_with(endless, WSABI_ERR_HANDSHAKE);
}

static void a_refusal_can_be_read(void)
{
    char head[4096], text[64];
    victim it;
    int peer;
    victim_init(&it);
    victim_connect(&it);
    peer = raw_accept(it.listener);
    raw_receive_head(peer, head, sizeof head);
    CHECK(raw_send_text(peer, "HTTP/1.1 404 Not Found\r\nX-Why: no such room\r\n"
                              "Content-Length: 12\r\n\r\nTry another."));
    check_abnormal(&it, WSABI_ERR_HTTP);
    CHECK(strstr((const char *)it.events.records[0].data, "404") != NULL);
    CHECK(wsabi_socket_response_status(it.socket) == 404);
    CHECK_STATUS(12, wsabi_socket_response_header(it.socket, "x-why", 5, text, sizeof text));
    CHECK(strcmp(text, "no such room") == 0);
    CHECK_STATUS(12, wsabi_socket_response_header(it.socket, "X-Why", 5, NULL, 0));
    CHECK_STATUS(12, wsabi_socket_fact(it.socket, WSABI_FACT_RESPONSE_BODY, text, sizeof text));
    CHECK(strcmp(text, "Try another.") == 0);
    memset(text, '#', sizeof text);
    CHECK_STATUS(12, wsabi_socket_fact(it.socket, WSABI_FACT_RESPONSE_BODY, text, 4));
    CHECK(memcmp(text, "Try", 3) == 0 && text[4] == '#');
    raw_wait_for_end(peer);
    close(peer);
    victim_free(&it, "EC");
}

int main(void)
{
    nothing_listens();
    an_unknown_host_name();
    a_peer_that_accepts_and_says_nothing();
    a_peer_that_dies_before_it_reads_the_request();
    a_peer_that_dies_in_the_middle_of_its_response();
    a_peer_that_dies_between_and_inside_frames();
    a_peer_that_resets_while_it_is_open();
    a_peer_that_dies_in_the_closing_handshake();
    a_peer_that_never_answers_a_close();
    a_peer_that_answers_a_close_and_keeps_the_connection();
    answers_that_are_no_upgrade();
    a_refusal_can_be_read();
    return 0;
}
