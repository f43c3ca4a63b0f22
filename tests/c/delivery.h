/* How the runtimes of the tests deliver. WSABI_DELIVERY says it: "threads", the default, or to a
 * thread of the tests that polls ("poll"), that takes the events out and calls the handler itself
 * ("next_events"), or that polls a runtime which has no threads ("none"). The tests are the same. */
#ifndef WSABI_TESTS_DELIVERY_H
#define WSABI_TESTS_DELIVERY_H

#include "recorder.h"

#include <sched.h>
#include <signal.h>

enum delivery { ON_THREADS, BY_POLL, BY_NEXT_EVENTS, WITHOUT_THREADS };

static inline enum delivery delivery(void)
{
    static const char *const names[] = {"threads", "poll", "next_events", "none"};
    const char *name = getenv("WSABI_DELIVERY");
    size_t i;
    for (i = 0; i < COUNT_OF(names); i++) {
        if (name == NULL || strcmp(name, names[i]) == 0)
            return (enum delivery)i;
    }
    CHECK(0 && "WSABI_DELIVERY is threads, poll, next_events or none");
    return ON_THREADS;
}

static inline int is_polled(void)
{
    return delivery() != ON_THREADS;
}

/* Held while an event that was taken out is in use, which lives as long as its runtime. */
static pthread_mutex_t taking;

/* Also in the child of a fork(), where a thread of the parent may have it. */
static inline void init_taking(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    /* A handler may free another runtime. */
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&taking, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

/* The handler of events that were taken out, where a test has others than `record_event`. */
static wsabi_handler handle_taken = record_event;

/* Waits for an event and takes it out; one at a time, as the handler of one may end the socket of
 * the next. */
static inline int32_t take_event(wsabi_runtime runtime)
{
    wsabi_event event;
    int32_t count = wsabi_runtime_next_events(runtime, NULL, sizeof event, 0, -1);
    if (count < 0)
        return count;
    pthread_mutex_lock(&taking);
    count = wsabi_runtime_next_events(runtime, &event, sizeof event, 1, 0);
    if (count == 1)
        handle_taken(&event, event.user_data);
    pthread_mutex_unlock(&taking);
    return count;
}

static inline void *pump(void *argument)
{
    wsabi_runtime runtime = *(wsabi_runtime *)argument;
    int32_t count;
    free(argument);
    do {
        count = delivery() == BY_NEXT_EVENTS ? take_event(runtime)
                                             : wsabi_runtime_poll(runtime, 0, -1);
        /* Whoever frees a runtime, or shuts one without threads down, may have its turn. */
        CHECK(count >= 0 || count == WSABI_ERR_HANDLE || count == WSABI_ERR_STATE);
        if (count == WSABI_ERR_STATE)
            sched_yield();
    } while (count != WSABI_ERR_HANDLE);
    return NULL;
}

/* A runtime that delivers as told, until it is freed. */
static inline wsabi_runtime new_runtime_of(uint32_t threads)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    wsabi_runtime runtime = 0, *argument;
    sigset_t all, before;
    pthread_t thread;
    pthread_once(&once, init_taking);
    CHECK_OK(wsabi_runtime_new(delivery() == WITHOUT_THREADS ? 0 : threads,
                               is_polled() ? WSABI_DELIVER_ON_POLL : WSABI_DELIVER_ON_THREADS,
                               &runtime));
    CHECK(runtime != 0);
    if (!is_polled())
        return runtime;
    argument = (wsabi_runtime *)malloc(sizeof *argument);
    CHECK(argument != NULL);
    *argument = runtime;
    /* As on the library's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CHECK(pthread_create(&thread, NULL, pump, argument) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    CHECK(pthread_detach(thread) == 0);
    return runtime;
}

static inline wsabi_runtime new_runtime(void)
{
    return new_runtime_of(1);
}

static inline int32_t free_runtime(wsabi_runtime runtime)
{
    int32_t status;
    if (delivery() != BY_NEXT_EVENTS)
        return wsabi_runtime_free(runtime);
    pthread_mutex_lock(&taking);
    status = wsabi_runtime_free(runtime);
    pthread_mutex_unlock(&taking);
    return status;
}

/* In every test: the name stays that of the library. */
#define wsabi_runtime_free free_runtime

#endif
