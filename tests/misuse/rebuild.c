/* Runtimes that end while much is going on, by two threads at once or out of a handler of their own,
 * and that are made anew over and over, as an editor does that loads a game again: each end takes
 * bounded time, and leaves nothing behind. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include "../c/pair.h"

#include <sys/resource.h>

#include "heap.h"
#include "process.h"

/* Here runtimes are polled by those who wait, and freed by whoever likes to. */
#undef wsabi_runtime_free

/* How long freeing may take, whatever is open: nothing waits for a peer. */
enum { BOUND_MS = 5000 };

/* In how many ways a runtime runs. */
static const struct {
    const char *name;
    uint32_t threads;
    int32_t delivery;
} modes[] = {
    {"on a thread:", 1, WSABI_DELIVER_ON_THREADS},
    {"on two threads:", 2, WSABI_DELIVER_ON_THREADS},
    {"polled, with a thread:", 1, WSABI_DELIVER_ON_POLL},
    {"polled, without threads:", 0, WSABI_DELIVER_ON_POLL},
};

/* What happens to many sockets. It is their user_data. */
typedef struct tally {
    pthread_mutex_t mutex;
    int opens, messages, errors, closes, releases;
    /* The runtime that the handler of the next message frees; 0 for none. */
    wsabi_runtime doomed;
    int attempts, frees; /* how often it has, and how often that was the first time */
} tally;

static wsabi_runtime take_doomed(tally *self, const wsabi_event *event)
{
    wsabi_runtime doomed = 0;
    pthread_mutex_lock(&self->mutex);
    self->opens += event->kind == WSABI_EVENT_OPEN;
    self->messages += event->kind == WSABI_EVENT_MESSAGE;
    self->errors += event->kind == WSABI_EVENT_ERROR;
    self->closes += event->kind == WSABI_EVENT_CLOSE;
    if (event->kind == WSABI_EVENT_MESSAGE) {
        doomed = self->doomed;
        self->doomed = 0;
    }
    pthread_mutex_unlock(&self->mutex);
    return doomed;
}

static void count_event(const wsabi_event *event, void *user_data)
{
    tally *self = (tally *)user_data;
    wsabi_runtime doomed = take_doomed(self, event);
    if (doomed != 0) {
        int32_t status = wsabi_runtime_free(doomed);
        CHECK(status == WSABI_OK || status == WSABI_ERR_HANDLE);
        CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_free(doomed));
        pthread_mutex_lock(&self->mutex);
        self->frees += status == WSABI_OK;
        self->attempts++;
        pthread_mutex_unlock(&self->mutex);
    }
}

static void count_release(void *user_data)
{
    tally *self = (tally *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->releases++;
    pthread_mutex_unlock(&self->mutex);
}

static int number(tally *self, const int *which)
{
    int count;
    pthread_mutex_lock(&self->mutex);
    count = *which;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

/* A server and its clients, each end in a runtime of its own, or both in one. */
typedef struct crowd {
    wsabi_runtime runtime;
    wsabi_runtime servers;
    wsabi_options options;
    wsabi_server server;
    wsabi_socket *clients;
    int count;
    int is_polled;
    tally at_client, at_server;
} crowd;

/* Until there are so many, or, as a failure, the deadline. */
static void wait_for_number(crowd *self, tally *at, const int *which, int expected)
{
    int64_t until = now_ms() + (int64_t)DEADLINE_MS * slowness();
    while (number(at, which) < expected) {
        CHECK(now_ms() < until && "what is waited for comes in time");
        if (self->is_polled)
            wsabi_runtime_poll(self->runtime, 0, 10);
        else
            rest_ms(1);
    }
    CHECK(number(at, which) == expected);
}

static void crowd_connect(crowd *self)
{
    char url[64];
    int i;
    CHECK_OK(wsabi_server_listen(self->servers, "ws://127.0.0.1:0/", WSABI_NUL_TERMINATED,
                                 self->options, &self->at_server, &self->server));
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", (int)wsabi_server_port(self->server));
    for (i = 0; i < self->count; i++)
        CHECK_OK(wsabi_socket_connect(self->runtime, url, WSABI_NUL_TERMINATED, self->options,
                                      &self->at_client, &self->clients[i]));
    wait_for_number(self, &self->at_client, &self->at_client.opens, self->count);
    wait_for_number(self, &self->at_server, &self->at_server.opens, self->count);
}

/* `servers`: a runtime for the server; 0: that of the clients. */
static void crowd_begin(crowd *self, size_t mode, wsabi_runtime servers, int count)
{
    memset(self, 0, sizeof *self);
    pthread_mutex_init(&self->at_client.mutex, NULL);
    pthread_mutex_init(&self->at_server.mutex, NULL);
    CHECK_OK(wsabi_runtime_new(modes[mode].threads, modes[mode].delivery, &self->runtime));
    self->servers = servers == 0 ? self->runtime : servers;
    self->is_polled = modes[mode].delivery == WSABI_DELIVER_ON_POLL;
    self->count = count;
    self->clients = (wsabi_socket *)calloc((size_t)count, sizeof *self->clients);
    CHECK(self->clients != NULL);
    CHECK_OK(wsabi_options_new(&self->options));
    CHECK_OK(wsabi_options_on_event(self->options, 0, count_event));
    CHECK_OK(wsabi_options_on_release(self->options, count_release));
    CHECK_OK(wsabi_options_set_connect_timeout_ms(self->options,
                                                  DEADLINE_MS * (uint32_t)slowness()));
    crowd_connect(self);
}

/* The clients' runtime has been freed: every one of them has been told, as far as that is promised,
 * and has given its user_data back; all in time. */
static void crowd_end(crowd *self, int64_t began, int is_told)
{
    const int count = self->count;
    CHECK(now_ms() - began < BOUND_MS * slowness());
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_free(self->runtime));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_release(self->clients[0]));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_release(self->clients[count - 1]));
    wait_for_number(self, &self->at_client, &self->at_client.releases, count);
    if (is_told)
        CHECK(self->at_client.errors == count && self->at_client.closes == count);
    if (self->servers != self->runtime) {
        wait_for_number(self, &self->at_server, &self->at_server.closes, count);
        CHECK_OK(wsabi_server_close(self->server));
    }
    wait_for_number(self, &self->at_server, &self->at_server.releases, 1);
    CHECK_OK(wsabi_options_free(self->options));
    pthread_mutex_destroy(&self->at_client.mutex);
    pthread_mutex_destroy(&self->at_server.mutex);
    free(self->clients);
}

static int many(void)
{
    return is_long() ? 1000 : repetitions(200);
}

static void freed_from_outside(size_t mode, wsabi_runtime servers)
{
    crowd it;
    int64_t began;
    crowd_begin(&it, mode, servers, many());
    began = now_ms();
    CHECK_OK(wsabi_runtime_free(it.runtime));
    crowd_end(&it, began, !it.is_polled);
}

/* For two threads that begin at the same time. */
typedef struct race {
    pthread_barrier_t barrier;
    wsabi_runtime runtime;
} race;

static void *free_at_once(void *argument)
{
    race *self = (race *)argument;
    pthread_barrier_wait(&self->barrier);
    return (void *)(intptr_t)wsabi_runtime_free(self->runtime);
}

static void freed_by_two_threads(size_t mode, wsabi_runtime servers)
{
    pthread_t threads[2];
    void *results[2];
    int64_t began;
    crowd it;
    race both;
    int i, winner;
    crowd_begin(&it, mode, servers, 10);
    both.runtime = it.runtime;
    pthread_barrier_init(&both.barrier, NULL, 2);
    began = now_ms();
    for (i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, free_at_once, &both) == 0);
    for (i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], &results[i]) == 0);
    pthread_barrier_destroy(&both.barrier);
    winner = (intptr_t)results[0] != WSABI_OK;
    CHECK((intptr_t)results[winner] == WSABI_OK);
    CHECK((intptr_t)results[!winner] == WSABI_ERR_HANDLE);
    crowd_end(&it, began, !it.is_polled);
}

/* By the handler of one of its sockets, while the others are open. */
static void freed_by_a_handler(size_t mode, wsabi_runtime servers)
{
    int64_t began;
    crowd it;
    crowd_begin(&it, mode, servers, many());
    it.at_client.doomed = it.runtime;
    began = now_ms();
    CHECK(wsabi_server_publish(it.server, NULL, 0, WSABI_TEXT, "go", 2) > 0);
    wait_for_number(&it, &it.at_client, &it.at_client.attempts, 1);
    CHECK(it.at_client.frees == 1);
    crowd_end(&it, began, 0);
}

/* Only one of the two can be the first. */
static void freed_by_a_handler_and_from_outside(size_t mode, wsabi_runtime servers)
{
    int64_t began;
    int32_t status;
    crowd it;
    if (modes[mode].delivery == WSABI_DELIVER_ON_POLL)
        return;
    crowd_begin(&it, mode, servers, 10);
    it.at_client.doomed = it.runtime;
    began = now_ms();
    CHECK(wsabi_server_publish(it.server, NULL, 0, WSABI_TEXT, "go", 2) > 0);
    status = wsabi_runtime_free(it.runtime);
    CHECK(status == WSABI_OK || status == WSABI_ERR_HANDLE);
    if (status == WSABI_ERR_HANDLE)
        wait_for_number(&it, &it.at_client, &it.at_client.attempts, 1);
    crowd_end(&it, began, 0);
    CHECK(it.at_client.frees + (status == WSABI_OK) == 1);
}

static void each_end_takes_bounded_time(void)
{
    static void (*const ends[])(size_t, wsabi_runtime) = {
        freed_from_outside,
        freed_by_two_threads,
        freed_by_a_handler,
        freed_by_a_handler_and_from_outside,
    };
    size_t mode, i;
    for (mode = 0; mode < COUNT_OF(modes); mode++) {
        circumstance = modes[mode].name;
        for (i = 0; i < COUNT_OF(ends); i++) {
            wsabi_runtime servers = 0;
            CHECK_OK(wsabi_runtime_new(2, WSABI_DELIVER_ON_THREADS, &servers));
            ends[i](mode, servers);
            CHECK_OK(wsabi_runtime_free(servers));
        }
        /* The server goes with its clients. */
        freed_from_outside(mode, 0);
    }
}

static void rebuilt(size_t mode)
{
    int64_t began;
    crowd it;
    circumstance = modes[mode].name;
    crowd_begin(&it, mode, 0, 2);
    CHECK_OK(wsabi_socket_send_text(it.clients[0], "there", 5));
    CHECK(wsabi_server_publish(it.server, NULL, 0, WSABI_TEXT, "and back", 8) == 2);
    wait_for_number(&it, &it.at_client, &it.at_client.messages, 2);
    wait_for_number(&it, &it.at_server, &it.at_server.messages, 1);
    began = now_ms();
    CHECK_OK(wsabi_runtime_free(it.runtime));
    crowd_end(&it, began, 0);
}

/* Nothing is left, once each way has been gone. */
static void each_can_be_made_anew_a_thousand_times(int descriptors, int threads)
{
    int round, rounds = is_long() ? 10000 : repetitions(1000);
    size_t at_first = 0;
    for (round = 0; round < rounds; round++) {
        rebuilt((size_t)round % COUNT_OF(modes));
        if (round % 100 == 4 || round + 1 == rounds) {
            wait_for_nothing_left(descriptors, threads);
            if (at_first == 0)
                at_first = used_memory();
            check_memory(at_first, FOR_LOCKS);
        }
    }
}

/* Of a thousand connections, both ends. */
static void raise_limit(void)
{
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

int main(void)
{
    int descriptors = count_descriptors(), threads = count_threads();
    count_all_memory();
    raise_limit();
    each_end_takes_bounded_time();
    wait_for_nothing_left(descriptors, threads);
    each_can_be_made_anew_a_thousand_times(descriptors, threads);
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
