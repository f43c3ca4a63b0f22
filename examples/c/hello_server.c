/* The WebSocket tutorial's server: answers a name with a greeting, and closes the connection some
 * seconds later.
 *
 *     hello_server [PORT [SECONDS [CERT KEY]]]      default: a free port, 5 seconds
 *
 * Speaks TLS, under wss://, if there are a certificate and its private key: two files in PEM. Prints
 * its URL on the first line. Ends on SIGINT and SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <wsabi.h>

#include "pem.h"

#define LONGEST_NAME 200

/* A socket that is to be closed, and when. */
struct farewell {
    wsabi_socket socket;
    double due;
};

/* A pipe: the handler writes farewells into it, a thread of our own reads them out. All wait
 * equally long, so they come out in the order of their times. */
static int farewells[2];

static double seconds = 5;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void on_message(const wsabi_event *event, void *user_data)
{
    static const char hello[] = "Hello from server, ";
    char greeting[sizeof hello + LONGEST_NAME];
    size_t len = strlen(hello);
    struct farewell farewell;
    (void)user_data;
    if (event->type != WSABI_TEXT)
        return;

    memcpy(greeting, hello, len);
    memcpy(greeting + len, event->data, event->len);
    wsabi_socket_send_text(event->handle, greeting, len + event->len);

    farewell.socket = event->handle;
    farewell.due = now() + seconds;
    if (write(farewells[1], &farewell, sizeof farewell) != sizeof farewell)
        wsabi_socket_close(event->handle, 1013, "Too many visitors", WSABI_NUL_TERMINATED);
}

static void *close_in_time(void *unused)
{
    struct farewell farewell;
    (void)unused;
    while (read(farewells[0], &farewell, sizeof farewell) == sizeof farewell) {
        double rest = farewell.due - now();
        if (rest > 0) {
            struct timespec time;
            time.tv_sec = (time_t)rest;
            time.tv_nsec = (long)((rest - (double)time.tv_sec) * 1e9);
            nanosleep(&time, NULL);
        }
        /* If the client has left, its handle has ended, and this does nothing. */
        wsabi_socket_close(farewell.socket, 1000, "Goodbye", WSABI_NUL_TERMINATED);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const char *scheme = "ws";
    char url[64];
    sigset_t signals;
    int received;
    pthread_t closer;
    wsabi_runtime runtime;
    wsabi_options options;
    wsabi_server server;

    /* Only sigwait below takes these. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    if (argc > 2)
        seconds = atof(argv[2]);
    /* A handler must never wait, so a full pipe is an error to it. */
    if (pipe(farewells) != 0 || fcntl(farewells[1], F_SETFL, O_NONBLOCK) != 0 ||
        pthread_create(&closer, NULL, close_in_time, NULL) != 0) {
        perror(argv[0]);
        return EXIT_FAILURE;
    }

    wsabi_options_new(&options);
    wsabi_options_on_message(options, on_message);
    wsabi_options_set_max_message(options, LONGEST_NAME);
    if (argc > 4) {
        identify(options, argv[3], argv[4]);
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
