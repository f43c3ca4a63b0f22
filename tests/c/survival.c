/* The process lives on: with SIGPIPE at its default while peers die, under a storm of signals, and
 * to an orderly exit with connections open. */
#include "pair.h"

#include <signal.h>
#include <sys/wait.h>

#include "raw_peer.h"
#include "secure.h"

static char bulk[1 << 20];

static volatile sig_atomic_t signals_taken;
static volatile sig_atomic_t strays;
static volatile sig_atomic_t storm_is_over;
static pthread_t main_thread;

/* Sends until the socket refuses because the connection has ended; soon its handle ends, too. */
static void send_until_closed(wsabi_socket socket, size_t len)
{
    int32_t status;
    do
        status = wsabi_socket_send_binary(socket, bulk, len);
    while (status == WSABI_OK || status == WSABI_ERR_BUFFER_FULL);
    CHECK(status == WSABI_ERR_CLOSED || status == WSABI_ERR_HANDLE);
    status = wsabi_socket_ping(socket, "ping", 4);
    CHECK(status == WSABI_ERR_CLOSED || status == WSABI_ERR_HANDLE);
}

/* Answers each message with a large and a small one. */
static void answer(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind != WSABI_EVENT_MESSAGE)
        return;
    wsabi_socket_send_binary(event->handle, bulk, sizeof bulk);
    wsabi_socket_send_binary(event->handle, bulk, 10);
}

static void *reset_after_a_frame(void *argument)
{
    int peer = *(int *)argument;
    char scrap[10];
    CHECK(raw_receive_all(peer, scrap, sizeof scrap));
    raw_reset(peer);
    return NULL;
}

static void *end_after_a_frame(void *argument)
{
    int peer = *(int *)argument;
    char scrap[10];
    CHECK(raw_receive_all(peer, scrap, sizeof scrap));
    close(peer);
    return NULL;
}

/* The server of `pair` sends; its client is a peer made by hand that dies in the meantime. */
static void a_peer_dies_while_main_sends(size_t len, void *(*death)(void *))
{
    pthread_t thread;
    int peer;
    pair it;
    pair_init(&it);
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    peer = raw_connect_websocket(wsabi_server_port(it.server));
    CHECK(pthread_create(&thread, NULL, death, &peer) == 0);
    send_until_closed(accepted(&it), len);
    CHECK(pthread_join(thread, NULL) == 0);
    wait_for_error(&it.at_server, WSABI_ERR_IO);
    CHECK(count_events(&it.at_server, WSABI_EVENT_CLOSE) == 1);
    pair_free(&it);
}

static void a_peer_dies_while_handlers_send(void)
{
    int peer, i;
    pair it;
    pair_init(&it);
    it.at_server.hook = answer;
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    peer = raw_connect_websocket(wsabi_server_port(it.server));
    for (i = 0; i < 20; i++)
        CHECK(raw_send_frame(peer, RAW_FIN | RAW_TEXT, 1, "more", 4));
    wait_for_message(&it.at_server, 1);
    raw_reset(peer);
    wait_for_error(&it.at_server, WSABI_ERR_IO);
    pair_free(&it);
}

/* Dies of what it gets. */
static void abort_itself(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        wsabi_socket_abort(event->handle);
}

/* One end sends, main or in handlers, and the other one is gone in the meantime. */
static void a_peer_over_tls_dies(size_t len, int server_dies)
{
    pair it;
    recorder *dying = server_dies ? &it.at_server : &it.at_client;
    recorder *living = server_dies ? &it.at_client : &it.at_server;
    pair_init(&it);
    dying->hook = abort_itself;
    living->hook = answer;
    pair_secure(&it);
    pair_listen_over(&it, "wss");
    it.client = pair_dial_over(&it, "wss");
    wait_for_open(&it.at_client);
    send_until_closed(server_dies ? it.client : accepted(&it), len);
    wait_for_close(&it.at_client);
    wait_for_close(&it.at_server);
    pair_free(&it);
}

/* Before there is a session: what either end says of it meets nobody. */
static void a_peer_dies_in_the_handshake_of_tls(void)
{
    static const char garbage[] = "\x16\x03\x01\x00\x05hello";
    int port, peer, listener = raw_listen(&port);
    char scrap[64];
    pair it;
    pair_init(&it);
    pair_secure(&it);
    pair_listen_over(&it, "wss");
    peer = raw_connect(wsabi_server_port(it.server));
    CHECK(raw_send(peer, garbage, sizeof garbage - 1));
    raw_reset(peer);
    it.client = pair_dial_port(&it, "wss", port);
    peer = raw_accept(listener);
    CHECK(raw_receive_all(peer, scrap, sizeof scrap));
    raw_send(peer, garbage, sizeof garbage - 1);
    raw_reset(peer);
    wait_for_event(&it.at_client, WSABI_EVENT_ERROR, 1);
    wait_for_close(&it.at_client);
    close(listener);
    pair_free(&it);
}

static void dying_peers_raise_no_signal(void)
{
    int round, rounds = repetitions(10);
    for (round = 0; round < rounds; round++) {
        a_peer_dies_while_main_sends(10, reset_after_a_frame);
        a_peer_dies_while_main_sends(10, end_after_a_frame);
        a_peer_dies_while_main_sends(sizeof bulk, reset_after_a_frame);
        a_peer_dies_while_main_sends(sizeof bulk, end_after_a_frame);
        a_peer_dies_while_handlers_send();
    }
    for (round = 0; round < repetitions(3); round++) {
        a_peer_over_tls_dies(10, 0);
        a_peer_over_tls_dies(10, 1);
        a_peer_over_tls_dies(sizeof bulk, 0);
        a_peer_over_tls_dies(sizeof bulk, 1);
        a_peer_dies_in_the_handshake_of_tls();
    }
}

static void take_signal(int number)
{
    (void)number;
    if (pthread_equal(pthread_self(), main_thread))
        signals_taken = 1;
    else
        strays = 1;
}

/* Signals the process, any thread of which may take them, and main itself. */
static void *storm(void *unused)
{
    const struct timespec pause = {0, 50000};
    (void)unused;
    while (!storm_is_over) {
        kill(getpid(), SIGUSR1);
        pthread_kill(main_thread, SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void echo(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_send_binary(event->handle, event->data, event->len));
}

static void exchange_under_signals(void)
{
    int i, count = repetitions(2000);
    pair it;
    pair_init(&it);
    it.at_server.hook = echo;
    pair_connect(&it);
    for (i = 0; i < count; i++)
        CHECK_OK(wsabi_socket_send_binary(it.client, bulk, i % 3 == 0 ? 20000 : 20));
    for (i = 0; i < count; i++) {
        record message = wait_for_message(&it.at_client, (size_t)i + 1);
        CHECK(message.len == (i % 3 == 0 ? 20000 : 20));
    }
    CHECK_OK(wsabi_runtime_shutdown(it.runtime, DEADLINE_MS));
    wait_for_clean_close(&it.at_client, 1001, "");
    pair_free(&it);
}

static void signals_disturb_nothing_and_reach_no_library_thread(void)
{
    struct sigaction action;
    sigset_t usr1;
    pthread_t thread;
    main_thread = pthread_self();
    memset(&action, 0, sizeof action);
    action.sa_handler = take_signal; /* without SA_RESTART: system calls are interrupted */
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    CHECK(pthread_create(&thread, NULL, storm, NULL) == 0);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
    exchange_under_signals();
    storm_is_over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(signals_taken);
    CHECK(!strays);
}

static wsabi_socket last_socket;

static void call_at_exit(void)
{
    CHECK_OK(wsabi_socket_send_text(last_socket, "not too late", WSABI_NUL_TERMINATED));
    CHECK(wsabi_socket_ready_state(last_socket) == WSABI_OPEN);
}

/* The child's whole life: connections open, traffic both ways, then the end of main. */
static void exit_with_connections_open(void)
{
    static pair it;
    alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
    pair_init(&it);
    it.at_server.hook = echo;
    it.at_client.hook = echo;
    pair_connect(&it);
    CHECK_OK(wsabi_socket_send_binary(it.client, bulk, 1000));
    wait_for_message(&it.at_client, 10);
    last_socket = it.client;
    atexit(call_at_exit);
    exit(0);
}

/* Before this process has called the library, so that each child starts fresh. */
static void exits_are_orderly_with_connections_open(void)
{
    int round, rounds = repetitions(10);
    for (round = 0; round < rounds; round++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            exit_with_connections_open();
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

int main(void)
{
    sigset_t none;
    sigemptyset(&none);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    CHECK(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
    exits_are_orderly_with_connections_open();
    dying_peers_raise_no_signal();
    signals_disturb_nothing_and_reach_no_library_thread();
    return 0;
}
