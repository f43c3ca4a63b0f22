/* Releasing a socket and freeing its runtime at every stage of a connection's life: at once, without
 * a later event, and with nothing left. */
#include "../c/pair.h"

#include <fcntl.h>
#include <netdb.h>

#include "../c/raw_peer.h"

#include "process.h"

/* How soon a call returns that does not wait for the application. */
#define SOON_MS (50 * slowness())

/* Where a connection is when it is ended, and how it gets there. */
typedef struct stage {
    const char *name;
    const char *url; /* %d: the port of the peer */
    /* Waits until the connection is there. What it opens it stores. */
    void (*reach)(struct stage *self, pair *it);
    const char *events; /* of the client until then; NULL: some number of messages */
    int peer;           /* -1: none yet */
} stage;

static pthread_mutex_t resolving = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolving_changed = PTHREAD_COND_INITIALIZER;
static int resolvers;      /* threads that wait for an address */
static int is_name_server; /* whether they get one */

/* In place of that of the system, for the library, too: waits until it is told to go on. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    (void)node;
    (void)service;
    (void)hints;
    (void)found;
    pthread_mutex_lock(&resolving);
    resolvers++;
    pthread_cond_broadcast(&resolving_changed);
    while (!is_name_server)
        pthread_cond_wait(&resolving_changed, &resolving);
    resolvers--;
    pthread_cond_broadcast(&resolving_changed);
    pthread_mutex_unlock(&resolving);
    return EAI_AGAIN;
}

static void reach_resolving(stage *self, pair *it)
{
    (void)self;
    (void)it;
    pthread_mutex_lock(&resolving);
    while (resolvers == 0)
        pthread_cond_wait(&resolving_changed, &resolving);
    pthread_mutex_unlock(&resolving);
}

/* Has the resolvers answer, which nobody waits for any more. */
static void answer_resolvers(void)
{
    pthread_mutex_lock(&resolving);
    is_name_server = 1;
    pthread_cond_broadcast(&resolving_changed);
    while (resolvers > 0)
        pthread_cond_wait(&resolving_changed, &resolving);
    is_name_server = 0;
    pthread_mutex_unlock(&resolving);
}

static void reach_connecting(stage *self, pair *it)
{
    (void)self;
    (void)it;
}

/* Until the client has sent what the peer does not answer. */
static void reach_first_bytes(stage *self, pair *it)
{
    (void)it;
    raw_wait_readable(self->peer);
}

static void reach_open(stage *self, pair *it)
{
    char head[4096], response[512];
    raw_receive_head(self->peer, head, sizeof head);
    raw_write_response(head, response, sizeof response);
    CHECK(raw_send_text(self->peer, response));
    wait_for_open(&it->at_client);
}

static void reach_closing(stage *self, pair *it)
{
    reach_open(self, it);
    CHECK_OK(wsabi_socket_close(it->client, 1000, "", 0));
    raw_wait_readable(self->peer);
}

static void reach_much_to_send(stage *self, pair *it)
{
    static char bulk[1 << 18];
    reach_open(self, it);
    while (wsabi_socket_buffered_amount(it->client) < 1 << 20)
        CHECK_OK(wsabi_socket_send_binary(it->client, bulk, sizeof bulk));
}

static void reach_half_a_message(stage *self, pair *it)
{
    static char bulk[1 << 16];
    reach_open(self, it);
    CHECK(raw_send_frame(self->peer, RAW_BINARY, 0, bulk, 60000));
    CHECK(raw_send_frame(self->peer, RAW_FIN | RAW_PING, 0, "there?", 6));
    wait_for_event(&it->at_client, WSABI_EVENT_PING, 1);
}

static stage stages[] = {
    {"resolving", "ws://somewhere.invalid:%d/", reach_resolving, "", -1},
    {"connecting", "ws://127.0.0.1:%d/", reach_connecting, "", -1},
    {"in TLS", "wss://127.0.0.1:%d/", reach_first_bytes, "", -1},
    {"in the upgrade", "ws://127.0.0.1:%d/", reach_first_bytes, "", -1},
    {"open", "ws://127.0.0.1:%d/", reach_open, "O", -1},
    {"with much to send", "ws://127.0.0.1:%d/", reach_much_to_send, "O", -1},
    {"receiving a message", "ws://127.0.0.1:%d/", reach_half_a_message, "OI", -1},
    {"in the closing handshake", "ws://127.0.0.1:%d/", reach_closing, "O", -1},
};

/* Ways to end it. */
static void end_by_release(pair *it)
{
    CHECK_OK(wsabi_socket_release(it->client));
}

static void end_by_abort(pair *it)
{
    CHECK_OK(wsabi_socket_abort(it->client));
    CHECK_OK(wsabi_socket_release(it->client));
}

static void end_by_freeing_the_runtime(pair *it)
{
    CHECK_OK(wsabi_runtime_free(it->runtime));
    it->runtime = 0;
}

/* Fills the queue of a listener, so that the next connection waits for its turn for ever. */
static int fill_queue(int listener, int fillers[2])
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    int i;
    CHECK(listen(listener, 0) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &len) == 0);
    for (i = 0; i < 2; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(fillers[i] >= 0);
        connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    return ntohs(address.sin_port);
}

/* No event has come but those of the stage; with `told`, ERROR and CLOSE as well, unless they would
 * have to be polled from a runtime that is no more. */
static void check_told(const stage *self, recorder *client, int told)
{
    char expected[16];
    snprintf(expected, sizeof expected, "%s%s", self->events, told && !is_polled() ? "EC" : "");
    CHECK_EVENTS(client, expected);
}

static void end_at(stage *self, void (*end)(pair *))
{
    int descriptors = count_descriptors();
    int fillers[2] = {-1, -1}, listener, port, i;
    char url[64];
    int64_t began;
    pair it;
    pair_init(&it);
    listener = raw_listen(&port);
    if (self->reach == reach_connecting)
        port = fill_queue(listener, fillers);
    snprintf(url, sizeof url, self->url, port);
    CHECK_OK(wsabi_socket_connect(it.runtime, url, WSABI_NUL_TERMINATED, it.client_options,
                                  &it.at_client, &it.client));
    if (self->reach != reach_connecting && self->reach != reach_resolving)
        self->peer = raw_accept(listener);
    self->reach(self, &it);
    began = now_ms();
    end(&it);
    CHECK(now_ms() - began <= SOON_MS);
    wait_for_releases(&it.at_client, 1);
    CHECK(now_ms() - began <= 2 * SOON_MS);
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(it.client));
    if (self->reach == reach_resolving)
        answer_resolvers();
    if (end != end_by_abort)
        check_told(self, &it.at_client, end == end_by_freeing_the_runtime);
    pair_free(&it);
    close(listener);
    if (self->peer >= 0)
        close(self->peer);
    self->peer = -1;
    for (i = 0; i < 2 && fillers[i] >= 0; i++)
        close(fillers[i]);
    wait_for_count(count_descriptors, descriptors, "descriptors");
}

/* A handler that runs until it is told to return. */
typedef struct hold {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int is_inside;
    int may_return;
} hold;

static void hold_thread(const wsabi_event *event, recorder *self)
{
    hold *it = (hold *)self->context;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    pthread_mutex_lock(&it->mutex);
    it->is_inside = 1;
    pthread_cond_broadcast(&it->changed);
    while (!it->may_return)
        pthread_cond_wait(&it->changed, &it->mutex);
    pthread_mutex_unlock(&it->mutex);
}

static void let_return(hold *it)
{
    pthread_mutex_lock(&it->mutex);
    it->may_return = 1;
    pthread_cond_broadcast(&it->changed);
    pthread_mutex_unlock(&it->mutex);
}

/* A pair whose client is inside its handler. */
static void begin_holding(pair *it, hold *held)
{
    memset(held, 0, sizeof *held);
    pthread_mutex_init(&held->mutex, NULL);
    pthread_cond_init(&held->changed, NULL);
    pair_init(it);
    it->at_client.hook = hold_thread;
    it->at_client.context = held;
    pair_connect(it);
    CHECK_OK(wsabi_socket_send_text(accepted(it), "hold", 4));
    pthread_mutex_lock(&held->mutex);
    while (!held->is_inside)
        pthread_cond_wait(&held->changed, &held->mutex);
    pthread_mutex_unlock(&held->mutex);
}

static void releasing_does_not_wait_for_a_handler_on_another_thread(void)
{
    hold held;
    pair it;
    int64_t began;
    begin_holding(&it, &held);
    began = now_ms();
    CHECK_OK(wsabi_socket_release(it.client));
    CHECK(now_ms() - began <= SOON_MS);
    rest_ms(20);
    CHECK(count_releases(&it.at_client) == 0);
    let_return(&held);
    wait_for_releases(&it.at_client, 1);
    CHECK_EVENTS(&it.at_client, "OM");
    pair_free(&it);
}

static void *free_the_runtime(void *argument)
{
    pair *it = (pair *)argument;
    CHECK_OK(wsabi_runtime_free(it->runtime));
    CHECK(count_events(&it->at_client, WSABI_EVENT_CLOSE) == (is_polled() ? 0 : 1));
    it->runtime = 0;
    return NULL;
}

static void freeing_a_runtime_waits_for_a_handler_on_another_thread(void)
{
    hold held;
    pair it;
    pthread_t thread;
    wsabi_runtime runtime;
    begin_holding(&it, &held);
    runtime = it.runtime;
    CHECK(pthread_create(&thread, NULL, free_the_runtime, &it) == 0);
    while (wsabi_runtime_wake(runtime) != WSABI_ERR_HANDLE)
        rest_ms(1);
    CHECK(count_events(&it.at_client, WSABI_EVENT_CLOSE) == 0);
    let_return(&held);
    CHECK(pthread_join(thread, NULL) == 0);
    wait_for_releases(&it.at_client, 1);
    CHECK_EVENTS(&it.at_client, is_polled() ? "OM" : "OMEC");
    pair_free(&it);
}

/* Frees the runtime, unless another thread has been quicker. Returns whether it did. */
static void *free_once(void *runtime)
{
    int32_t status = wsabi_runtime_free(*(const wsabi_runtime *)runtime);
    CHECK(status == WSABI_OK || status == WSABI_ERR_HANDLE);
    return status == WSABI_OK ? runtime : NULL;
}

/* From several threads, of which one succeeds. */
static void freeing_a_runtime_ends_hundreds_of_connections_at_once(void)
{
    enum { CLIENTS = 300, THREADS = 4 };
    const size_t count = (size_t)repetitions(CLIENTS);
    wsabi_runtime runtime = new_runtime_of(2);
    pthread_t threads[THREADS];
    int64_t began;
    size_t i;
    int freed = 0;
    pair it;
    pair_init(&it);
    it.at_client.handed_over = (int)count;
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    for (i = 0; i < count; i++)
        it.client = connect_to_port(runtime, wsabi_server_port(it.server), it.client_options,
                                    &it.at_client);
    wait_for_event(&it.at_client, WSABI_EVENT_OPEN, count);
    began = now_ms();
    for (i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, free_once, &runtime) == 0);
    for (i = 0; i < THREADS; i++) {
        void *own;
        CHECK(pthread_join(threads[i], &own) == 0);
        freed += own != NULL;
    }
    CHECK(freed == 1);
    CHECK(now_ms() - began <= 10 * SOON_MS);
    CHECK(count_events(&it.at_client, WSABI_EVENT_CLOSE) == (is_polled() ? 0 : count));
    wait_for_releases(&it.at_client, (int)count);
    pair_free(&it);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*end)(pair *);
    } ends[] = {
        {"release", end_by_release},
        {"abort and release", end_by_abort},
        {"runtime_free", end_by_freeing_the_runtime},
    };
    static char description[64];
    int descriptors = count_descriptors(), threads = count_threads();
    size_t i, j;
    for (i = 0; i < COUNT_OF(stages); i++) {
        for (j = 0; j < COUNT_OF(ends); j++) {
            snprintf(description, sizeof description, "%s %s:", ends[j].name, stages[i].name);
            circumstance = description;
            end_at(&stages[i], ends[j].end);
        }
    }
    circumstance = "";
    releasing_does_not_wait_for_a_handler_on_another_thread();
    /* Of a handler that the test calls itself, the library knows nothing. */
    if (delivery() != BY_NEXT_EVENTS)
        freeing_a_runtime_waits_for_a_handler_on_another_thread();
    freeing_a_runtime_ends_hundreds_of_connections_at_once();
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
