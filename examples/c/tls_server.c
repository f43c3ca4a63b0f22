/* Sends every message back, under wss:// only, and takes a renewed certificate while it runs.
 *
 *     tls_server CERT KEY [PORT]      PORT 0, the default: a free one
 *
 * CERT and KEY are the certificate, with what leads to its authority, and its private key: two files
 * in PEM. SIGHUP has them read again, for the connections that come from then on; if they cannot be
 * used, the server goes on with what it has. Prints its URL on the first line. Ends on SIGINT and
 * SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <wsabi.h>

#include "pem.h"

static void on_open(const wsabi_event *event, void *user_data)
{
    char peer[64], version[16], cipher[64];
    (void)user_data;
    wsabi_socket_fact(event->handle, WSABI_FACT_PEER_ADDRESS, peer, sizeof peer);
    wsabi_socket_fact(event->handle, WSABI_FACT_TLS_VERSION, version, sizeof version);
    wsabi_socket_fact(event->handle, WSABI_FACT_TLS_CIPHER, cipher, sizeof cipher);
    printf("%s: %s, %s\n", peer, version, cipher);
}

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
    char url[64];
    sigset_t signals;
    int received;
    wsabi_runtime runtime;
    wsabi_options options;
    wsabi_server server;

    if (argc < 3) {
        fprintf(stderr, "usage: %s CERT KEY [PORT]\n", argv[0]);
        return EXIT_FAILURE;
    }
    /* Each line appears as it happens, into a pipe as well. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    /* Only sigwait below takes these. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    wsabi_options_new(&options);
    wsabi_options_on_open(options, on_open);
    wsabi_options_on_message(options, on_message);
    identify(options, argv[1], argv[2]);
    snprintf(url, sizeof url, "wss://127.0.0.1:%s/", argc > 3 ? argv[3] : "0");
    if (wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &runtime) != WSABI_OK ||
        wsabi_server_listen(runtime, url, WSABI_NUL_TERMINATED, options, NULL, &server) !=
            WSABI_OK) {
        fprintf(stderr, "%s\n", wsabi_last_error());
        return EXIT_FAILURE;
    }
    printf("wss://127.0.0.1:%d/\n", (int)wsabi_server_port(server));

    while (sigwait(&signals, &received) == 0 && received == SIGHUP)
        if (try_identify(options, argv[1], argv[2]) &&
            wsabi_server_set_tls(server, options) == WSABI_OK)
            puts("certificate renewed");
    wsabi_runtime_shutdown(runtime, 3000);
    wsabi_runtime_free(runtime);
    wsabi_options_free(options);
    return EXIT_SUCCESS;
}
