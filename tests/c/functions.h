/* Every function of the library that takes a handle, and a living object of each kind for it. */
#ifndef WSABI_TESTS_FUNCTIONS_H
#define WSABI_TESTS_FUNCTIONS_H

#include "pair.h"

#include "certificate.h"

enum { RUNTIME, OPTIONS, SOCKET, SERVER, REQUEST, KINDS };

/* A function of the library with arguments that are fine but for the handle. */
#define CALL(name, call)                 \
    static int64_t name(uint64_t handle) \
    {                                    \
        return call;                     \
    }

static const char anywhere[] = "ws://127.0.0.1:0/";
static const wsabi_message message = {"a", 1, WSABI_TEXT, 0};
static const char pin[] = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
static uint64_t made;
static wsabi_stats stats;
static wsabi_event polled;
static size_t packed;
static intptr_t descriptor;
static wsabi_server living_server;

CALL(poll_runtime, wsabi_runtime_poll(handle, 0, 0))
CALL(next_events, wsabi_runtime_next_events(handle, &polled, sizeof polled, 1, 0))
CALL(next_packed, wsabi_runtime_next_packed(handle, NULL, 0, 0, &packed))
CALL(next_pickled, wsabi_runtime_next_pickled(handle, NULL, 0, 0, &packed))
CALL(runtime_fd, wsabi_runtime_fd(handle, &descriptor))
CALL(runtime_wake, wsabi_runtime_wake(handle))
CALL(on_ready, wsabi_runtime_on_ready(handle, NULL, NULL))
CALL(runtime_shutdown, wsabi_runtime_shutdown(handle, 0))
CALL(runtime_free, wsabi_runtime_free(handle))
CALL(connect_in, wsabi_socket_connect(handle, "ws://127.0.0.1:1/", 17, 0, NULL, &made))
CALL(listen_in, wsabi_server_listen(handle, anywhere, 17, 0, NULL, &made))

CALL(options_clone, wsabi_options_clone(handle, &made))
CALL(connect_with, wsabi_socket_connect(0, "ws://127.0.0.1:1/", 17, handle, NULL, &made))
CALL(listen_with, wsabi_server_listen(0, anywhere, 17, handle, NULL, &made))
CALL(set_tls_with, wsabi_server_set_tls(living_server, handle))
CALL(options_free, wsabi_options_free(handle))
CALL(on_open, wsabi_options_on_open(handle, record_event))
CALL(on_message, wsabi_options_on_message(handle, record_event))
CALL(on_error, wsabi_options_on_error(handle, record_event))
CALL(on_close, wsabi_options_on_close(handle, record_event))
CALL(on_event, wsabi_options_on_event(handle, 0, record_event))
CALL(on_release, wsabi_options_on_release(handle, record_release))
CALL(add_subprotocol, wsabi_options_add_subprotocol(handle, "chat", 4))
CALL(add_header, wsabi_options_add_header(handle, "X", 1, "x", 1))
CALL(set_origin, wsabi_options_set_origin(handle, "http://a", 8))
CALL(set_user_agent, wsabi_options_set_user_agent(handle, "a", 1))
CALL(set_max_message, wsabi_options_set_max_message(handle, 1))
CALL(set_max_buffered, wsabi_options_set_max_buffered(handle, 1))
CALL(set_low_water, wsabi_options_set_low_water(handle, 1))
CALL(set_max_frame, wsabi_options_set_max_frame(handle, 1))
CALL(set_connect_timeout, wsabi_options_set_connect_timeout_ms(handle, 1))
CALL(set_close_timeout, wsabi_options_set_close_timeout_ms(handle, 1))
CALL(set_ping_interval, wsabi_options_set_ping_interval_ms(handle, 1))
CALL(set_pong_timeout, wsabi_options_set_pong_timeout_ms(handle, 1))
CALL(set_idle_timeout, wsabi_options_set_idle_timeout_ms(handle, 1))
CALL(set_basic_auth, wsabi_options_set_basic_auth(handle, "a:b", 3))
CALL(set_proxy, wsabi_options_set_proxy(handle, "", 0))
CALL(set_max_redirects, wsabi_options_set_max_redirects(handle, 1))
CALL(set_reconnect, wsabi_options_set_reconnect(handle, 1, 2, 3))
CALL(set_tls_ca, wsabi_options_set_tls_ca(handle, cert_pem, WSABI_NUL_TERMINATED))
CALL(add_tls_ca, wsabi_options_add_tls_ca(handle, cert_pem, WSABI_NUL_TERMINATED))
CALL(set_tls_identity, wsabi_options_set_tls_identity(handle, cert_pem, WSABI_NUL_TERMINATED,
                                                      key_pem, WSABI_NUL_TERMINATED))
CALL(set_tls_client_ca, wsabi_options_set_tls_client_ca(handle, cert_pem, WSABI_NUL_TERMINATED))
CALL(set_tls_server_name, wsabi_options_set_tls_server_name(handle, "a", 1))
CALL(add_tls_pin, wsabi_options_add_tls_pin(handle, pin, WSABI_NUL_TERMINATED))
CALL(set_tls_verify_dangerously, wsabi_options_set_tls_verify_dangerously(handle, 1))
CALL(set_tls_resumption, wsabi_options_set_tls_resumption(handle, 1))
CALL(set_tls_key_log, wsabi_options_set_tls_key_log(handle, 0))
CALL(set_requests, wsabi_options_set_requests(handle, 1))
CALL(set_max_connections, wsabi_options_set_max_connections(handle, 1))
CALL(set_backlog, wsabi_options_set_backlog(handle, 1))
CALL(set_reuse_port, wsabi_options_set_reuse_port(handle, 0))
CALL(set_slow_subscribers, wsabi_options_set_slow_subscribers(handle, WSABI_SLOW_CLOSE))
CALL(set_compression, wsabi_options_set_compression(handle, 1))
CALL(set_compression_min, wsabi_options_set_compression_min(handle, 1))
CALL(set_compression_level, wsabi_options_set_compression_level(handle, 1))
CALL(set_compression_window, wsabi_options_set_compression_window(handle, 15, 15))
CALL(set_compression_takeover, wsabi_options_set_compression_takeover(handle, 1, 1))

CALL(send_text, wsabi_socket_send_text(handle, "a", 1))
CALL(send_binary, wsabi_socket_send_binary(handle, "a", 1))
CALL(send_many, wsabi_socket_send_many(handle, &message, 1))
CALL(send_fragment, wsabi_socket_send_fragment(handle, WSABI_TEXT, "a", 1, 1))
CALL(ping, wsabi_socket_ping(handle, "a", 1))
CALL(close_socket, wsabi_socket_close(handle, 1000, "a", 1))
CALL(abort_socket, wsabi_socket_abort(handle))
CALL(pause_socket, wsabi_socket_pause(handle))
CALL(resume_socket, wsabi_socket_resume(handle))
CALL(release, wsabi_socket_release(handle))
CALL(ready_state, wsabi_socket_ready_state(handle))
CALL(buffered_amount, wsabi_socket_buffered_amount(handle))
CALL(set_user_data, wsabi_socket_set_user_data(handle, NULL))
CALL(set_header, wsabi_socket_set_header(handle, "a", 1, "b", 1))
CALL(set_url, wsabi_socket_set_url(handle, "ws://a/", 7))
CALL(fact, wsabi_socket_fact(handle, WSABI_FACT_URL, NULL, 0))
CALL(response_status, wsabi_socket_response_status(handle))
CALL(response_header, wsabi_socket_response_header(handle, "X", 1, NULL, 0))
CALL(socket_stats, wsabi_socket_stats(handle, &stats))
CALL(subscribe, wsabi_socket_subscribe(handle, "a", 1))
CALL(unsubscribe, wsabi_socket_unsubscribe(handle, "a", 1))

CALL(server_port, wsabi_server_port(handle))
CALL(server_set_tls, wsabi_server_set_tls(handle, 0))
CALL(server_publish, wsabi_server_publish(handle, NULL, 0, WSABI_TEXT, "a", 1))
CALL(server_close, wsabi_server_close(handle))

CALL(request_target, wsabi_request_target(handle, NULL, 0))
CALL(request_header, wsabi_request_header(handle, "X", 1, NULL, 0))
CALL(request_peer_address, wsabi_request_peer_address(handle, NULL, 0))
CALL(request_add_header, wsabi_request_add_header(handle, "X", 1, "x", 1))
CALL(request_accept, wsabi_request_accept(handle, NULL, 0, NULL, &made))
CALL(request_reject, wsabi_request_reject(handle, 403, NULL, 0))

static const struct {
    const char *name;
    int kind;
    int takes_zero; /* 0 stands for a default */
    int64_t (*call)(uint64_t handle);
} functions[] = {
    {"runtime_poll", RUNTIME, 1, poll_runtime},
    {"runtime_next_events", RUNTIME, 1, next_events},
    {"runtime_next_packed", RUNTIME, 1, next_packed},
    {"runtime_next_pickled", RUNTIME, 1, next_pickled},
    {"runtime_fd", RUNTIME, 1, runtime_fd},
    {"runtime_wake", RUNTIME, 1, runtime_wake},
    {"runtime_on_ready", RUNTIME, 1, on_ready},
    {"runtime_shutdown", RUNTIME, 1, runtime_shutdown},
    {"runtime_free", RUNTIME, 1, runtime_free},
    {"connect in", RUNTIME, 1, connect_in},
    {"listen in", RUNTIME, 1, listen_in},
    {"options_clone", OPTIONS, 1, options_clone},
    {"connect with", OPTIONS, 1, connect_with},
    {"listen with", OPTIONS, 1, listen_with},
    {"set_tls with", OPTIONS, 1, set_tls_with},
    {"options_free", OPTIONS, 0, options_free},
    {"on_open", OPTIONS, 0, on_open},
    {"on_message", OPTIONS, 0, on_message},
    {"on_error", OPTIONS, 0, on_error},
    {"on_close", OPTIONS, 0, on_close},
    {"on_event", OPTIONS, 0, on_event},
    {"on_release", OPTIONS, 0, on_release},
    {"add_subprotocol", OPTIONS, 0, add_subprotocol},
    {"add_header", OPTIONS, 0, add_header},
    {"set_origin", OPTIONS, 0, set_origin},
    {"set_user_agent", OPTIONS, 0, set_user_agent},
    {"set_max_message", OPTIONS, 0, set_max_message},
    {"set_max_buffered", OPTIONS, 0, set_max_buffered},
    {"set_low_water", OPTIONS, 0, set_low_water},
    {"set_max_frame", OPTIONS, 0, set_max_frame},
    {"set_connect_timeout_ms", OPTIONS, 0, set_connect_timeout},
    {"set_close_timeout_ms", OPTIONS, 0, set_close_timeout},
    {"set_ping_interval_ms", OPTIONS, 0, set_ping_interval},
    {"set_pong_timeout_ms", OPTIONS, 0, set_pong_timeout},
    {"set_idle_timeout_ms", OPTIONS, 0, set_idle_timeout},
    {"set_basic_auth", OPTIONS, 0, set_basic_auth},
    {"set_proxy", OPTIONS, 0, set_proxy},
    {"set_max_redirects", OPTIONS, 0, set_max_redirects},
    {"set_reconnect", OPTIONS, 0, set_reconnect},
    {"set_tls_ca", OPTIONS, 0, set_tls_ca},
    {"add_tls_ca", OPTIONS, 0, add_tls_ca},
    {"set_tls_identity", OPTIONS, 0, set_tls_identity},
    {"set_tls_client_ca", OPTIONS, 0, set_tls_client_ca},
    {"set_tls_server_name", OPTIONS, 0, set_tls_server_name},
    {"add_tls_pin", OPTIONS, 0, add_tls_pin},
    {"set_tls_verify_dangerously", OPTIONS, 0, set_tls_verify_dangerously},
    {"set_tls_resumption", OPTIONS, 0, set_tls_resumption},
    {"set_tls_key_log", OPTIONS, 0, set_tls_key_log},
    {"set_max_connections", OPTIONS, 0, set_max_connections},
    {"set_requests", OPTIONS, 0, set_requests},
    {"set_backlog", OPTIONS, 0, set_backlog},
    {"set_reuse_port", OPTIONS, 0, set_reuse_port},
    {"set_slow_subscribers", OPTIONS, 0, set_slow_subscribers},
    {"set_compression", OPTIONS, 0, set_compression},
    {"set_compression_min", OPTIONS, 0, set_compression_min},
    {"set_compression_level", OPTIONS, 0, set_compression_level},
    {"set_compression_window", OPTIONS, 0, set_compression_window},
    {"set_compression_takeover", OPTIONS, 0, set_compression_takeover},
    {"send_text", SOCKET, 0, send_text},
    {"send_binary", SOCKET, 0, send_binary},
    {"send_many", SOCKET, 0, send_many},
    {"send_fragment", SOCKET, 0, send_fragment},
    {"ping", SOCKET, 0, ping},
    {"close", SOCKET, 0, close_socket},
    {"abort", SOCKET, 0, abort_socket},
    {"pause", SOCKET, 0, pause_socket},
    {"resume", SOCKET, 0, resume_socket},
    {"release", SOCKET, 0, release},
    {"ready_state", SOCKET, 0, ready_state},
    {"buffered_amount", SOCKET, 0, buffered_amount},
    {"set_user_data", SOCKET, 0, set_user_data},
    {"set_header", SOCKET, 0, set_header},
    {"set_url", SOCKET, 0, set_url},
    {"fact", SOCKET, 0, fact},
    {"response_status", SOCKET, 0, response_status},
    {"response_header", SOCKET, 0, response_header},
    {"stats", SOCKET, 0, socket_stats},
    {"subscribe", SOCKET, 0, subscribe},
    {"unsubscribe", SOCKET, 0, unsubscribe},
    {"server_port", SERVER, 0, server_port},
    {"server_set_tls", SERVER, 0, server_set_tls},
    {"server_publish", SERVER, 0, server_publish},
    {"server_close", SERVER, 0, server_close},
    {"request_target", REQUEST, 0, request_target},
    {"request_header", REQUEST, 0, request_header},
    {"request_peer_address", REQUEST, 0, request_peer_address},
    {"request_add_header", REQUEST, 0, request_add_header},
    {"request_accept", REQUEST, 0, request_accept},
    {"request_reject", REQUEST, 0, request_reject},
};

/* A pair, a request that waits, and with them a good handle of each kind. */
typedef struct living {
    pair pair;
    recorder asked;
    recorder asking;
    wsabi_server asked_server;
    wsabi_socket asking_client;
    uint64_t handles[KINDS];
} living;

static inline void living_init(living *self)
{
    pair *it = &self->pair;
    wsabi_options options;
    int kind;
    stats.size = sizeof stats;
    pair_init(it);
    pair_connect(it);
    options = recording_options();
    CHECK_OK(wsabi_options_on_event(options, WSABI_EVENT_REQUEST, record_event));
    recorder_init(&self->asked);
    recorder_init(&self->asking);
    self->asked_server = listen_on_loopback(it->runtime, options, &self->asked);
    CHECK_OK(wsabi_options_free(options));
    self->asking_client = connect_to_port(it->runtime, wsabi_server_port(self->asked_server),
                                          it->client_options, &self->asking);
    self->handles[RUNTIME] = it->runtime;
    self->handles[OPTIONS] = it->client_options;
    self->handles[SOCKET] = it->client;
    self->handles[SERVER] = living_server = it->server;
    self->handles[REQUEST] = wait_for_event(&self->asked, WSABI_EVENT_REQUEST, 1).handle;
    for (kind = 0; kind < KINDS; kind++)
        CHECK(self->handles[kind] != 0 && self->handles[kind] < UINT64_C(1) << 53);
}

static void living_free(living *self)
{
    pair_free(&self->pair);
    wait_for_releases(&self->asked, 1);
    wait_for_releases(&self->asking, 1);
    recorder_free(&self->asked);
    recorder_free(&self->asking);
}

/* Nothing has happened to them. */
static inline void living_end(living *self)
{
    CHECK_EVENTS(&self->pair.at_client, "O");
    CHECK_EVENTS(&self->pair.at_server, "O");
    CHECK_EVENTS(&self->asked, "Q");
    CHECK_EVENTS(&self->asking, "");
    living_free(self);
}

#endif
