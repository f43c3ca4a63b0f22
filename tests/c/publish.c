/* What a server publishes: to whom, in which order, from where, and what it refuses. */
#include "pair.h"

enum { GUESTS = 5, ROOMY = 70000 };

/* A server and several clients of it. */
typedef struct hall {
    wsabi_runtime runtime;
    wsabi_options server_options;
    wsabi_options client_options;
    wsabi_server server;
    recorder at_server;
    wsabi_socket guests[GUESTS];
    recorder at_guest[GUESTS];
    wsabi_socket ends[GUESTS]; /* the server's ends, in the order of the guests */
} hall;

static char large[ROOMY];

static void hall_init(hall *self)
{
    memset(self, 0, sizeof *self);
    self->runtime = new_runtime_of(2);
    self->server_options = recording_options();
    self->client_options = recording_options();
    recorder_init(&self->at_server);
}

static void hall_open(hall *self)
{
    size_t i;
    self->server = listen_on_loopback(self->runtime, self->server_options, &self->at_server);
    for (i = 0; i < GUESTS; i++) {
        recorder_init(&self->at_guest[i]);
        self->guests[i] = connect_to_port(self->runtime, wsabi_server_port(self->server),
                                          self->client_options, &self->at_guest[i]);
        wait_for_open(&self->at_guest[i]);
        self->ends[i] = wait_for_event(&self->at_server, WSABI_EVENT_OPEN, i + 1).handle;
    }
}

static void hall_free(hall *self)
{
    size_t i;
    CHECK_OK(wsabi_runtime_free(self->runtime));
    CHECK_OK(wsabi_options_free(self->server_options));
    CHECK_OK(wsabi_options_free(self->client_options));
    wait_for_releases(&self->at_server, 1);
    recorder_free(&self->at_server);
    for (i = 0; i < GUESTS; i++) {
        wait_for_releases(&self->at_guest[i], 1);
        recorder_free(&self->at_guest[i]);
    }
}

static int64_t publish(const hall *self, const char *topic, const char *text)
{
    return wsabi_server_publish(self->server, topic, topic == NULL ? 0 : WSABI_NUL_TERMINATED,
                                WSABI_TEXT, text, WSABI_NUL_TERMINATED);
}

static void check_message(recorder *events, size_t ordinal, const char *text)
{
    record message = wait_for_message(events, ordinal);
    CHECK(message.type == WSABI_TEXT && is_text(&message, text));
}

static void a_topic_reaches_its_subscribers_and_null_everyone(void)
{
    hall it;
    size_t i;
    hall_init(&it);
    hall_open(&it);
    for (i = 0; i < 3; i++) {
        CHECK_OK(wsabi_socket_subscribe(it.ends[i], "news", 4));
        CHECK_OK(wsabi_socket_subscribe(it.ends[i], "news", WSABI_NUL_TERMINATED));
    }
    CHECK_STATUS(3, publish(&it, "news", "for three"));
    CHECK_STATUS(0, publish(&it, "News", "for nobody"));
    CHECK_OK(wsabi_socket_unsubscribe(it.ends[0], "news", 4));
    CHECK_OK(wsabi_socket_unsubscribe(it.ends[0], "news", 4));
    CHECK_STATUS(2, publish(&it, "news", "for two"));
    CHECK_STATUS(GUESTS, publish(&it, NULL, "for all"));
    check_message(&it.at_guest[0], 1, "for three");
    check_message(&it.at_guest[0], 2, "for all");
    check_message(&it.at_guest[1], 2, "for two");
    for (i = 1; i < 3; i++)
        check_message(&it.at_guest[i], 3, "for all");
    for (i = 3; i < GUESTS; i++)
        check_message(&it.at_guest[i], 1, "for all");
    CHECK_OK(wsabi_server_close(it.server));
    CHECK_STATUS(WSABI_ERR_HANDLE, publish(&it, NULL, "late"));
    hall_free(&it);
}

/* The handler of the server's sockets: they enter a room with OPEN, and say there what they hear. */
static void chat(const wsabi_event *event, recorder *at_server)
{
    const wsabi_server *server = (const wsabi_server *)at_server->context;
    if (event->kind == WSABI_EVENT_OPEN)
        CHECK_OK(wsabi_socket_subscribe(event->handle, "room", 4));
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_STATUS(GUESTS, wsabi_server_publish(*server, "room", 4, event->type, event->data,
                                                  event->len));
}

static void handlers_subscribe_and_publish(void)
{
    hall it;
    size_t i, n;
    hall_init(&it);
    it.at_server.hook = chat;
    it.at_server.context = &it.server;
    hall_open(&it);
    for (n = 0; n < 40; n++) {
        char text[32];
        snprintf(text, sizeof text, "message %d", (int)n);
        CHECK_OK(wsabi_socket_send_text(it.guests[n % GUESTS], text, WSABI_NUL_TERMINATED));
        for (i = 0; i < GUESTS; i++)
            check_message(&it.at_guest[i], n + 1, text);
    }
    hall_free(&it);
}

static void what_a_thread_sends_and_publishes_arrives_in_order(void)
{
    enum { ROUNDS = 300 };
    char text[32];
    hall it;
    size_t i, n;
    hall_init(&it);
    CHECK_OK(wsabi_options_set_compression(it.client_options, 1));
    CHECK_OK(wsabi_options_set_compression(it.server_options, 1));
    CHECK_OK(wsabi_options_set_compression_min(it.server_options, 8));
    CHECK_OK(wsabi_options_set_compression_window(it.client_options, 15, 10));
    hall_open(&it);
    for (i = 0; i < GUESTS; i++)
        CHECK_OK(wsabi_socket_subscribe(it.ends[i], "t", 1));
    for (n = 0; n < ROUNDS; n++) {
        snprintf(text, sizeof text, "%d", (int)n);
        memcpy(large, text, strlen(text) + 1);
        if (n % 5 == 0) {
            CHECK_STATUS(GUESTS, wsabi_server_publish(it.server, "t", 1, WSABI_BINARY, large,
                                                      n % 2 == 0 ? sizeof large : 100));
        } else if (n % 5 < 3) {
            CHECK_STATUS(GUESTS, wsabi_server_publish(it.server, NULL, 0,
                                                      WSABI_BINARY | (n % 2 == 0 ? WSABI_PLAIN : 0),
                                                      text, strlen(text)));
        } else {
            for (i = 0; i < GUESTS; i++)
                CHECK_OK(wsabi_socket_send_binary(it.ends[i], large, 20));
        }
    }
    for (n = 0; n < ROUNDS; n++) {
        for (i = 0; i < GUESTS; i++)
            CHECK(atoi((const char *)wait_for_message(&it.at_guest[i], n + 1).data) == (int)n);
    }
    hall_free(&it);
}

static void a_message_in_pieces_comes_first(void)
{
    hall it;
    hall_init(&it);
    hall_open(&it);
    CHECK_OK(wsabi_socket_send_fragment(it.ends[0], WSABI_TEXT, "in ", 3, 0));
    CHECK_STATUS(GUESTS, publish(&it, NULL, "published"));
    check_message(&it.at_guest[1], 1, "published");
    CHECK_OK(wsabi_socket_send_fragment(it.ends[0], WSABI_TEXT, "pieces", 6, 1));
    check_message(&it.at_guest[0], 1, "in pieces");
    check_message(&it.at_guest[0], 2, "published");
    hall_free(&it);
}

/* Publishes until the guest who does not read is left out; returns how often it was not. */
static size_t publish_until_full(const hall *self)
{
    size_t i, count = 0;
    int64_t taken;
    CHECK_OK(wsabi_socket_pause(self->guests[0]));
    for (;;) {
        taken = wsabi_server_publish(self->server, NULL, 0, WSABI_BINARY, large, sizeof large);
        if (taken < GUESTS)
            break;
        count++;
        /* The others read, so that they have room. */
        for (i = 1; i < GUESTS; i++)
            wait_for_message((recorder *)&self->at_guest[i], count);
    }
    CHECK(taken == GUESTS - 1);
    return count;
}

static void the_slow_are_skipped_and_get_drain(void)
{
    hall it;
    size_t count;
    hall_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.server_options, 1 << 20));
    CHECK_OK(wsabi_options_set_low_water(it.server_options, 1 << 16));
    hall_open(&it);
    count = publish_until_full(&it);
    CHECK_OK(wsabi_socket_resume(it.guests[0]));
    wait_for_message(&it.at_guest[0], count);
    wait_for_event(&it.at_server, WSABI_EVENT_DRAIN, 1);
    CHECK(count_events(&it.at_server, WSABI_EVENT_CLOSE) == 0);
    hall_free(&it);
}

static void the_slow_are_closed_where_the_options_say_so(void)
{
    hall it;
    record close;
    hall_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.server_options, 1 << 20));
    CHECK_OK(wsabi_options_set_close_timeout_ms(it.server_options, 100));
    CHECK_OK(wsabi_options_set_slow_subscribers(it.server_options, WSABI_SLOW_CLOSE));
    hall_open(&it);
    publish_until_full(&it);
    close = wait_for_close(&it.at_server);
    CHECK(close.code == 1006 && !close.was_clean);
    CHECK(close.handle == it.ends[0]);
    hall_free(&it);
}

static void nobody_but_an_open_socket_of_a_server_subscribes(void)
{
    static char name[257];
    char topic[8];
    hall it;
    int n;
    hall_init(&it);
    hall_open(&it);
    memset(name, 'x', 256);
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_subscribe(it.guests[0], "a", 1));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_unsubscribe(it.guests[0], "a", 1));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_subscribe(it.ends[0], name, 256));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_unsubscribe(it.ends[0], name, 256));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, publish(&it, name, ""));
    name[255] = 0;
    CHECK_OK(wsabi_socket_subscribe(it.ends[0], name, WSABI_NUL_TERMINATED));
    CHECK_STATUS(1, publish(&it, name, "long"));
    for (n = 1; n < 1024; n++) {
        snprintf(topic, sizeof topic, "%d", n);
        CHECK_OK(wsabi_socket_subscribe(it.ends[0], topic, WSABI_NUL_TERMINATED));
    }
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_socket_subscribe(it.ends[0], "one more", 8));
    CHECK_OK(wsabi_socket_unsubscribe(it.ends[0], "7", 1));
    CHECK_OK(wsabi_socket_subscribe(it.ends[0], "one more", 8));
    /* Only one that is over leaves its topics without being told so. */
    CHECK_OK(wsabi_socket_close(it.ends[0], 1000, "", 0));
    CHECK_STATUS(0, publish(&it, "one more", "late"));
    n = wsabi_socket_subscribe(it.ends[0], "b", 1);
    CHECK(n == WSABI_ERR_CLOSED || n == WSABI_ERR_HANDLE);
    n = wsabi_socket_unsubscribe(it.ends[0], "b", 1);
    CHECK(n == WSABI_OK || n == WSABI_ERR_HANDLE);
    hall_free(&it);
}

static void *publish_on_and_on(void *argument)
{
    const hall *it = (const hall *)argument;
    int n;
    for (n = 0; n < repetitions(2000); n++) {
        int64_t taken = publish(it, n % 2 == 0 ? NULL : "room", "to whom it may concern");
        CHECK(taken >= 0);
    }
    return NULL;
}

/* The hook subscribes and leaves, too. */
static void come_and_go(const wsabi_event *event, recorder *at_server)
{
    (void)at_server;
    if (event->kind == WSABI_EVENT_OPEN) {
        CHECK_OK(wsabi_socket_subscribe(event->handle, "room", 4));
        CHECK_OK(wsabi_socket_subscribe(event->handle, "other", 5));
    }
}

static void sockets_that_end_leave_by_themselves(void)
{
    pthread_t threads[2];
    hall it;
    size_t i;
    int n;
    hall_init(&it);
    it.at_server.hook = come_and_go;
    hall_open(&it);
    for (i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_create(&threads[i], NULL, publish_on_and_on, &it) == 0);
    for (n = 0; n < repetitions(100); n++) {
        wsabi_socket socket, end;
        recorder at_client;
        recorder_init(&at_client);
        socket = connect_to_port(it.runtime, wsabi_server_port(it.server), it.client_options,
                                 &at_client);
        end = wait_for_event(&it.at_server, WSABI_EVENT_OPEN, (size_t)n + GUESTS + 1).handle;
        if (n % 3 == 0)
            CHECK_OK(wsabi_socket_release(end));
        else if (n % 3 == 1)
            CHECK_OK(wsabi_socket_abort(end));
        else
            CHECK_OK(wsabi_socket_close(socket, 1000, "", 0));
        wait_for_close(&at_client);
        CHECK_OK(wsabi_socket_release(socket));
        wait_for_releases(&at_client, 1);
        recorder_free(&at_client);
    }
    for (i = 0; i < COUNT_OF(threads); i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (i = 0; i < GUESTS; i++)
        CHECK_OK(wsabi_socket_close(it.ends[i], 1000, "", 0));
    for (i = 0; i < GUESTS; i++)
        wait_for_close(&it.at_guest[i]);
    CHECK_STATUS(0, publish(&it, "room", "nobody"));
    CHECK_STATUS(0, publish(&it, NULL, "nobody"));
    hall_free(&it);
}

int main(void)
{
    a_topic_reaches_its_subscribers_and_null_everyone();
    handlers_subscribe_and_publish();
    what_a_thread_sends_and_publishes_arrives_in_order();
    a_message_in_pieces_comes_first();
    the_slow_are_skipped_and_get_drain();
    the_slow_are_closed_where_the_options_say_so();
    nobody_but_an_open_socket_of_a_server_subscribes();
    sockets_that_end_leave_by_themselves();
    return 0;
}
