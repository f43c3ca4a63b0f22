/* The WebSocket tutorial's client: says who it is, prints what the server says.
 *
 *     client ws://127.0.0.1:8080/
 *     client wss://example.org/
 *     client wss://127.0.0.1:8080/ ca.pem
 *
 * A server of wss:// has to have a certificate from an authority that the system trusts or, if a
 * file in PEM is given, from one in that file.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <wsabi.h>

#include "pem.h"

/* What the handlers tell main; they run on a thread of the library. */
struct outcome {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int closed;
    int was_clean;
};

static void on_open(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    puts("[open] Connection established");
    puts("Sending to server");
    wsabi_socket_send_text(event->handle, "John", WSABI_NUL_TERMINATED);
}

static void on_message(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    printf("[message] Data received from server: %s\n", (const char *)event->data);
}

static void on_error(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    printf("[error] %s\n", (const char *)event->data);
}

/* Comes exactly once, and last, whatever happened before. */
static void on_close(const wsabi_event *event, void *user_data)
{
    struct outcome *outcome = user_data;
    if (event->was_clean)
        printf("[close] Connection closed cleanly, code=%d reason=%s\n", (int)event->code,
               (const char *)event->data);
    else
        puts("[close] Connection died");
    pthread_mutex_lock(&outcome->mutex);
    outcome->closed = 1;
    outcome->was_clean = event->was_clean;
    pthread_cond_signal(&outcome->changed);
    pthread_mutex_unlock(&outcome->mutex);
}

int main(int argc, char **argv)
{
    struct outcome outcome = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    wsabi_options options;
    wsabi_socket socket;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s URL [CA]\n", argv[0]);
        return EXIT_FAILURE;
    }
    /* Each line appears as it happens, into a pipe as well. */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);

    wsabi_options_new(&options);
    wsabi_options_on_open(options, on_open);
    wsabi_options_on_message(options, on_message);
    wsabi_options_on_error(options, on_error);
    wsabi_options_on_close(options, on_close);
    if (argc == 3)
        trust(options, argv[2]);

    if (wsabi_socket_connect(WSABI_DEFAULT_RUNTIME, argv[1], WSABI_NUL_TERMINATED, options,
                             &outcome, &socket) != WSABI_OK) {
        fprintf(stderr, "%s\n", wsabi_last_error());
        return EXIT_FAILURE;
    }

    pthread_mutex_lock(&outcome.mutex);
    while (!outcome.closed)
        pthread_cond_wait(&outcome.changed, &outcome.mutex);
    pthread_mutex_unlock(&outcome.mutex);

    wsabi_socket_release(socket);
    wsabi_options_free(options);
    return outcome.was_clean ? EXIT_SUCCESS : EXIT_FAILURE;
}
