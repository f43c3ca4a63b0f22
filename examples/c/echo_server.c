/* Sends every message back.
 *
 *     echo_server [PORT [CERT KEY]]      PORT 0, the default: a free one
 *
 * Speaks TLS, under wss://, if there are a certificate and its private key: two files in PEM. Prints
 * its URL on the first line. Ends on SIGINT and SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <wsabi.h>

#include "pem.h"

static void on_message(const wsabi_event *event, void *user_data)
{
    int32_t status;
    (void)user_data;
    if (event->type == WSABI_TEXT)
        status = wsabi_socket_send_text(event->handle, (const char *)event->data, event->len);
    else
        status = wsabi_socket_send_binary(event->handle, event->data, event->len);
    /* A client that sends without reading its echoes has filled the buffer. */
    if (status == WSABI_ERR_BUFFER_FULL)
        wsabi_socket_close(event->handle, 1008, "too slow", WSABI_NUL_TERMINATED);
}

int main(int argc, char **argv)
{
    const char *scheme = "ws";
    char url[64];
    sigset_t signals;
    int received;
    wsabi_runtime runtime;
    wsabi_options options;
    wsabi_server server;

    /* Only sigwait below takes these. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    wsabi_options_new(&options);
    wsabi_options_on_message(options, on_message);
    if (argc > 3) {
        identify(options, argv[2], argv[3]);
        scheme = "wss";
    }
    snprintf(url, sizeof url, "%s://127.0.0.1:%s/", scheme, argc > 1 ? argv[1] : "0");
    if (wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &runtime) != WSABI_OK ||
        wsabi_server_listen(runtime, url, WSABI_NUL_TERMINATED, options, NULL, &server) !=
            WSABI_OK) {
        fprintf(stderr, "%s\n", wsabi_last_error());
        return EXIT_FAILURE;
    }
    printf("%s://127.0.0.1:%d/\n", scheme, (int)wsabi_server_port(server));
    fflush(stdout);

    sigwait(&signals, &received);
    wsabi_runtime_shutdown(runtime, 3000);
    wsabi_runtime_free(runtime);
    wsabi_options_free(options);
    return EXIT_SUCCESS;
}
