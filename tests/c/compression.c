/* permessage-deflate as a program sees it: agreed on unless a side does not want it, invisible in
 * messages, visible in the bytes on the wire, and bounded by max_message. */
#include "pair.h"

enum { LONG = 200000 };

static char repetitive[LONG];

static wsabi_stats stats_of(wsabi_socket socket)
{
    wsabi_stats stats;
    stats.size = sizeof stats;
    CHECK_OK(wsabi_socket_stats(socket, &stats));
    return stats;
}

static void compress_at_both_ends(pair *it)
{
    pair_init(it);
    CHECK_OK(wsabi_options_set_compression(it->client_options, 1));
    CHECK_OK(wsabi_options_set_compression(it->server_options, 1));
}

/* Sends the message there and back; returns how many bytes the way there took. */
static uint64_t exchange(pair *it, size_t ordinal, size_t len)
{
    uint64_t before = stats_of(it->client).bytes_sent;
    record message;
    CHECK_OK(wsabi_socket_send_text(it->client, repetitive, len));
    message = wait_for_message(&it->at_server, ordinal);
    CHECK(message.type == WSABI_TEXT);
    CHECK(message.len == len && memcmp(message.data, repetitive, len) == 0);
    CHECK_OK(wsabi_socket_send_binary(accepted(it), message.data, message.len));
    message = wait_for_message(&it->at_client, ordinal);
    CHECK(message.type == WSABI_BINARY);
    CHECK(message.len == len && memcmp(message.data, repetitive, len) == 0);
    return stats_of(it->client).bytes_sent - before;
}

static void long_messages_shrink_and_short_ones_stay(void)
{
    char extensions[128];
    wsabi_stats stats;
    pair it;
    compress_at_both_ends(&it);
    pair_connect(&it);
    CHECK(wsabi_socket_fact(it.client, WSABI_FACT_EXTENSIONS, extensions, sizeof extensions) > 0);
    CHECK(strncmp(extensions, "permessage-deflate", 18) == 0);
    CHECK(exchange(&it, 1, LONG) < LONG / 10);
    CHECK(exchange(&it, 2, 1000) == 1000 + 8);
    CHECK(exchange(&it, 3, 0) == 6);
    stats = stats_of(it.client);
    CHECK(stats.payload_sent == LONG + 1000 && stats.payload_received == LONG + 1000);
    pair_free(&it);
}

static void a_side_that_does_not_want_it_is_heeded(void)
{
    int by_server;
    for (by_server = 0; by_server < 2; by_server++) {
        pair it;
        compress_at_both_ends(&it);
        CHECK_OK(wsabi_options_set_compression(
            by_server ? it.server_options : it.client_options, 0));
        pair_connect(&it);
        CHECK(wsabi_socket_fact(it.client, WSABI_FACT_EXTENSIONS, NULL, 0) == 0);
        CHECK(exchange(&it, 1, LONG) > LONG);
        pair_free(&it);
    }
}

static void a_plain_message_is_not_compressed(void)
{
    wsabi_message plain = {repetitive, LONG, WSABI_TEXT | WSABI_PLAIN, 0};
    uint64_t before;
    pair it;
    compress_at_both_ends(&it);
    pair_connect(&it);
    before = stats_of(it.client).bytes_sent;
    CHECK_STATUS(1, wsabi_socket_send_many(it.client, &plain, 1));
    CHECK(wait_for_message(&it.at_server, 1).len == LONG);
    CHECK(stats_of(it.client).bytes_sent - before > LONG);
    before = stats_of(it.client).bytes_sent;
    CHECK_OK(wsabi_socket_send_fragment(it.client, WSABI_TEXT | WSABI_PLAIN, repetitive, LONG, 1));
    CHECK(wait_for_message(&it.at_server, 2).len == LONG);
    CHECK(stats_of(it.client).bytes_sent - before > LONG);
    pair_free(&it);
}

static void every_window_and_takeover_works(void)
{
    int32_t bits, takeover;
    for (bits = 9; bits <= 15; bits++) {
        for (takeover = 0; takeover < 4; takeover++) {
            pair it;
            compress_at_both_ends(&it);
            CHECK_OK(wsabi_options_set_compression_window(it.client_options, bits, 24 - bits));
            CHECK_OK(wsabi_options_set_compression_takeover(it.client_options, takeover & 1,
                                                            takeover >> 1));
            CHECK_OK(wsabi_options_set_compression_level(it.server_options, 1 + bits % 9));
            CHECK_OK(wsabi_options_set_compression_min(it.server_options, 0));
            pair_connect(&it);
            exchange(&it, 1, 5000);
            exchange(&it, 2, 70000);
            exchange(&it, 3, 1);
            CHECK_EVENTS(&it.at_client, "OMMM");
            pair_free(&it);
        }
    }
}

static void max_message_counts_what_is_inflated(void)
{
    pair it;
    compress_at_both_ends(&it);
    CHECK_OK(wsabi_options_set_max_message(it.server_options, LONG - 1));
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(it.client, repetitive, LONG - 1));
    CHECK(wait_for_message(&it.at_server, 1).len == LONG - 1);
    CHECK_OK(wsabi_socket_send_text(it.client, repetitive, LONG));
    wait_for_error(&it.at_server, WSABI_ERR_TOO_BIG);
    CHECK(wait_for_close(&it.at_server).code == 1009);
    CHECK_EVENTS(&it.at_server, "OMEC");
    pair_free(&it);
}

int main(void)
{
    size_t i;
    for (i = 0; i < sizeof repetitive; i++)
        repetitive[i] = (char)('a' + i % 7 * (i / 1000) % 26);
    long_messages_shrink_and_short_ones_stay();
    a_side_that_does_not_want_it_is_heeded();
    a_plain_message_is_not_compressed();
    every_window_and_takeover_works();
    max_message_counts_what_is_inflated();
    return 0;
}
