/* Time and signals: a wall clock that jumps, a process that is stopped and goes on, and signals that
 * interrupt the thread of an application that polls. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include "../c/pair.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "process.h"

#ifndef RTLD_NEXT
#define RTLD_NEXT ((void *)-1L)
#endif

#define TEN_YEARS 315360000

/* By how many seconds the wall clock is wrong; changes with every look at it. */
static int is_jumping;
static int64_t jump;

static int64_t next_jump(void)
{
    static const int64_t jumps[] = {TEN_YEARS, -TEN_YEARS, 0, 3600, -3600};
    int64_t number;
    if (!__atomic_load_n(&is_jumping, __ATOMIC_SEQ_CST))
        return 0;
    number = __atomic_fetch_add(&jump, 1, __ATOMIC_SEQ_CST);
    return jumps[number % (int64_t)COUNT_OF(jumps)];
}

/* Stands in front of that of the system, also for the library. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int (*real)(clockid_t, struct timespec *);
    int result;
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "clock_gettime");
        memcpy(&real, &found, sizeof real);
    }
    result = real(clock, now);
    if (clock == CLOCK_REALTIME)
        now->tv_sec += next_jump();
    return result;
}

static void echo(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
}

/* Pings and their answers, all with times of some milliseconds, and messages in between. */
static void only_the_monotonic_clock_counts(void)
{
    struct timespec now;
    size_t i;
    pair it;
    pair_init(&it);
    it.at_server.hook = echo;
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.client_options, 20));
    CHECK_OK(wsabi_options_set_pong_timeout_ms(it.client_options, DEADLINE_MS));
    CHECK_OK(wsabi_options_set_idle_timeout_ms(it.client_options, DEADLINE_MS));
    __atomic_store_n(&is_jumping, 1, __ATOMIC_SEQ_CST);
    clock_gettime(CLOCK_REALTIME, &now);
    CHECK(jump == 1);
    pair_connect(&it);
    for (i = 1; i <= 10; i++) {
        CHECK_OK(wsabi_socket_send_binary(it.client, "x", 1));
        wait_for_message(&it.at_client, i);
        wait_for_event(&it.at_client, WSABI_EVENT_PONG, i);
    }
    __atomic_store_n(&is_jumping, 0, __ATOMIC_SEQ_CST);
    CHECK(count_events(&it.at_client, WSABI_EVENT_ERROR) == 0);
    CHECK(count_events(&it.at_client, WSABI_EVENT_PONG) < 10 * 100);
    pair_free(&it);
}

/* The child's connection: pings every 50 ms, whose number is written to `report` when asked. */
static void ping_until_told(int asked, int report)
{
    size_t pings;
    char scrap;
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.client_options, 50));
    CHECK_OK(wsabi_options_set_pong_timeout_ms(it.client_options, DEADLINE_MS));
    pair_connect(&it);
    wait_for_event(&it.at_server, WSABI_EVENT_PING, 1);
    while (read(asked, &scrap, 1) == 1) {
        /* One more has come since this was asked. */
        wait_for_event(&it.at_server, WSABI_EVENT_PING,
                       count_events(&it.at_server, WSABI_EVENT_PING) + 1);
        pings = count_events(&it.at_server, WSABI_EVENT_PING);
        CHECK(count_events(&it.at_client, WSABI_EVENT_ERROR) == 0);
        CHECK(write(report, &pings, sizeof pings) == (ssize_t)sizeof pings);
    }
    pair_free(&it);
    exit(0);
}

static size_t ask_for_pings(int ask, int answer)
{
    size_t pings;
    CHECK(write(ask, "?", 1) == 1);
    CHECK(read(answer, &pings, sizeof pings) == (ssize_t)sizeof pings);
    return pings;
}

/* What was due while the process stood still is not made up for. */
static void a_process_that_was_stopped_goes_on_where_it_was(void)
{
    const long stop_ms = is_long() ? 60000 : 1500;
    int ask[2], answer[2], status;
    size_t before, after;
    int64_t began;
    pid_t child;
    CHECK(pipe(ask) == 0 && pipe(answer) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(ask[1]);
        close(answer[0]);
        alarm((unsigned)(DEADLINE_MS / 1000 * slowness() + stop_ms / 1000));
        ping_until_told(ask[0], answer[1]);
    }
    close(ask[0]);
    close(answer[1]);
    before = ask_for_pings(ask[1], answer[0]);
    CHECK(kill(child, SIGSTOP) == 0);
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    rest_ms(stop_ms);
    began = now_ms();
    CHECK(kill(child, SIGCONT) == 0);
    after = ask_for_pings(ask[1], answer[0]);
    /* One for the time that it stood still, those since, and what was on its way before. */
    CHECK((int64_t)(after - before) <= (now_ms() - began) / 50 + 3);
    close(ask[1]);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(answer[0]);
}

static volatile sig_atomic_t signals_taken;

static void take_signal(int number)
{
    (void)number;
    signals_taken = 1;
}

/* The application's thread does the reading and writing, and a signal comes every 200 us. */
static void signals_interrupt_no_poll(void)
{
    const long interval_us = 200 * slowness();
    const struct itimerval often = {{0, interval_us}, {0, interval_us}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;
    wsabi_runtime runtime = 0;
    int64_t began;
    int i, count = repetitions(300);
    pair it;
    memset(&action, 0, sizeof action);
    action.sa_handler = take_signal; /* without SA_RESTART */
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    pair_init(&it);
    it.at_server.hook = echo;
    CHECK_OK(wsabi_runtime_new(0, WSABI_DELIVER_ON_POLL, &runtime));
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    it.client = connect_to_port(runtime, wsabi_server_port(it.server), it.client_options,
                                &it.at_client);
    while (count_events(&it.at_client, WSABI_EVENT_OPEN) == 0)
        CHECK(wsabi_runtime_poll(runtime, 0, DEADLINE_MS) >= 0);
    for (i = 0; i < count; i++) {
        CHECK_OK(wsabi_socket_send_binary(it.client, "there and back", 14));
        while (count_events(&it.at_client, WSABI_EVENT_MESSAGE) <= (size_t)i)
            CHECK(wsabi_runtime_poll(runtime, 0, DEADLINE_MS) >= 0);
    }
    /* With nothing to do it waits as long as it was told, however often it is interrupted. */
    began = now_ms();
    CHECK(wsabi_runtime_poll(runtime, 0, 200) == 0);
    CHECK(now_ms() - began >= 199);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
    CHECK(signals_taken);
    CHECK_OK(wsabi_runtime_free(runtime));
    pair_free(&it);
}

int main(void)
{
    /* The first, since its child begins with a process in which the library was not called. */
    a_process_that_was_stopped_goes_on_where_it_was();
    only_the_monotonic_clock_counts();
    signals_interrupt_no_poll();
    return 0;
}
