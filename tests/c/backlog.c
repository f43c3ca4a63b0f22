/* An application that does not poll while its peers send: memory stays bounded, nothing is lost,
 * and those who are not held back go on. */
#include "polled.h"

#include "raw_peer.h"

/* What may wait (wsabi_runtime_new), and what a read may bring in at once. */
#define MOST_WAITING (16u << 20)
#define A_READ (512u << 10)

enum { PEERS = 3, MESSAGE = 60000 };

static uint8_t message[MESSAGE];

/* In KiB. A slow run, which watches memory, takes more of it. */
static long resident(void)
{
    char line[256];
    long size = -1;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0)
            size = atol(line + 6);
    }
    fclose(file);
    return size;
}

/* Sends numbered messages until nothing goes any more: until the system and `max_buffered` are
 * full, and stay so. */
static uint32_t flood(wsabi_socket socket, uint32_t number)
{
    int64_t refused_since = 0;
    for (;;) {
        int32_t status;
        memcpy(message, &number, sizeof number);
        status = wsabi_socket_send_binary(socket, message, sizeof message);
        if (status == WSABI_OK) {
            number++;
            refused_since = 0;
            continue;
        }
        CHECK_STATUS(WSABI_ERR_BUFFER_FULL, status);
        if (refused_since == 0)
            refused_since = now_ms();
        if (now_ms() - refused_since > 150 * slowness())
            return number;
        sched_yield();
    }
}

static void messages_of_several_peers_wait_within_bounds_and_in_order(void)
{
    wsabi_socket clients[PEERS];
    recorder at_client[PEERS];
    uint32_t sent[PEERS], number;
    uint64_t sum = 0;
    int64_t until = now_ms() + DEADLINE_MS * slowness();
    size_t i;
    polled it;
    if (io_threads == 0)
        return; /* Without a poll nothing is read. */
    polled_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.far_options, 1 << 20));
    polled_connect(&it);
    for (i = 0; i < PEERS; i++) {
        recorder_init(&at_client[i]);
        clients[i] = connect_to_port(it.near, wsabi_server_port(it.server), it.near_options,
                                     &at_client[i]);
        poll_for(&it, &at_client[i], WSABI_EVENT_OPEN, 1);
        wait_for_event(&it.at_server, WSABI_EVENT_OPEN, i + 2);
    }
    memset(sent, 0, sizeof sent);
    while (sum <= MOST_WAITING - A_READ) {
        for (sum = 0, i = 0; i < PEERS; i++) {
            wsabi_socket end = wait_for_event(&it.at_server, WSABI_EVENT_OPEN, i + 2).handle;
            sent[i] = flood(end, sent[i]);
            sum += received(clients[i]);
        }
        CHECK(now_ms() < until);
    }
    CHECK(sum < MOST_WAITING + PEERS * A_READ);
    /* Nothing of the first client waits: it still answers. */
    CHECK_OK(wsabi_socket_ping(far_end(&it), "there?", 6));
    wait_for_event(&it.at_server, WSABI_EVENT_PONG, 1);
    for (i = 0; i < PEERS; i++) {
        poll_for(&it, &at_client[i], WSABI_EVENT_MESSAGE, sent[i]);
        for (number = 0; number < sent[i]; number++) {
            record told = wait_for_message(&at_client[i], number + 1);
            CHECK(told.len == MESSAGE && number_of(told.data) == number);
        }
    }
    /* And it goes on. */
    send_number(clients[0], 0);
    wait_for_message(&it.at_server, 1);
    CHECK_OK(wsabi_runtime_free(it.near));
    it.near = 0;
    for (i = 0; i < PEERS; i++) {
        wait_for_releases(&at_client[i], 1);
        recorder_free(&at_client[i]);
    }
    polled_free(&it);
}

static void a_small_budget_keeps_the_rest_within_bounds(void)
{
    uint32_t sent, handled = 0;
    uint64_t most = 0;
    polled it;
    polled_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.far_options, 64 << 20));
    polled_connect(&it);
    for (sent = 0; sent < 1000; sent++) {
        memcpy(message, &sent, sizeof sent);
        CHECK_OK(wsabi_socket_send_binary(far_end(&it), message, sizeof message));
    }
    while (handled < sent) {
        int32_t count = wsabi_runtime_poll(it.near, 1, DEADLINE_MS);
        uint64_t waiting = received(it.client) - (uint64_t)handled * MESSAGE;
        CHECK(count == 1);
        most = waiting > most ? waiting : most;
        handled++;
    }
    CHECK(most < MOST_WAITING + A_READ);
    for (sent = 0; sent < handled; sent++)
        CHECK(number_of(wait_for_message(&it.at_client, sent + 1).data) == sent);
    polled_free(&it);
}

static void a_socket_that_is_held_back_can_be_closed(void)
{
    polled it;
    int64_t until = now_ms() + DEADLINE_MS * slowness();
    if (io_threads == 0)
        return;
    polled_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.far_options, 1 << 20));
    polled_connect(&it);
    while (received(it.client) <= MOST_WAITING - A_READ) {
        flood(far_end(&it), 0);
        CHECK(now_ms() < until);
    }
    CHECK_OK(wsabi_socket_close(it.client, 1000, "enough", 6));
    wait_for_clean_close(&it.at_server, 1000, "enough");
    poll_for(&it, &it.at_client, WSABI_EVENT_CLOSE, 1);
    wait_for_clean_close(&it.at_client, 1000, NULL);
    CHECK_EVENTS(&it.at_client, "OC");
    polled_free(&it);
}

static void pings_are_answered_and_only_the_first_of_many_wait(void)
{
    enum { BURST = 1000 };
    static uint8_t pings[BURST * 127];
    static raw_frame frame;
    size_t i;
    int port, listener = raw_listen(&port), peer, burst, bursts = repetitions(400);
    long before;
    polled it;
    if (io_threads == 0) {
        close(listener);
        return;
    }
    for (i = 0; i < BURST; i++) {
        pings[i * 127] = RAW_FIN | RAW_PING;
        pings[i * 127 + 1] = 125;
    }
    polled_init(&it);
    it.client = connect_to_port(it.near, port, it.near_options, &it.at_client);
    peer = raw_accept_websocket(listener);
    poll_for(&it, &it.at_client, WSABI_EVENT_OPEN, 1);
    before = resident();
    for (burst = 0; burst < bursts; burst++) {
        CHECK(raw_send(peer, pings, BURST * 127));
        while (is_readable(peer, 0))
            CHECK(raw_receive_frame(peer, &frame));
    }
    /* The answer to the last is behind those of all others that were answered. */
    CHECK(raw_send(peer, "\x89\x04last", 6));
    do
        CHECK(raw_receive_frame(peer, &frame));
    while (strcmp((const char *)frame.payload, "last") != 0);
    CHECK(resident() - before < (64 << 10) * slowness());
    poll_for(&it, &it.at_client, WSABI_EVENT_PING, 1);
    CHECK(count_events(&it.at_client, WSABI_EVENT_PING) < MOST_WAITING / 125);
    CHECK(raw_send(peer, "\x81\x05hello", 7));
    poll_for(&it, &it.at_client, WSABI_EVENT_MESSAGE, 1);
    close(peer);
    close(listener);
    polled_free(&it);
}

/* Fills the queue of `near`, a server's runtime, by one peer that sends without end. */
static int fill_by_hand(int port)
{
    static uint8_t frame[8 + MESSAGE] = {RAW_FIN | RAW_BINARY, 0x80 | 126, MESSAGE >> 8,
                                         MESSAGE & 0xFF};
    int64_t refused_since = 0;
    int peer = raw_connect_websocket(port);
    size_t at = 0;
    for (;;) {
        ssize_t sent = send(peer, frame + at, sizeof frame - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at = (at + (size_t)sent) % sizeof frame;
            refused_since = 0;
            continue;
        }
        CHECK(errno == EAGAIN);
        if (refused_since == 0)
            refused_since = now_ms();
        if (now_ms() - refused_since > 150 * slowness())
            return peer;
        sched_yield();
    }
}

static void a_server_accepts_nobody_whose_events_would_have_to_wait(void)
{
    wsabi_runtime near = new_polled_runtime();
    wsabi_options options = recording_options();
    recorder at_server;
    wsabi_server server;
    int port, flooder, guest;
    if (io_threads == 0) {
        CHECK_OK(wsabi_runtime_free(near));
        CHECK_OK(wsabi_options_free(options));
        return;
    }
    recorder_init(&at_server);
    server = listen_on_loopback(near, options, &at_server);
    port = wsabi_server_port(server);
    flooder = fill_by_hand(port);
    guest = raw_connect(port);
    raw_request_upgrade(guest);
    CHECK(!is_readable(guest, 100));
    while (count_events(&at_server, WSABI_EVENT_OPEN) < 2)
        CHECK(wsabi_runtime_poll(near, 0, DEADLINE_MS) > 0);
    CHECK(is_readable(guest, DEADLINE_MS));
    close(flooder);
    close(guest);
    CHECK_OK(wsabi_runtime_free(near));
    CHECK_OK(wsabi_options_free(options));
    wait_for_releases(&at_server, 1);
    recorder_free(&at_server);
}

static void a_peer_that_never_reads_costs_what_may_be_buffered(void)
{
    uint32_t number;
    long before;
    polled it;
    polled_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.near_options, 4 << 20));
    CHECK_OK(wsabi_options_set_low_water(it.near_options, 1 << 20));
    polled_connect(&it);
    CHECK_OK(wsabi_socket_pause(far_end(&it)));
    before = resident();
    number = flood(it.client, 0);
    CHECK(wsabi_socket_buffered_amount(it.client) > (4 << 20) - 2 * MESSAGE);
    CHECK(wsabi_socket_buffered_amount(it.client) <= 4 << 20);
    CHECK(resident() - before < (24 << 10) * slowness());
    CHECK_OK(wsabi_socket_resume(far_end(&it)));
    poll_for(&it, &it.at_client, WSABI_EVENT_DRAIN, 1);
    while (wsabi_socket_buffered_amount(it.client) > 0)
        CHECK(wsabi_runtime_poll(it.near, 0, 10) >= 0);
    wait_for_message(&it.at_server, number);
    CHECK(count_events(&it.at_client, WSABI_EVENT_DRAIN) == 1);
    polled_free(&it);
}

int main(void)
{
    static void (*const cases[])(void) = {
        messages_of_several_peers_wait_within_bounds_and_in_order,
        a_small_budget_keeps_the_rest_within_bounds,
        a_socket_that_is_held_back_can_be_closed,
        pings_are_answered_and_only_the_first_of_many_wait,
        a_server_accepts_nobody_whose_events_would_have_to_wait,
        a_peer_that_never_reads_costs_what_may_be_buffered,
    };
    run_polled(cases, COUNT_OF(cases));
    return 0;
}
