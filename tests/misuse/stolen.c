/* The application closes a descriptor that is not its own, and something else gets its number. Of a
 * connection: that fails, and nothing else does. Of a server: nobody comes to it any more. Of what a
 * thread waits with: its connections end. What is there instead is neither closed nor written to; only
 * another socket can get what a connection sends, until a ping stays without its pong. */
/* For syscall(). */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif

#include "../c/secure.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "process.h"

/* What gets the number. */
typedef enum successor { NOTHING, A_FILE, A_PIPE, A_SOCKET } successor;

enum { PING_MS = 50, PONG_MS = 200 };

/* Whose descriptor is closed. */
typedef enum victim { CLIENT, SERVERS_END, LISTENER } victim;

static int port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    if (name(fd, (struct sockaddr *)&address, &len) != 0 || address.sin_family != AF_INET)
        return -1;
    return ntohs(address.sin_port);
}

/* The victim's descriptor, where a server on `port` has one connection. */
static int find_descriptor(victim whose, int port)
{
    int fd;
    for (fd = 3; fd < 1000; fd++) {
        const int own = port_of(fd, getsockname), peers = port_of(fd, getpeername);
        if (whose == CLIENT ? peers == port : own == port && (peers == -1) == (whose == LISTENER))
            return fd;
    }
    CHECK(!"it has a descriptor");
    return -1;
}

/* Two ends of what the number is to stand for; for a file both are the file. */
static void open_successor(successor kind, int ends[2])
{
    char path[] = "/tmp/wsabi-stolen-XXXXXX";
    ends[0] = ends[1] = -1;
    switch (kind) {
    case NOTHING:
        break;
    case A_FILE:
        ends[0] = mkstemp(path);
        CHECK(ends[0] >= 0 && unlink(path) == 0);
        ends[1] = dup(ends[0]);
        break;
    case A_PIPE:
        CHECK(pipe(ends) == 0);
        break;
    case A_SOCKET:
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
        break;
    }
}

/* How many bytes have come out at the other end. */
static long count_written(successor kind, int end)
{
    char scrap[4096];
    long count = 0;
    ssize_t more;
    if (kind == A_FILE)
        return (long)lseek(end, 0, SEEK_END);
    CHECK(fcntl(end, F_SETFL, O_NONBLOCK) == 0);
    while ((more = read(end, scrap, sizeof scrap)) > 0)
        count += more;
    return count;
}

static int64_t processor_ms(void)
{
    struct rusage used;
    CHECK(getrusage(RUSAGE_SELF, &used) == 0);
    return (int64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 +
           (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000;
}

static void exchange(pair *it, size_t ordinal)
{
    CHECK_OK(wsabi_socket_send_binary(it->client, "there and back", 14));
    wait_for_message(&it->at_server, ordinal);
}

/* What has got a number. */
typedef struct stolen {
    successor kind;
    int fd, ends[2];
    struct stat before;
} stolen;

static void steal(stolen *self, successor kind, int fd)
{
    self->kind = kind;
    self->fd = fd;
    open_successor(kind, self->ends);
    /* Past the functions that ThreadSanitizer watches: that another thread uses the descriptor is the
     * very mistake. */
    if (kind == NOTHING) {
        CHECK(syscall(SYS_close, fd) == 0);
        return;
    }
    CHECK(syscall(SYS_dup3, self->ends[1], fd, 0) == fd);
    close(self->ends[1]);
    CHECK(fstat(fd, &self->before) == 0);
}

/* It was not closed, and, unless that is allowed, not written to. */
static void check_unharmed(stolen *self, int may_be_written)
{
    struct stat after;
    if (self->kind == NOTHING) {
        CHECK(fcntl(self->fd, F_GETFD) == -1);
        return;
    }
    CHECK(fstat(self->fd, &after) == 0);
    CHECK(self->before.st_dev == after.st_dev && self->before.st_ino == after.st_ino);
    if (!may_be_written)
        CHECK(count_written(self->kind, self->ends[0]) == 0);
    close(self->fd);
    close(self->ends[0]);
}

/* A pair with quick pings. */
static void connect_over(pair *it, const char *scheme)
{
    size_t i;
    pair_init(it);
    for (i = 0; i < 2; i++) {
        wsabi_options options = i == 0 ? it->server_options : it->client_options;
        CHECK_OK(wsabi_options_set_ping_interval_ms(options, PING_MS));
        CHECK_OK(wsabi_options_set_pong_timeout_ms(options, PONG_MS * (uint32_t)slowness()));
    }
    pair_connect_over(it, scheme);
}

/* `is_sending`: the application sends at once; else only the next ping tells. */
static void steal_connection(const char *scheme, victim whose, successor kind, int is_sending)
{
    int64_t began, used;
    recorder *seen;
    stolen it_was;
    pair it;
    connect_over(&it, scheme);
    seen = whose == CLIENT ? &it.at_client : &it.at_server;
    steal(&it_was, kind, find_descriptor(whose, wsabi_server_port(it.server)));
    began = now_ms();
    used = processor_ms();
    if (is_sending)
        wsabi_socket_send_binary(whose == CLIENT ? it.client : accepted(&it), "nowhere", 7);
    wait_for_event(seen, WSABI_EVENT_ERROR, 1);
    CHECK(wait_for_close(seen).code == 1006);
    /* Nobody has spun until then. */
    used = processor_ms() - used;
    CHECK(used < 200 * slowness() || used < (now_ms() - began) / 2);
    wait_for_close(&it.at_client);
    wait_for_close(&it.at_server);
    CHECK_OK(wsabi_runtime_free(it.runtime));
    it.runtime = 0;
    check_unharmed(&it_was, kind == A_SOCKET);
    pair_free(&it);
}

/* The connection that is there goes on, and the server can be closed. */
static void steal_listener(successor kind)
{
    recorder late;
    wsabi_socket socket;
    stolen it_was;
    pair it;
    int port;
    connect_over(&it, "ws");
    port = wsabi_server_port(it.server);
    steal(&it_was, kind, find_descriptor(LISTENER, port));
    exchange(&it, 1);
    recorder_init(&late);
    socket = connect_to_port(it.runtime, port, it.client_options, &late);
    wait_for_error(&late, WSABI_ERR_CONNECT);
    CHECK_OK(wsabi_socket_release(socket));
    CHECK(wsabi_server_port(it.server) == port);
    CHECK_OK(wsabi_server_close(it.server));
    wait_for_close(&it.at_client);
    CHECK_OK(wsabi_runtime_free(it.runtime));
    it.runtime = 0;
    wait_for_releases(&late, 1);
    check_unharmed(&it_was, 0);
    pair_free(&it);
    recorder_free(&late);
}

/* The descriptor with which the runtime waits for others: without threads its own, else the last that
 * is one. */
static int find_epoll(wsabi_runtime runtime)
{
    intptr_t own = -1;
    int fd, found = -1;
    if (delivery() == WITHOUT_THREADS) {
        CHECK_OK(wsabi_runtime_fd(runtime, &own));
        return (int)own;
    }
    for (fd = 3; fd < 1000; fd++) {
        char path[64], what[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, what, sizeof what - 1) > 0 && strstr(what, "eventpoll") != NULL)
            found = fd;
    }
    CHECK(found >= 0);
    return found;
}

/* The thread that waits with it cannot any more: all that it has ends, and the runtime can be freed. */
static void steal_epoll(successor kind, int is_traffic)
{
    int64_t began, used;
    stolen it_was;
    pair it;
    connect_over(&it, "ws");
    steal(&it_was, kind, find_epoll(it.runtime));
    began = now_ms();
    used = processor_ms();
    if (is_traffic) {
        wsabi_socket_send_text(it.client, "wakes it", WSABI_NUL_TERMINATED);
        wait_for_event(&it.at_client, WSABI_EVENT_ERROR, 1);
        wait_for_event(&it.at_server, WSABI_EVENT_ERROR, 1);
        wait_for_close(&it.at_client);
        wait_for_close(&it.at_server);
    }
    used = processor_ms() - used;
    CHECK(used < 200 * slowness() || used < (now_ms() - began) / 2);
    CHECK_OK(wsabi_runtime_free(it.runtime));
    it.runtime = 0;
    /* A number that nobody has taken is free for the library as well. */
    if (kind != NOTHING)
        check_unharmed(&it_was, 0);
    pair_free(&it);
}

int main(void)
{
    static const successor kinds[] = {NOTHING, A_FILE, A_PIPE, A_SOCKET};
    static const char *const names[] = {"nothing", "a file", "a pipe", "a socket"};
    static const char *const schemes[] = {"ws", "wss"};
    const int descriptors = count_descriptors();
    size_t i, j, ordinal = 0;
    int is_sending, whose;
    pair other;
    pair_init(&other);
    pair_connect(&other);
    for (i = 0; i < COUNT_OF(kinds); i++) {
        circumstance = names[i];
        for (j = 0; j < COUNT_OF(schemes); j++) {
            for (whose = CLIENT; whose <= SERVERS_END; whose++) {
                for (is_sending = 0; is_sending < 2; is_sending++) {
                    steal_connection(schemes[j], (victim)whose, kinds[i], is_sending);
                    exchange(&other, ++ordinal);
                }
            }
        }
        steal_listener(kinds[i]);
        exchange(&other, ++ordinal);
        /* A thread of the test may be waiting with it still when its runtime has been freed. */
        if (delivery() != WITHOUT_THREADS)
            steal_epoll(kinds[i], 0);
        steal_epoll(kinds[i], 1);
        exchange(&other, ++ordinal);
    }
    circumstance = "";
    pair_free(&other);
    wait_for_count(count_descriptors, descriptors, "descriptors");
    return 0;
}
