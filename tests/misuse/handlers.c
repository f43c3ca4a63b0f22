/* Handlers that act on each other's sockets, and one that does not return for long. How the runtimes
 * deliver, WSABI_DELIVERY says. */
#include "../c/pair.h"

#include "../c/child.h"

#include <sys/wait.h>

#include "process.h"

/* Two sockets on two threads, each of which does something to the other in its handler. */
typedef struct duel {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int inside; /* handlers that run */
    wsabi_socket sockets[2];
    void (*act)(wsabi_socket other);
} duel;

/* Handlers that can run at the same time: on two threads of one runtime, or in the polls of two. */
static void new_runtimes(wsabi_runtime runtimes[2])
{
    runtimes[0] = new_runtime_of(2);
    runtimes[1] = is_polled() ? new_runtime() : runtimes[0];
}

static void release_other(wsabi_socket other)
{
    CHECK_OK(wsabi_socket_release(other));
}

static void abort_other(wsabi_socket other)
{
    CHECK_OK(wsabi_socket_abort(other));
}

static void close_other(wsabi_socket other)
{
    CHECK_OK(wsabi_socket_close(other, 1000, "", 0));
}

static wsabi_runtime runtimes_of_duel[2];

/* Only one of the two can be the first. */
static void free_first_runtime(wsabi_socket other)
{
    int32_t status = wsabi_runtime_free(runtimes_of_duel[0]);
    (void)other;
    CHECK(status == WSABI_OK || status == WSABI_ERR_HANDLE);
}

/* Waits until both handlers run, so that each acts while the other is inside. */
static void fight(const wsabi_event *event, recorder *self)
{
    duel *it = (duel *)self->context;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    pthread_mutex_lock(&it->mutex);
    it->inside++;
    pthread_cond_broadcast(&it->changed);
    while (it->inside < 2)
        pthread_cond_wait(&it->changed, &it->mutex);
    pthread_mutex_unlock(&it->mutex);
    it->act(it->sockets[event->handle == it->sockets[0]]);
}

static void two_sockets_act_on_each_other_in_their_handlers(void (*act)(wsabi_socket))
{
    wsabi_options options = recording_options(), server_options = recording_options();
    wsabi_runtime far = new_runtime();
    wsabi_server server;
    recorder at_server, ends[2];
    duel it;
    int i;
    memset(&it, 0, sizeof it);
    pthread_mutex_init(&it.mutex, NULL);
    pthread_cond_init(&it.changed, NULL);
    it.act = act;
    new_runtimes(runtimes_of_duel);
    recorder_init(&at_server);
    server = listen_on_loopback(far, server_options, &at_server);
    for (i = 0; i < 2; i++) {
        recorder_init(&ends[i]);
        ends[i].hook = fight;
        ends[i].context = &it;
        it.sockets[i] = connect_to_port(runtimes_of_duel[i], wsabi_server_port(server), options,
                                        &ends[i]);
    }
    wait_for_event(&at_server, WSABI_EVENT_OPEN, 2);
    for (i = 0; i < 2; i++)
        wait_for_open(&ends[i]);
    for (i = 0; i < 2; i++)
        CHECK_OK(wsabi_socket_send_text(at_server.records[i].handle, "fight", 5));
    for (i = 0; i < 2; i++) {
        wait_for_message(&ends[i], 1);
        if (act == abort_other || act == close_other)
            wait_for_close(&ends[i]);
    }
    if (act != free_first_runtime)
        CHECK_OK(wsabi_runtime_free(runtimes_of_duel[0]));
    if (is_polled())
        CHECK_OK(wsabi_runtime_free(runtimes_of_duel[1]));
    CHECK_OK(wsabi_runtime_free(far));
    for (i = 0; i < 2; i++) {
        wait_for_releases(&ends[i], 1);
        CHECK(act != release_other || count_events(&ends[i], WSABI_EVENT_CLOSE) == 0);
        recorder_free(&ends[i]);
    }
    wait_for_releases(&at_server, 1);
    recorder_free(&at_server);
    CHECK_OK(wsabi_options_free(options));
    CHECK_OK(wsabi_options_free(server_options));
}

/* For a handler that runs until the test is over. */
static pthread_mutex_t blocked = PTHREAD_MUTEX_INITIALIZER;

static void block(const wsabi_event *event, recorder *self)
{
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    pthread_mutex_lock(&self->mutex);
    *(int *)self->context = 1;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    pthread_mutex_lock(&blocked);
    pthread_mutex_unlock(&blocked);
}

static void wait_until_blocked(recorder *self)
{
    struct timespec until = deadline();
    pthread_mutex_lock(&self->mutex);
    while (!*(int *)self->context)
        wait_for_change(self, &until, "a blocked handler");
    pthread_mutex_unlock(&self->mutex);
}

static void echo(const wsabi_event *event, recorder *self)
{
    int32_t status;
    (void)self;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    status = wsabi_socket_send_binary(event->handle, event->data, event->len);
    /* A message may have waited to be polled while the client closed. */
    CHECK(status == WSABI_OK || (is_polled() && status == WSABI_ERR_CLOSED));
}

/* Sockets are dealt out to the threads in turn, so that one of two is on the blocked one. Where a
 * runtime is polled, it is that of the blocked poll. */
static void a_handler_that_does_not_return_blocks_only_its_own_thread(void)
{
    wsabi_options options = recording_options();
    wsabi_runtime runtimes[2];
    wsabi_socket others[2];
    recorder at[2];
    pair it;
    int i, is_blocked = 0;
    pair_init(&it);
    it.at_server.hook = echo;
    it.at_client.hook = block;
    it.at_client.context = &is_blocked;
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    new_runtimes(runtimes);
    it.client = connect_to_port(runtimes[0], wsabi_server_port(it.server), it.client_options,
                                &it.at_client);
    wait_for_open(&it.at_client);
    for (i = 0; i < 2; i++) {
        recorder_init(&at[i]);
        others[i] = connect_to_port(runtimes[1 - i], wsabi_server_port(it.server), options, &at[i]);
        wait_for_open(&at[i]);
    }
    pthread_mutex_lock(&blocked);
    CHECK_OK(wsabi_socket_send_text(it.client, "block", 5));
    wait_until_blocked(&it.at_client);
    for (i = 0; i < 200; i++)
        CHECK_OK(wsabi_socket_send_text(others[i % 2], "quick", 5));
    /* The first other one has the other thread. */
    wait_for_message(&at[0], 100);
    CHECK(count_events(&at[1], WSABI_EVENT_MESSAGE) == 0);
    /* Calls on the blocked sockets, and from them, return. */
    CHECK_OK(wsabi_socket_ping(it.client, "ping", 4));
    CHECK_OK(wsabi_socket_close(others[1], 1000, "", 0));
    CHECK_OK(wsabi_socket_release(it.client));
    /* Where a thread of the library does the I/O, and another one polls, that one has been closed. */
    if (delivery() == BY_POLL)
        CHECK_OK(wsabi_runtime_shutdown(runtimes[0], DEADLINE_MS * slowness()));
    else
        CHECK_STATUS(WSABI_ERR_TIMEOUT, wsabi_runtime_shutdown(runtimes[0], 50));
    CHECK_OK(wsabi_socket_close(others[0], 1000, "", 0));
    wait_for_close(&at[0]);
    pthread_mutex_unlock(&blocked);
    wait_for_close(&at[1]);
    wait_for_releases(&it.at_client, 1);
    CHECK(count_events(&it.at_client, WSABI_EVENT_CLOSE) == 0);
    CHECK_OK(wsabi_runtime_free(runtimes[0]));
    if (is_polled())
        CHECK_OK(wsabi_runtime_free(runtimes[1]));
    CHECK_OK(wsabi_options_free(options));
    for (i = 0; i < 2; i++) {
        wait_for_releases(&at[i], 1);
        recorder_free(&at[i]);
    }
    pair_free(&it);
}

/* In the child there is only the thread of the handler, and the socket is the parent's. */
static void fork_inside(const wsabi_event *event, recorder *self)
{
    int status;
    pid_t child;
    (void)self;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pair own;
        alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
        init_taking();
        CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_send_text(event->handle, "child", 5));
        CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_release(event->handle));
        pair_init(&own);
        pair_connect(&own);
        pair_free(&own);
        end_child(7);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK_OK(wsabi_socket_send_text(event->handle, "parent", 6));
}

static void a_handler_may_fork(void)
{
    record message;
    pair it;
    pair_init(&it);
    it.at_client.hook = fork_inside;
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_text(accepted(&it), "fork", 4));
    message = wait_for_message(&it.at_server, 1);
    CHECK(is_text(&message, "parent"));
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    wait_for_clean_close(&it.at_client, 1000, NULL);
    pair_free(&it);
}

int main(void)
{
    int descriptors = count_descriptors(), threads = count_threads();
    int round, rounds = repetitions(50);
    /* Events that are taken out, the test handles one at a time. */
    if (delivery() == BY_NEXT_EVENTS)
        rounds = 0;
    for (round = 0; round < rounds; round++) {
        two_sockets_act_on_each_other_in_their_handlers(release_other);
        two_sockets_act_on_each_other_in_their_handlers(abort_other);
        two_sockets_act_on_each_other_in_their_handlers(close_other);
        two_sockets_act_on_each_other_in_their_handlers(free_first_runtime);
    }
    if (rounds > 0)
        a_handler_that_does_not_return_blocks_only_its_own_thread();
    a_handler_may_fork();
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
