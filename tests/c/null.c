/* NULL and bad arguments for every pointer of every function: a status at once, a sentence that
 * names what was wrong, no handle, no event, no release, and nothing on the wire. */
#include "pair.h"

#include "certificate.h"
#include "raw_peer.h"

/* Lengths that no memory has. WSABI_NUL_TERMINATED, which is SIZE_MAX, is not one of them. */
static const size_t huge[] = {SIZE_MAX - 1, SIZE_MAX / 2 + 1};

static const char *const not_utf8[] = {
    "\x80",          "\xFF",         "\xC0\x80",         "\xC3",
    "\xE2\x82",      "\xE2\x28\xA1", "\xED\xA0\x80",     "\xF0\x9F\x98",
    "\xF0\x28\x8C\xBC", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "plain, then \xFE",
};

/* Ends the program unless `call` fails with `status` and a sentence that has `word` in it. */
#define REFUSED(status, word, call) refused(__LINE__, #call, (status), (word), (call))

static void refused(int line, const char *call, int64_t expected, const char *word, int64_t status)
{
    const char *sentence = wsabi_last_error();
    check_status(__FILE__, line, call, expected, status);
    if (sentence[0] != 0 && strstr(sentence, word) != NULL)
        return;
    fprintf(stderr, "null.c:%d: %s: no \"%s\" in \"%s\"\n", line, call, word, sentence);
    _Exit(1);
}

static void runtime_arguments(void)
{
    wsabi_runtime runtime = 77;
    REFUSED(WSABI_ERR_ARGUMENT, "runtime_out", wsabi_runtime_new(1, 0, NULL));
    REFUSED(WSABI_ERR_ARGUMENT, "0", wsabi_runtime_new(0, WSABI_DELIVER_ON_THREADS, &runtime));
    REFUSED(WSABI_ERR_ARGUMENT, "65", wsabi_runtime_new(65, WSABI_DELIVER_ON_THREADS, &runtime));
    REFUSED(WSABI_ERR_ARGUMENT, "4294967295", wsabi_runtime_new(UINT32_MAX, 0, &runtime));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_runtime_new(1, 2, &runtime));
    REFUSED(WSABI_ERR_ARGUMENT, "-1", wsabi_runtime_new(1, -1, &runtime));
    CHECK(runtime == 77 || runtime == 0);

    wsabi_event event;
    const uint32_t size = sizeof event;
    size_t bytes = 0;
    CHECK_OK(wsabi_runtime_new(0, WSABI_DELIVER_ON_POLL, &runtime));
    REFUSED(WSABI_ERR_ARGUMENT, "timeout_ms", wsabi_runtime_poll(runtime, 0, -2));
    REFUSED(WSABI_ERR_ARGUMENT, "events", wsabi_runtime_next_events(runtime, NULL, size, 1, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "63", wsabi_runtime_next_events(runtime, &event, 63, 1, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "68", wsabi_runtime_next_events(runtime, &event, 68, 1, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "buf", wsabi_runtime_next_packed(runtime, NULL, 1, 0, &bytes));
    REFUSED(WSABI_ERR_ARGUMENT, "bytes_out", wsabi_runtime_next_packed(runtime, NULL, 0, 0, NULL));
    REFUSED(WSABI_ERR_ARGUMENT, "buf", wsabi_runtime_next_pickled(runtime, NULL, 1, 0, &bytes));
    REFUSED(WSABI_ERR_ARGUMENT, "bytes_out", wsabi_runtime_next_pickled(runtime, NULL, 0, 0, NULL));
    REFUSED(WSABI_ERR_ARGUMENT, "fd_out", wsabi_runtime_fd(runtime, NULL));
    REFUSED(WSABI_ERR_STATE, "threads", wsabi_runtime_on_ready(runtime, NULL, NULL));
    CHECK_STATUS(0, wsabi_runtime_next_events(runtime, NULL, size, 0, 0));
    CHECK_OK(wsabi_runtime_free(runtime));
    REFUSED(WSABI_ERR_STATE, "threads", wsabi_runtime_poll(0, 0, 0));
    REFUSED(WSABI_ERR_STATE, "threads", wsabi_runtime_wake(0));
}

static void log_and_hook_arguments(void)
{
    REFUSED(WSABI_ERR_ARGUMENT, "6", wsabi_set_log_handler(6, NULL, NULL));
    REFUSED(WSABI_ERR_ARGUMENT, "-1", wsabi_set_log_handler(-1, NULL, NULL));
    CHECK_OK(wsabi_set_log_handler(1, NULL, NULL));
    CHECK_OK(wsabi_set_thread_hooks(NULL, NULL, NULL));
}

static void handler_arguments(wsabi_options options)
{
    wsabi_options clone = 77;
    REFUSED(WSABI_ERR_ARGUMENT, "options_out", wsabi_options_new(NULL));
    REFUSED(WSABI_ERR_ARGUMENT, "options_out", wsabi_options_clone(options, NULL));
    REFUSED(WSABI_ERR_ARGUMENT, "-1", wsabi_options_on_event(options, -1, record_event));
    REFUSED(WSABI_ERR_ARGUMENT, "99", wsabi_options_on_event(options, 99, record_event));
    /* NULL means none. */
    CHECK_OK(wsabi_options_clone(options, &clone));
    CHECK_OK(wsabi_options_on_open(clone, NULL));
    CHECK_OK(wsabi_options_on_message(clone, NULL));
    CHECK_OK(wsabi_options_on_error(clone, NULL));
    CHECK_OK(wsabi_options_on_close(clone, NULL));
    CHECK_OK(wsabi_options_on_event(clone, 0, NULL));
    CHECK_OK(wsabi_options_on_release(clone, NULL));
    CHECK_OK(wsabi_options_free(clone));
}

static void subprotocol_arguments(wsabi_options options)
{
    static const char *const bad[] = {"",    "a b", "a,b", "/echo", "a;b", "\"a\"", "a=b", "(a)",
                                      "a@b", "a\t", "{",   "\x7F",  "a:b", "[a]",   "a\r\nb"};
    size_t i;
    for (i = 0; i < COUNT_OF(bad); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "subprotocol",
                wsabi_options_add_subprotocol(options, bad[i], WSABI_NUL_TERMINATED));
    REFUSED(WSABI_ERR_ARGUMENT, "name", wsabi_options_add_subprotocol(options, NULL, 4));
    REFUSED(WSABI_ERR_ARGUMENT, "name",
            wsabi_options_add_subprotocol(options, NULL, WSABI_NUL_TERMINATED));
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_add_subprotocol(options, NULL, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_add_subprotocol(options, "a\0b", 3));
    CHECK_OK(wsabi_options_add_subprotocol(options, "chat", 4));
    REFUSED(WSABI_ERR_ARGUMENT, "CHAT", wsabi_options_add_subprotocol(options, "CHAT", 4));
    for (i = 0; i < COUNT_OF(not_utf8); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "UTF-8",
                wsabi_options_add_subprotocol(options, not_utf8[i], WSABI_NUL_TERMINATED));
    for (i = 0; i < COUNT_OF(huge); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "name", wsabi_options_add_subprotocol(options, "a", huge[i]));
}

static void header_arguments(wsabi_options options)
{
    static const char *const names[] = {"", "a b", "a:", "a\r\nb", "a\n", "(a)", "\xC3\xA4"};
    static const char *const values[] = {"a\r\nb", "a\nb", "a\r", "\n", "a\x01" "b", "\x7F"};
    static const char *const owned[] = {
        "Host",       "upgrade",           "CONNECTION",        "Sec-WebSocket-Key",
        "Sec-WebSocket-Accept", "sec-websocket-version", "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding"};
    size_t i;
    for (i = 0; i < COUNT_OF(names); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "header name",
                wsabi_options_add_header(options, names[i], WSABI_NUL_TERMINATED, "x", 1));
    for (i = 0; i < COUNT_OF(values); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "header value",
                wsabi_options_add_header(options, "X", 1, values[i], WSABI_NUL_TERMINATED));
    for (i = 0; i < COUNT_OF(owned); i++)
        REFUSED(WSABI_ERR_ARGUMENT, owned[i],
                wsabi_options_add_header(options, owned[i], WSABI_NUL_TERMINATED, "x", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "value",
            wsabi_options_add_header(options, "X", 1, "a\0b", 3));
    REFUSED(WSABI_ERR_ARGUMENT, "name", wsabi_options_add_header(options, NULL, 1, "x", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "value", wsabi_options_add_header(options, "X", 1, NULL, 1));
    for (i = 0; i < COUNT_OF(huge); i++) {
        REFUSED(WSABI_ERR_ARGUMENT, "name", wsabi_options_add_header(options, "X", huge[i], "", 0));
        REFUSED(WSABI_ERR_ARGUMENT, "value",
                wsabi_options_add_header(options, "X", 1, "", huge[i]));
    }
    for (i = 0; i < COUNT_OF(not_utf8); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "UTF-8",
                wsabi_options_add_header(options, "X", 1, not_utf8[i], WSABI_NUL_TERMINATED));
}

static void text_and_number_arguments(wsabi_options options)
{
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_origin(options, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_origin(options, "a\r\nb", 4));
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8", wsabi_options_set_origin(options, "\xFF", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_origin(options, "a", huge[0]));
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_user_agent(options, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_user_agent(options, "a\nb", 3));
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8", wsabi_options_set_user_agent(options, "\xFF", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_user_agent(options, "a", huge[0]));
    REFUSED(WSABI_ERR_ARGUMENT, "max_message", wsabi_options_set_max_message(options, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "max_buffered", wsabi_options_set_max_buffered(options, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "backlog", wsabi_options_set_backlog(options, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_options_set_reuse_port(options, 2));
    REFUSED(WSABI_ERR_ARGUMENT, "-1", wsabi_options_set_reuse_port(options, -1));
    CHECK_OK(wsabi_options_set_backlog(options, UINT32_MAX));
    CHECK_OK(wsabi_options_set_reuse_port(options, 1));
    CHECK_OK(wsabi_options_set_reuse_port(options, 0));
}

static void compression_arguments(wsabi_options options)
{
    static const int32_t bad[] = {-1, 0, 16, INT32_MAX, INT32_MIN};
    size_t i;
    for (i = 0; i < COUNT_OF(bad); i++) {
        REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_compression_level(options, bad[i]));
        REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_compression_window(options, bad[i], 15));
        REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_compression_window(options, 15, bad[i]));
    }
    REFUSED(WSABI_ERR_ARGUMENT, "10", wsabi_options_set_compression_level(options, 10));
    REFUSED(WSABI_ERR_ARGUMENT, "8", wsabi_options_set_compression_window(options, 8, 15));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_options_set_compression(options, 2));
    REFUSED(WSABI_ERR_ARGUMENT, "-1", wsabi_options_set_compression(options, -1));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_options_set_compression_takeover(options, 2, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_options_set_compression_takeover(options, 0, 2));
}

/* The parameter `name` of a setter of one text: NULL, too long, not UTF-8, with a NUL inside. */
static void one_text(int32_t (*set)(wsabi_options, const char *, size_t), const char *name,
                     wsabi_options options)
{
    size_t i;
    circumstance = name;
    REFUSED(WSABI_ERR_ARGUMENT, name, set(options, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, name, set(options, NULL, WSABI_NUL_TERMINATED));
    REFUSED(WSABI_ERR_ARGUMENT, "NUL", set(options, "a\0b", 3));
    for (i = 0; i < COUNT_OF(huge); i++)
        REFUSED(WSABI_ERR_ARGUMENT, name, set(options, "a", huge[i]));
    for (i = 0; i < COUNT_OF(not_utf8); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "UTF-8", set(options, not_utf8[i], WSABI_NUL_TERMINATED));
    circumstance = "";
}

static void way_arguments(wsabi_options options)
{
    static const char *const proxies[] = {"ftp://a/", "http://", "http://a b", "socks4://a",
                                          "http://a:99999", "http://a/path"};
    size_t i;
    one_text(wsabi_options_set_basic_auth, "credentials", options);
    one_text(wsabi_options_set_proxy, "proxy", options);
    REFUSED(WSABI_ERR_ARGUMENT, "colon", wsabi_options_set_basic_auth(options, "secret", 6));
    CHECK(strstr(wsabi_last_error(), "secret") == NULL);
    REFUSED(WSABI_ERR_ARGUMENT, "control", wsabi_options_set_basic_auth(options, "a:b\r\n", 5));
    for (i = 0; i < COUNT_OF(proxies); i++)
        REFUSED(WSABI_ERR_URL, "proxy",
                wsabi_options_set_proxy(options, proxies[i], WSABI_NUL_TERMINATED));
    REFUSED(WSABI_ERR_URL, "", wsabi_options_set_proxy(options, "http://me:secret@", 17));
    CHECK(strstr(wsabi_last_error(), "secret") == NULL);
    REFUSED(WSABI_ERR_ARGUMENT, "21", wsabi_options_set_max_redirects(options, 21));
    REFUSED(WSABI_ERR_ARGUMENT, "", wsabi_options_set_max_redirects(options, UINT32_MAX));
    REFUSED(WSABI_ERR_ARGUMENT, "min", wsabi_options_set_reconnect(options, 0, 1, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "min", wsabi_options_set_reconnect(options, 0, 0, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_options_set_reconnect(options, 2, 1, 0));
    /* The limits themselves, and off. */
    CHECK_OK(wsabi_options_set_basic_auth(options, NULL, 0));
    CHECK_OK(wsabi_options_set_proxy(options, "env", 3));
    CHECK_OK(wsabi_options_set_proxy(options, NULL, 0));
    CHECK_OK(wsabi_options_set_max_redirects(options, 20));
    CHECK_OK(wsabi_options_set_max_redirects(options, 0));
    CHECK_OK(wsabi_options_set_reconnect(options, 1, UINT32_MAX, UINT32_MAX));
    CHECK_OK(wsabi_options_set_reconnect(options, 0, 0, 0));
}

static int32_t set_cert(wsabi_options options, const char *pem, size_t len)
{
    return wsabi_options_set_tls_identity(options, pem, len, key_pem, WSABI_NUL_TERMINATED);
}

static int32_t set_key(wsabi_options options, const char *pem, size_t len)
{
    return wsabi_options_set_tls_identity(options, cert_pem, WSABI_NUL_TERMINATED, pem, len);
}

static void tls_text_arguments(wsabi_options options)
{
    static const char *const names[] = {"a b", "https://a/", "a:1", "-", "a..b", "\xC3\xA4"};
    static const char *const pins[] = {"", "sha256//", "AAAA", "!",
                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    size_t i, none = WSABI_NUL_TERMINATED;
    one_text(wsabi_options_set_tls_ca, "pem", options);
    one_text(wsabi_options_add_tls_ca, "pem", options);
    one_text(wsabi_options_set_tls_client_ca, "pem", options);
    one_text(set_cert, "cert_pem", options);
    one_text(set_key, "key_pem", options);
    one_text(wsabi_options_set_tls_server_name, "name", options);
    one_text(wsabi_options_add_tls_pin, "pin", options);
    for (i = 0; i < COUNT_OF(names); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "server name",
                wsabi_options_set_tls_server_name(options, names[i], none));
    for (i = 0; i < COUNT_OF(pins); i++)
        REFUSED(WSABI_ERR_ARGUMENT, pins[i], wsabi_options_add_tls_pin(options, pins[i], none));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_options_set_tls_verify_dangerously(options, 2));
    REFUSED(WSABI_ERR_ARGUMENT, "-1", wsabi_options_set_tls_resumption(options, -1));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_options_set_tls_key_log(options, 2));
}

static void tls_certificate_arguments(wsabi_options options)
{
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    const char *bad[4];
    size_t i, none = WSABI_NUL_TERMINATED;
    bad[0] = "no PEM at all";
    bad[1] = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    bad[2] = broken;
    bad[3] = key_pem;
    for (i = 0; i < COUNT_OF(bad); i++) {
        REFUSED(WSABI_ERR_ARGUMENT, "pem", wsabi_options_set_tls_ca(options, bad[i], none));
        REFUSED(WSABI_ERR_ARGUMENT, "pem", wsabi_options_add_tls_ca(options, bad[i], none));
        REFUSED(WSABI_ERR_ARGUMENT, "pem", wsabi_options_set_tls_client_ca(options, bad[i], none));
        REFUSED(WSABI_ERR_ARGUMENT, "cert_pem", set_cert(options, bad[i], none));
    }
    REFUSED(WSABI_ERR_ARGUMENT, "pem", wsabi_options_add_tls_ca(options, "", 0));
    REFUSED(WSABI_ERR_ARGUMENT, "cert_pem", set_cert(options, "", 0));
    REFUSED(WSABI_ERR_ARGUMENT, "key_pem", set_key(options, "", 0));
    REFUSED(WSABI_ERR_ARGUMENT, "key_pem", set_key(options, cert_pem, none));
    REFUSED(WSABI_ERR_ARGUMENT, "does not belong", set_key(options, other_key_pem, none));
    /* What is fine, and then nothing again. */
    CHECK_OK(wsabi_options_set_tls_identity(options, cert_pem, none, key_pem, none));
    CHECK_OK(wsabi_options_set_tls_identity(options, NULL, 0, NULL, 0));
    CHECK_OK(wsabi_options_set_tls_client_ca(options, cert_pem, none));
    CHECK_OK(wsabi_options_set_tls_client_ca(options, NULL, 0));
    CHECK_OK(wsabi_options_add_tls_ca(options, cert_pem, none));
    CHECK_OK(wsabi_options_set_tls_ca(options, cert_pem, none));
    CHECK_OK(wsabi_options_set_tls_ca(options, NULL, 0));
    CHECK_OK(wsabi_options_set_tls_server_name(options, "127.0.0.1", none));
    CHECK_OK(wsabi_options_set_tls_server_name(options, NULL, 0));
}

static void connect_arguments(wsabi_runtime runtime, wsabi_options options, recorder *user_data)
{
    static const char *const bad[] = {
        "",           "ws://",          "ws:///",      "ws://foo bar.com/", "ftp://localhost/",
        "mailto:a",   "localhost",      "/relative",   "ws://localhost/#",  "ws://localhost/#a",
        "//host/",    "ws://h:65536/",  "ws://h:x/",   "ws://[::1/",        "file:///etc/passwd",
        "ws://%/",    "ws://a<b/",      "javascript:", "ws://localhost#",   "ws://1.2.3.256/",
    };
    wsabi_socket socket = 77;
    size_t i, none = WSABI_NUL_TERMINATED;
    for (i = 0; i < COUNT_OF(bad); i++)
        REFUSED(WSABI_ERR_URL, bad[i],
                wsabi_socket_connect(runtime, bad[i], none, options, user_data, &socket));
    REFUSED(WSABI_ERR_ARGUMENT, "url",
            wsabi_socket_connect(runtime, "ws://a\0b/", 9, options, user_data, &socket));
    REFUSED(WSABI_ERR_URL, "", wsabi_socket_connect(runtime, NULL, 0, options, user_data, &socket));
    REFUSED(WSABI_ERR_ARGUMENT, "url",
            wsabi_socket_connect(runtime, NULL, 4, options, user_data, &socket));
    REFUSED(WSABI_ERR_ARGUMENT, "url",
            wsabi_socket_connect(runtime, NULL, none, options, user_data, &socket));
    for (i = 0; i < COUNT_OF(huge); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "url",
                wsabi_socket_connect(runtime, "ws://h/", huge[i], options, user_data, &socket));
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8",
            wsabi_socket_connect(runtime, "ws://\xFF/", none, options, user_data, &socket));
    CHECK(socket == 77 || socket == 0);
}

static void listen_arguments(wsabi_runtime runtime, wsabi_options options, recorder *user_data)
{
    static const char *const bad[] = {"", "ws://", "ftp://127.0.0.1:0/", "127.0.0.1:0",
                                      "ws://127.0.0.1:99999/", "ws://127.0.0.1:0/#a"};
    wsabi_server server = 77;
    size_t i, none = WSABI_NUL_TERMINATED;
    for (i = 0; i < COUNT_OF(bad); i++)
        REFUSED(WSABI_ERR_URL, bad[i],
                wsabi_server_listen(runtime, bad[i], none, options, user_data, &server));
    REFUSED(WSABI_ERR_ARGUMENT, "url",
            wsabi_server_listen(runtime, NULL, 4, options, user_data, &server));
    REFUSED(WSABI_ERR_ARGUMENT, "url",
            wsabi_server_listen(runtime, "ws://h/", huge[0], options, user_data, &server));
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8",
            wsabi_server_listen(runtime, "ws://\xFF/", none, options, user_data, &server));
    REFUSED(WSABI_ERR_ARGUMENT, "server_out",
            wsabi_server_listen(runtime, "ws://127.0.0.1:0/", none, options, user_data, NULL));
    CHECK(server == 77 || server == 0);
}

static void a_refused_connect_reaches_nobody(void)
{
    wsabi_runtime runtime = new_runtime();
    wsabi_options options = recording_options();
    wsabi_socket socket = 0;
    recorder never;
    char url[64];
    int port, listener = raw_listen(&port);
    recorder_init(&never);
    connect_arguments(runtime, options, &never);
    listen_arguments(runtime, options, &never);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
    REFUSED(WSABI_ERR_ARGUMENT, "socket_out",
            wsabi_socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, &never, NULL));
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/#x", port);
    REFUSED(WSABI_ERR_URL, "#x",
            wsabi_socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, &never, &socket));
    CHECK(socket == 0);
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
    CHECK(raw_nobody_waits(listener));
    CHECK_EVENTS(&never, "");
    CHECK(count_releases(&never) == 0);
    close(listener);
    recorder_free(&never);
}

static void send_arguments(wsabi_socket socket)
{
    static const char ping[126] = "one byte more than fits into a ping";
    size_t i, none = WSABI_NUL_TERMINATED;
    REFUSED(WSABI_ERR_ARGUMENT, "text", wsabi_socket_send_text(socket, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "text", wsabi_socket_send_text(socket, NULL, none));
    REFUSED(WSABI_ERR_ARGUMENT, "data", wsabi_socket_send_binary(socket, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "data", wsabi_socket_ping(socket, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "126", wsabi_socket_ping(socket, ping, sizeof ping));
    REFUSED(WSABI_ERR_ARGUMENT, "data",
            wsabi_socket_send_fragment(socket, WSABI_BINARY, NULL, 1, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "0", wsabi_socket_send_fragment(socket, 0, "a", 1, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "3", wsabi_socket_send_fragment(socket, 3, "a", 1, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "-1", wsabi_socket_send_fragment(socket, -1, "a", 1, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "2", wsabi_socket_send_fragment(socket, WSABI_TEXT, "a", 1, 2));
    for (i = 0; i < COUNT_OF(huge); i++) {
        REFUSED(WSABI_ERR_ARGUMENT, "text", wsabi_socket_send_text(socket, "a", huge[i]));
        REFUSED(WSABI_ERR_ARGUMENT, "data", wsabi_socket_send_binary(socket, "a", huge[i]));
        REFUSED(WSABI_ERR_ARGUMENT, "data", wsabi_socket_ping(socket, "a", huge[i]));
        REFUSED(WSABI_ERR_ARGUMENT, "data",
                wsabi_socket_send_fragment(socket, WSABI_BINARY, "a", huge[i], 1));
    }
    for (i = 0; i < COUNT_OF(not_utf8); i++) {
        REFUSED(WSABI_ERR_ARGUMENT, "UTF-8", wsabi_socket_send_text(socket, not_utf8[i], none));
        REFUSED(WSABI_ERR_ARGUMENT, "UTF-8",
                wsabi_socket_send_fragment(socket, WSABI_TEXT, not_utf8[i],
                                           strlen(not_utf8[i]), 1));
    }
}

static void send_many_arguments(wsabi_socket socket)
{
    wsabi_message message = {NULL, 1, WSABI_BINARY, 0};
    REFUSED(WSABI_ERR_ARGUMENT, "messages", wsabi_socket_send_many(socket, NULL, 1));
    CHECK_STATUS(0, wsabi_socket_send_many(socket, NULL, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "data", wsabi_socket_send_many(socket, &message, 1));
    message.data = "\xFF";
    message.len = huge[0];
    REFUSED(WSABI_ERR_ARGUMENT, "data", wsabi_socket_send_many(socket, &message, 1));
    message.len = 1;
    message.type = WSABI_TEXT;
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8", wsabi_socket_send_many(socket, &message, 1));
    message.type = 3;
    REFUSED(WSABI_ERR_ARGUMENT, "3", wsabi_socket_send_many(socket, &message, 1));
    message.type = WSABI_BINARY;
    message.reserved = 7;
    REFUSED(WSABI_ERR_ARGUMENT, "7", wsabi_socket_send_many(socket, &message, 1));
}

static void close_arguments(wsabi_socket socket)
{
    static const int32_t bad[] = {1,    2,    999,  1004, 1005, 1006,  1015,
                                  1016, 1999, 2000, 2999, 5000, 65535, 65536,
                                  -1,   66536, INT32_MAX, INT32_MIN};
    char reason[125];
    char code[16];
    size_t i;
    memset(reason, 'r', sizeof reason);
    for (i = 0; i < COUNT_OF(bad); i++) {
        snprintf(code, sizeof code, "%d", (int)bad[i]);
        REFUSED(WSABI_ERR_ARGUMENT, code, wsabi_socket_close(socket, bad[i], "", 0));
    }
    REFUSED(WSABI_ERR_ARGUMENT, "124", wsabi_socket_close(socket, 1000, reason, 124));
    REFUSED(WSABI_ERR_ARGUMENT, "reason", wsabi_socket_close(socket, 1000, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "reason", wsabi_socket_close(socket, 1000, "a", huge[0]));
    /* A frame without a code has no room for a reason. */
    REFUSED(WSABI_ERR_ARGUMENT, "reason", wsabi_socket_close(socket, 0, "why", 3));
    for (i = 0; i < COUNT_OF(not_utf8); i++)
        REFUSED(WSABI_ERR_ARGUMENT, "UTF-8",
                wsabi_socket_close(socket, 1000, not_utf8[i], WSABI_NUL_TERMINATED));
}

static void fact_arguments(wsabi_socket socket)
{
    char room[8];
    wsabi_stats stats;
    memset(&stats, 0, sizeof stats);
    REFUSED(WSABI_ERR_ARGUMENT, "name", wsabi_socket_set_header(socket, NULL, 1, "b", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "value", wsabi_socket_set_header(socket, "a", 1, NULL, 1));
    REFUSED(WSABI_ERR_STATE, "reconnect", wsabi_socket_set_header(socket, "a", 1, "b", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "url", wsabi_socket_set_url(socket, NULL, 1));
    REFUSED(WSABI_ERR_STATE, "reconnect", wsabi_socket_set_url(socket, "ws://a/", 7));
    REFUSED(WSABI_ERR_ARGUMENT, "buf", wsabi_socket_fact(socket, WSABI_FACT_URL, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "0", wsabi_socket_fact(socket, 0, room, sizeof room));
    REFUSED(WSABI_ERR_ARGUMENT, "99", wsabi_socket_fact(socket, 99, room, sizeof room));
    REFUSED(WSABI_ERR_ARGUMENT, "-1", wsabi_socket_fact(socket, -1, room, sizeof room));
    REFUSED(WSABI_ERR_ARGUMENT, "name", wsabi_socket_response_header(socket, NULL, 1, room, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "buf", wsabi_socket_response_header(socket, "Upgrade", 7, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8", wsabi_socket_response_header(socket, "\xFF", 1, room, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "name",
            wsabi_socket_response_header(socket, "a", huge[0], room, sizeof room));
    REFUSED(WSABI_ERR_ARGUMENT, "stats", wsabi_socket_stats(socket, NULL));
    REFUSED(WSABI_ERR_ARGUMENT, "size", wsabi_socket_stats(socket, &stats));
    CHECK(wsabi_socket_fact(socket, WSABI_FACT_URL, NULL, 0) > 0);
}

/* Programs that know fewer or more figures, and some that know nothing. */
static void sizes_of_statistics(wsabi_socket socket)
{
    static const uint32_t too_small[] = {0, 1, 8, sizeof(wsabi_stats) - 1};
    static const uint32_t larger[] = {sizeof(wsabi_stats) + 8, UINT32_MAX};
    struct {
        wsabi_stats stats;
        uint64_t behind;
    } it;
    char size[16];
    size_t i;
    memset(&it, 0x5A, sizeof it);
    for (i = 0; i < COUNT_OF(too_small); i++) {
        it.stats.size = too_small[i];
        snprintf(size, sizeof size, "%lu", (unsigned long)too_small[i]);
        REFUSED(WSABI_ERR_ARGUMENT, size, wsabi_socket_stats(socket, &it.stats));
        CHECK(it.stats.size == too_small[i] && it.stats.reconnects == 0x5A5A5A5A);
    }
    for (i = 0; i < COUNT_OF(larger); i++) {
        it.stats.size = larger[i];
        CHECK_OK(wsabi_socket_stats(socket, &it.stats));
        CHECK(it.stats.size == sizeof it.stats && it.behind == UINT64_C(0x5A5A5A5A5A5A5A5A));
    }
}

static void publish_arguments(pair *it)
{
    wsabi_server server = it->server;
    wsabi_socket end = accepted(it);
    REFUSED(WSABI_ERR_ARGUMENT, "topic", wsabi_server_publish(server, NULL, 1, WSABI_TEXT, "a", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "topic",
            wsabi_server_publish(server, NULL, WSABI_NUL_TERMINATED, WSABI_TEXT, "a", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "topic", wsabi_server_publish(server, "", 0, WSABI_TEXT, "a", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8",
            wsabi_server_publish(server, "\xFF", 1, WSABI_TEXT, "a", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "NUL",
            wsabi_server_publish(server, "a\0b", 3, WSABI_TEXT, "a", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "type", wsabi_server_publish(server, "a", 1, 0, "a", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "type", wsabi_server_publish(server, "a", 1, WSABI_PLAIN, "a", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "data",
            wsabi_server_publish(server, NULL, 0, WSABI_BINARY, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "data",
            wsabi_server_publish(server, NULL, 0, WSABI_TEXT, NULL, WSABI_NUL_TERMINATED));
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8",
            wsabi_server_publish(server, NULL, 0, WSABI_TEXT, "\xFF", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "data",
            wsabi_server_publish(server, NULL, 0, WSABI_BINARY, "a", huge[0]));
    REFUSED(WSABI_ERR_ARGUMENT, "topic", wsabi_socket_subscribe(end, NULL, 0));
    REFUSED(WSABI_ERR_ARGUMENT, "topic", wsabi_socket_subscribe(end, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "topic", wsabi_socket_subscribe(end, "", 0));
    REFUSED(WSABI_ERR_ARGUMENT, "UTF-8", wsabi_socket_subscribe(end, "\xFF", 1));
    REFUSED(WSABI_ERR_ARGUMENT, "NUL", wsabi_socket_subscribe(end, "a\0b", 3));
    REFUSED(WSABI_ERR_ARGUMENT, "topic", wsabi_socket_unsubscribe(end, NULL, 1));
    REFUSED(WSABI_ERR_ARGUMENT, "topic", wsabi_socket_unsubscribe(end, "", 0));
    REFUSED(WSABI_ERR_ARGUMENT, "client", wsabi_socket_subscribe(it->client, "a", 1));
}

static void bad_arguments_leave_an_open_socket_as_it_is(void)
{
    pair it;
    record message;
    pair_init(&it);
    pair_connect(&it);
    send_arguments(it.client);
    send_many_arguments(it.client);
    close_arguments(it.client);
    fact_arguments(it.client);
    sizes_of_statistics(it.client);
    publish_arguments(&it);
    CHECK(wsabi_socket_ready_state(it.client) == WSABI_OPEN);
    CHECK_OK(wsabi_socket_send_text(it.client, "the first", WSABI_NUL_TERMINATED));
    message = wait_for_message(&it.at_server, 1);
    CHECK(is_text(&message, "the first"));
    CHECK_EVENTS(&it.at_server, "OM");
    CHECK_EVENTS(&it.at_client, "O");
    CHECK(count_releases(&it.at_client) == 0);
    pair_free(&it);
}

static void without_handlers_events_are_dropped(void)
{
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_on_event(it.client_options, 0, NULL));
    CHECK_OK(wsabi_options_on_close(it.client_options, record_event));
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    it.client = connect_to_port(it.runtime, wsabi_server_port(it.server), it.client_options,
                                &it.at_client);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "unheard", WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_socket_close(accepted(&it), 1000, "", 0));
    wait_for_close(&it.at_client);
    CHECK_EVENTS(&it.at_client, "C");
    pair_free(&it);
}

int main(void)
{
    wsabi_options options = recording_options();
    runtime_arguments();
    log_and_hook_arguments();
    handler_arguments(options);
    subprotocol_arguments(options);
    header_arguments(options);
    text_and_number_arguments(options);
    compression_arguments(options);
    way_arguments(options);
    tls_text_arguments(options);
    tls_certificate_arguments(options);
    CHECK_OK(wsabi_options_free(options));
    a_refused_connect_reaches_nobody();
    bad_arguments_leave_an_open_socket_as_it_is();
    without_handlers_events_are_dropped();
    return 0;
}
