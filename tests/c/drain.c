/* The send buffer: what it amounts to at each step, what it refuses, and when DRAIN comes. The peer is
 * made by hand, and reads only when the test says so. */
#include "pair.h"

#include "raw_peer.h"

/* The system takes far less at a time than what lies between the marks. */
enum { LEN = 65536, HEAD = 10, MOST = 8 << 20, LOW = 4 << 20 };

/* One connection, from the side that sends. */
typedef struct flow {
    pair pair;
    wsabi_socket socket;
    int peer;
    uint64_t handshake; /* bytes */
    uint64_t accepted;  /* messages of LEN bytes */
    uint64_t read;      /* of them, by the peer */
    int64_t at_drain;   /* the amount in the latest handler of DRAIN */
} flow;

static char chunk[LEN];
static const char refused[MOST];
static raw_frame frame;

static wsabi_stats stats_of(wsabi_socket socket)
{
    wsabi_stats stats;
    stats.size = sizeof stats;
    CHECK_OK(wsabi_socket_stats(socket, &stats));
    return stats;
}

static void note_amount(const wsabi_event *event, recorder *self)
{
    if (event->kind == WSABI_EVENT_DRAIN)
        ((flow *)self->context)->at_drain = wsabi_socket_buffered_amount(event->handle);
}

static void flow_init(flow *self)
{
    pair *it = &self->pair;
    memset(self, 0, sizeof *self);
    pair_init(it);
    it->at_server.hook = note_amount;
    it->at_server.context = self;
    CHECK_OK(wsabi_options_set_max_buffered(it->server_options, MOST));
    CHECK_OK(wsabi_options_set_low_water(it->server_options, LOW));
    CHECK_OK(wsabi_options_set_max_frame(it->server_options, LEN));
    it->server = listen_on_loopback(it->runtime, it->server_options, &it->at_server);
    self->peer = raw_connect_websocket(wsabi_server_port(it->server));
    self->socket = accepted(it);
    do
        self->handshake = stats_of(self->socket).bytes_sent;
    while (self->handshake == 0);
}

/* The amount is what was accepted and not given to the system; the heads of frames count as spread
 * over their payload. Returns it. */
static int64_t check_amount(flow *self)
{
    const int64_t wire = (int64_t)self->accepted * (LEN + HEAD);
    int64_t amount, again, unsent;
    wsabi_stats stats;
    do {
        amount = wsabi_socket_buffered_amount(self->socket);
        stats = stats_of(self->socket);
        again = wsabi_socket_buffered_amount(self->socket);
    } while (amount != again);
    CHECK(stats.messages_sent == self->accepted);
    CHECK(stats.payload_sent == self->accepted * LEN);
    unsent = wire - (int64_t)(stats.bytes_sent - self->handshake);
    CHECK(0 <= amount && amount <= MOST);
    CHECK(amount <= unsent && unsent <= amount + HEAD * (amount / LEN + 2));
    return amount;
}

/* Sends the next numbered message. Returns whether it was accepted. */
static int send_next(flow *self)
{
    const uint32_t number = (uint32_t)self->accepted;
    int64_t before = check_amount(self);
    int32_t status;
    memcpy(chunk, &number, sizeof number);
    status = wsabi_socket_send_binary(self->socket, chunk, LEN);
    if (status == WSABI_ERR_BUFFER_FULL) {
        CHECK(before + LEN > MOST);
    } else {
        CHECK_OK(status);
        self->accepted++;
    }
    check_amount(self);
    return status == WSABI_OK;
}

/* Each way to send a message of this length is refused, and nothing of it stays. */
static void refuse(flow *self, size_t len)
{
    const wsabi_message message = {refused, len, WSABI_BINARY, 0};
    CHECK_STATUS(WSABI_ERR_BUFFER_FULL, wsabi_socket_send_binary(self->socket, refused, len));
    CHECK_STATUS(WSABI_ERR_BUFFER_FULL, wsabi_socket_send_many(self->socket, &message, 1));
    CHECK_STATUS(WSABI_ERR_BUFFER_FULL,
                 wsabi_socket_send_fragment(self->socket, WSABI_BINARY, refused, len, 0));
    check_amount(self);
}

/* The next message is whole, and the one that was accepted next. */
static void read_one(flow *self)
{
    const uint32_t number = (uint32_t)self->read;
    CHECK(raw_receive_frame(self->peer, &frame));
    CHECK(frame.opcode == RAW_BINARY && frame.fin && frame.len == LEN);
    CHECK(memcmp(frame.payload, &number, sizeof number) == 0);
    self->read++;
}

/* The peer reads until the amount is at the mark: DRAIN comes then, and not before. */
static void drain(flow *self, int64_t mark)
{
    recorder *at = &self->pair.at_server;
    const size_t drains = count_events(at, WSABI_EVENT_DRAIN);
    size_t so_far = drains;
    while (check_amount(self) > mark) {
        CHECK(so_far == drains);
        read_one(self);
        so_far = count_events(at, WSABI_EVENT_DRAIN);
    }
    wait_for_event(at, WSABI_EVENT_DRAIN, drains + 1);
    CHECK(self->at_drain <= mark);
}

static void read_all(flow *self)
{
    const int64_t until = now_ms() + DEADLINE_MS * slowness();
    while (self->read < self->accepted)
        read_one(self);
    /* The peer may be quicker than whoever counts. */
    while (check_amount(self) > 0)
        CHECK(now_ms() < until);
}

static void drain_comes_once_for_each_time_that_the_amount_falls_to_low_water(void)
{
    flow it;
    flow_init(&it);
    while (check_amount(&it) <= LOW)
        CHECK(send_next(&it));
    drain(&it, LOW);
    /* What is left goes without another one, and so does what stays below the mark. */
    read_all(&it);
    CHECK(send_next(&it));
    read_all(&it);
    while (send_next(&it))
        continue;
    drain(&it, LOW);
    read_all(&it);
    CHECK(raw_send_frame(it.peer, RAW_FIN | RAW_CLOSE, 1, "\x03\xE8", 2));
    CHECK(raw_receive_close(it.peer) == 1000);
    close(it.peer);
    wait_for_clean_close(&it.pair.at_server, 1000, "");
    CHECK_EVENTS(&it.pair.at_server, "ODDC");
    pair_free(&it.pair);
}

static void after_a_refusal_drain_comes_when_the_message_fits(void)
{
    enum { LITTLE = 1000 };
    size_t left = MOST - LITTLE;
    flow it;
    flow_init(&it);
    while (send_next(&it))
        continue;
    refuse(&it, left);
    drain(&it, LITTLE);
    CHECK_OK(wsabi_socket_send_binary(it.socket, refused, left));
    while (it.read < it.accepted)
        read_one(&it);
    while (left > 0) {
        CHECK(raw_receive_frame(it.peer, &frame));
        CHECK(frame.len <= left && frame.fin == (frame.len == left));
        left -= frame.len;
    }
    close(it.peer);
    pair_free(&it.pair);
}

int main(void)
{
    drain_comes_once_for_each_time_that_the_amount_falls_to_low_water();
    after_a_refusal_drain_comes_when_the_message_fits();
    return 0;
}
