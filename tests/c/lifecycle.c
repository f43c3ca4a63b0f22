/* A socket's life: which events come, in which order, how often, and when user_data is released. */
#include "pair.h"

#include "raw_peer.h"

/* 123 bytes, with characters of two, three and four bytes. */
#define TEN "0123456789"
#define LONGEST_REASON \
    "\xC3\xA4 \xE2\x82\xAC \xF0\x9F\x98\x80 " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "."

static void reply_with_greeting(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_text(event->handle, "Hello", WSABI_NUL_TERMINATED));
}

static void open_message_and_close_come_once_and_in_order(void)
{
    pair it;
    pair_init(&it);
    it.at_server.hook = reply_with_greeting;
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(it.client, "John", 4));
    wait_for_message(&it.at_client, 1);
    CHECK_OK(wsabi_socket_close(it.client, 1000, "bye", 3));
    wait_for_clean_close(&it.at_client, 1000, NULL);
    wait_for_clean_close(&it.at_server, 1000, "bye");
    CHECK_OK(wsabi_runtime_free(it.runtime));
    CHECK_EVENTS(&it.at_client, "OMC");
    CHECK_EVENTS(&it.at_server, "OMC");
    CHECK(is_text(&it.at_server.records[1], "John"));
    CHECK(is_text(&it.at_client.records[1], "Hello"));
    it.runtime = 0;
    pair_free(&it);
}

static void handlers_see_the_state_and_the_handle(void)
{
    static const int32_t states[] = {WSABI_OPEN, WSABI_OPEN, WSABI_CLOSED};
    pair it;
    size_t i;
    pair_init(&it);
    it.at_server.hook = reply_with_greeting;
    pair_connect(&it);
    CHECK(wsabi_socket_ready_state(it.client) == WSABI_OPEN);
    CHECK_OK(wsabi_socket_send_text(it.client, "John", 4));
    wait_for_message(&it.at_client, 1);
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    wait_for_close(&it.at_client);
    wait_for_close(&it.at_server);
    for (i = 0; i < COUNT_OF(states); i++) {
        CHECK(it.at_client.records[i].handle == it.client);
        CHECK(it.at_client.records[i].state == states[i]);
        CHECK(it.at_server.records[i].handle == it.at_server.records[0].handle);
        CHECK(it.at_server.records[i].state == states[i]);
    }
    CHECK(wsabi_socket_ready_state(it.client) == WSABI_CLOSED);
    pair_free(&it);
}

static void close_at(pair *it, int by_server, int32_t code, const char *reason)
{
    wsabi_socket closer = by_server ? accepted(it) : it->client;
    CHECK_OK(wsabi_socket_close(closer, code, reason, WSABI_NUL_TERMINATED));
    CHECK(wsabi_socket_ready_state(closer) != WSABI_OPEN);
}

static void both_sides_learn_code_and_reason_whoever_closes(void)
{
    static const struct {
        int32_t code;
        const char *reason;
        int32_t seen;
    } closes[] = {
        {0, "", 1005},        {1000, "", 1000},         {1000, "done", 1000},
        {1001, "", 1001},     {1014, "gateway", 1014},  {3000, "three thousand", 3000},
        {4999, LONGEST_REASON, 4999},
    };
    size_t i;
    CHECK(strlen(LONGEST_REASON) == 123);
    for (i = 0; i < 2 * COUNT_OF(closes); i++) {
        int by_server = i % 2 == 1;
        pair it;
        pair_init(&it);
        pair_connect(&it);
        close_at(&it, by_server, closes[i / 2].code, closes[i / 2].reason);
        wait_for_clean_close(by_server ? &it.at_server : &it.at_client, closes[i / 2].seen, NULL);
        wait_for_clean_close(by_server ? &it.at_client : &it.at_server, closes[i / 2].seen,
                             closes[i / 2].reason);
        CHECK_EVENTS(&it.at_client, "OC");
        CHECK_EVENTS(&it.at_server, "OC");
        pair_free(&it);
    }
}

static void messages_sent_before_a_close_arrive_before_it(void)
{
    enum { COUNT = 500 };
    pair it;
    int i;
    pair_init(&it);
    pair_connect(&it);
    for (i = 0; i < COUNT; i++)
        CHECK_OK(wsabi_socket_send_binary(it.client, &i, sizeof i));
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    CHECK_STATUS(WSABI_ERR_CLOSED, wsabi_socket_send_binary(it.client, &i, sizeof i));
    wait_for_close(&it.at_server);
    CHECK(it.at_server.count == COUNT + 2);
    for (i = 0; i < COUNT; i++) {
        const record *message = &it.at_server.records[i + 1];
        CHECK(message->kind == WSABI_EVENT_MESSAGE && message->type == WSABI_BINARY);
        CHECK(message->len == sizeof i && memcmp(message->data, &i, sizeof i) == 0);
    }
    pair_free(&it);
}

static void empty_messages_and_nul_bytes_arrive_as_they_were_sent(void)
{
    pair it;
    record message;
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(it.client, "", 0));
    CHECK_OK(wsabi_socket_send_text(it.client, NULL, 0));
    CHECK_OK(wsabi_socket_send_binary(it.client, NULL, 0));
    CHECK_OK(wsabi_socket_send_text(it.client, "a\0b", 3));
    CHECK_OK(wsabi_socket_send_text(it.client, "a\0b", WSABI_NUL_TERMINATED));
    message = wait_for_message(&it.at_server, 1);
    CHECK(message.type == WSABI_TEXT && message.len == 0);
    message = wait_for_message(&it.at_server, 2);
    CHECK(message.type == WSABI_TEXT && message.len == 0);
    message = wait_for_message(&it.at_server, 3);
    CHECK(message.type == WSABI_BINARY && message.len == 0);
    message = wait_for_message(&it.at_server, 4);
    CHECK(message.len == 3 && memcmp(message.data, "a\0b", 3) == 0);
    message = wait_for_message(&it.at_server, 5);
    CHECK(is_text(&message, "a"));
    pair_free(&it);
}

static void sends_fail_before_open_and_after_close(void)
{
    wsabi_runtime runtime = new_runtime();
    wsabi_options options = recording_options();
    wsabi_socket client;
    recorder at_client;
    int port, listener = raw_listen(&port), peer;
    recorder_init(&at_client);
    client = connect_to_port(runtime, port, options, &at_client);
    CHECK(wsabi_socket_ready_state(client) == WSABI_CONNECTING);
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_socket_send_text(client, "early", 5));
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_socket_ping(client, "early", 5));
    peer = raw_accept_websocket(listener);
    wait_for_open(&at_client);
    CHECK_OK(wsabi_socket_close(client, 1000, "", 0));
    CHECK_STATUS(WSABI_ERR_CLOSED, wsabi_socket_send_text(client, "late", 4));
    CHECK_OK(wsabi_socket_close(client, 1000, "again", 5));
    CHECK(raw_receive_close(peer) == 1000);
    CHECK(raw_send_frame(peer, RAW_FIN | RAW_CLOSE, 0, "\x03\xE8", 2));
    close(peer);
    wait_for_clean_close(&at_client, 1000, "");
    CHECK_STATUS(WSABI_ERR_CLOSED, wsabi_socket_send_text(client, "late", 4));
    CHECK_STATUS(WSABI_ERR_CLOSED, wsabi_socket_send_binary(client, "late", 4));
    CHECK_OK(wsabi_socket_close(client, 1000, "again", 5));
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_EVENTS(&at_client, "OC");
    CHECK_OK(wsabi_options_free(options));
    close(listener);
    recorder_free(&at_client);
}

static void closing_while_connecting_never_opens(void)
{
    wsabi_runtime runtime = new_runtime();
    wsabi_options options = recording_options();
    wsabi_socket client;
    recorder at_client;
    int port, listener = raw_listen(&port);
    recorder_init(&at_client);
    client = connect_to_port(runtime, port, options, &at_client);
    CHECK_OK(wsabi_socket_close(client, 1000, "changed my mind", WSABI_NUL_TERMINATED));
    wait_for_error(&at_client, WSABI_ERR_ABORTED);
    CHECK(wait_for_close(&at_client).code == 1006);
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_EVENTS(&at_client, "EC");
    CHECK_OK(wsabi_options_free(options));
    close(listener);
    recorder_free(&at_client);
}

static void aborting_ends_both_sides_without_a_close_frame(void)
{
    pair it;
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_socket_abort(it.client));
    wait_for_error(&it.at_client, WSABI_ERR_ABORTED);
    CHECK(wait_for_close(&it.at_client).code == 1006);
    wait_for_error(&it.at_server, WSABI_ERR_IO);
    CHECK(wait_for_close(&it.at_server).code == 1006);
    CHECK_OK(wsabi_socket_abort(it.client));
    CHECK_EVENTS(&it.at_client, "OEC");
    CHECK_EVENTS(&it.at_server, "OEC");
    pair_free(&it);
}

static void a_server_that_closes_says_going_away_and_accepts_no_more(void)
{
    pair it;
    recorder late;
    wsabi_socket socket;
    int32_t port;
    pair_init(&it);
    pair_connect(&it);
    port = wsabi_server_port(it.server);
    CHECK(port > 0 && port < 65536);
    CHECK_OK(wsabi_server_close(it.server));
    wait_for_clean_close(&it.at_client, 1001, "");
    wait_for_clean_close(&it.at_server, 1001, "");
    recorder_init(&late);
    socket = connect_to_port(it.runtime, port, it.client_options, &late);
    wait_for_error(&late, WSABI_ERR_CONNECT);
    CHECK_OK(wsabi_socket_release(socket));
    wait_for_releases(&late, 1);
    pair_free(&it);
    recorder_free(&late);
}

static void a_shutdown_says_going_away_to_all_and_waits_for_them(void)
{
    pair it;
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_runtime_shutdown(it.runtime, DEADLINE_MS));
    CHECK(wsabi_socket_ready_state(it.client) == WSABI_CLOSED);
    /* With polling the sockets are closed as well, but the events may wait. */
    if (!is_polled()) {
        CHECK_EVENTS(&it.at_client, "OC");
        CHECK_EVENTS(&it.at_server, "OC");
    }
    wait_for_clean_close(&it.at_client, 1001, "");
    wait_for_clean_close(&it.at_server, 1001, "");
    CHECK_EVENTS(&it.at_client, "OC");
    CHECK_EVENTS(&it.at_server, "OC");
    pair_free(&it);
}

int main(void)
{
    open_message_and_close_come_once_and_in_order();
    handlers_see_the_state_and_the_handle();
    both_sides_learn_code_and_reason_whoever_closes();
    messages_sent_before_a_close_arrive_before_it();
    empty_messages_and_nul_bytes_arrive_as_they_were_sent();
    sends_fail_before_open_and_after_close();
    closing_while_connecting_never_opens();
    aborting_ends_both_sides_without_a_close_frame();
    a_server_that_closes_says_going_away_and_accepts_no_more();
    a_shutdown_says_going_away_to_all_and_waits_for_them();
    return 0;
}
