/* Functions of the application that leave their thread changed: errno, the signal mask, how floating
 * point numbers are rounded, and what traps. The library goes on, and leaves the changes alone. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "../c/pair.h"

#include <errno.h>
#include <fenv.h>

#include "../c/certificate.h"

static int next_errno;

/* Lets every signal through, rounds up, and has every exception of floating point numbers trap. */
static void change_everything(void)
{
    sigset_t none;
    sigemptyset(&none);
    CHECK(pthread_sigmask(SIG_SETMASK, &none, NULL) == 0);
    CHECK(feclearexcept(FE_ALL_EXCEPT) == 0);
    CHECK(fesetround(FE_UPWARD) == 0);
    feenableexcept(FE_ALL_EXCEPT); /* not every processor can */
    errno = __atomic_fetch_add(&next_errno, 1, __ATOMIC_SEQ_CST) % 130 + 1;
}

/* The thread of the handlers, once it is changed. */
static pthread_t changed_thread;
static int has_changed;

static void change_in_handler(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE && !__atomic_load_n(&has_changed, __ATOMIC_SEQ_CST)) {
        changed_thread = pthread_self();
        change_everything();
        __atomic_store_n(&has_changed, 1, __ATOMIC_SEQ_CST);
    }
    change_everything();
}

static void change_and_echo(const wsabi_event *event, recorder *self)
{
    change_in_handler(event, self);
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
    change_everything();
}

static void change_in_release(void *user_data)
{
    record_release(user_data);
    change_everything();
}

static void change_in_hook(void *unused)
{
    (void)unused;
    change_everything();
}

static void change_in_log(int32_t level, const char *target, const char *message, size_t len,
                          void *unused)
{
    (void)level;
    (void)target;
    (void)message;
    (void)len;
    change_in_hook(unused);
}

static int signals_taken;

static void take_signal(int number)
{
    (void)number;
    __atomic_fetch_add(&signals_taken, 1, __ATOMIC_SEQ_CST);
}

static int is_enough;

/* To the thread of the handlers, as fast as it takes them. */
static void *send_signals(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&is_enough, __ATOMIC_SEQ_CST)) {
        CHECK(pthread_kill(changed_thread, SIGUSR1) == 0);
        sched_yield();
    }
    return NULL;
}

static void set_up(wsabi_options options)
{
    CHECK_OK(wsabi_options_on_release(options, change_in_release));
    CHECK_OK(wsabi_options_set_compression(options, 1));
    CHECK_OK(wsabi_options_set_tls_ca(options, cert_pem, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_options_set_tls_identity(options, cert_pem, WSABI_NUL_TERMINATED, key_pem,
                                            WSABI_NUL_TERMINATED));
}

/* Long enough to be compressed, and different each time. */
static void fill(char *message, size_t len, size_t ordinal)
{
    size_t i;
    for (i = 0; i < len; i++)
        message[i] = (char)('a' + i * ordinal % 26);
}

/* Everything that can be lost arrives, while signals interrupt whatever is under way. */
static void exchange(pair *it)
{
    size_t i, count = (size_t)repetitions(200);
    char message[2000];
    pthread_t thread;
    signals_taken = is_enough = 0;
    for (i = 1; i <= count; i++) {
        fill(message, sizeof message, i);
        CHECK_OK(wsabi_socket_send_binary(it->client, message, sizeof message));
        if (i == 1) {
            wait_for_message(&it->at_client, 1);
            CHECK(pthread_create(&thread, NULL, send_signals, NULL) == 0);
        }
        CHECK_OK(wsabi_socket_ping(it->client, "", 0));
    }
    for (i = 1; i <= count; i++) {
        record echoed = wait_for_message(&it->at_client, i);
        fill(message, sizeof message, i);
        CHECK(echoed.len == sizeof message && memcmp(echoed.data, message, sizeof message) == 0);
    }
    wait_for_event(&it->at_client, WSABI_EVENT_PONG, count);
    while (__atomic_load_n(&signals_taken, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    __atomic_store_n(&is_enough, 1, __ATOMIC_SEQ_CST);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* Nobody listens there: each attempt is later than the one before. */
static void try_in_vain(wsabi_runtime runtime, wsabi_options options)
{
    recorder seen;
    wsabi_socket socket;
    recorder_init(&seen);
    seen.hook = change_in_handler;
    CHECK_OK(wsabi_options_set_reconnect(options, 1, 20, 3));
    socket = connect_to_port(runtime, 1, options, &seen);
    wait_for_error(&seen, WSABI_ERR_CONNECT);
    CHECK_EVENTS(&seen, "RRREC");
    CHECK_OK(wsabi_socket_release(socket));
    wait_for_releases(&seen, 1);
    recorder_free(&seen);
}

static void whatever_changes_connections_go_on(const char *scheme)
{
    char url[64];
    pair it;
    circumstance = scheme;
    has_changed = 0;
    pair_init(&it);
    set_up(it.server_options);
    set_up(it.client_options);
    it.at_server.hook = change_and_echo;
    it.at_client.hook = change_in_handler;
    snprintf(url, sizeof url, "%s://127.0.0.1:0/", scheme);
    CHECK_OK(wsabi_server_listen(it.runtime, url, WSABI_NUL_TERMINATED, it.server_options,
                                 &it.at_server, &it.server));
    snprintf(url, sizeof url, "%s://127.0.0.1:%d/", scheme, (int)wsabi_server_port(it.server));
    CHECK_OK(wsabi_socket_connect(it.runtime, url, WSABI_NUL_TERMINATED, it.client_options,
                                  &it.at_client, &it.client));
    wait_for_open(&it.at_client);
    exchange(&it);
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    wait_for_clean_close(&it.at_client, 1000, NULL);
    wait_for_clean_close(&it.at_server, 1000, NULL);
    try_in_vain(it.runtime, it.client_options);
    pair_free(&it);
}

/* What handlers find. */
typedef struct found {
    int is_blocked; /* SIGUSR1 */
    int rounding;
} found;

static found find(void)
{
    found it;
    sigset_t mask;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    it.is_blocked = sigismember(&mask, SIGUSR1);
    it.rounding = fegetround();
    return it;
}

static void change_back(void)
{
    fedisableexcept(FE_ALL_EXCEPT);
    CHECK(fesetround(FE_TONEAREST) == 0);
}

/* OPEN finds what nobody has changed, whatever came before on another thread. */
static void find_and_change(const wsabi_event *event, recorder *self)
{
    *(found *)self->context = find();
    if (event->kind == WSABI_EVENT_OPEN)
        change_everything();
}

static void each_thread_keeps_what_was_changed_on_it(void)
{
    found at_open, at_message;
    recorder seen[2];
    wsabi_socket sockets[2];
    wsabi_runtime runtime = 0;
    record far_end;
    pair it;
    int i;
    circumstance = "each thread:";
    pair_init(&it);
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    /* What starts them does not matter to their signals. */
    change_everything();
    change_back();
    CHECK_OK(wsabi_runtime_new(2, WSABI_DELIVER_ON_THREADS, &runtime));
    CHECK(!find().is_blocked);
    for (i = 0; i < 2; i++) {
        recorder_init(&seen[i]);
        seen[i].hook = find_and_change;
        seen[i].context = &at_open;
        sockets[i] = connect_to_port(runtime, wsabi_server_port(it.server), it.client_options,
                                     &seen[i]);
        wait_for_open(&seen[i]);
        CHECK(at_open.is_blocked && at_open.rounding == FE_TONEAREST);
        seen[i].context = &at_message;
        far_end = wait_for_event(&it.at_server, WSABI_EVENT_OPEN, (size_t)i + 1);
        CHECK_OK(wsabi_socket_send_text(far_end.handle, "again", 5));
        wait_for_message(&seen[i], 1);
        CHECK(!at_message.is_blocked && at_message.rounding == FE_UPWARD);
        CHECK_OK(wsabi_socket_release(sockets[i]));
    }
    CHECK_OK(wsabi_runtime_free(runtime));
    for (i = 0; i < 2; i++) {
        wait_for_releases(&seen[i], 1);
        recorder_free(&seen[i]);
    }
    pair_free(&it);
}

static void whoever_polls_keeps_what_was_changed_by_a_handler(uint32_t threads)
{
    wsabi_runtime runtime = 0;
    sigset_t blocked;
    found at_open;
    pair it;
    circumstance = "whoever polls:";
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK(pthread_sigmask(SIG_SETMASK, &blocked, NULL) == 0);
    change_back();
    pair_init(&it);
    it.at_client.hook = find_and_change;
    it.at_client.context = &at_open;
    CHECK_OK(wsabi_runtime_new(threads, WSABI_DELIVER_ON_POLL, &runtime));
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    it.client = connect_to_port(runtime, wsabi_server_port(it.server), it.client_options,
                                &it.at_client);
    while (count_events(&it.at_client, WSABI_EVENT_OPEN) == 0) {
        CHECK(find().is_blocked && find().rounding == FE_TONEAREST);
        CHECK(wsabi_runtime_poll(runtime, 0, DEADLINE_MS) >= 0);
    }
    CHECK(at_open.is_blocked && at_open.rounding == FE_TONEAREST);
    CHECK(!find().is_blocked && find().rounding == FE_UPWARD);
    change_back();
    CHECK_OK(wsabi_runtime_free(runtime));
    pair_free(&it);
}

int main(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = take_signal; /* without SA_RESTART */
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    if (delivery() == ON_THREADS) {
        each_thread_keeps_what_was_changed_on_it();
        whoever_polls_keeps_what_was_changed_by_a_handler(0);
        whoever_polls_keeps_what_was_changed_by_a_handler(1);
    }
    CHECK_OK(wsabi_set_thread_hooks(change_in_hook, change_in_hook, NULL));
    CHECK_OK(wsabi_set_log_handler(5, change_in_log, NULL));
    whatever_changes_connections_go_on("ws");
    whatever_changes_connections_go_on("wss");
    return 0;
}
