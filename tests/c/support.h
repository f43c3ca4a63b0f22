/* What every C program of the tests needs: checks that end it, and time. C99 and C++. To be
 * included, through whichever header, before anything else. */
#ifndef WSABI_TESTS_SUPPORT_H
#define WSABI_TESTS_SUPPORT_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wsabi.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Every wait ends the program with a failure after this long. */
#define DEADLINE_MS 20000

/* Ends the program, from whichever thread, unless `condition` holds. */
#define CHECK(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

/* Ends the program unless `call` returns `expected`. */
#define CHECK_STATUS(expected, call) check_status(__FILE__, __LINE__, #call, (expected), (call))

#define CHECK_OK(call) CHECK_STATUS(WSABI_OK, call)

/* Which case of a table is being tried, for the message of a check that fails. */
static const char *circumstance = "";

static inline void check_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s not so: %s (last error: %s)\n", file, line, circumstance, what,
            wsabi_last_error());
    _Exit(1);
}

static inline void check_status(const char *file, int line, const char *call, int64_t expected,
                                int64_t status)
{
    if (status == expected)
        return;
    fprintf(stderr, "%s:%d: %s %s gave %s (%lld) instead of %s (%lld): %s\n", file, line,
            circumstance, call, wsabi_status_name((int32_t)status), (long long)status,
            wsabi_status_name((int32_t)expected), (long long)expected, wsabi_last_error());
    _Exit(1);
}

/* How many times slower this run is than a plain one: WSABI_SLOW, for valgrind and the like. */
static inline int slowness(void)
{
    const char *text = getenv("WSABI_SLOW");
    int factor = text == NULL ? 1 : atoi(text);
    return factor < 1 ? 1 : factor;
}

/* `count` repetitions in a plain run, fewer in a slow one, at least one. */
static inline int repetitions(int count)
{
    return count < slowness() ? 1 : count / slowness();
}

/* Whether the long form was asked for, which takes minutes. */
static inline int is_long(void)
{
    return getenv("WSABI_LONG") != NULL;
}

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* When a wait that begins now has failed, by the monotonic clock. */
static inline struct timespec deadline(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += DEADLINE_MS / 1000 * slowness();
    return at;
}

#endif
