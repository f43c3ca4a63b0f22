/* A client and a server of the library in one process. */
#ifndef WSABI_TESTS_PAIR_H
#define WSABI_TESTS_PAIR_H

#include "delivery.h"

/* A server and one client of it, each with its recorder. */
typedef struct pair {
    wsabi_runtime runtime;
    wsabi_options server_options;
    wsabi_options client_options;
    wsabi_server server;
    wsabi_socket client;
    recorder at_server;
    recorder at_client;
} pair;

/* Options of which every event and every release goes to a recorder. Nothing goes over the wire but
 * what a test sends: a slow run would see pings that a quick one does not. */
static inline wsabi_options recording_options(void)
{
    wsabi_options options = 0;
    CHECK_OK(wsabi_options_new(&options));
    CHECK(options != 0);
    CHECK_OK(wsabi_options_on_event(options, 0, record_event));
    CHECK_OK(wsabi_options_on_release(options, record_release));
    CHECK_OK(wsabi_options_set_ping_interval_ms(options, 0));
    CHECK_OK(wsabi_options_set_connect_timeout_ms(options, DEADLINE_MS * (uint32_t)slowness()));
    CHECK_OK(wsabi_options_set_compression(options, 0));
    return options;
}

static inline wsabi_server listen_on_loopback(wsabi_runtime runtime, wsabi_options options,
                                              recorder *user_data)
{
    wsabi_server server = 0;
    CHECK_OK(wsabi_server_listen(runtime, "ws://127.0.0.1:0/", WSABI_NUL_TERMINATED, options,
                                 user_data, &server));
    CHECK(server != 0);
    return server;
}

static inline wsabi_socket connect_to_port(wsabi_runtime runtime, int port, wsabi_options options,
                                           recorder *user_data)
{
    char url[64];
    wsabi_socket socket = 0;
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
    CHECK_OK(wsabi_socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, user_data, &socket));
    CHECK(socket != 0);
    return socket;
}

/* The options may be changed before `pair_connect`. */
static inline void pair_init(pair *self)
{
    self->runtime = new_runtime();
    self->server_options = recording_options();
    self->client_options = recording_options();
    self->server = 0;
    self->client = 0;
    recorder_init(&self->at_server);
    recorder_init(&self->at_client);
}

/* Starts the server and the client, and waits until both are open. */
static inline void pair_connect(pair *self)
{
    self->server = listen_on_loopback(self->runtime, self->server_options, &self->at_server);
    self->client = connect_to_port(self->runtime, wsabi_server_port(self->server),
                                   self->client_options, &self->at_client);
    wait_for_open(&self->at_client);
    wait_for_open(&self->at_server);
}

/* The server's end of the client's connection. */
static inline wsabi_socket accepted(pair *self)
{
    return wait_for_open(&self->at_server).handle;
}

/* What the test has freed itself it sets to 0. */
static inline void pair_free(pair *self)
{
    if (self->runtime != 0)
        CHECK_OK(wsabi_runtime_free(self->runtime));
    if (self->server_options != 0)
        CHECK_OK(wsabi_options_free(self->server_options));
    if (self->client_options != 0)
        CHECK_OK(wsabi_options_free(self->client_options));
    if (self->server != 0)
        wait_for_releases(&self->at_server, self->at_server.handed_over);
    if (self->client != 0)
        wait_for_releases(&self->at_client, self->at_client.handed_over);
    recorder_free(&self->at_server);
    recorder_free(&self->at_client);
}

#endif
