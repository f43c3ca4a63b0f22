/* Very many connections, one after the other and side by side, in every way that they can end: the
 * process has no more descriptors, threads, memory and handles afterwards than before. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include "../c/pair.h"

#include <malloc.h>

#include "process.h"

enum { SIDE_BY_SIDE = 50 };

/* Events and releases so far, of all clients. */
typedef struct counts {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned long opens, closes, releases;
} counts;

static counts clients = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0};

static void count_event(const wsabi_event *event, void *user_data)
{
    counts *self = (counts *)user_data;
    if (self == NULL)
        return; /* that of the server, whose events are taken out as well */
    pthread_mutex_lock(&self->mutex);
    self->opens += event->kind == WSABI_EVENT_OPEN;
    self->closes += event->kind == WSABI_EVENT_CLOSE;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

static void count_release(void *user_data)
{
    counts *self = (counts *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->releases++;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

static void wait_for_number(const unsigned long *number, unsigned long expected)
{
    pthread_mutex_lock(&clients.mutex);
    while (*number < expected)
        pthread_cond_wait(&clients.changed, &clients.mutex);
    CHECK(*number == expected);
    pthread_mutex_unlock(&clients.mutex);
}

/* The lowest 24 bits of a handle are the place of its object in a table. */
static unsigned place_of(wsabi_socket socket)
{
    return (unsigned)(socket & 0xFFFFFF);
}

/* Opens some connections, and ends them by CLOSE, by abort, and by release alone. */
static void one_round(wsabi_runtime runtime, const char *url, wsabi_options options)
{
    const unsigned long closes = clients.closes, releases = clients.releases;
    const unsigned long opens = clients.opens;
    wsabi_socket sockets[SIDE_BY_SIDE];
    unsigned long told = 0;
    int i;
    for (i = 0; i < SIDE_BY_SIDE; i++) {
        CHECK_OK(wsabi_socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, &clients,
                                      &sockets[i]));
        CHECK(place_of(sockets[i]) < 5 * SIDE_BY_SIDE);
    }
    wait_for_number(&clients.opens, opens + SIDE_BY_SIDE);
    for (i = 0; i < SIDE_BY_SIDE; i++) {
        if (i % 3 == 0)
            CHECK_OK(wsabi_socket_close(sockets[i], 1000, "", 0));
        else if (i % 3 == 1)
            CHECK_OK(wsabi_socket_abort(sockets[i]));
        else
            CHECK_OK(wsabi_socket_release(sockets[i]));
        told += i % 3 != 2;
    }
    wait_for_number(&clients.closes, closes + told);
    for (i = 0; i < SIDE_BY_SIDE; i++) {
        if (i % 3 != 2)
            CHECK_OK(wsabi_socket_release(sockets[i]));
    }
    wait_for_number(&clients.releases, releases + SIDE_BY_SIDE);
}

/* What is in use has not grown from `at_first` on. Large blocks are the buffers that workers keep
 * for messages to come, as many as were ever needed at a time. */
static void check_memory(size_t at_first)
{
    const struct mallinfo2 at_last = mallinfo2();
    if (at_last.uordblks <= at_first + (1 << 20) && at_last.hblkhd <= 64 << 20)
        return;
    fprintf(stderr, "%lu bytes have become %lu, besides %lu in large blocks\n",
            (unsigned long)at_first, (unsigned long)at_last.uordblks,
            (unsigned long)at_last.hblkhd);
    _Exit(1);
}

int main(void)
{
    int rounds = (is_long() ? 100000 : repetitions(5000)) / SIDE_BY_SIDE + 1;
    int descriptors = count_descriptors(), threads = count_threads(), before, round;
    wsabi_options options = 0, server_options = 0;
    wsabi_server server = 0;
    wsabi_runtime runtime = 0;
    size_t at_first = 0;
    char url[64];
    /* Else the memory of the library's threads would not be counted. A sanitizer's allocator knows
     * no such thing, counts nothing, and looks for what is lost in its own way. */
    mallopt(M_ARENA_MAX, 1);
    CHECK_OK(wsabi_options_new(&server_options));
    CHECK_OK(wsabi_options_new(&options));
    CHECK_OK(wsabi_options_on_event(options, 0, count_event));
    CHECK_OK(wsabi_options_on_release(options, count_release));
    handle_taken = count_event;
    runtime = new_runtime_of(2);
    CHECK_OK(wsabi_server_listen(runtime, "ws://127.0.0.1:0/", WSABI_NUL_TERMINATED,
                                 server_options, NULL, &server));
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", wsabi_server_port(server));
    before = count_descriptors();
    for (round = 0; round < rounds; round++) {
        one_round(runtime, url, options);
        wait_for_count(count_descriptors, before, "descriptors");
        if (round == rounds / 10)
            at_first = mallinfo2().uordblks;
    }
    check_memory(at_first);
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
    CHECK_OK(wsabi_options_free(server_options));
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
