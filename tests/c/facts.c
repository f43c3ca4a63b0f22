/* What can be asked of the library and of a socket: version, statuses, errors, log, thread hooks,
 * facts, response, statistics. */
#include "pair.h"

#include "raw_peer.h"

static void the_library_says_what_it_is(void)
{
    const char *version = wsabi_version();
    unsigned major, minor, patch;
    CHECK(wsabi_abi_version() == WSABI_ABI_VERSION);
    CHECK(sscanf(version, "%u.%u.%u", &major, &minor, &patch) == 3);
}

static void every_status_has_its_name(void)
{
#define NAMED(status) {status, #status}
    static const struct {
        int32_t status;
        const char *name;
    } statuses[] = {
        NAMED(WSABI_OK), NAMED(WSABI_ERR_ARGUMENT), NAMED(WSABI_ERR_HANDLE),
        NAMED(WSABI_ERR_STATE), NAMED(WSABI_ERR_CLOSED), NAMED(WSABI_ERR_URL),
        NAMED(WSABI_ERR_BUFFER_FULL), NAMED(WSABI_ERR_TOO_BIG), NAMED(WSABI_ERR_DNS),
        NAMED(WSABI_ERR_CONNECT), NAMED(WSABI_ERR_PROXY), NAMED(WSABI_ERR_TLS),
        NAMED(WSABI_ERR_HTTP), NAMED(WSABI_ERR_HANDSHAKE), NAMED(WSABI_ERR_PROTOCOL),
        NAMED(WSABI_ERR_ENCODING), NAMED(WSABI_ERR_TIMEOUT), NAMED(WSABI_ERR_IO),
        NAMED(WSABI_ERR_ABORTED), NAMED(WSABI_ERR_RESOURCE), NAMED(WSABI_ERR_FORKED),
        NAMED(WSABI_ERR_INTERNAL),
    };
#undef NAMED
    size_t i;
    for (i = 0; i < COUNT_OF(statuses); i++)
        CHECK(strcmp(wsabi_status_name(statuses[i].status), statuses[i].name) == 0);
    CHECK(wsabi_status_name(12345) != NULL);
    CHECK(wsabi_status_name(INT32_MIN) != NULL);
}

static void *see_no_error_of_another_thread(void *unused)
{
    (void)unused;
    CHECK(strcmp(wsabi_last_error(), "") == 0);
    return NULL;
}

static void the_last_error_is_the_threads_own(void)
{
    pthread_t thread;
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_abort(0));
    CHECK(wsabi_last_error()[0] != 0);
    CHECK(pthread_create(&thread, NULL, see_no_error_of_another_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* Each thread of the library: begun, ended, and whether a handler ran outside of that. */
typedef struct hooked {
    pthread_mutex_t mutex;
    pthread_key_t inside;
    int started;
    int stopped;
    int outside;
} hooked;

static void thread_starts(void *user_data)
{
    hooked *self = (hooked *)user_data;
    CHECK(pthread_getspecific(self->inside) == NULL);
    pthread_setspecific(self->inside, self);
    pthread_mutex_lock(&self->mutex);
    self->started++;
    pthread_mutex_unlock(&self->mutex);
}

static void thread_stops(void *user_data)
{
    hooked *self = (hooked *)user_data;
    CHECK(pthread_getspecific(self->inside) == self);
    pthread_setspecific(self->inside, NULL);
    pthread_mutex_lock(&self->mutex);
    self->stopped++;
    pthread_mutex_unlock(&self->mutex);
}

static void look_whether_inside(const wsabi_event *event, recorder *recorder)
{
    hooked *self = (hooked *)recorder->context;
    (void)event;
    if (pthread_getspecific(self->inside) == self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->outside++;
    pthread_mutex_unlock(&self->mutex);
}

static void hooks_run_first_and_last_on_library_threads(void)
{
    hooked self;
    pair it;
    if (is_polled())
        return; /* No handler runs on a thread of the library. */
    memset(&self, 0, sizeof self);
    pthread_mutex_init(&self.mutex, NULL);
    CHECK(pthread_key_create(&self.inside, NULL) == 0);
    CHECK_OK(wsabi_set_thread_hooks(thread_starts, thread_stops, &self));
    pair_init(&it);
    it.at_client.hook = it.at_server.hook = look_whether_inside;
    it.at_client.context = it.at_server.context = &self;
    pair_connect(&it);
    CHECK_OK(wsabi_runtime_shutdown(it.runtime, DEADLINE_MS));
    pair_free(&it);
    CHECK_OK(wsabi_set_thread_hooks(NULL, NULL, NULL));
    CHECK(self.started > 0 && self.started == self.stopped);
    CHECK(self.outside == 0);
    pthread_key_delete(self.inside);
    pthread_mutex_destroy(&self.mutex);
}

/* What has been logged; guarded, because lines come from every thread. */
typedef struct log_lines {
    pthread_mutex_t mutex;
    int count;
    int own; /* of this library, not of one that it is made of */
    int bad;
} log_lines;

static void take_line(int32_t level, const char *target, const char *message, size_t len,
                      void *user_data)
{
    log_lines *self = (log_lines *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->count++;
    self->own += strncmp(target, "wsabi", 5) == 0;
    self->bad += level < 1 || level > 5 || len == 0 || strlen(message) != len;
    pthread_mutex_unlock(&self->mutex);
}

/* Asks a server for a page instead of an upgrade, which it logs. */
static void ask_for_a_page(void)
{
    char head[1024];
    int peer;
    pair it;
    pair_init(&it);
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    peer = raw_connect(wsabi_server_port(it.server));
    CHECK(raw_send_text(peer, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    raw_receive_head(peer, head, sizeof head);
    raw_wait_for_end(peer);
    close(peer);
    pair_free(&it);
}

static void the_log_handler_gets_lines_until_it_is_removed(void)
{
    log_lines lines = {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0};
    int before;
    CHECK_OK(wsabi_set_log_handler(5, take_line, &lines));
    ask_for_a_page();
    CHECK_OK(wsabi_set_log_handler(0, NULL, NULL));
    before = lines.count;
    CHECK(lines.own > 0 && lines.bad == 0);
    ask_for_a_page();
    CHECK(lines.count == before);
}

/* All that the library has logged, line by line. */
typedef struct log_text {
    pthread_mutex_t mutex;
    size_t len;
    char text[16384];
} log_text;

static void append_line(int32_t level, const char *target, const char *message, size_t len,
                        void *user_data)
{
    log_text *self = (log_text *)user_data;
    (void)level;
    if (strncmp(target, "wsabi", 5) != 0)
        return;
    pthread_mutex_lock(&self->mutex);
    CHECK(self->len + len + 2 < sizeof self->text);
    self->len += (size_t)sprintf(self->text + self->len, "%s\n", message);
    pthread_mutex_unlock(&self->mutex);
}

static void check_logged(const log_text *self, const char *before, int port, const char *after)
{
    char line[128];
    snprintf(line, sizeof line, "%s%d%s", before, port, after);
    circumstance = line;
    CHECK(strstr(self->text, line) != NULL);
    circumstance = "";
}

static void connect_with_secrets(pair *it, int port)
{
    char url[128];
    snprintf(url, sizeof url, "ws://user:secret@127.0.0.1:%d/?token=secret", port);
    CHECK_OK(wsabi_socket_connect(it->runtime, url, WSABI_NUL_TERMINATED, it->client_options,
                                  &it->at_client, &it->client));
}

static void the_log_says_what_becomes_of_a_connection_and_tells_no_secret(void)
{
    static log_text log = {PTHREAD_MUTEX_INITIALIZER, 0, ""};
    struct sockaddr_in address = raw_address(0);
    socklen_t len = sizeof address;
    int bound = socket(AF_INET, SOCK_STREAM, 0);
    int listening, refusing;
    pair it, refused;
    /* A port that is bound but not listened on refuses connections. */
    CHECK(bind(bound, (struct sockaddr *)&address, len) == 0);
    CHECK(getsockname(bound, (struct sockaddr *)&address, &len) == 0);
    refusing = ntohs(address.sin_port);
    pair_init(&it);
    pair_init(&refused);
    CHECK_OK(wsabi_set_log_handler(4, append_line, &log));
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    listening = wsabi_server_port(it.server);
    connect_with_secrets(&it, listening);
    wait_for_open(&it.at_client);
    connect_with_secrets(&refused, refusing);
    wait_for_error(&refused.at_client, WSABI_ERR_CONNECT);
    pair_free(&it);
    pair_free(&refused);
    CHECK_OK(wsabi_set_log_handler(0, NULL, NULL));
    close(bound);
    check_logged(&log, "listening on port ", listening, "\n");
    check_logged(&log, "connecting to 127.0.0.1:", listening, "\n");
    check_logged(&log, "connected to 127.0.0.1:", listening, "\n");
    CHECK(strstr(log.text, "a connection came from 127.0.0.1:") != NULL);
    check_logged(&log, "connecting to 127.0.0.1:", refusing, " failed: ");
    CHECK(strstr(log.text, "secret") == NULL);
}

static int64_t fact(wsabi_socket socket, int32_t number, char text[128])
{
    int64_t len = wsabi_socket_fact(socket, number, text, 128);
    CHECK(len >= 0 && len < 128);
    CHECK(strlen(text) == (size_t)len);
    CHECK(wsabi_socket_fact(socket, number, NULL, 0) == len);
    return len;
}

static void a_socket_tells_its_facts(void)
{
    char text[128], peer[128];
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_add_subprotocol(it.client_options, "chat.v2", 7));
    CHECK_OK(wsabi_options_add_subprotocol(it.client_options, "chat.v1", 7));
    CHECK_OK(wsabi_options_add_subprotocol(it.server_options, "chat.v1", 7));
    CHECK_OK(wsabi_options_add_header(it.server_options, "X-Mood", 6, "good", 4));
    pair_connect(&it);
    fact(it.client, WSABI_FACT_URL, text);
    CHECK(strncmp(text, "ws://127.0.0.1:", 15) == 0 && text[strlen(text) - 1] == '/');
    fact(it.client, WSABI_FACT_SUBPROTOCOL, text);
    CHECK(strcmp(text, "chat.v1") == 0);
    fact(accepted(&it), WSABI_FACT_SUBPROTOCOL, text);
    CHECK(strcmp(text, "chat.v1") == 0);
    CHECK(fact(it.client, WSABI_FACT_EXTENSIONS, text) == 0);
    CHECK(fact(it.client, WSABI_FACT_TLS_VERSION, text) == 0);
    CHECK(fact(it.client, WSABI_FACT_TLS_CIPHER, text) == 0);
    CHECK(fact(it.client, WSABI_FACT_RESPONSE_BODY, text) == 0);
    /* What is local to one end is the peer of the other. */
    fact(it.client, WSABI_FACT_LOCAL_ADDRESS, text);
    fact(accepted(&it), WSABI_FACT_PEER_ADDRESS, peer);
    CHECK(strncmp(text, "127.0.0.1:", 10) == 0 && strcmp(text, peer) == 0);
    fact(it.client, WSABI_FACT_PEER_ADDRESS, text);
    CHECK(atoi(text + 10) == wsabi_server_port(it.server));
    CHECK(wsabi_socket_response_status(it.client) == 101);
    CHECK_STATUS(4, wsabi_socket_response_header(it.client, "x-mood", 6, text, sizeof text));
    CHECK(strcmp(text, "good") == 0);
    pair_free(&it);
}

static wsabi_stats stats_of(wsabi_socket socket)
{
    wsabi_stats stats;
    memset(&stats, 0xEE, sizeof stats);
    stats.size = sizeof stats;
    CHECK_OK(wsabi_socket_stats(socket, &stats));
    CHECK(stats.size == sizeof stats);
    return stats;
}

static void a_socket_counts_what_it_sends_and_receives(void)
{
    static const char kilobyte[1024];
    wsabi_stats client, server;
    pair it;
    int i;
    pair_init(&it);
    pair_connect(&it);
    for (i = 0; i < 10; i++)
        CHECK_OK(wsabi_socket_send_binary(it.client, kilobyte, sizeof kilobyte));
    CHECK_OK(wsabi_socket_ping(it.client, "ping", 4));
    wait_for_message(&it.at_server, 10);
    wait_for_event(&it.at_client, WSABI_EVENT_PONG, 1);
    client = stats_of(it.client);
    server = stats_of(accepted(&it));
    CHECK(client.messages_sent == 10 && client.messages_received == 0);
    CHECK(server.messages_sent == 0 && server.messages_received == 10);
    CHECK(client.payload_sent == 10240 && server.payload_received == 10240);
    CHECK(client.payload_received == 0 && server.payload_sent == 0);
    CHECK(client.bytes_sent >= 10240 + 10 * 8 && server.bytes_received >= 10240 + 10 * 8);
    CHECK(client.reconnects == 0);
    CHECK(client.round_trip_ns > 0 && server.round_trip_ns == 0);
    CHECK(client.since_received_ns > 0);
    CHECK(client.tcp_ns > 0 && client.upgrade_ns > 0 && client.tls_ns == 0);
    pair_free(&it);
}

/* A program that was built with a larger struct, and one that says it has less than there is. */
static void stats_fill_no_more_than_the_library_knows(void)
{
    struct {
        wsabi_stats stats;
        uint8_t beyond[16];
    } room, untouched;
    pair it;
    pair_init(&it);
    pair_connect(&it);
    memset(&untouched, 0xEE, sizeof untouched);
    room = untouched;
    room.stats.size = sizeof room;
    CHECK_OK(wsabi_socket_stats(it.client, &room.stats));
    CHECK(room.stats.size == sizeof room.stats);
    CHECK(room.stats.bytes_sent > 0 && room.stats.bytes_sent < 100000);
    CHECK(memcmp(room.beyond, untouched.beyond, sizeof room.beyond) == 0);
    room = untouched;
    room.stats.size = untouched.stats.size = sizeof room.stats - 1;
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_stats(it.client, &room.stats));
    CHECK(memcmp(&room, &untouched, sizeof room) == 0);
    pair_free(&it);
}

int main(void)
{
    the_library_says_what_it_is();
    every_status_has_its_name();
    the_last_error_is_the_threads_own();
    hooks_run_first_and_last_on_library_threads();
    the_log_handler_gets_lines_until_it_is_removed();
    the_log_says_what_becomes_of_a_connection_and_tells_no_secret();
    a_socket_tells_its_facts();
    a_socket_counts_what_it_sends_and_receives();
    stats_fill_no_more_than_the_library_knows();
    return 0;
}
