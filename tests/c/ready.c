/* How loops of the application learn that there is something to poll: wsabi_runtime_fd, which is
 * readable exactly while there is, and wsabi_runtime_on_ready. */
#include "polled.h"

#include "raw_peer.h"

static intptr_t descriptor_of(wsabi_runtime runtime)
{
    intptr_t fd = -1, again = -1;
    CHECK_OK(wsabi_runtime_fd(runtime, &fd));
    CHECK_OK(wsabi_runtime_fd(runtime, &again));
    CHECK(fd >= 0 && fd == again);
    return fd;
}

/* Polls as a loop does, never without being told to, until there have been so many events. */
static void poll_when_readable(polled *it, intptr_t fd, recorder *at, int32_t kind, size_t count)
{
    while (count_events(at, kind) < count) {
        CHECK(is_readable(fd, DEADLINE_MS * slowness()));
        CHECK(wsabi_runtime_poll(it->near, 0, 0) >= 0);
    }
}

/* There is nothing to do. What goes on below may need a few polls more. */
static void check_idle(polled *it, intptr_t fd)
{
    int polls = 0;
    while (is_readable(fd, 50)) {
        CHECK(wsabi_runtime_poll(it->near, 0, 0) == 0);
        CHECK(++polls < 10);
    }
}

static void it_leads_through_a_whole_connection(void)
{
    polled it;
    intptr_t fd;
    polled_init(&it);
    fd = descriptor_of(it.near);
    CHECK(!is_readable(fd, 20));
    polled_begin(&it);
    poll_when_readable(&it, fd, &it.at_client, WSABI_EVENT_OPEN, 1);
    wait_for_open(&it.at_server);
    check_idle(&it, fd);
    send_number(far_end(&it), 0);
    poll_when_readable(&it, fd, &it.at_client, WSABI_EVENT_MESSAGE, 1);
    check_idle(&it, fd);
    CHECK_OK(wsabi_socket_close(far_end(&it), 1000, "", 0));
    poll_when_readable(&it, fd, &it.at_client, WSABI_EVENT_CLOSE, 1);
    check_idle(&it, fd);
    polled_free(&it);
}

static void it_is_readable_when_asked_for_late(void)
{
    polled it;
    polled_init(&it);
    polled_connect(&it);
    send_number(far_end(&it), 0);
    /* Behind the message. */
    CHECK_OK(wsabi_socket_ping(far_end(&it), "", 0));
    if (io_threads > 0) {
        wait_for_event(&it.at_server, WSABI_EVENT_PONG, 1);
        CHECK(is_readable(descriptor_of(it.near), 0));
    }
    poll_when_readable(&it, descriptor_of(it.near), &it.at_client, WSABI_EVENT_MESSAGE, 1);
    polled_free(&it);
}

static void it_is_readable_while_a_budget_leaves_something(void)
{
    polled it;
    intptr_t fd;
    uint32_t number, handled = 0;
    polled_init(&it);
    polled_connect(&it);
    fd = descriptor_of(it.near);
    for (number = 0; number < 20; number++)
        send_number(far_end(&it), number);
    while (handled < 20) {
        CHECK(is_readable(fd, DEADLINE_MS));
        handled += (uint32_t)wsabi_runtime_poll(it.near, 1, 0);
        CHECK(count_events(&it.at_client, WSABI_EVENT_MESSAGE) == handled);
    }
    check_numbers(&it.at_client, 20);
    check_idle(&it, fd);
    polled_free(&it);
}

static void what_is_taken_out_counts_as_polled(void)
{
    wsabi_event event;
    polled it;
    intptr_t fd;
    uint32_t number, taken = 0;
    polled_init(&it);
    polled_connect(&it);
    fd = descriptor_of(it.near);
    for (number = 0; number < 5; number++)
        send_number(far_end(&it), number);
    while (taken < 5) {
        int32_t count;
        CHECK(is_readable(fd, DEADLINE_MS));
        count = wsabi_runtime_next_events(it.near, &event, sizeof event, 1, 0);
        CHECK(count == 0 || number_of(event.data) == taken);
        taken += (uint32_t)count;
    }
    check_idle(&it, fd);
    polled_free(&it);
}

static void its_clock_makes_it_readable(void)
{
    polled it;
    intptr_t fd;
    polled_init(&it);
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.near_options, 100));
    polled_connect(&it);
    fd = descriptor_of(it.near);
    /* The ping is sent by the poll, or by the thread; its answer comes back. */
    poll_when_readable(&it, fd, &it.at_client, WSABI_EVENT_PONG, 2);
    CHECK(count_events(&it.at_server, WSABI_EVENT_PING) >= 2);
    polled_free(&it);
}

static wsabi_runtime asked_for;
static intptr_t fd_inside;

static void ask_inside(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_OPEN)
        fd_inside = descriptor_of(asked_for);
}

static void it_can_be_asked_for_inside_a_handler(void)
{
    polled it;
    polled_init(&it);
    asked_for = it.near;
    it.at_client.hook = ask_inside;
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.near_options, 100));
    polled_connect(&it);
    CHECK(fd_inside == descriptor_of(it.near));
    poll_when_readable(&it, fd_inside, &it.at_client, WSABI_EVENT_PONG, 2);
    polled_free(&it);
}

static int is_polled_enough;

/* In turns with the other thread, until it is told that this is enough. */
static void *poll_on(void *argument)
{
    while (!__atomic_load_n(&is_polled_enough, __ATOMIC_SEQ_CST)) {
        int32_t count = wsabi_runtime_poll(*(wsabi_runtime *)argument, 0, -1);
        CHECK(count >= 0 || count == WSABI_ERR_STATE);
    }
    return NULL;
}

static void it_can_be_asked_for_while_another_thread_polls(void)
{
    pthread_t thread;
    polled it;
    intptr_t fd;
    polled_init(&it);
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.near_options, 100));
    polled_connect(&it);
    __atomic_store_n(&is_polled_enough, 0, __ATOMIC_SEQ_CST);
    CHECK(pthread_create(&thread, NULL, poll_on, &it.near) == 0);
    while (wsabi_runtime_poll(it.near, 0, 0) != WSABI_ERR_STATE)
        sched_yield();
    fd = descriptor_of(it.near);
    __atomic_store_n(&is_polled_enough, 1, __ATOMIC_SEQ_CST);
    CHECK_OK(wsabi_runtime_wake(it.near));
    CHECK(pthread_join(thread, NULL) == 0);
    poll_when_readable(&it, fd, &it.at_client, WSABI_EVENT_PONG, 2);
    polled_free(&it);
}

static void a_time_that_is_up_makes_it_readable(void)
{
    int port, listener = raw_listen(&port);
    int64_t begin = now_ms();
    polled it;
    polled_init(&it);
    CHECK_OK(wsabi_options_set_connect_timeout_ms(it.near_options, 150));
    it.client = connect_to_port(it.near, port, it.near_options, &it.at_client);
    poll_when_readable(&it, descriptor_of(it.near), &it.at_client, WSABI_EVENT_CLOSE, 1);
    wait_for_error(&it.at_client, WSABI_ERR_TIMEOUT);
    CHECK(now_ms() - begin >= 140);
    close(listener);
    polled_free(&it);
}

static void *send_numbers(void *argument)
{
    uint32_t number;
    for (number = 0; number < 3000; number++)
        send_number(*(wsabi_socket *)argument, number);
    return NULL;
}

/* Wakes the loop for whatever another thread's sends leave to do. */
static void what_other_threads_send_leaves_without_being_asked_for(void)
{
    pthread_t thread;
    polled it;
    intptr_t fd;
    int64_t until = now_ms() + DEADLINE_MS * slowness();
    polled_init(&it);
    polled_connect(&it);
    fd = descriptor_of(it.near);
    check_idle(&it, fd);
    CHECK(pthread_create(&thread, NULL, send_numbers, &it.client) == 0);
    while (count_events(&it.at_server, WSABI_EVENT_MESSAGE) < 3000) {
        CHECK(now_ms() < until);
        if (is_readable(fd, 10))
            CHECK(wsabi_runtime_poll(it.near, 0, 0) >= 0);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    check_numbers(&it.at_server, 3000);
    polled_free(&it);
}

/* More than the system takes at once: the rest goes out when the peer has read. */
static void it_is_readable_when_the_peer_takes_more(void)
{
    static char bulk[8 << 20];
    polled it;
    intptr_t fd;
    polled_init(&it);
    CHECK_OK(wsabi_options_set_max_buffered(it.near_options, 16 << 20));
    polled_connect(&it);
    fd = descriptor_of(it.near);
    CHECK_OK(wsabi_socket_pause(far_end(&it)));
    CHECK_OK(wsabi_socket_send_binary(it.client, bulk, sizeof bulk));
    CHECK(wsabi_socket_buffered_amount(it.client) > 0);
    check_idle(&it, fd);
    CHECK_OK(wsabi_socket_resume(far_end(&it)));
    while (wsabi_socket_buffered_amount(it.client) > 0) {
        CHECK(io_threads > 0 || is_readable(fd, DEADLINE_MS * slowness()));
        CHECK(wsabi_runtime_poll(it.near, 0, 0) >= 0);
    }
    CHECK(wait_for_message(&it.at_server, 1).len == sizeof bulk);
    polled_free(&it);
}

static void a_wake_makes_it_readable_until_the_next_poll(void)
{
    polled it;
    intptr_t fd;
    polled_init(&it);
    fd = descriptor_of(it.near);
    CHECK_OK(wsabi_runtime_wake(it.near));
    CHECK(is_readable(fd, 0));
    CHECK_STATUS(0, wsabi_runtime_poll(it.near, 0, -1));
    check_idle(&it, fd);
    polled_free(&it);
}

/* Counts its calls. */
typedef struct signal_count {
    pthread_mutex_t mutex;
    int count;
} signal_count;

static void count_signal(void *user_data)
{
    signal_count *self = (signal_count *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->count++;
    pthread_mutex_unlock(&self->mutex);
}

static int signals(signal_count *self)
{
    int count;
    pthread_mutex_lock(&self->mutex);
    count = self->count;
    pthread_mutex_unlock(&self->mutex);
    return count;
}

static void wait_for_signals(signal_count *self, int count)
{
    int64_t until = now_ms() + DEADLINE_MS * slowness();
    while (signals(self) < count) {
        CHECK(now_ms() < until && "the signal comes in time");
        sched_yield();
    }
    CHECK(signals(self) == count);
}

/* Sends messages, and waits until all of them wait. */
static void let_wait(polled *it, uint32_t count)
{
    uint64_t before = received(it->client);
    uint32_t number;
    for (number = 0; number < count; number++)
        send_number(far_end(it), number);
    while (received(it->client) < before + count * sizeof number)
        sched_yield();
    /* The PONG comes from behind them, so that they are in the queue. */
    number = (uint32_t)count_events(&it->at_server, WSABI_EVENT_PONG);
    CHECK_OK(wsabi_socket_ping(far_end(it), "", 0));
    wait_for_event(&it->at_server, WSABI_EVENT_PONG, number + 1);
}

static void a_signal_is_given_once_before_each_poll(void)
{
    signal_count all, other;
    polled it;
    memset(&all, 0, sizeof all);
    memset(&other, 0, sizeof other);
    pthread_mutex_init(&all.mutex, NULL);
    pthread_mutex_init(&other.mutex, NULL);
    polled_init(&it);
    if (io_threads == 0) {
        CHECK_STATUS(WSABI_ERR_STATE, wsabi_runtime_on_ready(it.near, count_signal, &all));
        polled_free(&it);
        return;
    }
    polled_connect(&it);
    CHECK_OK(wsabi_runtime_on_ready(it.near, count_signal, &all));
    let_wait(&it, 3);
    wait_for_signals(&all, 1);
    let_wait(&it, 3);
    CHECK(signals(&all) == 1);
    /* Eight events; what a budget leaves is signalled again. */
    CHECK_STATUS(5, wsabi_runtime_poll(it.near, 5, 0));
    wait_for_signals(&all, 2);
    poll_for(&it, &it.at_client, WSABI_EVENT_PING, 2);
    CHECK_STATUS(0, wsabi_runtime_poll(it.near, 0, 0));
    CHECK(signals(&all) == 2);
    let_wait(&it, 1);
    wait_for_signals(&all, 3);
    /* What waits is signalled to a new one, and to none that was removed. */
    CHECK_OK(wsabi_runtime_on_ready(it.near, count_signal, &other));
    wait_for_signals(&other, 1);
    CHECK_OK(wsabi_runtime_on_ready(it.near, NULL, NULL));
    poll_for(&it, &it.at_client, WSABI_EVENT_PING, 3);
    let_wait(&it, 1);
    CHECK(signals(&all) == 3 && signals(&other) == 1);
    polled_free(&it);
}

/* Is freed with its signal: a call afterwards would be seen by valgrind and the sanitizers. */
static void a_signal_that_was_removed_does_not_run_any_more(void)
{
    int round, rounds = repetitions(30);
    polled it;
    if (io_threads == 0)
        return;
    polled_init(&it);
    polled_connect(&it);
    for (round = 0; round < rounds; round++) {
        pthread_t thread;
        wsabi_socket sender = far_end(&it);
        signal_count *all = (signal_count *)calloc(1, sizeof *all);
        CHECK(all != NULL);
        pthread_mutex_init(&all->mutex, NULL);
        CHECK_OK(wsabi_runtime_on_ready(it.near, count_signal, all));
        CHECK(pthread_create(&thread, NULL, send_numbers, &sender) == 0);
        CHECK(wsabi_runtime_poll(it.near, 0, 0) >= 0);
        CHECK_OK(wsabi_runtime_on_ready(it.near, NULL, NULL));
        pthread_mutex_destroy(&all->mutex);
        free(all);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(wsabi_runtime_poll(it.near, 0, 0) >= 0);
    }
    polled_free(&it);
}

int main(void)
{
    static void (*const cases[])(void) = {
        it_leads_through_a_whole_connection,
        it_is_readable_when_asked_for_late,
        it_is_readable_while_a_budget_leaves_something,
        what_is_taken_out_counts_as_polled,
        its_clock_makes_it_readable,
        it_can_be_asked_for_inside_a_handler,
        it_can_be_asked_for_while_another_thread_polls,
        a_time_that_is_up_makes_it_readable,
        what_other_threads_send_leaves_without_being_asked_for,
        it_is_readable_when_the_peer_takes_more,
        a_wake_makes_it_readable_until_the_next_poll,
        a_signal_is_given_once_before_each_poll,
        a_signal_that_was_removed_does_not_run_any_more,
    };
    run_polled(cases, COUNT_OF(cases));
    return 0;
}
