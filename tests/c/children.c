/* Children of fork() of all kinds: of a process that polls, of a handler, that outlive what they
 * have inherited, that have their own. Their parent notices nothing of them. */
#include "polled.h"

#include "child.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* What children end with: by themselves, or by a signal. */
enum { FINE = 7 };

static polled *parents;

/* Starts a child that lives until `live` returns. */
static pid_t bear(void (*live)(void))
{
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        /* A thread of the library blocks them all. */
        sigprocmask(SIG_SETMASK, &none, NULL);
        alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
        live();
        end_child(FINE);
    }
    return child;
}

static void wait_for_end_of(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == FINE)
        return;
    fprintf(stderr, "%s a child ended with status %d, signal %d\n", circumstance,
            WEXITSTATUS(status), WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    _Exit(1);
}

static void echo(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
}

/* The parent's, which goes on where it was. */
static void exchange(polled *self, size_t more)
{
    size_t count = count_events(&self->at_client, WSABI_EVENT_MESSAGE);
    for (more += count; count < more; count++) {
        CHECK_OK(wsabi_socket_send_binary(self->client, "there and back", 14));
        poll_for(self, &self->at_client, WSABI_EVENT_MESSAGE, count + 1);
    }
    CHECK(count_events(&self->at_client, WSABI_EVENT_ERROR) == 0);
}

static void check_parents_handles(void)
{
    wsabi_event event;
    intptr_t fd;
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_runtime_poll(parents->near, 0, -1));
    CHECK_STATUS(WSABI_ERR_FORKED,
                 wsabi_runtime_next_events(parents->near, &event, sizeof event, 1, -1));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_runtime_fd(parents->near, &fd));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_runtime_wake(parents->near));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_send_text(parents->client, "no", 2));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_close(parents->client, 1000, "", 0));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_runtime_free(parents->near));
}

/* A pair of the child, polled in both ways and with both kinds of runtimes, and one that is not. */
static void have_ones_own(void)
{
    wsabi_event event;
    check_parents_handles();
    for (io_threads = 0; io_threads < 2; io_threads++) {
        polled own;
        polled_init(&own);
        own.at_server.hook = echo;
        polled_connect(&own);
        exchange(&own, 5);
        CHECK_OK(wsabi_socket_send_text(own.client, "taken out", 9));
        CHECK(wsabi_runtime_next_events(own.near, &event, sizeof event, 1, DEADLINE_MS) == 1);
        CHECK(event.kind == WSABI_EVENT_MESSAGE && event.len == 9);
        polled_free(&own);
    }
}

static void end_fine(void)
{
    end_child(FINE);
}

/* The end of a whole program: what it has registered is called, and its files are flushed. */
static void call_and_exit(void)
{
    if (slowness() > 1)
        CHECK(atexit(end_fine) == 0);
    CHECK(atexit(check_parents_handles) == 0);
    check_parents_handles();
    exit(FINE);
}

/* As daemons do, and whoever is careful with what was inherited. */
static void close_everything(void)
{
    int fd;
    for (fd = 3; fd < 256; fd++)
        close(fd);
    check_parents_handles();
}

static void (*const lives[])(void) = {have_ones_own, call_and_exit, close_everything, end_fine};

static void the_parent_polls_on_whatever_its_children_do(void)
{
    pid_t children[COUNT_OF(lives)];
    size_t i;
    polled it;
    polled_init(&it);
    it.at_server.hook = echo;
    polled_connect(&it);
    parents = &it;
    exchange(&it, 5);
    for (i = 0; i < COUNT_OF(lives); i++) {
        children[i] = bear(lives[i]);
        exchange(&it, 20);
    }
    for (i = 0; i < COUNT_OF(lives); i++)
        wait_for_end_of(children[i]);
    exchange(&it, 20);
    /* And there is nothing to do that would not be done. */
    CHECK(wsabi_runtime_poll(it.near, 0, 50) == 0);
    polled_free(&it);
}

/* What holds the child back. */
static int gate[2];

static void live_on(void)
{
    char scrap;
    close(gate[1]);
    CHECK(read(gate[0], &scrap, 1) == 0);
}

/* A child that holds copies of the descriptors: the connection would not end by closing them. */
static pid_t bear_a_long_lived_one(void)
{
    CHECK(pipe(gate) == 0);
    return bear(live_on);
}

static void let_it_end(pid_t child)
{
    close(gate[1]);
    wait_for_end_of(child);
    close(gate[0]);
}

static void what_the_parent_ends_does_end(void)
{
    enum { BY_ABORT, BY_RELEASE, BY_CLOSE, BY_FREE, WAYS };
    int way;
    for (way = 0; way < WAYS; way++) {
        polled it;
        pid_t child;
        polled_init(&it);
        polled_connect(&it);
        child = bear_a_long_lived_one();
        if (way == BY_ABORT)
            CHECK_OK(wsabi_socket_abort(it.client));
        else if (way == BY_RELEASE)
            CHECK_OK(wsabi_socket_release(it.client));
        else if (way == BY_CLOSE)
            CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
        else
            CHECK_OK(wsabi_runtime_free(it.near));
        if (way == BY_ABORT || way == BY_CLOSE)
            poll_for(&it, &it.at_client, WSABI_EVENT_CLOSE, 1);
        while (way != BY_FREE && count_events(&it.at_server, WSABI_EVENT_CLOSE) == 0)
            CHECK(wsabi_runtime_poll(it.near, 0, 10) >= 0);
        wait_for_close(&it.at_server);
        if (way == BY_FREE)
            it.near = 0;
        else
            CHECK(wsabi_runtime_poll(it.near, 0, 50) == 0);
        let_it_end(child);
        polled_free(&it);
    }
}

static void a_port_that_the_parent_gives_back_is_free(void)
{
    char url[64];
    wsabi_server again = 0;
    recorder at_client, at_again;
    wsabi_socket client;
    pid_t child;
    polled it;
    polled_init(&it);
    recorder_init(&at_client);
    recorder_init(&at_again);
    polled_connect(&it);
    child = bear_a_long_lived_one();
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", wsabi_server_port(it.server));
    CHECK_OK(wsabi_server_close(it.server));
    CHECK_OK(wsabi_server_listen(it.far, url, WSABI_NUL_TERMINATED, it.far_options, &at_again,
                                 &again));
    CHECK_OK(wsabi_server_close(again));
    wait_for_releases(&at_again, 1);
    client = connect_to_port(it.far, atoi(strrchr(url, ':') + 1), it.near_options, &at_client);
    wait_for_error(&at_client, WSABI_ERR_CONNECT);
    CHECK_OK(wsabi_socket_release(client));
    wait_for_releases(&at_client, 1);
    let_it_end(child);
    polled_free(&it);
    recorder_free(&at_client);
    recorder_free(&at_again);
}

static size_t next_life;

static void bear_in_handler(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    wait_for_end_of(bear(lives[next_life++ % COUNT_OF(lives)]));
    CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
}

static void handlers_that_run_on_a_thread_may_fork(void)
{
    polled it;
    polled_init(&it);
    polled_connect(&it);
    parents = &it;
    it.at_server.hook = bear_in_handler;
    exchange(&it, COUNT_OF(lives));
    polled_free(&it);
}

static void handlers_that_are_polled_for_may_fork(void)
{
    size_t i;
    polled it;
    polled_init(&it);
    polled_connect(&it);
    parents = &it;
    it.at_client.hook = bear_in_handler;
    for (i = 1; i <= COUNT_OF(lives); i++) {
        CHECK_OK(wsabi_socket_send_binary(far_end(&it), "there and back", 14));
        poll_for(&it, &it.at_client, WSABI_EVENT_MESSAGE, i);
        while (count_events(&it.at_server, WSABI_EVENT_MESSAGE) < i)
            CHECK(wsabi_runtime_poll(it.near, 0, 10) >= 0);
    }
    polled_free(&it);
}

/* The child's errors go there. */
static int told[2];
static pid_t returning;

/* What is sent before would leave twice, if the child went on. */
static void return_twice(const wsabi_event *event, recorder *self)
{
    const struct rlimit no_core = {0, 0};
    (void)self;
    if (event->kind != WSABI_EVENT_MESSAGE || returning != 0)
        return;
    CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
    returning = fork();
    CHECK(returning >= 0);
    if (returning > 0)
        return;
    dup2(told[1], STDERR_FILENO);
    setrlimit(RLIMIT_CORE, &no_core);
    alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
}

static void check_sentence(void)
{
    char sentence[256];
    int status;
    ssize_t len;
    close(told[1]);
    CHECK(waitpid(returning, &status, 0) == returning);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    len = read(told[0], sentence, sizeof sentence - 1);
    CHECK(len > 0);
    sentence[len] = 0;
    CHECK(strstr(sentence, "wsabi: ") != NULL && strstr(sentence, "fork") != NULL);
    close(told[0]);
}

static void a_child_that_returns_into_the_library_ends(void)
{
    int at_server;
    for (at_server = 0; at_server < 2; at_server++) {
        polled it;
        CHECK(pipe(told) == 0);
        returning = 0;
        polled_init(&it);
        polled_connect(&it);
        if (at_server) {
            it.at_server.hook = return_twice;
            exchange(&it, 1);
        } else {
            it.at_client.hook = return_twice;
            CHECK_OK(wsabi_socket_send_binary(far_end(&it), "there and back", 14));
            while (count_events(&it.at_server, WSABI_EVENT_MESSAGE) == 0)
                CHECK(wsabi_runtime_poll(it.near, 0, 10) >= 0);
        }
        check_sentence();
        it.at_server.hook = echo;
        exchange(&it, 20);
        CHECK(count_events(&it.at_server, WSABI_EVENT_ERROR) == 0);
        polled_free(&it);
    }
}

int main(void)
{
    static void (*const cases[])(void) = {the_parent_polls_on_whatever_its_children_do,
                                          what_the_parent_ends_does_end,
                                          a_port_that_the_parent_gives_back_is_free,
                                          handlers_that_run_on_a_thread_may_fork,
                                          handlers_that_are_polled_for_may_fork,
                                          a_child_that_returns_into_the_library_ends};
    run_polled(cases, COUNT_OF(cases));
    return 0;
}
