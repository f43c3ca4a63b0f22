/* The application closes a descriptor that is not its own, but a connection's, and something else gets
 * its number. The connection fails, nothing else does, and what is there instead is neither closed nor
 * written to; only another socket can get what is sent, until a ping stays without its pong. */
#include "../c/pair.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "process.h"

/* What gets the number. */
typedef enum successor { NOTHING, A_FILE, A_PIPE, A_SOCKET } successor;

enum { PING_MS = 50, PONG_MS = 500 };

/* The descriptor of the client's end of a connection to a server on `port`. */
static int find_descriptor(int port)
{
    int fd;
    for (fd = 3; fd < 1000; fd++) {
        struct sockaddr_in peer;
        socklen_t len = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == port)
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

/* `is_sending`: the application sends at once; else only the next ping tells. */
static void steal(pair *other, successor kind, int is_sending, size_t ordinal)
{
    struct stat before, after;
    int ends[2], fd;
    int64_t began, used;
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_ping_interval_ms(it.client_options, PING_MS));
    CHECK_OK(wsabi_options_set_pong_timeout_ms(it.client_options,
                                               PONG_MS * (uint32_t)slowness()));
    pair_connect(&it);
    fd = find_descriptor(wsabi_server_port(it.server));
    open_successor(kind, ends);
    if (kind == NOTHING) {
        CHECK(close(fd) == 0);
    } else {
        CHECK(dup2(ends[1], fd) == fd);
        close(ends[1]);
        CHECK(fstat(fd, &before) == 0);
    }
    began = now_ms();
    used = processor_ms();
    if (is_sending)
        wsabi_socket_send_binary(it.client, "into nowhere", 12);
    wait_for_event(&it.at_client, WSABI_EVENT_ERROR, 1);
    CHECK(wait_for_close(&it.at_client).code == 1006);
    /* Nobody has spun until then. */
    used = processor_ms() - used;
    CHECK(used < 200 * slowness() || used < (now_ms() - began) / 2);
    wait_for_close(&it.at_server);
    CHECK_OK(wsabi_socket_release(it.client));
    wait_for_releases(&it.at_client, 1);
    CHECK_OK(wsabi_runtime_free(it.runtime));
    it.runtime = 0;
    if (kind == NOTHING) {
        CHECK(fcntl(fd, F_GETFD) == -1);
    } else {
        /* It was not closed by the connection's end. */
        CHECK(fstat(fd, &after) == 0);
        CHECK(before.st_dev == after.st_dev && before.st_ino == after.st_ino);
        if (kind != A_SOCKET)
            CHECK(count_written(kind, ends[0]) == 0);
        close(fd);
        close(ends[0]);
    }
    pair_free(&it);
    exchange(other, ordinal);
}

int main(void)
{
    static const successor kinds[] = {NOTHING, A_FILE, A_PIPE, A_SOCKET};
    static const char *const names[] = {"nothing", "a file", "a pipe", "a socket"};
    int descriptors = count_descriptors(), threads = count_threads();
    size_t i, ordinal = 0;
    pair other;
    pair_init(&other);
    pair_connect(&other);
    for (i = 0; i < COUNT_OF(kinds); i++) {
        circumstance = names[i];
        steal(&other, kinds[i], 1, ++ordinal);
        steal(&other, kinds[i], 0, ++ordinal);
    }
    circumstance = "";
    pair_free(&other);
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
