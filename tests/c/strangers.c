/* A server among peers that say nothing, talk nonsense, break the protocol, or die: it refuses each
 * and goes on serving the others. */
#include "pair.h"

#include "raw_peer.h"

/* Checks that the server still serves, with a connection that comes and goes. */
static void check_still_serving(pair *it)
{
    recorder events;
    wsabi_socket client;
    recorder_init(&events);
    client = connect_to_port(it->runtime, wsabi_server_port(it->server), it->client_options,
                             &events);
    wait_for_open(&events);
    CHECK_OK(wsabi_socket_close(client, 1000, "", 0));
    wait_for_clean_close(&events, 1000, NULL);
    CHECK_OK(wsabi_socket_release(client));
    wait_for_releases(&events, 1);
    recorder_free(&events);
}

static void serve(pair *it)
{
    pair_init(it);
    CHECK_OK(wsabi_options_set_connect_timeout_ms(it->server_options, 200));
    CHECK_OK(wsabi_options_set_close_timeout_ms(it->server_options, 200));
    it->server = listen_on_loopback(it->runtime, it->server_options, &it->at_server);
}

static void a_stranger_who_says_nothing_is_shown_out(void)
{
    pair it;
    int peer;
    serve(&it);
    peer = raw_connect(wsabi_server_port(it.server));
    check_still_serving(&it);
    raw_wait_for_end(peer);
    close(peer);
    wait_for_close(&it.at_server);
    CHECK_EVENTS(&it.at_server, "OC");
    pair_free(&it);
}

static void requests_that_are_no_upgrade_are_refused(void)
{
    static const struct {
        const char *request;
        const char *answer; /* how it begins */
    } requests[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 4"},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 4"},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "HTTP/1.1 426 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n\r\n",
         "HTTP/1.1 400 "},
        {"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", "HTTP/1.1 400 "},
    };
    size_t i;
    pair it;
    serve(&it);
    for (i = 0; i < COUNT_OF(requests); i++) {
        char head[4096];
        int peer = raw_connect(wsabi_server_port(it.server));
        CHECK(raw_send_text(peer, requests[i].request));
        raw_receive_head(peer, head, sizeof head);
        circumstance = requests[i].request;
        CHECK(strncmp(head, requests[i].answer, strlen(requests[i].answer)) == 0);
        raw_wait_for_end(peer);
        close(peer);
    }
    circumstance = "";
    CHECK_EVENTS(&it.at_server, "");
    check_still_serving(&it);
    pair_free(&it);
}

static void strangers_who_die_in_their_request_are_forgotten(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n";
    size_t cut;
    pair it;
    serve(&it);
    for (cut = 0; cut < sizeof request; cut++) {
        int peer = raw_connect(wsabi_server_port(it.server));
        CHECK(raw_send(peer, request, cut));
        if (cut % 2 == 0)
            raw_reset(peer);
        else
            close(peer);
    }
    check_still_serving(&it);
    wait_for_close(&it.at_server);
    CHECK_EVENTS(&it.at_server, "OC");
    pair_free(&it);
}

static void whoever_breaks_the_protocol_is_told_and_dropped(void)
{
    static const struct {
        const char *name;
        size_t len;
        const char *bytes;
        int32_t status;
        int code;
    } breaches[] = {
        {"not masked", 3, "\x81\x01" "a", WSABI_ERR_PROTOCOL, 1002},
        {"RSV1", 6, "\xC1\x80\0\0\0\0", WSABI_ERR_PROTOCOL, 1002},
        {"opcode 3", 6, "\x83\x80\0\0\0\0", WSABI_ERR_PROTOCOL, 1002},
        {"nothing to continue", 6, "\x80\x80\0\0\0\0", WSABI_ERR_PROTOCOL, 1002},
        {"a ping in pieces", 6, "\x09\x80\0\0\0\0", WSABI_ERR_PROTOCOL, 1002},
        {"126 bytes of ping", 4, "\x89\xFE\0\x7E", WSABI_ERR_PROTOCOL, 1002},
        {"half a close code", 7, "\x88\x81\0\0\0\0\x03", WSABI_ERR_PROTOCOL, 1002},
        {"close code 1005", 8, "\x88\x82\0\0\0\0\x03\xED", WSABI_ERR_PROTOCOL, 1002},
        {"not UTF-8", 7, "\x81\x81\0\0\0\0\xFF", WSABI_ERR_ENCODING, 1007},
        {"nor the reason", 9, "\x88\x83\0\0\0\0\x03\xE8\xFF", WSABI_ERR_ENCODING, 1007},
        {"4 GiB", 14, "\x82\xFF\0\0\0\x01\0\0\0\0\0\0\0\0", WSABI_ERR_TOO_BIG, 1009},
    };
    size_t i;
    for (i = 0; i < COUNT_OF(breaches); i++) {
        pair it;
        int peer;
        circumstance = breaches[i].name;
        serve(&it);
        peer = raw_connect_websocket(wsabi_server_port(it.server));
        CHECK(raw_send(peer, breaches[i].bytes, breaches[i].len));
        CHECK(raw_receive_close(peer) == breaches[i].code);
        raw_wait_for_end(peer);
        close(peer);
        wait_for_error(&it.at_server, breaches[i].status);
        CHECK(wait_for_close(&it.at_server).code == breaches[i].code);
        CHECK_EVENTS(&it.at_server, "OEC");
        check_still_serving(&it);
        pair_free(&it);
    }
}

static void a_full_server_refuses_until_somebody_leaves(void)
{
    char head[1024];
    pair it;
    int first, second;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_max_connections(it.server_options, 1));
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    first = raw_connect_websocket(wsabi_server_port(it.server));
    second = raw_connect(wsabi_server_port(it.server));
    raw_request_upgrade(second);
    raw_receive_head(second, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 503 ", 13) == 0);
    raw_wait_for_end(second);
    close(second);
    close(first);
    wait_for_close(&it.at_server);
    check_still_serving(&it);
    pair_free(&it);
}

int main(void)
{
    a_stranger_who_says_nothing_is_shown_out();
    requests_that_are_no_upgrade_are_refused();
    strangers_who_die_in_their_request_are_forgotten();
    whoever_breaks_the_protocol_is_told_and_dropped();
    a_full_server_refuses_until_somebody_leaves();
    return 0;
}
