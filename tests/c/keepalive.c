/* Pings and pongs: sent by hand, sent by themselves, and missed; and connections that idle. */
#include "pair.h"

#include "raw_peer.h"

static void a_ping_is_answered_and_both_sides_learn_of_it(void)
{
    char longest[125];
    record ping, pong;
    pair it;
    memset(longest, 'p', sizeof longest);
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_socket_ping(it.client, longest, sizeof longest));
    ping = wait_for_event(&it.at_server, WSABI_EVENT_PING, 1);
    CHECK(ping.len == sizeof longest && memcmp(ping.data, longest, sizeof longest) == 0);
    pong = wait_for_event(&it.at_client, WSABI_EVENT_PONG, 1);
    CHECK(pong.len == sizeof longest && memcmp(pong.data, longest, sizeof longest) == 0);
    CHECK(pong.value > 0 && pong.value < UINT64_C(1000000) * DEADLINE_MS * (uint64_t)slowness());
    CHECK_OK(wsabi_socket_ping(accepted(&it), NULL, 0));
    CHECK(wait_for_event(&it.at_client, WSABI_EVENT_PING, 1).len == 0);
    CHECK(wait_for_event(&it.at_server, WSABI_EVENT_PONG, 1).len == 0);
    pair_free(&it);
}

/* A server of the library that pings, and a client made by hand. */
static int connect_by_hand(pair *it)
{
    it->server = listen_on_loopback(it->runtime, it->server_options, &it->at_server);
    return raw_connect_websocket(wsabi_server_port(it->server));
}

static void receive_ping(int peer, raw_frame *ping)
{
    CHECK(raw_receive_frame(peer, ping));
    CHECK(ping->opcode == RAW_PING);
}

static void pings_go_out_by_themselves_while_nothing_comes_in(void)
{
    static raw_frame ping;
    record message;
    pair it;
    int peer, i;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.server_options, 20));
    peer = connect_by_hand(&it);
    for (i = 0; i < 5; i++) {
        receive_ping(peer, &ping);
        CHECK(raw_send_frame(peer, RAW_FIN | RAW_PONG, 1, ping.payload, ping.len));
    }
    CHECK(raw_send_frame(peer, RAW_FIN | RAW_TEXT, 1, "alive", 5));
    message = wait_for_message(&it.at_server, 1);
    CHECK(is_text(&message, "alive"));
    CHECK(count_events(&it.at_server, WSABI_EVENT_ERROR) == 0);
    close(peer);
    pair_free(&it);
}

static void a_ping_without_a_pong_ends_the_connection(void)
{
    static raw_frame ping;
    record error;
    pair it;
    int peer;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.server_options, 20));
    CHECK_OK(wsabi_options_set_pong_timeout_ms(it.server_options, 100));
    CHECK_OK(wsabi_options_set_close_timeout_ms(it.server_options, 100));
    peer = connect_by_hand(&it);
    receive_ping(peer, &ping);
    error = wait_for_error(&it.at_server, WSABI_ERR_TIMEOUT);
    CHECK(strstr((const char *)error.data, "ping") != NULL);
    raw_wait_for_end(peer);
    close(peer);
    CHECK_EVENTS(&it.at_server, "OEC");
    pair_free(&it);
}

static void a_connection_without_messages_ends_in_spite_of_pings(void)
{
    record error;
    int64_t begin;
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_idle_timeout_ms(it.server_options, 300));
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.server_options, 20));
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(it.client, "the last", WSABI_NUL_TERMINATED));
    wait_for_message(&it.at_server, 1);
    begin = now_ms();
    error = wait_for_error(&it.at_server, WSABI_ERR_TIMEOUT);
    CHECK(strstr((const char *)error.data, "idle") != NULL ||
          strstr((const char *)error.data, "message") != NULL);
    CHECK(now_ms() - begin >= 150);
    wait_for_close(&it.at_client);
    CHECK(count_events(&it.at_server, WSABI_EVENT_PONG) > 0);
    pair_free(&it);
}

int main(void)
{
    a_ping_is_answered_and_both_sides_learn_of_it();
    pings_go_out_by_themselves_while_nothing_comes_in();
    a_ping_without_a_pong_ends_the_connection();
    a_connection_without_messages_ends_in_spite_of_pings();
    return 0;
}
