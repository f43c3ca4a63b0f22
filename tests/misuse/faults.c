/* The system refuses: each function of it that the library calls fails at each of its calls, once or
 * from then on, while the main job runs. */
#include "job.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

/* With what declares it, parameters of the functions below have types that ISO C does not know. */
#ifndef RTLD_NEXT
#define RTLD_NEXT ((void *)-1L)
#define RTLD_DEFAULT ((void *)0)
#endif

/* What a child finishes with where all went well because the fault was never met. */
enum { NOT_MET = 42 };

/* Which function fails, from which call on, how many times, and how. */
static const char *failing = "";
static int fails_at, fails_for, fails_with;
static int calls; /* of that function so far */

/* Of a pair, the one that fails at its first call, and how; "" for none. */
static const char *also_failing = "";
static int also_fails_with, also_calls;

static int is_refused(const char *function)
{
    int call;
    if (strcmp(function, also_failing) == 0 &&
        __atomic_fetch_add(&also_calls, 1, __ATOMIC_SEQ_CST) == 0) {
        errno = also_fails_with;
        return 1;
    }
    if (strcmp(function, failing) != 0)
        return 0;
    call = __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
    if (call < fails_at || call >= fails_at + fails_for)
        return 0;
    errno = fails_with;
    return 1;
}

/* The function of the system, or of a sanitizer that is part of this program, which would know of no
 * thread without its own. */
static void *next_one(const char *name)
{
    char interceptor[64];
    void *found;
    snprintf(interceptor, sizeof interceptor, "__interceptor_%s", name);
    found = dlsym(RTLD_DEFAULT, interceptor);
    if (found == NULL)
        found = dlsym(RTLD_NEXT, name);
    CHECK(found != NULL);
    return found;
}

/* Stands in front of a function of the system, also for the library. */
#define REFUSABLE(result, name, parameters, arguments)        \
    result name parameters                                    \
    {                                                         \
        static result(*real) parameters;                      \
        void *found;                                          \
        if (is_refused(#name))                                \
            return (result)-1;                                \
        if (real == NULL) {                                   \
            found = next_one(#name);                          \
            memcpy(&real, &found, sizeof real);               \
        }                                                     \
        return real arguments;                                \
    }

REFUSABLE(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
REFUSABLE(int, connect, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
REFUSABLE(int, bind, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len))
REFUSABLE(int, listen, (int fd, int backlog), (fd, backlog))
REFUSABLE(int, accept4, (int fd, struct sockaddr *from, socklen_t *len, int flags),
          (fd, from, len, flags))
REFUSABLE(int, shutdown, (int fd, int how), (fd, how))
REFUSABLE(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
          (fd, level, name, value, len))
REFUSABLE(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
          (fd, level, name, value, len))
REFUSABLE(int, getsockname, (int fd, struct sockaddr *name, socklen_t *len), (fd, name, len))
REFUSABLE(int, getpeername, (int fd, struct sockaddr *name, socklen_t *len), (fd, name, len))
REFUSABLE(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags))
REFUSABLE(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
          (fd, message, flags))
REFUSABLE(int, epoll_create1, (int flags), (flags))
REFUSABLE(int, epoll_ctl, (int fd, int what, int of, struct epoll_event *event),
          (fd, what, of, event))
REFUSABLE(int, epoll_wait, (int fd, struct epoll_event *events, int most, int milliseconds),
          (fd, events, most, milliseconds))
REFUSABLE(int, eventfd, (unsigned count, int flags), (count, flags))
/* Of the library, only those who wake its threads. */
REFUSABLE(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len))

/* These report in other ways than by -1 and errno. The name is made up: others, such as localhost, the
 * library may know by itself. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void *address = next_one("getaddrinfo");
    (void)node;
    memcpy(&real, &address, sizeof real);
    return is_refused("getaddrinfo") ? EAI_MEMORY : real("127.0.0.1", service, hints, found);
}

/* With which sockets are told not to block. */
int fcntl(int fd, int what, ...)
{
    int (*real)(int, int, ...);
    void *address = next_one("fcntl");
    va_list list;
    long argument;
    va_start(list, what);
    argument = va_arg(list, long);
    va_end(list);
    memcpy(&real, &address, sizeof real);
    return is_refused("fcntl") ? -1 : real(fd, what, argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    void *address = next_one("pthread_create");
    memcpy(&real, &address, sizeof real);
    return is_refused("pthread_create") ? EAGAIN : real(thread, attributes, start, argument);
}

/* Behind what has no function of its own in every libc. */
long syscall(long number, ...)
{
    static long (*real)(long, ...);
    long arguments[6];
    va_list list;
    size_t i;
    if (number == SYS_getrandom && is_refused("getrandom"))
        return -1;
    if (real == NULL) {
        void *found = next_one("syscall");
        memcpy(&real, &found, sizeof real);
    }
    va_start(list, number);
    for (i = 0; i < COUNT_OF(arguments); i++)
        arguments[i] = va_arg(list, long);
    va_end(list);
    return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4],
                arguments[5]);
}

/* As `REFUSABLE` makes it, but exported, since the library looks for it at run time. */
REFUSABLE(ssize_t, getrandom, (void *bytes, size_t len, unsigned flags), (bytes, len, flags))

static const struct {
    const char *function;
    int error;
    int is_lasting; /* whether it can fail for ever, too */
} faults[] = {
    {"socket", EMFILE, 1},
    {"socket", EAFNOSUPPORT, 1},
    {"connect", ENETUNREACH, 1},
    {"connect", EADDRNOTAVAIL, 1},
    {"connect", ENOBUFS, 1},
    {"connect", EINTR, 0},
    {"bind", EADDRINUSE, 1},
    {"listen", EADDRINUSE, 1},
    {"accept4", EMFILE, 1},
    {"accept4", ENOMEM, 1},
    {"accept4", ENOBUFS, 1},
    {"accept4", EPERM, 1},
    {"accept4", ECONNABORTED, 0},
    {"accept4", EINTR, 0},
    {"shutdown", ENOTCONN, 1},
    {"setsockopt", ENOMEM, 1},
    {"getsockopt", ENOMEM, 1},
    {"getsockname", ENOBUFS, 1},
    {"getpeername", ENOBUFS, 1},
    {"getpeername", ENOTCONN, 1},
    {"recv", ECONNRESET, 1},
    {"recv", ENOMEM, 1},
    {"recv", EINTR, 0},
    {"sendmsg", ECONNRESET, 1},
    {"sendmsg", ENOBUFS, 1},
    {"sendmsg", EPIPE, 1},
    {"sendmsg", EINTR, 0},
    {"epoll_create1", EMFILE, 1},
    {"epoll_ctl", ENOSPC, 1},
    {"epoll_ctl", ENOMEM, 1},
    {"epoll_wait", EINTR, 1},
    {"eventfd", EMFILE, 1},
    {"write", EAGAIN, 0},
    {"fcntl", EPERM, 1},
    {"getaddrinfo", ENOMEM, 1},
    {"pthread_create", EAGAIN, 1},
    {"getrandom", EINTR, 0},
    {"getrandom", EPERM, 1},
    {"getrandom", ENOSYS, 1},
};

static const char *scheme;

static int is_over(void)
{
    return calls >= fails_at + fails_for && (also_calls > 0 || also_failing[0] == 0);
}

static void go_on(void)
{
}

static int live(void)
{
    int is_done;
    job_prepare();
    /* Then random bytes are read from files, open for the life of the process: by std
     * and by each version of a crate. */
    job_descriptors += strcmp(failing, "getrandom") == 0 ? 3 : 0;
    is_done = job_run(scheme, is_over, go_on);
    if (calls > fails_at)
        return 0;
    CHECK(is_done || also_calls > 0);
    return NOT_MET;
}

/* Whether the function is called that many times. */
static int refuse(int at, int times)
{
    static char errors[65536], description[160];
    int status, is_reported;
    snprintf(description, sizeof description, "%s: call %d of %s fails %s with %s%s%s:", scheme,
             at + 1, failing, times == 1 ? "once" : "for ever", strerror(fails_with),
             also_failing[0] == 0 ? "" : ", as does the first of ", also_failing);
    circumstance = description;
    fails_at = at;
    fails_for = times;
    status = in_a_child(live, errors, sizeof errors);
    /* A sanitizer's report does not change how `_Exit` ends the process. */
    is_reported = strstr(errors, "Sanitizer") != NULL;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_MET && !is_reported)
        return 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || is_reported) {
        fprintf(stderr, "%s exit %d, signal %d\n%s\n", description, WEXITSTATUS(status),
                WIFSIGNALED(status) ? WTERMSIG(status) : 0, errors);
        _Exit(1);
    }
    return 1;
}

/* Two of them in one run: each function together with one of the others. */
static int refuse_pairs(void)
{
    size_t i, j;
    int at, count = 0;
    for (i = 0; i < COUNT_OF(faults); i++) {
        j = (i * 5 + 7) % COUNT_OF(faults);
        /* The files that then stay open are counted for the one that fails at any call. */
        if (strcmp(faults[j].function, "getrandom") == 0 ||
            strcmp(faults[i].function, faults[j].function) == 0)
            continue;
        scheme = i % 2 == 0 ? "ws" : "wss";
        failing = faults[i].function;
        fails_with = faults[i].error;
        also_failing = faults[j].function;
        also_fails_with = faults[j].error;
        for (at = 0; refuse(at, 1); at++)
            count++;
    }
    also_failing = "";
    return count;
}

int main(void)
{
    static const char *const schemes[] = {"ws", "wss"};
    size_t i, j;
    int at, count = 0;
    job_host = "there.invalid";
    for (i = 0; i < COUNT_OF(faults) * COUNT_OF(schemes); i++) {
        j = i / COUNT_OF(schemes);
        scheme = schemes[i % COUNT_OF(schemes)];
        failing = faults[j].function;
        fails_with = faults[j].error;
        for (at = 0; refuse(at, 1); at += is_long() ? 1 : slowness() * job_sampling()) {
            count++;
            if (faults[j].is_lasting && (at < 2 || is_long()))
                refuse(at, 1 << 30);
        }
        if (at == 0) {
            fprintf(stderr, "%s: %s is never called\n", scheme, failing);
            return 1;
        }
    }
    if (is_long())
        count += refuse_pairs();
    printf("%d faults\n", count);
    return 0;
}
