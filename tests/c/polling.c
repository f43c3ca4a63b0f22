/* wsabi_runtime_poll: its budget, its time, who may call it, what wakes it and what ends it. */
#include "polled.h"

#include "raw_peer.h"

static void a_budget_is_not_exceeded_and_the_rest_waits(void)
{
    polled it;
    uint32_t number, handled = 0;
    polled_init(&it);
    polled_connect(&it);
    for (number = 0; number < 10; number++)
        send_number(far_end(&it), number);
    while (handled < 10) {
        int32_t count = wsabi_runtime_poll(it.near, 3, DEADLINE_MS);
        CHECK(count >= 1 && count <= 3);
        handled += (uint32_t)count;
        CHECK(count_events(&it.at_client, WSABI_EVENT_MESSAGE) == handled);
    }
    CHECK_STATUS(0, wsabi_runtime_poll(it.near, 3, 0));
    check_numbers(&it.at_client, 10);
    polled_free(&it);
}

static void it_waits_as_long_as_it_is_told(void)
{
    static const int32_t times[] = {0, 1, 50, 120};
    polled it;
    size_t i;
    polled_init(&it);
    polled_connect(&it);
    for (i = 0; i < COUNT_OF(times); i++) {
        int64_t begin = now_ms(), took;
        CHECK_STATUS(0, wsabi_runtime_poll(it.near, 0, times[i]));
        took = now_ms() - begin;
        CHECK(took >= times[i] - 1 && took < times[i] + 1000 * slowness());
    }
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_runtime_poll(it.near, 0, -2));
    polled_free(&it);
}

static void *send_one(void *argument)
{
    send_number(*(wsabi_socket *)argument, 0);
    return NULL;
}

static void it_returns_when_there_is_something(void)
{
    polled it;
    pthread_t thread;
    wsabi_socket sender;
    polled_init(&it);
    polled_connect(&it);
    sender = far_end(&it);
    CHECK(pthread_create(&thread, NULL, send_one, &sender) == 0);
    CHECK_STATUS(1, wsabi_runtime_poll(it.near, 0, -1));
    CHECK(pthread_join(thread, NULL) == 0);
    check_numbers(&it.at_client, 1);
    polled_free(&it);
}

/* Each way to ask for events. */
enum { POLL, TAKE, LOOK, PACK, PICKLE, WAYS };

static int32_t ask(wsabi_runtime runtime, int way, int32_t timeout_ms)
{
    wsabi_event event;
    uint8_t buf[64];
    size_t bytes = 77;
    int32_t count;
    switch (way) {
    case POLL:
        return wsabi_runtime_poll(runtime, 0, timeout_ms);
    case TAKE:
        return wsabi_runtime_next_events(runtime, &event, sizeof event, 1, timeout_ms);
    case LOOK:
        return wsabi_runtime_next_events(runtime, NULL, sizeof event, 0, timeout_ms);
    case PACK:
        count = wsabi_runtime_next_packed(runtime, buf, sizeof buf, timeout_ms, &bytes);
        break;
    default:
        count = wsabi_runtime_next_pickled(runtime, buf, sizeof buf, timeout_ms, &bytes);
    }
    CHECK((bytes == 77) == (count < 0));
    return count;
}

/* Each is refused at once, however long it would wait. */
static void check_asking(wsabi_runtime runtime, int32_t status)
{
    const int64_t begin = now_ms();
    int way;
    for (way = 0; way < WAYS; way++) {
        CHECK_STATUS(status, ask(runtime, way, -1));
        CHECK_STATUS(status, ask(runtime, way, 0));
    }
    CHECK(now_ms() - begin < 1000 * slowness());
}

typedef struct asker {
    wsabi_runtime runtime;
    int way;
} asker;

static void *ask_once(void *argument)
{
    const asker *self = (asker *)argument;
    int32_t count;
    do
        count = ask(self->runtime, self->way, -1);
    while (count == WSABI_ERR_STATE);
    CHECK_STATUS(0, count);
    return NULL;
}

/* Waits until another thread is inside a poll. */
static void wait_for_poller(wsabi_runtime runtime)
{
    int64_t until = now_ms() + DEADLINE_MS * slowness();
    while (wsabi_runtime_poll(runtime, 0, 0) != WSABI_ERR_STATE)
        CHECK(now_ms() < until);
}

static void a_second_thread_is_refused_and_a_wake_ends_the_first(void)
{
    asker first;
    for (first.way = 0; first.way < WAYS; first.way++) {
        pthread_t thread;
        polled it;
        polled_init(&it);
        polled_connect(&it);
        first.runtime = it.near;
        CHECK(pthread_create(&thread, NULL, ask_once, &first) == 0);
        wait_for_poller(it.near);
        check_asking(it.near, WSABI_ERR_STATE);
        CHECK_OK(wsabi_runtime_wake(it.near));
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK_STATUS(0, wsabi_runtime_poll(it.near, 0, 0));
        polled_free(&it);
    }
}

/* A handler that runs until it may return. */
static void wait_inside(const wsabi_event *event, recorder *self)
{
    const struct timespec until = deadline();
    int *is_inside = (int *)self->context;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    pthread_mutex_lock(&self->mutex);
    *is_inside = 1;
    pthread_cond_broadcast(&self->changed);
    while (*is_inside)
        wait_for_change(self, &until, "leave to return");
    pthread_mutex_unlock(&self->mutex);
}

static void *poll_for_one(void *argument)
{
    CHECK_STATUS(1, wsabi_runtime_poll(*(wsabi_runtime *)argument, 0, -1));
    return NULL;
}

static void a_second_thread_is_refused_while_a_handler_runs(void)
{
    const struct timespec until = deadline();
    wsabi_runtime other = new_polled_runtime();
    int is_inside = 0, way;
    pthread_t thread;
    polled it;
    polled_init(&it);
    polled_connect(&it);
    it.at_client.hook = wait_inside;
    it.at_client.context = &is_inside;
    send_number(far_end(&it), 0);
    CHECK(pthread_create(&thread, NULL, poll_for_one, &it.near) == 0);
    pthread_mutex_lock(&it.at_client.mutex);
    while (!is_inside)
        wait_for_change(&it.at_client, &until, "a handler");
    pthread_mutex_unlock(&it.at_client.mutex);
    check_asking(it.near, WSABI_ERR_STATE);
    for (way = 0; way < WAYS; way++)
        CHECK_STATUS(0, ask(other, way, 0));
    pthread_mutex_lock(&it.at_client.mutex);
    is_inside = 0;
    pthread_cond_broadcast(&it.at_client.changed);
    pthread_mutex_unlock(&it.at_client.mutex);
    CHECK(pthread_join(thread, NULL) == 0);
    check_numbers(&it.at_client, 1);
    CHECK_OK(wsabi_runtime_free(other));
    polled_free(&it);
}

static void a_wake_before_a_poll_ends_that_one_and_no_other(void)
{
    polled it;
    int64_t begin;
    polled_init(&it);
    polled_connect(&it);
    CHECK_OK(wsabi_runtime_wake(it.near));
    CHECK_OK(wsabi_runtime_wake(it.near));
    CHECK_STATUS(0, wsabi_runtime_poll(it.near, 0, -1));
    begin = now_ms();
    CHECK_STATUS(0, wsabi_runtime_poll(it.near, 0, 50));
    CHECK(now_ms() - begin >= 49);
    CHECK_OK(wsabi_runtime_wake(it.near));
    CHECK_OK(wsabi_runtime_shutdown(it.near, DEADLINE_MS));
    poll_for(&it, &it.at_client, WSABI_EVENT_CLOSE, 1);
    polled_free(&it);
}

static void a_wake_outlasts_a_shutdown(void)
{
    polled it;
    polled_init(&it);
    CHECK_OK(wsabi_runtime_wake(it.near));
    CHECK_OK(wsabi_runtime_shutdown(it.near, DEADLINE_MS));
    CHECK_STATUS(0, wsabi_runtime_poll(it.near, 0, -1));
    polled_free(&it);
}

static void ask_inside(const wsabi_event *event, recorder *self)
{
    polled *it = (polled *)self->context;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    check_asking(it->near, WSABI_ERR_STATE);
    CHECK_OK(wsabi_runtime_wake(it->near));
}

static void a_handler_cannot_poll(void)
{
    polled it;
    polled_init(&it);
    it.at_client.hook = ask_inside;
    it.at_client.context = &it;
    polled_connect(&it);
    send_number(far_end(&it), 0);
    poll_for(&it, &it.at_client, WSABI_EVENT_MESSAGE, 1);
    polled_free(&it);
}

static void free_inside(const wsabi_event *event, recorder *self)
{
    polled *it = (polled *)self->context;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    CHECK_OK(wsabi_runtime_free(it->near));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_poll(it->near, 0, 0));
    CHECK(count_releases(self) == 0);
}

static void freed_inside_a_handler_it_tells_no_more(void)
{
    polled it;
    uint32_t number;
    polled_init(&it);
    it.at_client.hook = free_inside;
    it.at_client.context = &it;
    polled_connect(&it);
    for (number = 0; number < 5; number++)
        send_number(far_end(&it), number);
    while (wsabi_runtime_poll(it.near, 0, 100) >= 0)
        continue;
    it.near = 0;
    wait_for_releases(&it.at_client, 1);
    CHECK_EVENTS(&it.at_client, "OM");
    wait_for_close(&it.at_server);
    polled_free(&it);
}

static void shut_down_inside(const wsabi_event *event, recorder *self)
{
    polled *it = (polled *)self->context;
    int32_t status;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    /* It does not wait. A thread that does the I/O may have closed all before it has looked. */
    status = wsabi_runtime_shutdown(it->near, -1);
    CHECK(status == WSABI_ERR_TIMEOUT || (io_threads > 0 && status == WSABI_OK));
}

static void shut_down_inside_a_handler_it_goes_on_to_close(void)
{
    polled it;
    polled_init(&it);
    it.at_client.hook = shut_down_inside;
    it.at_client.context = &it;
    polled_connect(&it);
    send_number(far_end(&it), 0);
    poll_for(&it, &it.at_client, WSABI_EVENT_CLOSE, 1);
    wait_for_clean_close(&it.at_client, 1001, "");
    wait_for_clean_close(&it.at_server, 1001, "");
    CHECK_EVENTS(&it.at_client, "OMC");
    polled_free(&it);
}

static void *poll_until_freed(void *argument)
{
    wsabi_runtime runtime = *(wsabi_runtime *)argument;
    int32_t count;
    do
        count = wsabi_runtime_poll(runtime, 0, -1);
    while (count >= 0 || count == WSABI_ERR_STATE);
    CHECK_STATUS(WSABI_ERR_HANDLE, count);
    return NULL;
}

static void freed_by_another_thread_every_poll_returns(void)
{
    int round, i, rounds = repetitions(200);
    for (round = 0; round < rounds; round++) {
        pthread_t threads[3];
        wsabi_runtime runtime = new_polled_runtime();
        for (i = 0; i < 3; i++)
            CHECK(pthread_create(&threads[i], NULL, poll_until_freed, &runtime) == 0);
        if (round % 2 == 0)
            wait_for_poller(runtime);
        CHECK_OK(wsabi_runtime_free(runtime));
        for (i = 0; i < 3; i++)
            CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void a_socket_closed_before_its_open_was_told_is_told_both(void)
{
    polled it;
    if (io_threads == 0)
        return; /* It does not open before a poll. */
    polled_init(&it);
    polled_begin(&it);
    wait_for_open(&it.at_server);
    while (wsabi_socket_ready_state(it.client) != WSABI_OPEN)
        sched_yield();
    send_number(far_end(&it), 0);
    while (received(it.client) == 0)
        sched_yield();
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    poll_for(&it, &it.at_client, WSABI_EVENT_CLOSE, 1);
    CHECK_EVENTS(&it.at_client, "OC");
    polled_free(&it);
}

/* Has the next message come, before this one is done. */
static void ask_for_the_next(const wsabi_event *event, recorder *self)
{
    polled *it = (polled *)self->context;
    uint32_t number;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    number = number_of(event->data) + 1;
    send_number(far_end(it), number);
    while (io_threads > 0 && received(it->client) <= number * sizeof number)
        sched_yield();
}

static void what_comes_meanwhile_is_for_the_next_poll(void)
{
    polled it;
    polled_init(&it);
    it.at_client.hook = ask_for_the_next;
    it.at_client.context = &it;
    polled_connect(&it);
    send_number(far_end(&it), 0);
    CHECK(wsabi_runtime_poll(it.near, 0, DEADLINE_MS) <= 4);
    polled_free(&it);
}

static void echo(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        wsabi_socket_send_binary(event->handle, event->data, event->len);
}

static void a_storm_does_not_keep_it_for_ever(void)
{
    polled it;
    int64_t until;
    uint32_t number;
    polled_init(&it);
    it.at_client.hook = it.at_server.hook = echo;
    polled_connect(&it);
    for (number = 0; number < 500; number++)
        send_number(it.client, number);
    until = now_ms() + 300;
    while (now_ms() < until) {
        int64_t begin = now_ms();
        CHECK(wsabi_runtime_poll(it.near, 0, 0) >= 0);
        CHECK(now_ms() - begin < 200 * slowness());
    }
    polled_free(&it);
}

static void what_delivers_on_threads_cannot_be_polled(void)
{
    wsabi_runtime runtimes[2] = {WSABI_DEFAULT_RUNTIME, 0};
    size_t i;
    CHECK_OK(wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &runtimes[1]));
    for (i = 0; i < COUNT_OF(runtimes); i++) {
        intptr_t fd = 77;
        check_asking(runtimes[i], WSABI_ERR_STATE);
        CHECK_STATUS(WSABI_ERR_STATE, wsabi_runtime_fd(runtimes[i], &fd));
        CHECK(fd == 77);
        CHECK_STATUS(WSABI_ERR_STATE, wsabi_runtime_wake(runtimes[i]));
        CHECK_STATUS(WSABI_ERR_STATE, wsabi_runtime_on_ready(runtimes[i], NULL, NULL));
    }
    CHECK_OK(wsabi_runtime_free(runtimes[1]));
}

int main(void)
{
    static void (*const cases[])(void) = {
        a_budget_is_not_exceeded_and_the_rest_waits,
        it_waits_as_long_as_it_is_told,
        it_returns_when_there_is_something,
        a_second_thread_is_refused_and_a_wake_ends_the_first,
        a_second_thread_is_refused_while_a_handler_runs,
        a_wake_before_a_poll_ends_that_one_and_no_other,
        a_wake_outlasts_a_shutdown,
        a_handler_cannot_poll,
        freed_inside_a_handler_it_tells_no_more,
        shut_down_inside_a_handler_it_goes_on_to_close,
        freed_by_another_thread_every_poll_returns,
        a_socket_closed_before_its_open_was_told_is_told_both,
        what_comes_meanwhile_is_for_the_next_poll,
        a_storm_does_not_keep_it_for_ever,
        what_delivers_on_threads_cannot_be_polled,
    };
    run_polled(cases, COUNT_OF(cases));
    return 0;
}
