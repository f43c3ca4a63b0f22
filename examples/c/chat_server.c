/* Chat with rooms: what a guest says reaches everyone in its room.
 *
 *     chat_server [PORT [CERT KEY]]      PORT 0, the default: a free one
 *
 * The path of the URL is the room, as in ws://127.0.0.1:8080/lobby. The first message of a guest is
 * its name, of at most 120 bytes and without control characters, and every other one goes to the
 * room: the name, a line break, and what was said. A message without a line break is a notice of the
 * server. examples/chat.html is a page for it.
 *
 * Speaks TLS, under wss://, if there are a certificate and its private key: two files in PEM. Prints
 * its URL on the first line. Ends on SIGINT and SIGTERM.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wsabi.h>

#include "pem.h"

#define LONGEST_ROOM 255
#define LONGEST_NAME 120
#define LONGEST_TEXT 4000

/* The user_data of a connection. */
struct guest {
    char room[LONGEST_ROOM + 1];
    /* Empty until it has said its name. */
    char name[LONGEST_NAME + 1];
};

static wsabi_server server;
/* Held until server is set, since handlers may run before wsabi_server_listen has returned. */
static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;

/* Says something to everyone in a guest's room, the guest included. */
static void tell_room(const struct guest *guest, char separator, const char *text, size_t len)
{
    char message[LONGEST_NAME + 1 + LONGEST_TEXT];
    size_t name_len = strlen(guest->name);
    memcpy(message, guest->name, name_len);
    message[name_len] = separator;
    memcpy(message + name_len + 1, text, len);
    wsabi_server_publish(server, guest->room, WSABI_NUL_TERMINATED, WSABI_TEXT, message,
                         name_len + 1 + len);
}

/* Also without a NUL, so that it can be kept as a string. */
static int is_name(const char *text, size_t len)
{
    size_t i;
    for (i = 0; i < len; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7F)
            return 0;
    }
    return len > 0 && len <= LONGEST_NAME;
}

/* Copies the path of a socket's URL. Returns 0 if it is none, or too long. */
static int find_room(wsabi_socket socket, char *room)
{
    char url[1024];
    const char *path;
    size_t len;
    if (wsabi_socket_fact(socket, WSABI_FACT_URL, url, sizeof url) <= 0)
        return 0;
    /* Of a URL that is longer, the query is missing. */
    url[sizeof url - 1] = '\0';
    path = strstr(url, "://");
    path = path == NULL ? NULL : strchr(path + strlen("://"), '/');
    len = path == NULL ? 0 : strcspn(path, "?");
    if (len == 0 || len > LONGEST_ROOM)
        return 0;
    memcpy(room, path, len);
    room[len] = '\0';
    return 1;
}

static void on_open(const wsabi_event *event, void *user_data)
{
    struct guest *guest = calloc(1, sizeof *guest);
    (void)user_data;
    pthread_mutex_lock(&starting);
    pthread_mutex_unlock(&starting);
    if (guest == NULL || !find_room(event->handle, guest->room)) {
        free(guest);
        wsabi_socket_close(event->handle, 1008, "no such room", WSABI_NUL_TERMINATED);
        return;
    }
    /* The library gives it back to free, when no handler needs it any more. */
    wsabi_socket_set_user_data(event->handle, guest);
}

static void on_message(const wsabi_event *event, void *user_data)
{
    struct guest *guest = user_data;
    const char *text = (const char *)event->data;
    if (guest == NULL || event->type != WSABI_TEXT) {
        wsabi_socket_close(event->handle, 1003, "text only", WSABI_NUL_TERMINATED);
    } else if (guest->name[0] != '\0') {
        tell_room(guest, '\n', text, event->len);
    } else if (!is_name(text, event->len)) {
        wsabi_socket_close(event->handle, 1008, "not a name", WSABI_NUL_TERMINATED);
    } else {
        strcpy(guest->name, text);
        wsabi_socket_subscribe(event->handle, guest->room, WSABI_NUL_TERMINATED);
        tell_room(guest, ' ', "has joined", strlen("has joined"));
    }
}

/* By now the socket has left its topics. */
static void on_close(const wsabi_event *event, void *user_data)
{
    struct guest *guest = user_data;
    (void)event;
    if (guest != NULL && guest->name[0] != '\0')
        tell_room(guest, ' ', "has left", strlen("has left"));
}

int main(int argc, char **argv)
{
    const char *scheme = "ws";
    char url[64];
    sigset_t signals;
    int received;
    int32_t status;
    wsabi_runtime runtime;
    wsabi_options options;

    /* Only sigwait below takes these. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    wsabi_options_new(&options);
    wsabi_options_on_open(options, on_open);
    wsabi_options_on_message(options, on_message);
    wsabi_options_on_close(options, on_close);
    wsabi_options_on_release(options, free);
    wsabi_options_set_max_message(options, LONGEST_TEXT);
    /* Who does not read what others say has to leave. */
    wsabi_options_set_max_buffered(options, 1 << 20);
    wsabi_options_set_slow_subscribers(options, WSABI_SLOW_CLOSE);
    if (argc > 3) {
        identify(options, argv[2], argv[3]);
        scheme = "wss";
    }
    snprintf(url, sizeof url, "%s://127.0.0.1:%s/", scheme, argc > 1 ? argv[1] : "0");
    status = wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &runtime);
    if (status == WSABI_OK) {
        pthread_mutex_lock(&starting);
        status = wsabi_server_listen(runtime, url, WSABI_NUL_TERMINATED, options, NULL, &server);
        pthread_mutex_unlock(&starting);
    }
    if (status != WSABI_OK) {
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
