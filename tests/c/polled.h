/* A client whose events are polled, and its server, whose handlers run on threads. */
#ifndef WSABI_TESTS_POLLED_H
#define WSABI_TESTS_POLLED_H

#include "pair.h"

#include <poll.h>
#include <sched.h>

/* What a case is tried with: the I/O on a thread, and by whoever polls. */
static uint32_t io_threads;

typedef struct polled {
    wsabi_runtime near;
    wsabi_runtime far;
    wsabi_options near_options;
    wsabi_options far_options;
    wsabi_server server;
    wsabi_socket client;
    recorder at_client;
    recorder at_server;
} polled;

static inline wsabi_runtime new_polled_runtime(void)
{
    wsabi_runtime runtime = 0;
    CHECK_OK(wsabi_runtime_new(io_threads, WSABI_DELIVER_ON_POLL, &runtime));
    return runtime;
}

/* The options may be changed before `polled_connect`. */
static inline void polled_init(polled *self)
{
    memset(self, 0, sizeof *self);
    self->near = new_polled_runtime();
    CHECK_OK(wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &self->far));
    self->near_options = recording_options();
    self->far_options = recording_options();
    recorder_init(&self->at_client);
    recorder_init(&self->at_server);
}

static inline void polled_listen(polled *self)
{
    self->server = listen_on_loopback(self->far, self->far_options, &self->at_server);
}

/* Polls until there have been so many events of a kind. */
static inline void poll_for(polled *self, recorder *at, int32_t kind, size_t count)
{
    int64_t until = now_ms() + DEADLINE_MS * slowness();
    while (count_events(at, kind) < count) {
        CHECK(wsabi_runtime_poll(self->near, 0, 100) >= 0);
        CHECK(now_ms() < until && "the events come in time");
    }
}

/* Begins to connect, and polls nothing. */
static inline void polled_begin(polled *self)
{
    polled_listen(self);
    self->client = connect_to_port(self->near, wsabi_server_port(self->server),
                                   self->near_options, &self->at_client);
}

static inline void polled_connect(polled *self)
{
    polled_begin(self);
    poll_for(self, &self->at_client, WSABI_EVENT_OPEN, 1);
    wait_for_open(&self->at_server);
}

/* The server's end. */
static inline wsabi_socket far_end(polled *self)
{
    return wait_for_open(&self->at_server).handle;
}

static inline void send_number(wsabi_socket socket, uint32_t number)
{
    CHECK_OK(wsabi_socket_send_binary(socket, &number, sizeof number));
}

static inline uint32_t number_of(const void *data)
{
    uint32_t number;
    memcpy(&number, data, sizeof number);
    return number;
}

/* The messages are numbered from 0. */
static inline void check_numbers(recorder *at, uint32_t count)
{
    uint32_t number;
    CHECK(count_events(at, WSABI_EVENT_MESSAGE) == count);
    for (number = 0; number < count; number++)
        CHECK(number_of(wait_for_message(at, number + 1).data) == number);
}

/* The bytes of the messages that a socket has received. */
static inline uint64_t received(wsabi_socket socket)
{
    wsabi_stats stats;
    memset(&stats, 0, sizeof stats);
    stats.size = sizeof stats;
    CHECK_OK(wsabi_socket_stats(socket, &stats));
    return stats.payload_received;
}

/* Whether a descriptor becomes readable within a time. */
static inline int is_readable(intptr_t fd, int timeout_ms)
{
    struct pollfd poller;
    poller.fd = (int)fd;
    poller.events = POLLIN;
    return poll(&poller, 1, timeout_ms) == 1 && (poller.revents & POLLIN) != 0;
}

/* What the test has freed itself it sets to 0. */
static inline void polled_free(polled *self)
{
    if (self->near != 0)
        CHECK_OK(wsabi_runtime_free(self->near));
    CHECK_OK(wsabi_runtime_free(self->far));
    CHECK_OK(wsabi_options_free(self->near_options));
    CHECK_OK(wsabi_options_free(self->far_options));
    if (self->client != 0)
        wait_for_releases(&self->at_client, self->at_client.handed_over);
    if (self->server != 0)
        wait_for_releases(&self->at_server, 1);
    recorder_free(&self->at_client);
    recorder_free(&self->at_server);
}

/* Runs each case with and without threads. */
static inline void run_polled(void (*const *cases)(void), size_t count)
{
    size_t i;
    for (io_threads = 0; io_threads < 2; io_threads++) {
        circumstance = io_threads == 0 ? "without threads:" : "with a thread:";
        for (i = 0; i < count; i++)
            cases[i]();
    }
}

#endif
