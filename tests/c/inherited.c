/* The child of a fork has the descriptors of its parent as well, so that what the parent has closed
 * goes on to have events. They are for nobody, and not for whoever came after. */
#include "asking.h"

#include "child.h"
#include "raw_peer.h"

#include <sys/wait.h>

/* Starts a child that lives until the result is closed, and has all descriptors but this one. */
static int fork_a_child(int without, pid_t *child_out)
{
    int ends[2];
    pid_t child;
    CHECK(pipe(ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char byte;
        close(without);
        close(ends[1]);
        end_child(read(ends[0], &byte, 1) == 0 ? 7 : 1);
    }
    close(ends[0]);
    *child_out = child;
    return ends[1];
}

static void wait_for_child(int end, pid_t child)
{
    int status;
    close(end);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static wsabi_request wait_for_request(asking *it, size_t ordinal)
{
    return wait_for_event(&it->pair.at_server, WSABI_EVENT_REQUEST, ordinal).handle;
}

static int request_by_hand(int port)
{
    int fd = raw_connect(port);
    raw_request_upgrade(fd);
    return fd;
}

static void expect_upgrade(int fd)
{
    char head[4096];
    raw_receive_head(fd, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
}

static void the_end_of_a_closed_connection_is_not_that_of_the_next(void)
{
    wsabi_request request;
    wsabi_socket closed;
    int port, first, second, third, end;
    pid_t child;
    asking it;
    asking_init(&it, NULL);
    port = asking_listen(&it);
    first = request_by_hand(port);
    closed = accept_request(&it, wait_for_request(&it, 1), NULL);
    wait_for_open(&it.opened);
    expect_upgrade(first);
    end = fork_a_child(first, &child);
    CHECK_OK(wsabi_socket_abort(closed));
    wait_for_close(&it.opened);
    second = request_by_hand(port);
    request = wait_for_request(&it, 2);
    raw_reset(first);
    /* Whoever does the I/O has looked at that when it asks about the third. */
    third = request_by_hand(port);
    wait_for_request(&it, 3);
    accept_request(&it, request, NULL);
    expect_upgrade(second);
    close(second);
    close(third);
    wait_for_child(end, child);
    asking_free(&it);
}

int main(void)
{
    the_end_of_a_closed_connection_is_not_that_of_the_next();
    return 0;
}
