/* Sends every message back, for Autobahn's fuzzingclient.
 *
 *     server      prints its URL, and ends on SIGTERM
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <wsabi.h>

static void expect_ok(int32_t status, const char *what)
{
    if (status == WSABI_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, wsabi_status_name(status), wsabi_last_error());
    exit(EXIT_FAILURE);
}

static void on_message(const wsabi_event *event, void *user_data)
{
    int32_t status;
    (void)user_data;
    if (event->type == WSABI_TEXT)
        status = wsabi_socket_send_text(event->handle, (const char *)event->data, event->len);
    else
        status = wsabi_socket_send_binary(event->handle, event->data, event->len);
    expect_ok(status, "a message is not sent back");
}

int main(void)
{
    sigset_t signals;
    int received;
    wsabi_runtime runtime;
    wsabi_options options;
    wsabi_server server;

    /* Only sigwait below takes it. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    expect_ok(wsabi_runtime_new(2, WSABI_DELIVER_ON_THREADS, &runtime), "runtime");
    expect_ok(wsabi_options_new(&options), "options");
    /* So that short messages are compressed, too. */
    wsabi_options_set_compression_min(options, 0);
    wsabi_options_on_message(options, on_message);
    expect_ok(wsabi_server_listen(runtime, "ws://127.0.0.1:0/", WSABI_NUL_TERMINATED, options, NULL,
                                  &server),
              "listen");
    printf("ws://127.0.0.1:%d\n", (int)wsabi_server_port(server));
    fflush(stdout);

    sigwait(&signals, &received);
    wsabi_runtime_shutdown(runtime, 3000);
    wsabi_runtime_free(runtime);
    wsabi_options_free(options);
    return EXIT_SUCCESS;
}
