/* Calls from inside every kind of handler, of a client and of a server's socket: send, close, abort,
 * release, connect, set_user_data, and freeing another runtime or the handler's own. */
#include "pair.h"

typedef struct scenario {
    pair pair;
    int is_server; /* whose handler it is */
    int32_t kind;  /* of the handler in which `act` is called, once */
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

/* Who has the handler. */
static recorder *actor(scenario *self)
{
    return self->is_server ? &self->pair.at_server : &self->pair.at_client;
}

static void act_send(scenario *self, wsabi_socket socket)
{
    static const wsabi_message many[2] = {{"a", 1, WSABI_TEXT, 0}, {"b", 1, WSABI_BINARY, 0}};
    /* DRAIN comes while most of the buffer is free again, so nothing here can be refused. */
    int32_t expected = is_over(self) ? WSABI_ERR_CLOSED : WSABI_OK;
    if (self->kind == WSABI_EVENT_RECONNECT)
        expected = WSABI_ERR_STATE;
    CHECK_STATUS(expected, wsabi_socket_send_text(socket, "from inside", WSABI_NUL_TERMINATED));
    CHECK_STATUS(expected, wsabi_socket_send_binary(socket, "\x00\xFF", 2));
    CHECK_STATUS(expected == WSABI_OK ? 2 : expected, wsabi_socket_send_many(socket, many, 2));
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
    if (!self->is_server)
        CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_socket_subscribe(socket, "topic", 5));
    else if (is_over(self))
        CHECK_STATUS(WSABI_ERR_CLOSED, wsabi_socket_subscribe(socket, "topic", 5));
    else
        CHECK_OK(wsabi_socket_subscribe(socket, "topic", 5));
}

static void act_close(scenario *self, wsabi_socket socket)
{
    CHECK_OK(wsabi_socket_close(socket, 1000, "from inside", WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_socket_close(socket, 1001, "twice", WSABI_NUL_TERMINATED));
    CHECK(is_over(self) || self->kind == WSABI_EVENT_RECONNECT ||
          wsabi_socket_ready_state(socket) >= WSABI_CLOSING);
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

static void act_once(const wsabi_event *event, recorder *at)
{
    scenario *self = (scenario *)at->context;
    if (event->kind != self->kind || self->acted)
        return;
    self->acted = 1;
    self->act(self, event->handle);
}

/* Fills the buffer of one while the other does not read, then lets it read. */
static void cause_drain(wsabi_socket socket, wsabi_socket other)
{
    static char chunk[65536];
    int32_t status;
    CHECK_OK(wsabi_socket_pause(other));
    do
        status = wsabi_socket_send_binary(socket, chunk, sizeof chunk);
    while (status == WSABI_OK);
    CHECK_STATUS(WSABI_ERR_BUFFER_FULL, status);
    CHECK_OK(wsabi_socket_resume(other));
}

/* Lets an event of this kind come to a socket, which is open, through the other end. */
static void cause(int32_t kind, wsabi_socket socket, wsabi_socket other)
{
    if (kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_text(other, "hello", 5));
    else if (kind == WSABI_EVENT_PING)
        CHECK_OK(wsabi_socket_ping(other, "ping", 4));
    else if (kind == WSABI_EVENT_PONG)
        CHECK_OK(wsabi_socket_ping(socket, "pong", 4));
    else if (kind == WSABI_EVENT_DRAIN)
        cause_drain(socket, other);
    else if (kind == WSABI_EVENT_ERROR || kind == WSABI_EVENT_RECONNECT)
        CHECK_OK(wsabi_socket_abort(other));
    else if (kind == WSABI_EVENT_CLOSE)
        CHECK_OK(wsabi_socket_close(other, 1000, "", 0));
}

/* Starts the client and brings it to where `act` is called. Returns the socket that it concerns. */
static wsabi_socket play(scenario *self)
{
    pair *it = &self->pair;
    wsabi_socket far;
    it->server = listen_on_loopback(it->runtime, it->server_options, &it->at_server);
    it->client = connect_to_port(it->runtime, wsabi_server_port(it->server), it->client_options,
                                 &it->at_client);
    if (self->kind != WSABI_EVENT_OPEN) {
        wait_for_open(&it->at_client);
        far = accepted(it);
        if (self->is_server)
            cause(self->kind, far, it->client);
        else
            cause(self->kind, it->client, far);
    }
    return wait_for_event(actor(self), self->kind, 1).handle;
}

/* Of the events of this socket, `kind` was the last, and CLOSE came once or not at all. */
static void check_last(recorder *events, wsabi_socket socket, int32_t kind)
{
    int32_t last = 0;
    size_t i, closes = 0;
    for (i = 0; i < events->count; i++) {
        if (events->records[i].handle != socket)
            continue;
        last = events->records[i].kind;
        closes += last == WSABI_EVENT_CLOSE;
    }
    CHECK(last == kind && closes == (kind == WSABI_EVENT_CLOSE));
}

/* Looks that the events end as they have to after an action that leaves `left`. */
static void check_end(scenario *self, wsabi_socket socket, int left)
{
    pair *it = &self->pair;
    int moved = left == MOVED && self->kind != WSABI_EVENT_CLOSE;
    if (left == ALIVE || left == MOVED) {
        int32_t status = wsabi_socket_close(socket, 1000, "", 0);
        /* That of a server ends by itself. */
        CHECK(status == WSABI_OK || (self->is_server && status == WSABI_ERR_HANDLE));
        wait_for_close(moved ? &self->other : actor(self));
    }
    if (self->other_socket != 0)
        wait_for_open(&self->other);
    if (left != FREED)
        CHECK_OK(wsabi_runtime_free(it->runtime));
    it->runtime = 0;
    wait_for_releases(actor(self), 1);
    check_last(actor(self), socket, left == ALIVE ? WSABI_EVENT_CLOSE : self->kind);
    if (left == MOVED || self->other_socket != 0)
        wait_for_releases(&self->other, 1);
    if (moved)
        check_last(&self->other, socket, WSABI_EVENT_CLOSE);
}

static void let_fill(wsabi_options options)
{
    CHECK_OK(wsabi_options_set_max_buffered(options, 1 << 20));
    CHECK_OK(wsabi_options_set_low_water(options, 1 << 16));
}

static void call_inside(int is_server, int32_t kind, void (*act)(scenario *, wsabi_socket),
                        int left)
{
    scenario self;
    wsabi_socket socket;
    memset(&self, 0, sizeof self);
    pair_init(&self.pair);
    recorder_init(&self.other);
    let_fill(self.pair.client_options);
    let_fill(self.pair.server_options);
    /* So late that nothing comes of it before the end. */
    if (kind == WSABI_EVENT_RECONNECT)
        CHECK_OK(wsabi_options_set_reconnect(self.pair.client_options, 600000, 600000, 0));
    self.is_server = is_server;
    self.kind = kind;
    self.act = act;
    self.other_runtime = new_runtime();
    actor(&self)->hook = act_once;
    actor(&self)->context = &self;
    socket = play(&self);
    check_end(&self, socket, left);
    if (act != act_free_another_runtime)
        CHECK_OK(wsabi_runtime_free(self.other_runtime));
    pair_free(&self.pair);
    recorder_free(&self.other);
}

/* Two sockets, each of which releases the other in its handler of MESSAGE. */
typedef struct rivals {
    wsabi_socket sockets[2];
    recorder at[2];
} rivals;

static void release_rival(const wsabi_event *event, recorder *at)
{
    rivals *self = (rivals *)at->context;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_release(self->sockets[event->handle == self->sockets[0]]));
}

/* On one thread: on two, both may. */
static void of_two_that_release_each_other_one_does(void)
{
    rivals rivals;
    pair it;
    int i;
    pair_init(&it);
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    for (i = 0; i < 2; i++) {
        recorder_init(&rivals.at[i]);
        rivals.at[i].hook = release_rival;
        rivals.at[i].context = &rivals;
        rivals.sockets[i] = connect_to_port(it.runtime, wsabi_server_port(it.server),
                                            it.client_options, &rivals.at[i]);
        wait_for_open(&rivals.at[i]);
    }
    wait_for_event(&it.at_server, WSABI_EVENT_OPEN, 2);
    CHECK(wsabi_server_publish(it.server, NULL, 0, WSABI_TEXT, "now", 3) == 2);
    /* That of the one who has been released. */
    wait_for_event(&it.at_server, WSABI_EVENT_ERROR, 1);
    CHECK_OK(wsabi_runtime_free(it.runtime));
    it.runtime = 0;
    for (i = 0; i < 2; i++)
        wait_for_releases(&rivals.at[i], 1);
    i = count_events(&rivals.at[1], WSABI_EVENT_MESSAGE) == 1;
    CHECK_EVENTS(&rivals.at[i], is_polled() ? "OM" : "OMEC");
    CHECK_EVENTS(&rivals.at[!i], "O");
    for (i = 0; i < 2; i++)
        recorder_free(&rivals.at[i]);
    pair_free(&it);
}

int main(void)
{
    static const int32_t kinds[] = {WSABI_EVENT_OPEN,  WSABI_EVENT_MESSAGE, WSABI_EVENT_PING,
                                    WSABI_EVENT_PONG,  WSABI_EVENT_DRAIN,   WSABI_EVENT_ERROR,
                                    WSABI_EVENT_CLOSE, WSABI_EVENT_RECONNECT};
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
    static char description[96];
    size_t place, action;
    of_two_that_release_each_other_one_does();
    circumstance = description;
    for (place = 0; place < 2 * COUNT_OF(kinds); place++) {
        const int is_server = place % 2 == 1;
        const int32_t kind = kinds[place / 2];
        if (is_server && kind == WSABI_EVENT_RECONNECT)
            continue;
        for (action = 0; action < COUNT_OF(actions); action++) {
            /* Outside of the library nothing keeps an event alive whose runtime is freed. */
            if (actions[action].left == FREED && delivery() == BY_NEXT_EVENTS)
                continue;
            snprintf(description, sizeof description, "%s in handler %c of a %s:",
                     actions[action].name, kind_letter(kind), is_server ? "server" : "client");
            call_inside(is_server, kind, actions[action].act, actions[action].left);
        }
    }
    return 0;
}
