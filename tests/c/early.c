/* Handlers may look where the handle goes that wsabi_socket_connect and wsabi_server_listen give:
 * it is there before the first event, though that may come before the call returns. */
#include "pair.h"

#include "raw_peer.h"

#include <sys/un.h>

#define ROUNDS 300

static wsabi_socket socket_of_round;
static wsabi_server server_of_round;

static void check_socket(const wsabi_event *event, recorder *self)
{
    (void)self;
    CHECK(event->handle == socket_of_round);
}

static void a_socket_is_known_before_its_first_event(void)
{
    pair it;
    int i;
    pair_init(&it);
    it.at_client.hook = check_socket;
    it.at_client.handed_over = repetitions(ROUNDS);
    for (i = 1; i <= it.at_client.handed_over; i++) {
        socket_of_round = 0;
        /* It fails at once: nobody has to answer. */
        CHECK_OK(wsabi_socket_connect(it.runtime, "ws+unix:///nowhere/at/all", 25,
                                      it.client_options, &it.at_client, &socket_of_round));
        wait_for_event(&it.at_client, WSABI_EVENT_CLOSE, (size_t)i);
        CHECK_OK(wsabi_socket_release(socket_of_round));
    }
    wait_for_releases(&it.at_client, it.at_client.handed_over);
    pair_free(&it);
}

static void check_server(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_OPEN)
        CHECK(wsabi_server_publish(server_of_round, NULL, 0, WSABI_TEXT, "welcome", 7) == 1);
}

/* A client that comes as soon as anybody listens at the path, and goes when it is welcome. */
static void *come_early(void *path)
{
    struct sockaddr_un address;
    struct timespec until = deadline(), now;
    char received[512];
    size_t len = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    strcpy(address.sun_path, (const char *)path);
    while (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        CHECK(now.tv_sec < until.tv_sec);
    }
    raw_request_upgrade(fd);
    do {
        CHECK(len + 1 < sizeof received);
        len += raw_receive(fd, received + len, sizeof received - 1 - len);
        received[len] = 0;
    } while (strstr(received, "welcome") == NULL);
    close(fd);
    return NULL;
}

static void a_server_is_known_before_its_first_socket(void)
{
    char directory[] = "/tmp/wsabi-early-XXXXXX", path[64], url[96];
    pair it;
    int i;
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/s", directory);
    snprintf(url, sizeof url, "ws+unix://%s", path);
    pair_init(&it);
    it.at_server.hook = check_server;
    it.at_server.handed_over = repetitions(ROUNDS);
    for (i = 1; i <= it.at_server.handed_over; i++) {
        pthread_t client;
        server_of_round = 0;
        CHECK(pthread_create(&client, NULL, come_early, path) == 0);
        CHECK_OK(wsabi_server_listen(it.runtime, url, WSABI_NUL_TERMINATED, it.server_options,
                                     &it.at_server, &server_of_round));
        CHECK(pthread_join(client, NULL) == 0);
        CHECK_OK(wsabi_server_close(server_of_round));
        wait_for_event(&it.at_server, WSABI_EVENT_CLOSE, (size_t)i);
    }
    wait_for_releases(&it.at_server, it.at_server.handed_over);
    pair_free(&it);
    CHECK(rmdir(directory) == 0);
}

int main(void)
{
    a_socket_is_known_before_its_first_event();
    a_server_is_known_before_its_first_socket();
    return 0;
}
