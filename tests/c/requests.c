/* A server that is asked: requests are accepted or rejected, at once, later, or never. */
#include "asking.h"
#include "raw_peer.h"

static void check_over(asking *self, wsabi_request request)
{
    wsabi_socket socket = 77;
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_request_target(request, NULL, 0));
    CHECK_STATUS(WSABI_ERR_HANDLE, try_to_accept(self, request, NULL, &socket));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_request_reject(request, 403, NULL, 0));
    CHECK(socket == 77);
}

static void wait_until_over(wsabi_request request)
{
    int64_t until = now_ms() + DEADLINE_MS * slowness();
    while (wsabi_request_target(request, NULL, 0) >= 0)
        CHECK(now_ms() < until && "the request ends in time");
}

static void accept_at_once(const wsabi_event *event, recorder *at_server)
{
    char text[64];
    CHECK(event->kind == WSABI_EVENT_REQUEST);
    CHECK(strcmp((const char *)event->data, "/") == 0 && event->len == 1);
    CHECK(wsabi_request_target(event->handle, text, sizeof text) == 1 && strcmp(text, "/") == 0);
    CHECK(wsabi_request_header(event->handle, "origin", 6, text, sizeof text) == 14);
    CHECK(strcmp(text, "http://a.test4") == 0);
    CHECK(wsabi_request_header(event->handle, "X-Missing", 9, text, sizeof text) == 0);
    CHECK(wsabi_request_peer_address(event->handle, text, sizeof text) > 10);
    CHECK(strncmp(text, "127.0.0.1:", 10) == 0);
    CHECK_OK(wsabi_request_add_header(event->handle, "Set-Cookie", 10, "a=b", 3));
    accept_request((asking *)at_server->context, event->handle, "two");
}

static void a_request_is_accepted_inside_its_handler(void)
{
    asking it;
    record open;
    char text[64];
    asking_init(&it, accept_at_once);
    CHECK_OK(wsabi_options_set_origin(it.pair.client_options, "http://a.test4", 14));
    CHECK_OK(wsabi_options_add_subprotocol(it.pair.client_options, "one", 3));
    CHECK_OK(wsabi_options_add_subprotocol(it.pair.client_options, "two", 3));
    asking_begin(&it);
    wait_for_open(&it.pair.at_client);
    open = wait_for_open(&it.opened);
    CHECK(wsabi_socket_fact(open.handle, WSABI_FACT_SUBPROTOCOL, text, sizeof text) == 3);
    CHECK(strcmp(text, "two") == 0);
    CHECK(wsabi_socket_fact(it.pair.client, WSABI_FACT_SUBPROTOCOL, text, sizeof text) == 3);
    CHECK(strcmp(text, "two") == 0);
    CHECK(wsabi_socket_response_header(it.pair.client, "set-cookie", 10, text, sizeof text) == 3);
    CHECK(strcmp(text, "a=b") == 0);
    CHECK_OK(wsabi_socket_send_text(it.pair.client, "hello", 5));
    wait_for_message(&it.opened, 1);
    CHECK_OK(wsabi_socket_send_text(open.handle, "hello", 5));
    wait_for_message(&it.pair.at_client, 1);
    CHECK_OK(wsabi_socket_close(it.pair.client, 1000, NULL, 0));
    wait_for_clean_close(&it.opened, 1000, NULL);
    wait_for_clean_close(&it.pair.at_client, 1000, NULL);
    CHECK_EVENTS(&it.pair.at_server, "Q");
    CHECK_EVENTS(&it.opened, "OMC");
    asking_free(&it);
}

static void a_request_is_accepted_later_by_another_thread(void)
{
    asking it;
    wsabi_request request;
    wsabi_socket socket;
    asking_init(&it, NULL);
    request = asking_begin(&it);
    CHECK(wsabi_socket_ready_state(it.pair.client) == WSABI_CONNECTING);
    socket = accept_request(&it, request, NULL);
    check_over(&it, request);
    CHECK(wait_for_open(&it.opened).handle == socket);
    wait_for_open(&it.pair.at_client);
    CHECK_OK(wsabi_socket_send_text(socket, "hello", 5));
    wait_for_message(&it.pair.at_client, 1);
    asking_free(&it);
}

static void a_request_waits_without_holding_up_others(void)
{
    asking it;
    wsabi_request first, second;
    recorder at_second;
    asking_init(&it, NULL);
    first = asking_begin(&it);
    recorder_init(&at_second);
    connect_to_port(it.pair.runtime, wsabi_server_port(it.pair.server), it.pair.client_options,
                    &at_second);
    second = wait_for_event(&it.pair.at_server, WSABI_EVENT_REQUEST, 2).handle;
    CHECK(first != second);
    accept_request(&it, second, NULL);
    wait_for_open(&at_second);
    CHECK_EVENTS(&it.pair.at_client, "");
    accept_request(&it, first, NULL);
    wait_for_open(&it.pair.at_client);
    wait_for_event(&it.opened, WSABI_EVENT_OPEN, 2);
    asking_free(&it);
    wait_for_releases(&at_second, 1);
    recorder_free(&at_second);
}

static void a_rejected_client_learns_status_fields_and_body(void)
{
    asking it;
    wsabi_request request;
    char text[64];
    asking_init(&it, NULL);
    request = asking_begin(&it);
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_request_reject(request, 200, NULL, 0));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_request_reject(request, 304, NULL, 0));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_request_reject(request, -1, NULL, 0));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_request_reject(request, 65936, NULL, 0));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_request_reject(request, 401, "\xFF", 1));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_request_add_header(request, "A", 1, "b\r\nC: d", 7));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_request_add_header(request, "Host", 4, "b", 1));
    CHECK_OK(wsabi_request_add_header(request, "WWW-Authenticate", 16, "Basic", 5));
    CHECK_OK(wsabi_request_reject(request, 401, "who are you?", WSABI_NUL_TERMINATED));
    check_over(&it, request);
    wait_for_error(&it.pair.at_client, WSABI_ERR_HTTP);
    CHECK(wsabi_socket_response_status(it.pair.client) == 401);
    wsabi_socket_response_header(it.pair.client, "WWW-Authenticate", 16, text, sizeof text);
    CHECK(strcmp(text, "Basic") == 0);
    wsabi_socket_fact(it.pair.client, WSABI_FACT_RESPONSE_BODY, text, sizeof text);
    CHECK(strcmp(text, "who are you?") == 0);
    CHECK_EVENTS(&it.pair.at_server, "Q");
    asking_free(&it);
}

static void only_an_offered_subprotocol_is_accepted(void)
{
    asking it;
    wsabi_request request;
    wsabi_socket socket = 77;
    asking_init(&it, NULL);
    CHECK_OK(wsabi_options_add_subprotocol(it.pair.client_options, "chat", 4));
    request = asking_begin(&it);
    CHECK_STATUS(WSABI_ERR_ARGUMENT, try_to_accept(&it, request, "Chat", &socket));
    CHECK(socket == 77);
    accept_request(&it, request, "chat");
    wait_for_open(&it.pair.at_client);
    asking_free(&it);
}

/* Whether the application heard of the request before its time was up. */
static int is_refused_within(uint32_t timeout_ms)
{
    asking it;
    size_t heard;
    asking_init(&it, NULL);
    CHECK_OK(wsabi_options_set_connect_timeout_ms(it.pair.server_options, timeout_ms));
    it.pair.client = connect_to_port(it.pair.runtime, asking_listen(&it), it.pair.client_options,
                                     &it.pair.at_client);
    wait_for_close(&it.pair.at_client);
    heard = count_events(&it.pair.at_server, WSABI_EVENT_REQUEST);
    if (heard > 0) {
        wsabi_request request = wait_for_event(&it.pair.at_server, WSABI_EVENT_REQUEST, 1).handle;
        wait_for_error(&it.pair.at_client, WSABI_ERR_HTTP);
        CHECK(wsabi_socket_response_status(it.pair.client) == 503);
        wait_until_over(request);
        check_over(&it, request);
    }
    asking_free(&it);
    return heard > 0;
}

static void an_unanswered_request_is_refused_in_time(void)
{
    uint32_t timeout_ms = 50;
    while (!is_refused_within(timeout_ms))
        timeout_ms *= 2;
}

static void a_client_that_leaves_takes_its_request_along(void)
{
    int abrupt;
    for (abrupt = 0; abrupt < 2; abrupt++) {
        asking it;
        wsabi_request request;
        int fd;
        asking_init(&it, NULL);
        fd = raw_connect(asking_listen(&it));
        raw_request_upgrade(fd);
        request = wait_for_event(&it.pair.at_server, WSABI_EVENT_REQUEST, 1).handle;
        if (abrupt)
            raw_reset(fd);
        else
            close(fd);
        wait_until_over(request);
        check_over(&it, request);
        asking_free(&it);
    }
}

static void a_socket_accepted_for_a_client_that_has_left_still_ends_in_close(void)
{
    int i;
    for (i = 0; i < repetitions(50); i++) {
        asking it;
        wsabi_request request;
        wsabi_socket socket = 0;
        int fd;
        asking_init(&it, NULL);
        fd = raw_connect(asking_listen(&it));
        raw_request_upgrade(fd);
        request = wait_for_event(&it.pair.at_server, WSABI_EVENT_REQUEST, 1).handle;
        raw_reset(fd);
        if (try_to_accept(&it, request, NULL, &socket) == WSABI_OK)
            wait_for_close(&it.opened);
        asking_free(&it);
    }
}

static void frames_behind_a_request_wait_for_its_answer(void)
{
    static const char request_and_frame[] =
        "GET /a HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        "\x81\x85\0\0\0\0hello\x81\x85\0\0\0";
    asking it;
    wsabi_request request;
    char head[1024];
    int fd;
    asking_init(&it, NULL);
    fd = raw_connect(asking_listen(&it));
    CHECK(raw_send(fd, request_and_frame, sizeof request_and_frame - 1));
    request = wait_for_event(&it.pair.at_server, WSABI_EVENT_REQUEST, 1).handle;
    accept_request(&it, request, NULL);
    CHECK(strcmp((const char *)wait_for_message(&it.opened, 1).data, "hello") == 0);
    raw_receive_head(fd, head, sizeof head);
    CHECK(raw_send(fd, "\0world", 6));
    CHECK(strcmp((const char *)wait_for_message(&it.opened, 2).data, "world") == 0);
    close(fd);
    asking_free(&it);
}

static void requests_end_with_their_server(void)
{
    asking it;
    wsabi_request request;
    asking_init(&it, NULL);
    request = asking_begin(&it);
    CHECK_OK(wsabi_server_close(it.pair.server));
    wait_for_error(&it.pair.at_client, WSABI_ERR_HTTP);
    CHECK(wsabi_socket_response_status(it.pair.client) == 503);
    wait_until_over(request);
    check_over(&it, request);
    asking_free(&it);
}

static void requests_end_with_their_runtime(void)
{
    asking it;
    wsabi_request request;
    asking_init(&it, NULL);
    request = asking_begin(&it);
    CHECK_OK(wsabi_runtime_free(it.pair.runtime));
    it.pair.runtime = 0;
    check_over(&it, request);
    asking_free(&it);
}

static void release_after_accepting(const wsabi_event *event, recorder *at_server)
{
    wsabi_socket socket = accept_request((asking *)at_server->context, event->handle, NULL);
    CHECK_OK(wsabi_socket_release(socket));
}

static void an_accepted_socket_can_be_released_at_once(void)
{
    asking it;
    asking_init(&it, release_after_accepting);
    asking_begin(&it);
    wait_for_close(&it.pair.at_client);
    wait_for_releases(&it.opened, 1);
    CHECK_EVENTS(&it.opened, "");
    asking_free(&it);
}

static void abort_after_accepting(const wsabi_event *event, recorder *at_server)
{
    wsabi_socket socket = accept_request((asking *)at_server->context, event->handle, NULL);
    CHECK_STATUS(WSABI_ERR_STATE, wsabi_socket_send_text(socket, "early", 5));
    CHECK_OK(wsabi_socket_abort(socket));
}

static void an_accepted_socket_can_be_aborted_at_once(void)
{
    asking it;
    asking_init(&it, abort_after_accepting);
    asking_begin(&it);
    wait_for_close(&it.pair.at_client);
    CHECK(wait_for_close(&it.opened).code == 1006);
    asking_free(&it);
}

static void free_the_runtime(const wsabi_event *event, recorder *at_server)
{
    asking *self = (asking *)at_server->context;
    wsabi_runtime runtime = self->pair.runtime;
    self->pair.runtime = 0;
    CHECK_OK(wsabi_runtime_free(runtime));
    check_over(self, event->handle);
}

static void the_runtime_can_be_freed_inside_the_handler(void)
{
    asking it;
    if (delivery() == BY_NEXT_EVENTS)
        return; /* An event that was taken out does not outlive its runtime. */
    asking_init(&it, free_the_runtime);
    it.pair.client = connect_to_port(it.pair.runtime, asking_listen(&it), it.pair.client_options,
                                     &it.pair.at_client);
    wait_for_releases(&it.pair.at_server, 1);
    asking_free(&it);
}

static void close_the_server(const wsabi_event *event, recorder *at_server)
{
    asking *self = (asking *)at_server->context;
    (void)event;
    CHECK_OK(wsabi_server_close(self->pair.server));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_server_close(self->pair.server));
}

static void the_server_can_be_closed_inside_the_handler(void)
{
    asking it;
    asking_init(&it, close_the_server);
    wait_until_over(asking_begin(&it));
    wait_for_error(&it.pair.at_client, WSABI_ERR_HTTP);
    CHECK(wsabi_socket_response_status(it.pair.client) == 503);
    asking_free(&it);
}

static void shut_the_runtime_down(const wsabi_event *event, recorder *at_server)
{
    asking *self = (asking *)at_server->context;
    /* It does not wait for what only this thread could do; another one may have done it. */
    int32_t status = wsabi_runtime_shutdown(self->pair.runtime, -1);
    CHECK(status == WSABI_ERR_TIMEOUT || (is_polled() && status == WSABI_OK));
    (void)event;
}

static void the_runtime_can_be_shut_down_inside_the_handler(void)
{
    asking it;
    asking_init(&it, shut_the_runtime_down);
    wait_until_over(asking_begin(&it));
    wait_for_close(&it.pair.at_client);
    asking_free(&it);
}

static recorder at_second;
static wsabi_socket second;

/* The first request causes another one, which is refused. */
static void connect_another(const wsabi_event *event, recorder *at_server)
{
    asking *self = (asking *)at_server->context;
    pair *it = &self->pair;
    if (second != 0) {
        CHECK_OK(wsabi_request_reject(event->handle, 403, NULL, 0));
        return;
    }
    second = connect_to_port(it->runtime, wsabi_server_port(it->server), it->client_options,
                             &at_second);
    CHECK(wsabi_server_publish(it->server, NULL, 0, WSABI_TEXT, "nobody", 6) == 0);
    accept_request(self, event->handle, NULL);
}

static void a_handler_can_connect_another(void)
{
    asking it;
    recorder_init(&at_second);
    asking_init(&it, connect_another);
    asking_begin(&it);
    wait_for_open(&it.opened);
    wait_for_error(&at_second, WSABI_ERR_HTTP);
    CHECK(wsabi_socket_response_status(second) == 403);
    asking_free(&it);
    wait_for_releases(&at_second, 1);
    recorder_free(&at_second);
}

static void a_server_can_ask_without_a_handler(void)
{
    wsabi_runtime runtime = 0;
    wsabi_options options = 0;
    wsabi_server server = 0;
    wsabi_socket socket = 0;
    wsabi_event event;
    uint8_t packed[256];
    size_t bytes = 0;
    int fd, way, marker;
    CHECK_OK(wsabi_runtime_new(1, WSABI_DELIVER_ON_POLL, &runtime));
    CHECK_OK(wsabi_options_new(&options));
    CHECK_OK(wsabi_options_set_requests(options, 1));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_options_set_requests(options, 2));
    CHECK_OK(wsabi_server_listen(runtime, "ws://127.0.0.1:0/", WSABI_NUL_TERMINATED, options,
                                 &marker, &server));
    for (way = 0; way < 2; way++) {
        uint64_t request;
        fd = raw_connect(wsabi_server_port(server));
        raw_request_upgrade(fd);
        if (way == 0) {
            CHECK(wsabi_runtime_next_events(runtime, &event, sizeof event, 1, -1) == 1);
            CHECK(event.kind == WSABI_EVENT_REQUEST && event.user_data == &marker);
            CHECK(event.len == 1 && event.data[0] == '/' && event.data[1] == 0);
            request = event.handle;
        } else {
            int32_t kind;
            CHECK(wsabi_runtime_next_packed(runtime, packed, sizeof packed, -1, &bytes) == 1);
            CHECK(bytes == 56 && packed[48] == '/');
            memcpy(&kind, packed, sizeof kind);
            CHECK(kind == WSABI_EVENT_REQUEST);
            memcpy(&request, packed + 16, sizeof request);
        }
        CHECK_OK(wsabi_request_accept(request, NULL, 0, NULL, &socket));
        CHECK(wsabi_runtime_next_events(runtime, &event, sizeof event, 1, -1) == 1);
        CHECK(event.kind == WSABI_EVENT_OPEN && event.handle == socket);
        CHECK_OK(wsabi_socket_release(socket));
        raw_wait_for_end(fd);
        close(fd);
    }
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
}

int main(void)
{
    a_request_is_accepted_inside_its_handler();
    a_request_is_accepted_later_by_another_thread();
    a_request_waits_without_holding_up_others();
    a_rejected_client_learns_status_fields_and_body();
    only_an_offered_subprotocol_is_accepted();
    an_unanswered_request_is_refused_in_time();
    a_client_that_leaves_takes_its_request_along();
    a_socket_accepted_for_a_client_that_has_left_still_ends_in_close();
    frames_behind_a_request_wait_for_its_answer();
    requests_end_with_their_server();
    requests_end_with_their_runtime();
    an_accepted_socket_can_be_released_at_once();
    an_accepted_socket_can_be_aborted_at_once();
    the_runtime_can_be_freed_inside_the_handler();
    the_server_can_be_closed_inside_the_handler();
    the_runtime_can_be_shut_down_inside_the_handler();
    a_handler_can_connect_another();
    a_server_can_ask_without_a_handler();
    return 0;
}
