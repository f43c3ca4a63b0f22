/* permessage-deflate: what the options make of the negotiation, and of the bytes on the wire. */
#include "pair.h"

enum { SIZE = 100000 };

/* Text that shrinks to a small part of its size. */
static const char *prose(void)
{
    static char text[SIZE + 1];
    static const char words[] = "the quick brown fox jumps over the lazy dog ";
    size_t i;
    for (i = 0; i < SIZE; i++)
        text[i] = words[i % (sizeof words - 1)];
    return text;
}

static uint64_t bytes_sent(wsabi_socket socket)
{
    wsabi_stats stats;
    stats.size = sizeof stats;
    CHECK_OK(wsabi_socket_stats(socket, &stats));
    return stats.bytes_sent;
}

static void check_extensions(wsabi_socket socket, const char *expected)
{
    char text[256];
    CHECK(wsabi_socket_fact(socket, WSABI_FACT_EXTENSIONS, text, sizeof text) ==
          (int64_t)strlen(expected));
    if (strcmp(text, expected) != 0) {
        fprintf(stderr, "extensions are %s, not %s\n", text, expected);
        exit(1);
    }
}

/* The message arrives as it was sent, and takes a tenth of its size on the wire, or all of it. */
static void check_exchange(pair *it, size_t ordinal, int32_t type, int compressed)
{
    uint64_t before = bytes_sent(it->client), taken;
    wsabi_message message = {prose(), SIZE, 0, 0};
    record seen;
    message.type = type;
    CHECK_STATUS(1, wsabi_socket_send_many(it->client, &message, 1));
    seen = wait_for_message(&it->at_server, ordinal);
    CHECK(seen.len == SIZE && memcmp(seen.data, prose(), SIZE) == 0);
    CHECK(seen.type == (type & ~WSABI_PLAIN));
    while (wsabi_socket_buffered_amount(it->client) != 0)
        ;
    taken = bytes_sent(it->client) - before;
    CHECK(compressed ? taken < SIZE / 10 : taken > SIZE);
}

static void both_sides_compress_by_default(void)
{
    pair it;
    record seen;
    pair_init(&it);
    pair_connect(&it);
    check_extensions(it.client, "permessage-deflate");
    check_extensions(accepted(&it), "permessage-deflate");
    check_exchange(&it, 1, WSABI_TEXT, 1);
    check_exchange(&it, 2, WSABI_BINARY, 1);
    check_exchange(&it, 3, WSABI_TEXT | WSABI_PLAIN, 0);
    check_exchange(&it, 4, WSABI_BINARY | WSABI_PLAIN, 0);
    check_exchange(&it, 5, WSABI_TEXT, 1);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), prose(), SIZE));
    seen = wait_for_message(&it.at_client, 1);
    CHECK(seen.len == SIZE && memcmp(seen.data, prose(), SIZE) == 0);
    CHECK(bytes_sent(accepted(&it)) < SIZE / 10);
    pair_free(&it);
}

static void either_side_can_do_without(void)
{
    int side;
    for (side = 0; side < 2; side++) {
        pair it;
        pair_init(&it);
        CHECK_OK(wsabi_options_set_compression(side ? it.server_options : it.client_options, 0));
        pair_connect(&it);
        check_extensions(it.client, "");
        check_exchange(&it, 1, WSABI_TEXT, 0);
        pair_free(&it);
    }
}

static void windows_and_takeover_are_agreed_on(void)
{
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_compression_window(it.client_options, 10, 9));
    CHECK_OK(wsabi_options_set_compression_takeover(it.client_options, 0, 0));
    CHECK_OK(wsabi_options_set_compression_level(it.client_options, 9));
    pair_connect(&it);
    {
        char text[256];
        CHECK(wsabi_socket_fact(it.client, WSABI_FACT_EXTENSIONS, text, sizeof text) > 0);
        CHECK(strstr(text, "server_max_window_bits=9") != NULL);
        CHECK(strstr(text, "client_no_context_takeover") != NULL);
        CHECK(strstr(text, "server_no_context_takeover") != NULL);
    }
    check_exchange(&it, 1, WSABI_TEXT, 1);
    check_exchange(&it, 2, WSABI_TEXT, 1);
    pair_free(&it);
}

static void short_messages_stay_plain(void)
{
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_compression_min(it.client_options, SIZE + 1));
    pair_connect(&it);
    check_exchange(&it, 1, WSABI_TEXT, 0);
    pair_free(&it);
}

static void messages_in_pieces_are_compressed_unless_they_are_secret(void)
{
    int plain;
    pair it;
    pair_init(&it);
    pair_connect(&it);
    for (plain = 0; plain < 2; plain++) {
        uint64_t before = bytes_sent(it.client), taken;
        int32_t type = WSABI_TEXT | (plain ? WSABI_PLAIN : 0);
        record seen;
        CHECK_OK(wsabi_socket_send_fragment(it.client, type, prose(), SIZE / 2, 0));
        CHECK_OK(wsabi_socket_ping(it.client, "between", 7));
        CHECK_OK(wsabi_socket_send_fragment(it.client, type, NULL, 0, 0));
        CHECK_OK(wsabi_socket_send_fragment(it.client, type, prose() + SIZE / 2, SIZE / 2, 1));
        seen = wait_for_message(&it.at_server, (size_t)plain + 1);
        CHECK(seen.len == SIZE && memcmp(seen.data, prose(), SIZE) == 0);
        while (wsabi_socket_buffered_amount(it.client) != 0)
            ;
        taken = bytes_sent(it.client) - before;
        CHECK(plain ? taken > SIZE : taken < SIZE / 10);
    }
    pair_free(&it);
}

/* The limit holds for what comes out: a bomb fails while it is inflated. */
static void a_message_that_inflates_too_far_fails(void)
{
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_max_message(it.server_options, SIZE - 1));
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(it.client, prose(), SIZE));
    wait_for_error(&it.at_server, WSABI_ERR_TOO_BIG);
    CHECK(wait_for_close(&it.at_server).code == 1009);
    CHECK(wait_for_close(&it.at_client).code == 1009);
    pair_free(&it);
}

static void settings_out_of_range_are_refused(void)
{
    wsabi_options options;
    int i;
    static const int bad_bits[] = {0, 8, 16, -1, 271};
    static const int bad_levels[] = {0, 10, -1, 257};
    CHECK_OK(wsabi_options_new(&options));
    for (i = 0; i < 5; i++) {
        CHECK_STATUS(WSABI_ERR_ARGUMENT,
                     wsabi_options_set_compression_window(options, bad_bits[i], 15));
        CHECK_STATUS(WSABI_ERR_ARGUMENT,
                     wsabi_options_set_compression_window(options, 15, bad_bits[i]));
    }
    for (i = 0; i < 4; i++)
        CHECK_STATUS(WSABI_ERR_ARGUMENT,
                     wsabi_options_set_compression_level(options, bad_levels[i]));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_options_set_compression(options, 2));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_options_set_compression_takeover(options, 0, 2));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_options_set_compression_takeover(options, -1, 0));
    CHECK_OK(wsabi_options_free(options));
}

int main(void)
{
    both_sides_compress_by_default();
    either_side_can_do_without();
    windows_and_takeover_are_agreed_on();
    short_messages_stay_plain();
    messages_in_pieces_are_compressed_unless_they_are_secret();
    a_message_that_inflates_too_far_fails();
    settings_out_of_range_are_refused();
    return 0;
}
