/* A log handler that calls the library with every record that it gets: one that sends its records
 * over a socket of the library, or looks at the socket that they are about. */
#include "../c/pair.h"

#include "../c/certificate.h"

/* What the handler asks about; the server's end from its OPEN on. */
static wsabi_socket ends[2];
static wsabi_server server;
static int records, is_sending;

static wsabi_socket end(size_t index)
{
    return __atomic_load_n(&ends[index], __ATOMIC_SEQ_CST);
}

static void ask_about(wsabi_socket socket)
{
    char text[200];
    wsabi_stats stats;
    int32_t fact;
    memset(&stats, 0, sizeof stats);
    stats.size = sizeof stats;
    wsabi_socket_ready_state(socket);
    wsabi_socket_buffered_amount(socket);
    wsabi_socket_stats(socket, &stats);
    wsabi_socket_response_status(socket);
    wsabi_socket_response_header(socket, "Server", 6, text, sizeof text);
    for (fact = WSABI_FACT_URL; fact <= WSABI_FACT_RESPONSE_BODY; fact++)
        wsabi_socket_fact(socket, fact, text, sizeof text);
}

static void send_on(wsabi_socket socket)
{
    wsabi_socket_send_text(socket, "a record", 8);
    wsabi_socket_ping(socket, "", 0);
    wsabi_socket_subscribe(socket, "records", 7);
    wsabi_socket_pause(socket);
    wsabi_socket_resume(socket);
}

/* None of it has to succeed. All of it has to return. */
static void call_everything(int32_t level, const char *target, const char *message, size_t len,
                            void *unused)
{
    wsabi_options options = 0;
    size_t i;
    (void)level;
    (void)unused;
    CHECK(message[len] == 0);
    /* What the library is built on would have locks of the library held while it logs. */
    CHECK(strncmp(target, "wsabi::", 7) == 0);
    __atomic_fetch_add(&records, 1, __ATOMIC_SEQ_CST);
    for (i = 0; i < COUNT_OF(ends); i++) {
        ask_about(end(i));
        if (__atomic_load_n(&is_sending, __ATOMIC_SEQ_CST))
            send_on(end(i));
    }
    wsabi_server_publish(__atomic_load_n(&server, __ATOMIC_SEQ_CST), "records", 7, WSABI_TEXT, "",
                         0);
    wsabi_options_new(&options);
    wsabi_options_free(options);
}

static void remember_end(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_OPEN)
        __atomic_store_n(&ends[1], event->handle, __ATOMIC_SEQ_CST);
}

static void connect_secretly(pair *it)
{
    char url[64];
    snprintf(url, sizeof url, "wss://127.0.0.1:%d/", (int)wsabi_server_port(it->server));
    CHECK_OK(wsabi_socket_connect(it->runtime, url, WSABI_NUL_TERMINATED, it->client_options,
                                  &it->at_client, &ends[0]));
    it->client = end(0);
}

static void listen_secretly(pair *it)
{
    CHECK_OK(wsabi_options_set_tls_identity(it->server_options, cert_pem, WSABI_NUL_TERMINATED,
                                            key_pem, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_server_listen(it->runtime, "wss://127.0.0.1:0/", WSABI_NUL_TERMINATED,
                                 it->server_options, &it->at_server, &server));
    it->server = server;
}

static void it_may_call_everything(int sends)
{
    pair it;
    __atomic_store_n(&is_sending, sends, __ATOMIC_SEQ_CST);
    pair_init(&it);
    it.at_server.hook = remember_end;
    listen_secretly(&it);
    CHECK_OK(wsabi_options_set_tls_verify_dangerously(it.client_options, 0));
    connect_secretly(&it);
    wait_for_open(&it.at_client);
    wait_for_open(&it.at_server);
    CHECK_OK(wsabi_socket_send_text(it.client, "and this", 8));
    wait_for_message(&it.at_server, 1);
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    wait_for_close(&it.at_client);
    wait_for_close(&it.at_server);
    pair_free(&it);
}

/* The client refuses the certificate: both tell of that. */
static void it_may_call_everything_while_a_handshake_fails(void)
{
    pair it;
    pair_init(&it);
    listen_secretly(&it);
    CHECK_OK(wsabi_options_set_tls_ca(it.client_options, cert_pem, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_options_set_tls_server_name(it.client_options, "elsewhere", 9));
    connect_secretly(&it);
    wait_for_error(&it.at_client, WSABI_ERR_TLS);
    pair_free(&it);
}

int main(void)
{
    alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
    CHECK_OK(wsabi_set_log_handler(5, call_everything, NULL));
    it_may_call_everything(0);
    it_may_call_everything(1);
    it_may_call_everything_while_a_handshake_fails();
    CHECK(records > 10);
    return 0;
}
