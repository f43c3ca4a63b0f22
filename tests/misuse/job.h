/* The main job, from the runtime to the message that comes back, where any step may fail: what is
 * asked of it is that it ends, in time, with a status or an event for each failure, and leaves
 * nothing behind. And how it is played in a process of its own while something is refused. What is
 * delivered to a poll, as WSABI_DELIVERY may say, the job polls itself: a thread could be refused. */
#ifndef WSABI_TESTS_JOB_H
#define WSABI_TESTS_JOB_H

#include "../c/pair.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "../c/certificate.h"

#include "process.h"

/* What is told to the handlers. They take no memory, which may be refused to them. */
typedef struct job_end {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int opens, messages, errors, closes, releases;
} job_end;

static job_end job_client = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0, 0};
static job_end job_server = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0, 0};

static inline void job_event(const wsabi_event *event, void *user_data)
{
    job_end *self = (job_end *)user_data;
    CHECK(event->data != NULL && event->data[event->len] == 0);
    pthread_mutex_lock(&self->mutex);
    self->opens += event->kind == WSABI_EVENT_OPEN;
    self->messages += event->kind == WSABI_EVENT_MESSAGE;
    self->errors += event->kind == WSABI_EVENT_ERROR;
    self->closes += event->kind == WSABI_EVENT_CLOSE;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
    if (event->kind == WSABI_EVENT_ERROR)
        CHECK(event->code < 0 && event->len > 0);
    if (event->kind == WSABI_EVENT_MESSAGE && self == &job_server)
        wsabi_socket_send_text(event->handle, (const char *)event->data, event->len);
}

static inline void job_release(void *user_data)
{
    job_end *self = (job_end *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->releases++;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* How many times fewer refusals the short form tries: with handlers on threads it has tried all. */
static inline int job_sampling(void)
{
    return is_polled() && !is_long() ? 4 : 1;
}

static inline void job_poll(wsabi_runtime runtime, int32_t timeout_ms)
{
    wsabi_event event;
    int32_t count;
    if (delivery() != BY_NEXT_EVENTS) {
        CHECK(wsabi_runtime_poll(runtime, 0, timeout_ms) >= 0);
        return;
    }
    count = wsabi_runtime_next_events(runtime, &event, sizeof event, 1, timeout_ms);
    CHECK(count >= 0);
    if (count == 1)
        job_event(&event, event.user_data);
}

/* Waits for this, or for CLOSE. Returns whether this has come. */
static inline int job_wait(wsabi_runtime runtime, job_end *self, const int *count)
{
    int has_come;
    while (is_polled() && *count == 0 && self->closes == 0)
        job_poll(runtime, -1);
    pthread_mutex_lock(&self->mutex);
    while (*count == 0 && self->closes == 0)
        pthread_cond_wait(&self->changed, &self->mutex);
    has_come = *count > 0;
    pthread_mutex_unlock(&self->mutex);
    return has_come;
}

static inline int job_count(job_end *self, const int *count)
{
    int value;
    pthread_mutex_lock(&self->mutex);
    value = *count;
    pthread_mutex_unlock(&self->mutex);
    return value;
}

/* The name of the server, which is this machine. */
static const char *job_host = "localhost";

static inline uint32_t job_timeout_ms(void)
{
    return 200 * (uint32_t)slowness();
}

/* Handlers, certificates and short times; 0 if any of it was refused. */
static inline wsabi_options job_options(void)
{
    wsabi_options it = 0;
    if (wsabi_options_new(&it) != WSABI_OK)
        return 0;
    if (wsabi_options_on_event(it, 0, job_event) == WSABI_OK &&
        wsabi_options_on_release(it, job_release) == WSABI_OK &&
        wsabi_options_set_connect_timeout_ms(it, job_timeout_ms()) == WSABI_OK &&
        wsabi_options_set_close_timeout_ms(it, job_timeout_ms()) == WSABI_OK &&
        wsabi_options_set_idle_timeout_ms(it, job_timeout_ms()) == WSABI_OK &&
        wsabi_options_set_tls_ca(it, cert_pem, WSABI_NUL_TERMINATED) == WSABI_OK &&
        wsabi_options_set_tls_server_name(it, "localhost", 9) == WSABI_OK &&
        wsabi_options_set_tls_identity(it, cert_pem, WSABI_NUL_TERMINATED, key_pem,
                                       WSABI_NUL_TERMINATED) == WSABI_OK)
        return it;
    wsabi_options_free(it);
    return 0;
}

/* A client, from connecting to its end. */
static inline void job_talk(wsabi_runtime runtime, wsabi_options options, const char *scheme,
                            int32_t port)
{
    wsabi_socket socket = 0;
    int32_t status;
    int is_unsent;
    char url[64];
    snprintf(url, sizeof url, "%s://%s:%d/", scheme, job_host, (int)port);
    if (wsabi_socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, &job_client, &socket) !=
        WSABI_OK) {
        CHECK(wsabi_last_error()[0] != 0);
        CHECK(socket == 0 && job_client.releases == 0);
        return;
    }
    status = WSABI_OK;
    if (job_wait(runtime, &job_client, &job_client.opens))
        status = wsabi_socket_send_text(socket, "there and back", WSABI_NUL_TERMINATED);
    is_unsent = status != WSABI_OK;
    if (!is_unsent)
        job_wait(runtime, &job_client, &job_client.messages);
    status = wsabi_socket_close(socket, 1000, "", 0);
    CHECK(status == WSABI_OK || status == WSABI_ERR_RESOURCE);
    if (status != WSABI_OK)
        CHECK_OK(wsabi_socket_abort(socket));
    job_wait(runtime, &job_client, &job_client.closes);
    CHECK(job_client.closes == 1 && job_client.errors <= 1);
    /* A server that fails may still say goodbye: then it alone is told of the error. */
    CHECK(job_client.messages == 1 || job_client.errors == 1 || is_unsent ||
          job_count(&job_server, &job_server.errors) > 0);
    CHECK_OK(wsabi_socket_release(socket));
}

/* Once nothing is refused any more, another client gets what the first did not. */
static inline void job_talk_again(wsabi_runtime runtime, wsabi_options options, const char *scheme,
                                  int32_t port)
{
    static const job_end fresh = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0, 0, 0,
                                  0};
    while (is_polled() && job_client.closes > 0 &&
           job_count(&job_client, &job_client.releases) == 0)
        job_poll(runtime, 1);
    pthread_mutex_lock(&job_client.mutex);
    while (job_client.releases == 0 && job_client.closes > 0)
        pthread_cond_wait(&job_client.changed, &job_client.mutex);
    pthread_mutex_unlock(&job_client.mutex);
    job_client = fresh;
    job_talk(runtime, options, scheme, port);
    CHECK(job_client.messages == 1);
}

/* What the process has before the job. */
static int job_descriptors, job_threads;

static inline void job_prepare(void)
{
    job_descriptors = count_descriptors();
    job_threads = count_threads();
}

/* The whole of it, over ws or wss. Returns whether the message came back. `is_over` says whether
 * nothing is refused any more; `count` is called before what is left is counted. */
static inline int job_run(const char *scheme, int (*is_over)(void), void (*count)(void))
{
    int is_listening = 0;
    wsabi_runtime runtime = 0;
    wsabi_options options = job_options();
    wsabi_server server = 0;
    char url[32];
    snprintf(url, sizeof url, "%s://127.0.0.1:0/", scheme);
    if (options != 0 &&
        wsabi_runtime_new(delivery() == WITHOUT_THREADS ? 0 : 1,
                          is_polled() ? WSABI_DELIVER_ON_POLL : WSABI_DELIVER_ON_THREADS,
                          &runtime) == WSABI_OK &&
        wsabi_server_listen(runtime, url, WSABI_NUL_TERMINATED, options, &job_server, &server) ==
            WSABI_OK) {
        is_listening = 1;
        job_talk(runtime, options, scheme, wsabi_server_port(server));
        if (job_client.messages == 0 && is_over())
            job_talk_again(runtime, options, scheme, wsabi_server_port(server));
    } else {
        CHECK(wsabi_last_error()[0] != 0);
    }
    if (runtime != 0)
        CHECK_OK(wsabi_runtime_free(runtime));
    if (options != 0)
        CHECK_OK(wsabi_options_free(options));
    CHECK(job_client.releases <= 1 && job_server.releases == is_listening);
    count();
    wait_for_nothing_left(job_descriptors, job_threads);
    return job_client.messages == 1;
}

/* Runs `live` in a process of its own, with its errors in `errors`, and returns how it ended. */
static inline int in_a_child(int (*live)(void), char *errors, size_t cap)
{
    const struct rlimit no_core = {0, 0};
    int status, pipes[2];
    size_t len = 0;
    ssize_t more;
    pid_t child;
    CHECK(pipe(pipes) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        setrlimit(RLIMIT_CORE, &no_core);
        alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
        _Exit(live());
    }
    close(pipes[1]);
    while (len + 1 < cap && (more = read(pipes[0], errors + len, cap - len - 1)) > 0)
        len += (size_t)more;
    errors[len] = 0;
    close(pipes[0]);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

#endif
