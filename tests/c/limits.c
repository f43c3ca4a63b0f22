/* Limits and flow: message and frame sizes, the send buffer, pausing, and messages in pieces. */
#include "pair.h"

#include "raw_peer.h"

static char chunk[65536];

/* Starts the server of `pair` alone, and upgrades a client made by hand to it. */
static int connect_by_hand(pair *it)
{
    it->server = listen_on_loopback(it->runtime, it->server_options, &it->at_server);
    return raw_connect_websocket(wsabi_server_port(it->server));
}

static void a_message_up_to_max_message_is_taken(void)
{
    record closed;
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_max_message(it.server_options, 1000));
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_binary(it.client, chunk, 1000));
    CHECK(wait_for_message(&it.at_server, 1).len == 1000);
    CHECK_OK(wsabi_socket_send_binary(it.client, chunk, 1001));
    wait_for_error(&it.at_server, WSABI_ERR_TOO_BIG);
    CHECK(wait_for_close(&it.at_server).code == 1009);
    closed = wait_for_close(&it.at_client);
    CHECK(closed.code == 1009);
    CHECK_EVENTS(&it.at_server, "OMEC");
    pair_free(&it);
}

static void max_message_counts_all_frames_of_a_message(void)
{
    pair it;
    int peer;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_max_message(it.server_options, 1000));
    peer = connect_by_hand(&it);
    CHECK(raw_send_frame(peer, RAW_BINARY, 1, chunk, 600));
    CHECK(raw_send_frame(peer, RAW_FIN | RAW_CONTINUATION, 1, chunk, 400));
    CHECK(wait_for_message(&it.at_server, 1).len == 1000);
    CHECK(raw_send_frame(peer, RAW_BINARY, 1, chunk, 600));
    CHECK(raw_send_frame(peer, RAW_FIN | RAW_CONTINUATION, 1, chunk, 401));
    CHECK(raw_receive_close(peer) == 1009);
    wait_for_error(&it.at_server, WSABI_ERR_TOO_BIG);
    CHECK_EVENTS(&it.at_server, "OMEC");
    close(peer);
    pair_free(&it);
}

/* Sends numbered chunks until one is refused; returns how many were not. */
static uint32_t fill(wsabi_socket socket)
{
    uint32_t number;
    for (number = 0;; number++) {
        int32_t status;
        memcpy(chunk, &number, sizeof number);
        status = wsabi_socket_send_binary(socket, chunk, sizeof chunk);
        if (status == WSABI_ERR_BUFFER_FULL)
            return number;
        CHECK_OK(status);
    }
}

static void check_numbered(recorder *at, uint32_t count)
{
    uint32_t number;
    for (number = 0; number < count; number++) {
        record message = wait_for_message(at, number + 1);
        CHECK(message.len == sizeof chunk);
        CHECK(memcmp(message.data, &number, sizeof number) == 0);
    }
}

static void a_full_buffer_refuses_whole_messages_and_drains(void)
{
    const uint64_t most = 1 << 20;
    uint32_t accepted_count;
    record message;
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.client_options, most));
    CHECK_OK(wsabi_options_set_low_water(it.client_options, most / 4));
    pair_connect(&it);
    CHECK(wsabi_socket_buffered_amount(it.client) == 0);
    CHECK_OK(wsabi_socket_pause(accepted(&it)));
    accepted_count = fill(it.client);
    CHECK(accepted_count >= most / sizeof chunk);
    CHECK(wsabi_socket_buffered_amount(it.client) > 0);
    CHECK(wsabi_socket_buffered_amount(it.client) <= (int64_t)most);
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_send_binary(it.client, chunk, (size_t)most + 1));
    CHECK_OK(wsabi_socket_resume(accepted(&it)));
    check_numbered(&it.at_server, accepted_count);
    wait_for_event(&it.at_client, WSABI_EVENT_DRAIN, 1);
    CHECK_OK(wsabi_socket_send_text(it.client, "fits again", WSABI_NUL_TERMINATED));
    message = wait_for_message(&it.at_server, accepted_count + 1);
    CHECK(is_text(&message, "fits again"));
    CHECK(wsabi_socket_buffered_amount(it.client) == 0);
    pair_free(&it);
}

static void a_paused_socket_receives_nothing_until_it_resumes(void)
{
    uint32_t sent;
    recorder events;
    wsabi_socket other;
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.server_options, 1 << 20));
    pair_connect(&it);
    CHECK_OK(wsabi_socket_pause(it.client));
    sent = fill(accepted(&it));
    /* Another connection comes and goes on the same I/O thread meanwhile. */
    recorder_init(&events);
    other = connect_to_port(it.runtime, wsabi_server_port(it.server), it.client_options, &events);
    wait_for_open(&events);
    CHECK_OK(wsabi_socket_close(other, 1000, "", 0));
    wait_for_close(&events);
    CHECK_OK(wsabi_socket_release(other));
    wait_for_releases(&events, 1);
    CHECK_EVENTS(&it.at_client, "O");
    CHECK_OK(wsabi_socket_resume(it.client));
    check_numbered(&it.at_client, sent);
    pair_free(&it);
    recorder_free(&events);
}

/* With polling, the connection may have come to its end before the message is told. */
static void check_taken(int32_t status)
{
    CHECK(status == WSABI_OK || (is_polled() && status == WSABI_ERR_CLOSED));
}

static void pause_at_message(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        check_taken(wsabi_socket_pause(event->handle));
}

static void flicker_at_message(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    check_taken(wsabi_socket_pause(event->handle));
    check_taken(wsabi_socket_resume(event->handle));
}

/* Two messages, a Close frame and the end of the connection, at once. */
static void a_pause_loses_nothing_that_is_there(void (*hook)(const wsabi_event *, recorder *))
{
    static const char both[] = "\x81\x83\0\0\0\0one\x81\x83\0\0\0\0two\x88\x82\0\0\0\0\x03\xE8";
    int round, rounds = repetitions(50);
    for (round = 0; round < rounds; round++) {
        wsabi_socket socket;
        int peer;
        pair it;
        pair_init(&it);
        it.at_server.hook = hook;
        peer = connect_by_hand(&it);
        socket = accepted(&it);
        CHECK(raw_send(peer, both, sizeof both - 1));
        CHECK(shutdown(peer, SHUT_WR) == 0);
        wait_for_message(&it.at_server, 1);
        /* The second may be there already: messages that have been read may still come. */
        wsabi_socket_resume(socket);
        wait_for_message(&it.at_server, 2);
        wsabi_socket_resume(socket);
        wait_for_clean_close(&it.at_server, 1000, "");
        CHECK_EVENTS(&it.at_server, "OMMC");
        close(peer);
        pair_free(&it);
    }
}

static void expect_frame(int peer, int opcode, int fin, size_t len, const char *payload)
{
    static raw_frame frame;
    CHECK(raw_receive_frame(peer, &frame));
    CHECK(frame.opcode == opcode);
    CHECK(frame.fin == fin);
    CHECK(frame.len == len);
    CHECK(memcmp(frame.payload, payload, len) == 0);
}

static void longer_messages_are_split_at_max_frame(void)
{
    static const char text[] = "0123456789abcdefghijKLMNO";
    wsabi_socket socket;
    int peer;
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_max_frame(it.server_options, 10));
    peer = connect_by_hand(&it);
    socket = accepted(&it);
    CHECK_OK(wsabi_socket_send_text(socket, text, 25));
    expect_frame(peer, RAW_TEXT, 0, 10, text);
    expect_frame(peer, RAW_CONTINUATION, 0, 10, text + 10);
    expect_frame(peer, RAW_CONTINUATION, 1, 5, text + 20);
    CHECK_OK(wsabi_socket_send_binary(socket, text, 20));
    expect_frame(peer, RAW_BINARY, 0, 10, text);
    expect_frame(peer, RAW_CONTINUATION, 1, 10, text + 10);
    CHECK_OK(wsabi_socket_send_binary(socket, text, 10));
    expect_frame(peer, RAW_BINARY, 1, 10, text);
    CHECK_OK(wsabi_socket_send_text(socket, "", 0));
    expect_frame(peer, RAW_TEXT, 1, 0, "");
    close(peer);
    pair_free(&it);
}

static void send_many_stops_at_the_first_bad_message(void)
{
    const wsabi_message messages[] = {
        {"one", 3, WSABI_TEXT, 0}, {"two", 3, WSABI_BINARY, 0}, {"\xFF", 1, WSABI_TEXT, 0},
        {"four", 4, WSABI_TEXT, 0}, {NULL, 0, WSABI_TEXT, 0}};
    record message;
    pair it;
    pair_init(&it);
    pair_connect(&it);
    CHECK_STATUS(2, wsabi_socket_send_many(it.client, messages, 5));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_send_many(it.client, messages + 2, 3));
    CHECK_STATUS(2, wsabi_socket_send_many(it.client, messages + 3, 2));
    message = wait_for_message(&it.at_server, 4);
    CHECK(message.len == 0);
    CHECK_EVENTS(&it.at_server, "OMMMM");
    CHECK(is_text(&it.at_server.records[1], "one"));
    CHECK(it.at_server.records[2].type == WSABI_BINARY);
    CHECK(is_text(&it.at_server.records[3], "four"));
    pair_free(&it);
}

static void send_many_takes_what_fits(void)
{
    enum { COUNT = 1000 };
    static wsabi_message messages[COUNT];
    static uint32_t numbers[COUNT + sizeof chunk / 4];
    int32_t taken;
    uint32_t i;
    pair it;
    /* Each message begins one number later in one buffer of numbers. */
    for (i = 0; i < COUNT_OF(numbers); i++)
        numbers[i] = i;
    for (i = 0; i < COUNT; i++) {
        messages[i].data = numbers + i;
        messages[i].len = sizeof chunk;
        messages[i].type = WSABI_BINARY;
    }
    pair_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.client_options, 1 << 20));
    pair_connect(&it);
    CHECK_OK(wsabi_socket_pause(accepted(&it)));
    taken = wsabi_socket_send_many(it.client, messages, COUNT);
    CHECK(taken > 0 && taken < COUNT);
    CHECK_OK(wsabi_socket_resume(accepted(&it)));
    check_numbered(&it.at_server, (uint32_t)taken);
    pair_free(&it);
}

static void messages_go_out_in_pieces(void)
{
    wsabi_socket socket;
    int peer;
    pair it;
    pair_init(&it);
    peer = connect_by_hand(&it);
    socket = accepted(&it);
    CHECK_OK(wsabi_socket_send_fragment(socket, WSABI_TEXT, "\xE2\x82", 2, 0));
    /* Between the pieces only control frames may go out, and the type stays. */
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_socket_send_text(socket, "between", 7));
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_socket_send_binary(socket, "between", 7));
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_socket_send_fragment(socket, WSABI_BINARY, "x", 1, 0));
    /* The euro sign wants one byte more, and this is not it. */
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_send_fragment(socket, WSABI_TEXT, "x", 1, 1));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_send_fragment(socket, WSABI_TEXT, "", 0, 1));
    CHECK_OK(wsabi_socket_ping(socket, "ping", 4));
    CHECK_OK(wsabi_socket_send_fragment(socket, WSABI_TEXT, NULL, 0, 0));
    CHECK_OK(wsabi_socket_send_fragment(socket, WSABI_TEXT, "\xAC!", 2, 1));
    CHECK_OK(wsabi_socket_send_fragment(socket, WSABI_BINARY, "\xFF", 1, 1));
    CHECK_OK(wsabi_socket_send_fragment(socket, WSABI_TEXT, "cut", 3, 0));
    CHECK_OK(wsabi_socket_close(socket, 1000, "", 0));
    expect_frame(peer, RAW_TEXT, 0, 2, "\xE2\x82");
    expect_frame(peer, RAW_PING, 1, 4, "ping");
    expect_frame(peer, RAW_CONTINUATION, 0, 0, "");
    expect_frame(peer, RAW_CONTINUATION, 1, 2, "\xAC!");
    expect_frame(peer, RAW_BINARY, 1, 1, "\xFF");
    expect_frame(peer, RAW_TEXT, 0, 3, "cut");
    expect_frame(peer, RAW_CLOSE, 1, 2, "\x03\xE8");
    close(peer);
    pair_free(&it);
}

int main(void)
{
    a_message_up_to_max_message_is_taken();
    max_message_counts_all_frames_of_a_message();
    a_full_buffer_refuses_whole_messages_and_drains();
    a_paused_socket_receives_nothing_until_it_resumes();
    a_pause_loses_nothing_that_is_there(pause_at_message);
    a_pause_loses_nothing_that_is_there(flicker_at_message);
    longer_messages_are_split_at_max_frame();
    send_many_stops_at_the_first_bad_message();
    send_many_takes_what_fits();
    messages_go_out_in_pieces();
    return 0;
}
