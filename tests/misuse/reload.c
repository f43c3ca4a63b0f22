/* The library is loaded, used and unloaded, over and over, as a plugin is by its host: after all was
 * freed, and amid traffic, which goes on. The argument is its path. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include "loaded.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>

#include "process.h"

enum { ROUNDS = 20 };

/* A server and two clients, whose exchange has no end. */
typedef struct exchange {
    loaded it;
    wsabi_runtime runtime;
    wsabi_socket client;
} exchange;

/* What was told of all of them. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int opens, messages, closes, releases;

static const loaded *used;

/* Begins the exchange with the first event. */
static void answer(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    if (event->kind == WSABI_EVENT_OPEN || event->kind == WSABI_EVENT_MESSAGE)
        used->socket_send_text(event->handle, "again", 5);
    pthread_mutex_lock(&mutex);
    opens += event->kind == WSABI_EVENT_OPEN;
    messages += event->kind == WSABI_EVENT_MESSAGE;
    closes += event->kind == WSABI_EVENT_CLOSE;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void count_release(void *user_data)
{
    (void)user_data;
    pthread_mutex_lock(&mutex);
    releases++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void wait_for_number(const int *number, int least)
{
    pthread_mutex_lock(&mutex);
    while (*number < least)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void wait_for_more_messages(void)
{
    pthread_mutex_lock(&mutex);
    messages = 0;
    pthread_mutex_unlock(&mutex);
    wait_for_number(&messages, 100);
}

static void begin(exchange *self, const char *path)
{
    char url[64];
    wsabi_options options = 0;
    wsabi_server server = 0;
    wsabi_socket socket = 0;
    int32_t port;
    loaded *it = &self->it;
    *it = load(path);
    used = it;
    opens = messages = closes = releases = 0;
    CHECK_OK(it->runtime_new(2, WSABI_DELIVER_ON_THREADS, &self->runtime));
    CHECK_OK(it->options_new(&options));
    CHECK_OK(it->options_on_event(options, 0, answer));
    CHECK_OK(it->options_on_release(options, count_release));
    CHECK_OK(it->server_listen(self->runtime, "ws://127.0.0.1:0/", WSABI_NUL_TERMINATED, options,
                               NULL, &server));
    port = it->server_port(server);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
    CHECK_OK(it->socket_connect(self->runtime, url, WSABI_NUL_TERMINATED, options, NULL,
                                &self->client));
    /* Whose name is looked up, on a thread of its own. */
    snprintf(url, sizeof url, "ws://localhost:%d/", port);
    CHECK_OK(it->socket_connect(self->runtime, url, WSABI_NUL_TERMINATED, options, NULL, &socket));
    CHECK_OK(it->options_free(options));
    wait_for_number(&opens, 4);
    wait_for_more_messages();
    /* This thread's failure is remembered until it ends. */
    CHECK(it->socket_send_text(0, "", 0) == WSABI_ERR_HANDLE);
}

static void end(exchange *self)
{
    CHECK_OK(self->it.runtime_free(self->runtime));
    CHECK(closes == 4);
    wait_for_number(&releases, 3);
    wait_for_count(count_workers, 0, "threads");
}

/* The library is first used on a thread that ends after it was unloaded. */
static void *free_and_unload(void *path)
{
    exchange it;
    begin(&it, (const char *)path);
    end(&it);
    unload(&it.it);
    return NULL;
}

/* Whoever unloads it does not know who uses it. */
static void *unload_amid_traffic(void *path)
{
    exchange it;
    loaded again;
    begin(&it, (const char *)path);
    unload(&it.it);
    wait_for_more_messages();
    again = load((const char *)path);
    CHECK(again.library == it.it.library && again.runtime_free == it.it.runtime_free);
    CHECK(again.socket_ready_state(it.client) == WSABI_OPEN);
    wait_for_more_messages();
    unload(&again);
    end(&it);
    return NULL;
}

/* Not even the system's own bookkeeping of threads, which keeps a library in use, is relied on. */
static void a_library_that_nobody_used_stays_as_well(const char *path)
{
    loaded it = load(path);
    unload(&it);
    CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == it.library);
    unload(&it);
}

/* What the library has asked to be called at a fork is called, or is not there any more. */
static void fork_without_the_library(void)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void on_this_and_another_thread(void *(*live)(void *), char *path)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, live, path) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    live(path);
    fork_without_the_library();
}

int main(int argc, char **argv)
{
    int descriptors = count_descriptors(), threads = count_threads(), round;
    struct mallinfo2 at_first, at_last;
    CHECK(argc == 2);
    alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
    /* Else the memory of the library's threads would not be counted. */
    mallopt(M_ARENA_MAX, 1);
    a_library_that_nobody_used_stays_as_well(argv[1]);
    for (round = 0; round < 2 * ROUNDS; round++) {
        on_this_and_another_thread(free_and_unload, argv[1]);
        on_this_and_another_thread(unload_amid_traffic, argv[1]);
        if (round == ROUNDS)
            at_first = mallinfo2();
    }
    at_last = mallinfo2();
    printf("%lu bytes, and %lu after twenty more rounds\n", (unsigned long)at_first.uordblks,
           (unsigned long)at_last.uordblks);
    /* What malloc keeps for itself varies by less than 400 bytes for each of 80 runtimes. */
    CHECK(at_last.uordblks < at_first.uordblks + 80 * 400);
    CHECK(at_last.hblkhd <= at_first.hblkhd);
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
