/* Every argument of every function: NULL where none may be, lengths that no memory has, texts that are
 * not UTF-8, have a NUL inside, or end where memory ends, and numbers that stand for nothing. All else
 * is fine, and nothing comes of it. tests/c_programs.rs compares the calls with the header. */
#include "functions.h"

#include <sys/mman.h>

#include "raw_peer.h"

/* A call in which this pointer is NULL and ought not to be. */
#define NULL_FOR(parameter, function, arguments) \
    refused(#function, #parameter " is NULL", function arguments)

/* One in which it may be. */
#define NULL_FINE(parameter, function, arguments) CHECK_STATUS(0, function arguments)

/* Calls in which its length is `len`. */
#define LENGTHS_FOR(parameter, function, arguments)                            \
    do {                                                                       \
        size_t i, len;                                                         \
        for (i = 0; i < COUNT_OF(huge); i++) {                                 \
            len = huge[i];                                                     \
            refused(#function, #parameter " cannot", function arguments);      \
        }                                                                      \
    } while (0)

/* Calls in which it is `text`, of the length `len`, where a NUL may not be. */
#define TEXT_FOR(parameter, function, arguments)                                         \
    do {                                                                                 \
        const char *text = at_the_end("a\0b", 3);                                        \
        size_t len = 3;                                                                  \
        refused(#function, #parameter " has a NUL at offset 1", function arguments);     \
        UTF8_FOR(parameter, function, arguments);                                        \
    } while (0)

/* The same where one may be. */
#define UTF8_FOR(parameter, function, arguments)                                \
    do {                                                                        \
        size_t i, len;                                                          \
        for (i = 0; i < COUNT_OF(not_utf8); i++) {                              \
            const char *text = at_the_end(not_utf8[i], strlen(not_utf8[i]));    \
            len = strlen(not_utf8[i]);                                          \
            refused(#function, "UTF-8", function arguments);                    \
        }                                                                       \
    } while (0)

/* Calls in which it is `number`. */
#define NUMBERS_FOR(parameter, function, arguments) \
    NUMBERS(COUNT_OF(numbers), function, arguments)

/* Calls in which it is a time, which may be long. */
#define TIMES_FOR(parameter, function, arguments) NUMBERS(TIMES, function, arguments)

#define NUMBERS(count, function, arguments)                  \
    do {                                                     \
        size_t i;                                            \
        for (i = 0; i < (count); i++) {                      \
            const int32_t number = numbers[i];               \
            char text[16];                                   \
            snprintf(text, sizeof text, "%d", (int)number);  \
            refused(#function, text, function arguments);    \
        }                                                    \
    } while (0)

enum { TIMES = 2 };

/* The first of them are no times. */
static const int32_t numbers[] = {INT32_MIN, -2, 1 << 16, INT32_MAX};

/* The greatest, which is WSABI_NUL_TERMINATED, is one for bytes and for room only. */
static const size_t huge[] = {SIZE_MAX - 1, SIZE_MAX / 2 + 1};

static const char *const not_utf8[] = {
    "\x80",         "\xFF",         "\xC0\x80",     "\xC3",
    "\xE2\x82",     "\xE2\x28\xA1", "\xED\xA0\x80", "\xF0\x9F\x98",
    "\xF0\x28\x8C\xBC", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "plain, then \xFE",
    "a text that is longer than what is looked at in one step, and at last: \xF0\x9F",
};

static void refused(const char *function, const char *expected, int64_t status)
{
    circumstance = function;
    CHECK_STATUS(WSABI_ERR_ARGUMENT, status);
    if (strstr(wsabi_last_error(), expected) == NULL) {
        fprintf(stderr, "%s: no \"%s\" in \"%s\"\n", function, expected, wsabi_last_error());
        _Exit(1);
    }
    circumstance = "";
}

/* These bytes where nothing behind them can be read. */
static const char *at_the_end(const char *bytes, size_t len)
{
    static char *end;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (end == NULL) {
        const int zeros = open("/dev/zero", O_RDWR);
        void *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, zeros, 0);
        CHECK(pages != MAP_FAILED);
        close(zeros);
        end = (char *)pages + page;
        CHECK(mprotect(end, page, PROT_NONE) == 0);
    }
    memcpy(end - len, bytes, len);
    return end - len;
}

static void arguments_of_the_process(void)
{
    NUMBERS_FOR(max_level, wsabi_set_log_handler, (number, NULL, NULL));
    NULL_FINE(handler, wsabi_set_log_handler, (1, NULL, &made));
    NULL_FINE(user_data, wsabi_set_log_handler, (1, NULL, NULL));
    NULL_FINE(start, wsabi_set_thread_hooks, (NULL, NULL, &made));
    NULL_FINE(stop, wsabi_set_thread_hooks, (NULL, NULL, &made));
    NULL_FINE(user_data, wsabi_set_thread_hooks, (NULL, NULL, NULL));
}

static void arguments_of_runtimes(void)
{
    const uint32_t size = sizeof polled;
    wsabi_runtime runtime = 0;
    uint8_t buf[8];
    CHECK_OK(wsabi_runtime_new(1, WSABI_DELIVER_ON_POLL, &runtime));
    NULL_FOR(runtime_out, wsabi_runtime_new, (1, WSABI_DELIVER_ON_THREADS, NULL));
    NUMBERS_FOR(delivery, wsabi_runtime_new, (1, number, &made));
    TIMES_FOR(timeout_ms, wsabi_runtime_shutdown, (runtime, number));
    TIMES_FOR(timeout_ms, wsabi_runtime_poll, (runtime, 0, number));
    TIMES_FOR(timeout_ms, wsabi_runtime_next_events, (runtime, &polled, size, 1, number));
    TIMES_FOR(timeout_ms, wsabi_runtime_next_packed, (runtime, buf, sizeof buf, number, &packed));
    TIMES_FOR(timeout_ms, wsabi_runtime_next_pickled, (runtime, buf, sizeof buf, number, &packed));
    NULL_FOR(events, wsabi_runtime_next_events, (runtime, NULL, size, 1, 0));
    NULL_FOR(buf, wsabi_runtime_next_packed, (runtime, NULL, 1, 0, &packed));
    LENGTHS_FOR(cap, wsabi_runtime_next_packed, (runtime, buf, len, 0, &packed));
    NULL_FOR(bytes_out, wsabi_runtime_next_packed, (runtime, buf, sizeof buf, 0, NULL));
    NULL_FOR(buf, wsabi_runtime_next_pickled, (runtime, NULL, 1, 0, &packed));
    LENGTHS_FOR(cap, wsabi_runtime_next_pickled, (runtime, buf, len, 0, &packed));
    NULL_FOR(bytes_out, wsabi_runtime_next_pickled, (runtime, buf, sizeof buf, 0, NULL));
    NULL_FOR(fd_out, wsabi_runtime_fd, (runtime, NULL));
    NULL_FINE(signal, wsabi_runtime_on_ready, (runtime, NULL, &made));
    NULL_FINE(user_data, wsabi_runtime_on_ready, (runtime, NULL, NULL));
    CHECK_OK(wsabi_runtime_free(runtime));
}

static void pointers_of_handlers(void)
{
    wsabi_options options = 0;
    CHECK_OK(wsabi_options_new(&options));
    NULL_FOR(options_out, wsabi_options_new, (NULL));
    NULL_FOR(options_out, wsabi_options_clone, (options, NULL));
    NULL_FINE(handler, wsabi_options_on_open, (options, NULL));
    NULL_FINE(handler, wsabi_options_on_message, (options, NULL));
    NULL_FINE(handler, wsabi_options_on_error, (options, NULL));
    NULL_FINE(handler, wsabi_options_on_close, (options, NULL));
    NULL_FINE(handler, wsabi_options_on_event, (options, WSABI_EVENT_REQUEST, NULL));
    NULL_FINE(release, wsabi_options_on_release, (options, NULL));
    CHECK_OK(wsabi_options_free(options));
}

/* A setter of one text. */
#define SETTING_FOR(parameter, function)                          \
    do {                                                          \
        NULL_FOR(parameter, function, (options, NULL, 1));        \
        NULL_FOR(parameter, function, (options, NULL, SIZE_MAX)); \
        LENGTHS_FOR(parameter, function, (options, "a", len));    \
        TEXT_FOR(parameter, function, (options, text, len));      \
    } while (0)

static void pointers_of_options(wsabi_options options)
{
    const size_t none = WSABI_NUL_TERMINATED;
    SETTING_FOR(name, wsabi_options_add_subprotocol);
    SETTING_FOR(text, wsabi_options_set_origin);
    SETTING_FOR(text, wsabi_options_set_user_agent);
    SETTING_FOR(credentials, wsabi_options_set_basic_auth);
    SETTING_FOR(proxy, wsabi_options_set_proxy);
    SETTING_FOR(pem, wsabi_options_set_tls_ca);
    SETTING_FOR(pem, wsabi_options_add_tls_ca);
    SETTING_FOR(pem, wsabi_options_set_tls_client_ca);
    SETTING_FOR(name, wsabi_options_set_tls_server_name);
    SETTING_FOR(pin, wsabi_options_add_tls_pin);
    NULL_FOR(name, wsabi_options_add_header, (options, NULL, 1, "x", 1));
    LENGTHS_FOR(name, wsabi_options_add_header, (options, "X", len, "x", 1));
    TEXT_FOR(name, wsabi_options_add_header, (options, text, len, "x", 1));
    NULL_FOR(value, wsabi_options_add_header, (options, "X", 1, NULL, 1));
    LENGTHS_FOR(value, wsabi_options_add_header, (options, "X", 1, "x", len));
    TEXT_FOR(value, wsabi_options_add_header, (options, "X", 1, text, len));
    NULL_FOR(cert_pem, wsabi_options_set_tls_identity, (options, NULL, 1, key_pem, none));
    LENGTHS_FOR(cert_pem, wsabi_options_set_tls_identity, (options, "a", len, key_pem, none));
    TEXT_FOR(cert_pem, wsabi_options_set_tls_identity, (options, text, len, key_pem, none));
    NULL_FOR(key_pem, wsabi_options_set_tls_identity, (options, cert_pem, none, NULL, 1));
    LENGTHS_FOR(key_pem, wsabi_options_set_tls_identity, (options, cert_pem, none, "a", len));
    TEXT_FOR(key_pem, wsabi_options_set_tls_identity, (options, cert_pem, none, text, len));
}

static void numbers_of_options(wsabi_options options)
{
    NUMBERS_FOR(kind, wsabi_options_on_event, (options, number, record_event));
    NUMBERS_FOR(ask, wsabi_options_set_requests, (options, number));
    NUMBERS_FOR(on, wsabi_options_set_reuse_port, (options, number));
    NUMBERS_FOR(on, wsabi_options_set_compression, (options, number));
    NUMBERS_FOR(level, wsabi_options_set_compression_level, (options, number));
    NUMBERS_FOR(client_bits, wsabi_options_set_compression_window, (options, number, 15));
    NUMBERS_FOR(server_bits, wsabi_options_set_compression_window, (options, 15, number));
    NUMBERS_FOR(client, wsabi_options_set_compression_takeover, (options, number, 1));
    NUMBERS_FOR(server, wsabi_options_set_compression_takeover, (options, 1, number));
    NUMBERS_FOR(verify, wsabi_options_set_tls_verify_dangerously, (options, number));
    NUMBERS_FOR(on, wsabi_options_set_tls_resumption, (options, number));
    NUMBERS_FOR(on, wsabi_options_set_tls_key_log, (options, number));
    NUMBERS_FOR(policy, wsabi_options_set_slow_subscribers, (options, number));
}

static void arguments_that_make_something(wsabi_runtime runtime, wsabi_options options)
{
    const char *url = "ws://127.0.0.1:1/";
    NULL_FOR(url, wsabi_socket_connect, (runtime, NULL, 1, options, NULL, &made));
    LENGTHS_FOR(url, wsabi_socket_connect, (runtime, url, len, options, NULL, &made));
    TEXT_FOR(url, wsabi_socket_connect, (runtime, text, len, options, NULL, &made));
    NULL_FOR(socket_out, wsabi_socket_connect, (runtime, url, 17, options, NULL, NULL));
    NULL_FOR(url, wsabi_server_listen, (runtime, NULL, 1, options, NULL, &made));
    LENGTHS_FOR(url, wsabi_server_listen, (runtime, anywhere, len, options, NULL, &made));
    TEXT_FOR(url, wsabi_server_listen, (runtime, text, len, options, NULL, &made));
    NULL_FOR(server_out, wsabi_server_listen, (runtime, anywhere, 17, options, NULL, NULL));
    CHECK(made == 0);
}

static wsabi_socket without_user_data;

static void accept_without_user_data(const wsabi_event *event, void *user_data)
{
    wsabi_request request = event->handle;
    CHECK(user_data == NULL);
    NULL_FINE(user_data, wsabi_request_accept, (request, NULL, 0, NULL, &without_user_data));
}

static void pointers_of_user_data(void)
{
    const int64_t until = now_ms() + (int64_t)DEADLINE_MS * slowness();
    wsabi_runtime runtime = 0;
    wsabi_options options = 0;
    wsabi_server server = 0;
    wsabi_socket socket = 0;
    int fd;
    CHECK_OK(wsabi_runtime_new(0, WSABI_DELIVER_ON_POLL, &runtime));
    CHECK_OK(wsabi_options_new(&options));
    CHECK_OK(wsabi_options_on_event(options, WSABI_EVENT_REQUEST, accept_without_user_data));
    NULL_FINE(user_data, wsabi_socket_connect, (runtime, "ws://[::1]:1/", 13, 0, NULL, &socket));
    NULL_FINE(user_data, wsabi_socket_set_user_data, (socket, NULL));
    NULL_FINE(user_data, wsabi_server_listen, (runtime, anywhere, 17, options, NULL, &server));
    fd = raw_connect(wsabi_server_port(server));
    raw_request_upgrade(fd);
    while (without_user_data == 0)
        CHECK(wsabi_runtime_poll(runtime, 0, 1) >= 0 && now_ms() < until);
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
    close(fd);
}

static void arguments_of_messages(wsabi_socket socket)
{
    NULL_FOR(text, wsabi_socket_send_text, (socket, NULL, 1));
    NULL_FOR(text, wsabi_socket_send_text, (socket, NULL, SIZE_MAX));
    LENGTHS_FOR(text, wsabi_socket_send_text, (socket, "a", len));
    UTF8_FOR(text, wsabi_socket_send_text, (socket, text, len));
    NULL_FOR(data, wsabi_socket_send_binary, (socket, NULL, 1));
    LENGTHS_FOR(data, wsabi_socket_send_binary, (socket, "a", len));
    NULL_FOR(messages, wsabi_socket_send_many, (socket, NULL, 1));
    NULL_FOR(messages, wsabi_socket_send_many, (socket, NULL, INT32_MAX));
    NULL_FOR(data, wsabi_socket_send_fragment, (socket, WSABI_TEXT, NULL, 1, 1));
    LENGTHS_FOR(data, wsabi_socket_send_fragment, (socket, WSABI_BINARY, "a", len, 1));
    UTF8_FOR(data, wsabi_socket_send_fragment, (socket, WSABI_TEXT, text, len, 1));
    NUMBERS_FOR(type, wsabi_socket_send_fragment, (socket, number, "a", 1, 1));
    NUMBERS_FOR(fin, wsabi_socket_send_fragment, (socket, WSABI_TEXT, "a", 1, number));
    NULL_FOR(data, wsabi_socket_ping, (socket, NULL, 1));
    LENGTHS_FOR(data, wsabi_socket_ping, (socket, "a", len));
    NUMBERS_FOR(code, wsabi_socket_close, (socket, number, NULL, 0));
    NULL_FOR(reason, wsabi_socket_close, (socket, 1000, NULL, 1));
    LENGTHS_FOR(reason, wsabi_socket_close, (socket, 1000, "a", len));
    UTF8_FOR(reason, wsabi_socket_close, (socket, 1000, text, len));
}

static void arguments_of_sockets(wsabi_socket socket)
{
    char buf[8];
    NULL_FOR(name, wsabi_socket_set_header, (socket, NULL, 1, "b", 1));
    LENGTHS_FOR(name, wsabi_socket_set_header, (socket, "a", len, "b", 1));
    TEXT_FOR(name, wsabi_socket_set_header, (socket, text, len, "b", 1));
    NULL_FOR(value, wsabi_socket_set_header, (socket, "a", 1, NULL, 1));
    LENGTHS_FOR(value, wsabi_socket_set_header, (socket, "a", 1, "b", len));
    TEXT_FOR(value, wsabi_socket_set_header, (socket, "a", 1, text, len));
    NULL_FOR(url, wsabi_socket_set_url, (socket, NULL, 1));
    LENGTHS_FOR(url, wsabi_socket_set_url, (socket, "ws://a/", len));
    TEXT_FOR(url, wsabi_socket_set_url, (socket, text, len));
    NUMBERS_FOR(fact, wsabi_socket_fact, (socket, number, buf, sizeof buf));
    NULL_FOR(buf, wsabi_socket_fact, (socket, WSABI_FACT_URL, NULL, 1));
    LENGTHS_FOR(cap, wsabi_socket_fact, (socket, WSABI_FACT_URL, buf, len));
    NULL_FOR(name, wsabi_socket_response_header, (socket, NULL, 1, buf, sizeof buf));
    LENGTHS_FOR(name, wsabi_socket_response_header, (socket, "a", len, buf, sizeof buf));
    TEXT_FOR(name, wsabi_socket_response_header, (socket, text, len, buf, sizeof buf));
    NULL_FOR(buf, wsabi_socket_response_header, (socket, "Upgrade", 7, NULL, 1));
    LENGTHS_FOR(cap, wsabi_socket_response_header, (socket, "Upgrade", 7, buf, len));
    NULL_FOR(stats, wsabi_socket_stats, (socket, NULL));
}

static void arguments_of_publishing(wsabi_server server, wsabi_socket end)
{
    NULL_FOR(topic, wsabi_server_publish, (server, NULL, 1, WSABI_TEXT, "a", 1));
    LENGTHS_FOR(topic, wsabi_server_publish, (server, "a", len, WSABI_TEXT, "a", 1));
    TEXT_FOR(topic, wsabi_server_publish, (server, text, len, WSABI_TEXT, "a", 1));
    NUMBERS_FOR(type, wsabi_server_publish, (server, NULL, 0, number, "a", 1));
    NULL_FOR(data, wsabi_server_publish, (server, NULL, 0, WSABI_BINARY, NULL, 1));
    LENGTHS_FOR(data, wsabi_server_publish, (server, NULL, 0, WSABI_BINARY, "a", len));
    UTF8_FOR(data, wsabi_server_publish, (server, NULL, 0, WSABI_TEXT, text, len));
    NULL_FOR(topic, wsabi_socket_subscribe, (end, NULL, 1));
    LENGTHS_FOR(topic, wsabi_socket_subscribe, (end, "a", len));
    TEXT_FOR(topic, wsabi_socket_subscribe, (end, text, len));
    NULL_FOR(topic, wsabi_socket_unsubscribe, (end, NULL, 1));
    LENGTHS_FOR(topic, wsabi_socket_unsubscribe, (end, "a", len));
    TEXT_FOR(topic, wsabi_socket_unsubscribe, (end, text, len));
}

static void arguments_of_requests(wsabi_request request)
{
    char buf[8];
    NULL_FOR(buf, wsabi_request_target, (request, NULL, 1));
    LENGTHS_FOR(cap, wsabi_request_target, (request, buf, len));
    NULL_FOR(name, wsabi_request_header, (request, NULL, 1, buf, sizeof buf));
    LENGTHS_FOR(name, wsabi_request_header, (request, "a", len, buf, sizeof buf));
    TEXT_FOR(name, wsabi_request_header, (request, text, len, buf, sizeof buf));
    NULL_FOR(buf, wsabi_request_header, (request, "Host", 4, NULL, 1));
    LENGTHS_FOR(cap, wsabi_request_header, (request, "Host", 4, buf, len));
    NULL_FOR(buf, wsabi_request_peer_address, (request, NULL, 1));
    LENGTHS_FOR(cap, wsabi_request_peer_address, (request, buf, len));
    NULL_FOR(name, wsabi_request_add_header, (request, NULL, 1, "x", 1));
    LENGTHS_FOR(name, wsabi_request_add_header, (request, "X", len, "x", 1));
    TEXT_FOR(name, wsabi_request_add_header, (request, text, len, "x", 1));
    NULL_FOR(value, wsabi_request_add_header, (request, "X", 1, NULL, 1));
    LENGTHS_FOR(value, wsabi_request_add_header, (request, "X", 1, "x", len));
    TEXT_FOR(value, wsabi_request_add_header, (request, "X", 1, text, len));
    NULL_FOR(subprotocol, wsabi_request_accept, (request, NULL, 1, NULL, &made));
    LENGTHS_FOR(subprotocol, wsabi_request_accept, (request, "a", len, NULL, &made));
    TEXT_FOR(subprotocol, wsabi_request_accept, (request, text, len, NULL, &made));
    NULL_FOR(socket_out, wsabi_request_accept, (request, NULL, 0, NULL, NULL));
    NUMBERS_FOR(http_status, wsabi_request_reject, (request, number, "no", 2));
    NULL_FOR(body, wsabi_request_reject, (request, 403, NULL, 1));
    LENGTHS_FOR(body, wsabi_request_reject, (request, 403, "a", len));
    UTF8_FOR(body, wsabi_request_reject, (request, 403, text, len));
    CHECK(made == 0);
}

/* The head of a request that is made with `options`, without its key. */
static void request_head(wsabi_runtime runtime, wsabi_options options, char *head, size_t cap)
{
    int port, fd, listener = raw_listen(&port);
    char *key, url[64];
    wsabi_socket socket = 0;
    recorder seen;
    recorder_init(&seen);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
    CHECK_OK(wsabi_socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, &seen, &socket));
    fd = raw_accept(listener);
    raw_receive_head(fd, head, cap);
    key = strstr(head, "Sec-WebSocket-Key: ");
    CHECK(key != NULL);
    memset(key, 'k', strcspn(key, "\r"));
    /* It changes with each server. */
    key = strstr(head, "Host: ");
    CHECK(key != NULL);
    memset(key, 'h', strcspn(key, "\r"));
    CHECK_OK(wsabi_socket_release(socket));
    wait_for_releases(&seen, 1);
    recorder_free(&seen);
    close(fd);
    close(listener);
}

int main(void)
{
    static char before[4096], after[4096];
    char room[64];
    living it;
    living_init(&it);
    arguments_of_the_process();
    arguments_of_runtimes();
    pointers_of_handlers();
    request_head(it.handles[RUNTIME], it.handles[OPTIONS], before, sizeof before);
    pointers_of_options(it.handles[OPTIONS]);
    numbers_of_options(it.handles[OPTIONS]);
    arguments_that_make_something(it.handles[RUNTIME], it.handles[OPTIONS]);
    request_head(it.handles[RUNTIME], it.handles[OPTIONS], after, sizeof after);
    CHECK(strcmp(before, after) == 0);
    pointers_of_user_data();
    arguments_of_messages(it.handles[SOCKET]);
    arguments_of_sockets(it.handles[SOCKET]);
    arguments_of_publishing(it.handles[SERVER], accepted(&it.pair));
    arguments_of_requests(it.handles[REQUEST]);
    CHECK(wsabi_socket_ready_state(it.handles[SOCKET]) == WSABI_OPEN);
    CHECK(wsabi_request_target(it.handles[REQUEST], room, sizeof room) == 1);
    living_end(&it);
    return 0;
}
