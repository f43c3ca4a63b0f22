/* Calls from inside every kind of handler: send, close, abort, release, connect, set_user_data, and
 * freeing another runtime or the handler's own. */
#include "pair.h"

typedef struct scenario {
    pair pair;
    int32_t kind; /* of the handler in which `act` is called, once */
    void (*act)(struct scenario *self, wsabi_socket socket);
    int acted;
    recorder other; /* for the actions that need a second one */
    wsabi_socket other_socket;
    wsabi_runtime other_runtime;
} scenario;

/* What is left of the socket after an action. */
enum { ALIVE, SILENT, FREED, MOVED };

static int is_over(const scenario *self)
{
    return self->kind == WSABI_EVENT_ERROR || self->kind == WSABI_EVENT_CLOSE;
}

static void act_send(scenario *self, wsabi_socket socket)
{
    static const wsabi_message many[2] = {{"a", 1, WSABI_TEXT, 0}, {"b", 1, WSABI_BINARY, 0}};
    int over = is_over(self);
    /* DRAIN comes while most of the buffer is free again, so nothing here can be refused. */
    int32_t expected = over ? WSABI_ERR_CLOSED : WSABI_OK;
    CHECK_STATUS(expected, wsabi_socket_send_text(socket, "from inside", WSABI_NUL_TERMINATED));
    CHECK_STATUS(expected, wsabi_socket_send_binary(socket, "\x00\xFF", 2));
    CHECK_STATUS(over ? WSABI_ERR_CLOSED : 2, wsabi_socket_send_many(socket, many, 2));
    CHECK_STATUS(expected, wsabi_socket_send_fragment(socket, WSABI_TEXT, "in ", 3, 0));
    CHECK_STATUS(expected, wsabi_socket_send_fragment(socket, WSABI_TEXT, "pieces", 6, 1));
    CHECK_STATUS(expected, wsabi_socket_ping(socket, "are you there?", 14));
}

static void act_publish(scenario *self, wsabi_socket socket)
{
    /* Waiting for it might be in vain, here. */
    int is_there = count_events(&self->pair.at_server, WSABI_EVENT_OPEN) > 0;
    wsabi_socket other = is_there ? accepted(&self->pair) : 0;
    int32_t status = wsabi_socket_subscribe(other, "topic", 5);
    int64_t taken;
    CHECK(status == WSABI_OK || status == WSABI_ERR_CLOSED || status == WSABI_ERR_HANDLE);
    taken = wsabi_server_publish(self->pair.server, "topic", 5, WSABI_TEXT, "inside", 6);
    CHECK(taken == 0 || taken == 1);
    taken = wsabi_server_publish(self->pair.server, NULL, 0, WSABI_TEXT, "inside", 6);
    CHECK(taken == 0 || taken == 1);
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_subscribe(socket, "topic", 5));
}

static void act_close(scenario *self, wsabi_socket socket)
{
    CHECK_OK(wsabi_socket_close(socket, 1000, "from inside", WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_socket_close(socket, 1001, "twice", WSABI_NUL_TERMINATED));
    CHECK(is_over(self) || wsabi_socket_ready_state(socket) >= WSABI_CLOSING);
}

static void act_abort(scenario *self, wsabi_socket socket)
{
    (void)self;
    CHECK_OK(wsabi_socket_abort(socket));
    CHECK_OK(wsabi_socket_abort(socket));
}

static void act_release(scenario *self, wsabi_socket socket)
{
    (void)self;
    CHECK_OK(wsabi_socket_release(socket));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_release(socket));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_send_binary(socket, "x", 1));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(socket));
}

static void act_connect(scenario *self, wsabi_socket socket)
{
    (void)socket;
    self->other_socket =
        connect_to_port(self->pair.runtime, wsabi_server_port(self->pair.server),
                        self->pair.client_options, &self->other);
}

static void act_set_user_data(scenario *self, wsabi_socket socket)
{
    CHECK_OK(wsabi_socket_set_user_data(socket, &self->other));
}

static void act_free_another_runtime(scenario *self, wsabi_socket socket)
{
    (void)socket;
    CHECK_OK(wsabi_runtime_free(self->other_runtime));
}

static void act_free_own_runtime(scenario *self, wsabi_socket socket)
{
    /* Does not wait for what only this thread could bring about. Where handlers run elsewhere than
     * the sockets, all may be closed before it has looked. */
    int32_t status = wsabi_runtime_shutdown(self->pair.runtime, -1);
    int may_be_over = is_over(self) || is_polled();
    CHECK(status == WSABI_ERR_TIMEOUT || (may_be_over && status == WSABI_OK));
    CHECK_OK(wsabi_runtime_free(self->pair.runtime));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_free(self->pair.runtime));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(socket));
}

static void act_once(const wsabi_event *event, recorder *at_client)
{
    scenario *self = (scenario *)at_client->context;
    if (event->kind != self->kind || self->acted)
        return;
    self->acted = 1;
    self->act(self, event->handle);
}

/* Fills the client's buffer while the server does not read, then lets it read. */
static void cause_drain(pair *it)
{
    static char chunk[65536];
    int32_t status;
    CHECK_OK(wsabi_socket_pause(accepted(it)));
    do
        status = wsabi_socket_send_binary(it->client, chunk, sizeof chunk);
    while (status == WSABI_OK);
    CHECK_STATUS(WSABI_ERR_BUFFER_FULL, status);
    CHECK_OK(wsabi_socket_resume(accepted(it)));
}

/* Lets an event of this kind come to the client, which is open. */
static void cause(pair *it, int32_t kind)
{
    if (kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_text(accepted(it), "hello", 5));
    else if (kind == WSABI_EVENT_PING)
        CHECK_OK(wsabi_socket_ping(accepted(it), "ping", 4));
    else if (kind == WSABI_EVENT_PONG)
        CHECK_OK(wsabi_socket_ping(it->client, "pong", 4));
    else if (kind == WSABI_EVENT_DRAIN)
        cause_drain(it);
    else if (kind == WSABI_EVENT_ERROR)
        CHECK_OK(wsabi_socket_abort(accepted(it)));
    else if (kind == WSABI_EVENT_CLOSE)
        CHECK_OK(wsabi_socket_close(accepted(it), 1000, "", 0));
}

/* Starts the client and brings it to where `act` is called. */
static void play(scenario *self)
{
    pair *it = &self->pair;
    it->server = listen_on_loopback(it->runtime, it->server_options, &it->at_server);
    it->client = connect_to_port(it->runtime, wsabi_server_port(it->server), it->client_options,
                                 &it->at_client);
    if (self->kind != WSABI_EVENT_OPEN) {
        wait_for_open(&it->at_client);
        wait_for_open(&it->at_server);
        cause(it, self->kind);
    }
    wait_for_event(&it->at_client, self->kind, 1);
}

/* `kind` was the last event, and CLOSE came once or not at all. */
static void check_last(recorder *events, int32_t kind)
{
    CHECK(events->count > 0 && events->records[events->count - 1].kind == kind);
    CHECK(count_events(events, WSABI_EVENT_CLOSE) == (kind == WSABI_EVENT_CLOSE));
}

/* Looks that the events end as they have to after an action that leaves `left`. */
static void check_end(scenario *self, int left)
{
    pair *it = &self->pair;
    int moved = left == MOVED && self->kind != WSABI_EVENT_CLOSE;
    if (left == ALIVE || left == MOVED) {
        CHECK_OK(wsabi_socket_close(it->client, 1000, "", 0));
        wait_for_close(moved ? &self->other : &it->at_client);
    }
    if (self->other_socket != 0)
        wait_for_open(&self->other);
    if (left != FREED)
        CHECK_OK(wsabi_runtime_free(it->runtime));
    it->runtime = 0;
    wait_for_releases(&it->at_client, 1);
    check_last(&it->at_client, left == ALIVE ? WSABI_EVENT_CLOSE : self->kind);
    if (left == MOVED || self->other_socket != 0)
        wait_for_releases(&self->other, 1);
    if (moved)
        check_last(&self->other, WSABI_EVENT_CLOSE);
}

static void call_inside(int32_t kind, void (*act)(scenario *, wsabi_socket), int left)
{
    scenario self;
    memset(&self, 0, sizeof self);
    pair_init(&self.pair);
    recorder_init(&self.other);
    CHECK_OK(wsabi_options_set_max_buffered(self.pair.client_options, 1 << 20));
    CHECK_OK(wsabi_options_set_low_water(self.pair.client_options, 1 << 16));
    self.kind = kind;
    self.act = act;
    self.other_runtime = new_runtime();
    self.pair.at_client.hook = act_once;
    self.pair.at_client.context = &self;
    play(&self);
    check_end(&self, left);
    if (act != act_free_another_runtime)
        CHECK_OK(wsabi_runtime_free(self.other_runtime));
    pair_free(&self.pair);
    recorder_free(&self.other);
}

int main(void)
{
    static const int32_t kinds[] = {WSABI_EVENT_OPEN,  WSABI_EVENT_MESSAGE, WSABI_EVENT_PING,
                                    WSABI_EVENT_PONG,  WSABI_EVENT_DRAIN,   WSABI_EVENT_ERROR,
                                    WSABI_EVENT_CLOSE};
    static const struct {
        const char *name;
        void (*act)(scenario *, wsabi_socket);
        int left;
    } actions[] = {
        {"send", act_send, ALIVE},
        {"publish", act_publish, ALIVE},
        {"close", act_close, ALIVE},
        {"abort", act_abort, ALIVE},
        {"release", act_release, SILENT},
        {"connect", act_connect, ALIVE},
        {"set_user_data", act_set_user_data, MOVED},
        {"freeing another runtime", act_free_another_runtime, ALIVE},
        {"freeing the own runtime", act_free_own_runtime, FREED},
    };
    static char description[64];
    size_t kind, action;
    circumstance = description;
    for (kind = 0; kind < COUNT_OF(kinds); kind++) {
        for (action = 0; action < COUNT_OF(actions); action++) {
            /* Outside of the library nothing keeps an event alive whose runtime is freed. */
            if (actions[action].left == FREED && delivery() == BY_NEXT_EVENTS)
                continue;
            snprintf(description, sizeof description, "%s in handler %c:", actions[action].name,
                     kind_letter(kinds[kind]));
            call_inside(kinds[kind], actions[action].act, actions[action].left);
        }
    }
    return 0;
}
