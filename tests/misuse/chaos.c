/* Sixteen threads, and the handlers, connect, send, close, abort and release at random on shared
 * handles, while a runtime comes and goes; a checker looks at what each socket was told. How the
 * runtimes deliver, WSABI_DELIVERY says. */
#include "../c/pair.h"

#include "process.h"

enum { THREADS = 16, SLOTS = 24, ACCEPTED = -1 };

/* One socket, from connecting to the release of its user_data, which this is. */
typedef struct life {
    pthread_mutex_t mutex;
    struct life *next;
    int slot;          /* whose it is, or ACCEPTED */
    int can_be_freed;  /* its runtime may end before the program does */
    int running;       /* handlers */
    int opens, errors, closes, releases;
    unsigned released; /* when wsabi_socket_release returned; 0: it has not */
    int late;          /* events that came to a handler after that */
    unsigned received; /* the number of the next message */
    unsigned random;
    /* What only handlers use, under no lock, and the last of them leaves to `on_release`: valgrind
     * and the sanitizers see whoever comes too late, or at the same time. */
    unsigned *unguarded;
} life;

/* A handle that all threads share. */
typedef struct slot {
    pthread_mutex_t mutex;
    wsabi_socket socket;
    life *owner;
    unsigned sent; /* the number of the next message */
} slot;

static slot slots[SLOTS];
static pthread_mutex_t lives_mutex = PTHREAD_MUTEX_INITIALIZER;
static life *lives;
static wsabi_runtime lasting;
static pthread_mutex_t passing_mutex = PTHREAD_MUTEX_INITIALIZER;
static wsabi_runtime passing; /* the one that comes and goes */
static wsabi_options client_options, server_options;
static wsabi_server server;
static char published[3000]; /* the text that goes to many */
static int port;
static int64_t end_ms;
/* Goes on with every release. */
static unsigned clock_of_releases;
/* What it said when this thread last was outside of any handler. */
static __thread unsigned time_outside;
/* Whether a message has come: with a sanitizer on a busy machine that may take longer. */
static int has_received;

/* xorshift32, by G. Marsaglia. */
static unsigned below(unsigned *state, unsigned limit)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % limit;
}

static life *new_life(int slot, int can_be_freed, unsigned random)
{
    life *self = (life *)calloc(1, sizeof *self);
    CHECK(self != NULL);
    pthread_mutex_init(&self->mutex, NULL);
    self->slot = slot;
    self->can_be_freed = can_be_freed;
    self->random = random | 1;
    self->unguarded = (unsigned *)calloc(1, sizeof *self->unguarded);
    CHECK(self->unguarded != NULL);
    pthread_mutex_lock(&lives_mutex);
    self->next = lives;
    lives = self;
    pthread_mutex_unlock(&lives_mutex);
    return self;
}

/* What may come of a call on a handle that others use, end and replace. */
static int is_fair(int32_t status)
{
    return status == WSABI_OK || status == WSABI_ERR_HANDLE || status == WSABI_ERR_STATE ||
           status == WSABI_ERR_CLOSED || status == WSABI_ERR_BUFFER_FULL;
}

/* The owner and the socket of a slot, which others may end at any time. */
static wsabi_socket look_at(slot *at, life **owner)
{
    wsabi_socket socket;
    pthread_mutex_lock(&at->mutex);
    socket = at->socket;
    *owner = at->owner;
    pthread_mutex_unlock(&at->mutex);
    return socket;
}

static void release(wsabi_socket socket, life *owner)
{
    int32_t status = wsabi_socket_release(socket);
    CHECK(status == WSABI_OK || status == WSABI_ERR_HANDLE);
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_release(socket));
    if (status != WSABI_OK)
        return;
    pthread_mutex_lock(&owner->mutex);
    CHECK(!owner->released);
    owner->released = __atomic_add_fetch(&clock_of_releases, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&owner->mutex);
}

/* Numbers are given out and used under one lock, so that they arrive in order. */
static void send_numbered(slot *at, unsigned *random)
{
    static char bulk[40000];
    char data[sizeof bulk];
    size_t len = below(random, 8) == 0 ? sizeof data : sizeof(unsigned);
    int32_t status;
    memcpy(data, bulk, len);
    pthread_mutex_lock(&at->mutex);
    memcpy(data, &at->sent, sizeof at->sent);
    status = wsabi_socket_send_binary(at->socket, data, len);
    CHECK(is_fair(status));
    at->sent += status == WSABI_OK;
    pthread_mutex_unlock(&at->mutex);
}

/* Puts a new socket into the slot, and releases the one that was there. */
static void connect_anew(slot *at, unsigned *random)
{
    char url[64];
    wsabi_socket socket = 0, old;
    wsabi_runtime runtime = lasting;
    life *owner, *old_owner;
    int32_t status;
    int can_be_freed = below(random, 2) == 0;
    if (can_be_freed) {
        pthread_mutex_lock(&passing_mutex);
        runtime = passing;
        pthread_mutex_unlock(&passing_mutex);
    }
    owner = new_life((int)(at - slots), can_be_freed, *random);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
    status = wsabi_socket_connect(runtime, url, WSABI_NUL_TERMINATED, client_options, owner,
                                  &socket);
    CHECK(status == WSABI_OK || (can_be_freed && status == WSABI_ERR_HANDLE));
    if (status != WSABI_OK) {
        CHECK(socket == 0);
        /* It was not taken. */
        free(owner->unguarded);
        owner->releases = owner->released = 1;
        return;
    }
    pthread_mutex_lock(&at->mutex);
    old = at->socket;
    old_owner = at->owner;
    at->socket = socket;
    at->owner = owner;
    at->sent = 0;
    pthread_mutex_unlock(&at->mutex);
    if (old != 0)
        release(old, old_owner);
}

static void replace_runtime(void)
{
    wsabi_runtime old, fresh = new_runtime_of(2);
    int32_t status;
    pthread_mutex_lock(&passing_mutex);
    old = passing;
    passing = fresh;
    pthread_mutex_unlock(&passing_mutex);
    status = wsabi_runtime_free(old);
    CHECK(status == WSABI_OK);
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_free(old));
}

static void look(wsabi_socket socket)
{
    char text[64];
    wsabi_stats stats;
    stats.size = sizeof stats;
    CHECK(is_fair(wsabi_socket_stats(socket, &stats)));
    wsabi_socket_fact(socket, WSABI_FACT_PEER_ADDRESS, text, sizeof text);
    wsabi_socket_buffered_amount(socket);
    wsabi_socket_ready_state(socket);
}

/* One thing out of all, on one of the slots. */
static void act(unsigned *random)
{
    slot *at = &slots[below(random, SLOTS)];
    life *owner;
    wsabi_socket socket = look_at(at, &owner);
    unsigned choice = below(random, 1000);
    if (socket == 0 || choice < 20)
        connect_anew(at, random);
    else if (choice < 700)
        send_numbered(at, random);
    else if (choice < 800)
        CHECK(is_fair(wsabi_socket_ping(socket, "ping", 4)));
    else if (choice < 900)
        look(socket);
    else if (choice < 960)
        CHECK(is_fair(choice % 2 ? wsabi_socket_pause(socket) : wsabi_socket_resume(socket)));
    else if (choice < 975)
        CHECK(is_fair(wsabi_socket_close(socket, 1000, "", 0)));
    else if (choice < 985)
        CHECK(is_fair(wsabi_socket_abort(socket)));
    else if (choice < 995)
        release(socket, owner);
    else
        CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_release(socket ^ UINT64_C(1) << 51));
}

/* Says something to all, or to those in the room, and enters or leaves that. */
static void publish(wsabi_socket socket, unsigned choice)
{
    int64_t taken = wsabi_server_publish(server, choice % 2 ? "room" : NULL, choice % 2 ? 4 : 0,
                                         WSABI_TEXT, published, sizeof published);
    CHECK(taken >= 0);
    CHECK(is_fair(choice % 3 ? wsabi_socket_subscribe(socket, "room", 4)
                             : wsabi_socket_unsubscribe(socket, "room", 4)));
}

/* Nothing starts after a release. When another thread released the socket, the library may already
 * have been about to call the handler that begins here, which then counts as running; but it cannot
 * have been before this thread came from its last handler. */
static void check_released(life *self)
{
    self->late += self->released != 0;
    CHECK(self->late <= 1);
    CHECK(self->released == 0 || self->released > time_outside);
}

/* Looks at an event before anything is done about it. */
static void check_event(life *self, const wsabi_event *event)
{
    unsigned number;
    ++*self->unguarded;
    pthread_mutex_lock(&self->mutex);
    CHECK(self->releases == 0);
    CHECK(self->running++ == 0);
    CHECK(self->closes == 0);
    check_released(self);
    if (event->kind == WSABI_EVENT_OPEN) {
        CHECK(self->opens++ == 0 && self->errors == 0);
    } else if (event->kind == WSABI_EVENT_ERROR) {
        CHECK(self->errors++ == 0);
    } else if (event->kind == WSABI_EVENT_CLOSE) {
        self->closes++;
    } else {
        CHECK(self->opens == 1 && self->errors == 0);
    }
    if (event->kind == WSABI_EVENT_MESSAGE && event->type == WSABI_TEXT) {
        CHECK(event->len == sizeof published && memcmp(event->data, published, event->len) == 0);
    } else if (event->kind == WSABI_EVENT_MESSAGE) {
        CHECK(event->len >= sizeof number);
        memcpy(&number, event->data, sizeof number);
        CHECK(number == self->received);
        self->received++;
        __atomic_store_n(&has_received, 1, __ATOMIC_SEQ_CST);
    }
    pthread_mutex_unlock(&self->mutex);
}

static void leave(life *self)
{
    pthread_mutex_lock(&self->mutex);
    self->running--;
    pthread_mutex_unlock(&self->mutex);
    time_outside = __atomic_load_n(&clock_of_releases, __ATOMIC_SEQ_CST);
    ++*self->unguarded;
}

static void at_client(const wsabi_event *event, void *user_data)
{
    life *self = (life *)user_data;
    check_event(self, event);
    if (below(&self->random, 50) == 0)
        act(&self->random);
    leave(self);
}

/* Echoes, publishes, and ends connections now and then. */
static void at_server(const wsabi_event *event, void *user_data)
{
    life *self = (life *)user_data;
    unsigned choice;
    if (event->kind == WSABI_EVENT_OPEN) {
        self = new_life(ACCEPTED, 0, (unsigned)event->handle);
        CHECK_OK(wsabi_socket_set_user_data(event->handle, self));
    }
    check_event(self, event);
    choice = below(&self->random, 1000);
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK(is_fair(wsabi_socket_send_binary(event->handle, event->data, event->len)));
    if (choice >= 980)
        publish(event->handle, choice);
    if (choice < 2)
        CHECK(is_fair(wsabi_socket_close(event->handle, 1000, "", 0)));
    else if (choice < 4)
        CHECK(is_fair(wsabi_socket_abort(event->handle)));
    else if (choice < 6)
        release(event->handle, self);
    leave(self);
}

/* Where the test itself calls the handlers: those of the server begin without a user_data. */
static void handle(const wsabi_event *event, void *user_data)
{
    const life *self = (life *)user_data;
    if (self == NULL || self->slot == ACCEPTED)
        at_server(event, user_data);
    else
        at_client(event, user_data);
}

static void on_release(void *user_data)
{
    life *self = (life *)user_data;
    if (self == NULL)
        return; /* that of the server */
    free(self->unguarded);
    pthread_mutex_lock(&self->mutex);
    CHECK(self->running == 0);
    CHECK(self->releases++ == 0);
    pthread_mutex_unlock(&self->mutex);
}

static void *live(void *argument)
{
    /* Without it, sixteen threads leave those of the library no time to open anything, least of all
     * one that has to do all of their work. */
    const struct timespec pause = {0, 100000 * slowness()};
    const unsigned actions = delivery() == WITHOUT_THREADS ? 2 : 8;
    unsigned random = (unsigned)(size_t)argument * 2654435761u + 1;
    while (now_ms() < end_ms || (!__atomic_load_n(&has_received, __ATOMIC_SEQ_CST) &&
                                 now_ms() < end_ms + DEADLINE_MS)) {
        if (below(&random, actions) == 0)
            nanosleep(&pause, NULL);
        if (below(&random, 3000) == 0)
            replace_runtime();
        else
            act(&random);
    }
    return NULL;
}

static wsabi_options new_options(wsabi_handler handler)
{
    wsabi_options options = 0;
    CHECK_OK(wsabi_options_new(&options));
    CHECK_OK(wsabi_options_on_event(options, 0, handler));
    CHECK_OK(wsabi_options_on_release(options, on_release));
    CHECK_OK(wsabi_options_set_close_timeout_ms(options, 500));
    CHECK_OK(wsabi_options_set_max_buffered(options, 1 << 20));
    return options;
}

static int count_lives(int (*is_counted)(const life *))
{
    int count = 0;
    life *it;
    pthread_mutex_lock(&lives_mutex);
    for (it = lives; it != NULL; it = it->next) {
        pthread_mutex_lock(&it->mutex);
        count += is_counted(it);
        pthread_mutex_unlock(&it->mutex);
    }
    pthread_mutex_unlock(&lives_mutex);
    return count;
}

static int is_unreleased(const life *it)
{
    return it->releases == 0;
}

static int count_unreleased(void)
{
    return count_lives(is_unreleased);
}

static int has_no_end(const life *it)
{
    return it->closes == 0 && !it->released && !it->can_be_freed;
}

static int count_without_end(void)
{
    return count_lives(has_no_end);
}

static void check_lives(void)
{
    unsigned long opened = 0, messages = 0;
    while (lives != NULL) {
        life *it = lives;
        CHECK(it->releases == 1);
        CHECK(it->running == 0);
        CHECK(!has_no_end(it));
        opened += it->opens > 0;
        messages += it->received;
        lives = it->next;
        pthread_mutex_destroy(&it->mutex);
        free(it);
    }
    /* How much a few seconds are enough for is the machine's affair, and under valgrind no message
     * may come before its socket is replaced. */
    printf("%lu sockets were open, %lu messages came\n", opened, messages);
    CHECK(opened > 0 && (messages > 0 || slowness() > 1));
}

int main(void)
{
    pthread_t threads[THREADS];
    int descriptors = count_descriptors(), tasks = count_threads();
    size_t i;
    memset(published, 'p', sizeof published);
    for (i = 0; i < SLOTS; i++)
        pthread_mutex_init(&slots[i].mutex, NULL);
    handle_taken = handle;
    lasting = new_runtime_of(2);
    passing = new_runtime_of(2);
    client_options = new_options(at_client);
    server_options = new_options(at_server);
    CHECK_OK(wsabi_server_listen(lasting, "ws://127.0.0.1:0/", WSABI_NUL_TERMINATED,
                                 server_options, NULL, &server));
    port = wsabi_server_port(server);
    end_ms = now_ms() + (is_long() ? 60000 : 2000 * slowness());
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, live, (void *)(i + 1)) == 0);
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK_OK(wsabi_runtime_free(passing));
    wsabi_runtime_shutdown(lasting, 2000);
    /* Freeing the runtime drops events that wait to be polled. */
    wait_for_count(count_without_end, 0, "sockets without CLOSE");
    CHECK_OK(wsabi_runtime_free(lasting));
    CHECK_OK(wsabi_options_free(client_options));
    CHECK_OK(wsabi_options_free(server_options));
    wait_for_count(count_unreleased, 0, "sockets with user_data");
    check_lives();
    wait_for_nothing_left(descriptors, tasks);
    return 0;
}
