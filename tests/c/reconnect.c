/* A connection that is lost while the process forks, and is made anew in the parent alone; and one
 * that waits for its next attempt when the process forks. */
#include "pair.h"

#include "child.h"
#include "raw_peer.h"

#include <sys/wait.h>

/* The child: the parent's socket is not its own, and what it does has no effect. */
static void live_as_a_child(wsabi_socket parents)
{
    alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_set_header(parents, "X", 1, "child", 5));
    CHECK_STATUS(WSABI_ERR_FORKED,
                 wsabi_socket_set_url(parents, "ws://127.0.0.1:1/", WSABI_NUL_TERMINATED));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_send_text(parents, "child", 5));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_close(parents, 1000, "", 0));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_abort(parents));
    CHECK_STATUS(WSABI_ERR_FORKED, wsabi_socket_release(parents));
    end_child(0);
}

static void fork_a_child(wsabi_socket socket)
{
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        live_as_a_child(socket);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* What is set in the handler is in the next request. */
static void set_token(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_RECONNECT) {
        CHECK(event->code == WSABI_ERR_IO);
        CHECK(event->len > 0);
        CHECK_OK(wsabi_socket_set_header(event->handle, "X-Token", 7, "fresh", 5));
    }
}

int main(void)
{
    char head[4096], response[512];
    int port, round;
    int listener = raw_listen(&port);
    wsabi_runtime runtime = new_runtime();
    wsabi_options options = recording_options();
    wsabi_socket client;
    recorder seen;
    int peer;

    recorder_init(&seen);
    seen.hook = set_token;
    /* Time to poll for RECONNECT, in which the next request is changed. */
    CHECK_OK(wsabi_options_set_reconnect(options, 200, 200, 0));
    client = connect_to_port(runtime, port, options, &seen);
    peer = raw_accept_websocket(listener);
    wait_for_open(&seen);
    for (round = 1; round <= 5; round++) {
        wsabi_stats stats;
        /* The connection is there, and the child has its descriptors. */
        fork_a_child(client);
        CHECK_OK(wsabi_socket_send_text(client, "still here", 10));
        raw_reset(peer);
        wait_for_event(&seen, WSABI_EVENT_RECONNECT, (size_t)round);
        /* It waits, or connects. */
        fork_a_child(client);
        peer = raw_accept(listener);
        raw_receive_head(peer, head, sizeof head);
        CHECK(strstr(head, "\r\nX-Token: fresh\r\n") != NULL);
        raw_write_response(head, response, sizeof response);
        CHECK(raw_send_text(peer, response));
        wait_for_event(&seen, WSABI_EVENT_OPEN, (size_t)round + 1);
        stats.size = sizeof stats;
        CHECK_OK(wsabi_socket_stats(client, &stats));
        CHECK(stats.reconnects == (uint32_t)round);
    }
    CHECK_OK(wsabi_socket_abort(client));
    wait_for_close(&seen);
    CHECK_EVENTS(&seen, "ORORORORORO" "EC");
    CHECK(count_releases(&seen) == 0);
    CHECK_OK(wsabi_socket_release(client));
    wait_for_releases(&seen, 1);
    close(peer);
    close(listener);
    CHECK_OK(wsabi_options_free(options));
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK(count_releases(&seen) == 1);
    recorder_free(&seen);
    return 0;
}
