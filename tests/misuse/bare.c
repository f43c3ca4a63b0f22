/* A system that has little: whole system calls are refused, as seccomp filters do, for whoever makes
 * them; or there is no /proc, no /etc, nothing that can be written to. What cannot work says so. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "job.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What a child finishes with if the system does not let it try. */
enum { NOT_POSSIBLE = 42, MOST_CALLS = 3 };

/* The system calls that are refused together, up to a 0, and the error. */
typedef struct refusal {
    const char *name;
    long calls[MOST_CALLS];
    int error;
    int is_needed; /* whether no runtime can be had without them */
} refusal;

static const refusal refusals[] = {
    {"epoll_create1", {SYS_epoll_create1}, EPERM, 1},
    {"epoll_create1", {SYS_epoll_create1}, ENOSYS, 1},
    {"epoll_ctl", {SYS_epoll_ctl}, EPERM, 1},
    {"eventfd2", {SYS_eventfd2}, EPERM, 1},
    {"eventfd2", {SYS_eventfd2}, ENOSYS, 1},
    {"timerfd_create", {SYS_timerfd_create}, EPERM, 0},
    {"timerfd_create", {SYS_timerfd_create}, ENOSYS, 0},
    {"timerfd_settime", {SYS_timerfd_settime}, EPERM, 0},
    {"clone", {SYS_clone3, SYS_clone}, EAGAIN, 0},
    {"getrandom", {SYS_getrandom}, EPERM, 0},
    {"getrandom", {SYS_getrandom}, ENOSYS, 0},
    {"getrandom and openat", {SYS_getrandom, SYS_openat}, EPERM, 0},
    {"openat", {SYS_openat}, EACCES, 0},
    {"socket", {SYS_socket}, EPERM, 0},
    {"socket", {SYS_socket}, EAFNOSUPPORT, 0},
    {"sched_getaffinity", {SYS_sched_getaffinity}, EPERM, 0},
    {"rt_sigprocmask", {SYS_rt_sigprocmask}, EPERM, 0},
    {"sigaltstack and prctl", {SYS_sigaltstack, SYS_prctl}, EPERM, 0},
};

static const refusal *refused;
static const char *scheme;

/* For this thread and those that it starts. Returns whether it is so. */
static int refuse_calls(const refusal *it)
{
    struct sock_filter filter[2 + 2 * MOST_CALLS];
    struct sock_fprog program;
    unsigned short len = 0;
    int i;
    const struct sock_filter load =
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_filter refuse =
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)it->error);
    filter[len++] = load;
    for (i = 0; i < MOST_CALLS && it->calls[i] != 0; i++) {
        const struct sock_filter skip_unless =
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)it->calls[i], 0, 1);
        filter[len++] = skip_unless;
        filter[len++] = refuse;
    }
    filter[len++] = allow;
    program.len = len;
    program.filter = filter;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* One that is polled, without threads. */
static void try_without_threads(void)
{
    wsabi_runtime runtime = 0;
    int32_t status = wsabi_runtime_new(0, WSABI_DELIVER_ON_POLL, &runtime);
    if (status != WSABI_OK) {
        CHECK(status == WSABI_ERR_RESOURCE && runtime == 0);
        CHECK(strstr(wsabi_last_error(), "refused") != NULL);
        return;
    }
    CHECK(!refused->is_needed);
    CHECK(wsabi_runtime_poll(runtime, 0, 1) == 0);
    CHECK_OK(wsabi_runtime_free(runtime));
}

/* What needs no random bytes by itself, as the certificates of `job_options` do. */
static wsabi_options plain_options(void)
{
    wsabi_options it = 0;
    CHECK_OK(wsabi_options_new(&it));
    CHECK_OK(wsabi_options_on_event(it, 0, job_event));
    CHECK_OK(wsabi_options_on_release(it, job_release));
    CHECK_OK(wsabi_options_set_connect_timeout_ms(it, job_timeout_ms()));
    CHECK_OK(wsabi_options_set_close_timeout_ms(it, job_timeout_ms()));
    return it;
}

/* A client and a server, which are told of what fails. Nothing is counted: the files of the process
 * cannot be looked at. */
static void try_a_connection(void)
{
    wsabi_runtime runtime = 0;
    wsabi_options options = strcmp(scheme, "ws") == 0 ? plain_options() : job_options();
    wsabi_server server = 0;
    char url[32];
    int32_t status = wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &runtime);
    CHECK(!refused->is_needed || status == WSABI_ERR_RESOURCE);
    if (options == 0 || status != WSABI_OK) {
        CHECK(wsabi_last_error()[0] != 0);
        return;
    }
    snprintf(url, sizeof url, "%s://127.0.0.1:0/", scheme);
    status = wsabi_server_listen(runtime, url, WSABI_NUL_TERMINATED, options, &job_server,
                                 &server);
    CHECK(status == WSABI_OK || status == WSABI_ERR_RESOURCE || status == WSABI_ERR_CONNECT);
    CHECK(status == WSABI_OK || wsabi_last_error()[0] != 0);
    job_talk(runtime, options, scheme, status == WSABI_OK ? wsabi_server_port(server) : 1);
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
}

static int live_with_refusals(void)
{
    if (!refuse_calls(refused))
        return NOT_POSSIBLE;
    try_a_connection();
    try_without_threads();
    return 0;
}

/* Says what is left out, or fails unless the child has succeeded. */
static void check_child(int (*live)(void), const char *name)
{
    static char errors[65536];
    int status = in_a_child(live, errors, sizeof errors);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_POSSIBLE)
        printf("skipped: the system does not let this user try %s\n", name);
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "%s: exit %d, signal %d\n%s\n", name, WEXITSTATUS(status),
                WIFSIGNALED(status) ? WTERMSIG(status) : 0, errors);
        _Exit(1);
    }
}

static void whatever_is_refused_has_a_status_or_an_event(void)
{
    static const char *const schemes[] = {"ws", "wss"};
    static char name[128];
    size_t i, j;
    for (i = 0; i < COUNT_OF(refusals); i++) {
        for (j = 0; j < COUNT_OF(schemes); j++) {
            refused = &refusals[i];
            scheme = schemes[j];
            snprintf(name, sizeof name, "%s without %s (%s)", scheme, refused->name,
                     strerror(refused->error));
            circumstance = name;
            check_child(live_with_refusals, name);
        }
    }
}

/* Returns whether this process can mount what nobody else sees. */
static int has_own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return 0;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static int hide(const char *directory)
{
    return mount("none", directory, "tmpfs", 0, NULL) == 0;
}

/* Everything that needs none of it works. */
static void exchange(wsabi_options client_options, const char *authority)
{
    char url[64];
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_free(it.client_options));
    it.client_options = client_options;
    CHECK_OK(wsabi_options_set_tls_ca(it.client_options, authority, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_options_set_tls_identity(it.server_options, cert_pem, WSABI_NUL_TERMINATED,
                                            key_pem, WSABI_NUL_TERMINATED));
    CHECK_OK(wsabi_server_listen(it.runtime, "wss://127.0.0.1:0/", WSABI_NUL_TERMINATED,
                                 it.server_options, &it.at_server, &it.server));
    snprintf(url, sizeof url, "wss://127.0.0.1:%d/", (int)wsabi_server_port(it.server));
    CHECK_OK(wsabi_socket_connect(it.runtime, url, WSABI_NUL_TERMINATED, it.client_options,
                                  &it.at_client, &it.client));
    if (authority[0] == 0) {
        record error = wait_for_error(&it.at_client, WSABI_ERR_TLS);
        CHECK(strstr((const char *)error.data, "no trusted certificates") != NULL);
    } else {
        wait_for_open(&it.at_client);
        CHECK_OK(wsabi_socket_send_text(it.client, "there", 5));
        wait_for_message(&it.at_server, 1);
    }
    pair_free(&it);
}

static int live_without_proc(void)
{
    wsabi_socket socket = 0;
    if (!has_own_mounts() || !hide("/proc"))
        return NOT_POSSIBLE;
    CHECK(access("/proc/self", F_OK) != 0);
    exchange(recording_options(), cert_pem);
    /* It counts the processors. */
    CHECK_OK(wsabi_socket_connect(WSABI_DEFAULT_RUNTIME, "ws://127.0.0.1:1/",
                                  WSABI_NUL_TERMINATED, 0, NULL, &socket));
    CHECK_OK(wsabi_socket_release(socket));
    return 0;
}

/* Neither names of hosts and where to ask for them, nor whom to trust. */
static int live_without_etc(void)
{
    recorder seen;
    wsabi_socket socket = 0;
    wsabi_runtime runtime;
    wsabi_options options;
    if (!has_own_mounts() || !hide("/etc"))
        return NOT_POSSIBLE;
    CHECK(access("/etc/resolv.conf", F_OK) != 0);
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
    exchange(recording_options(), cert_pem);
    exchange(recording_options(), "");
    runtime = new_runtime();
    options = recording_options();
    recorder_init(&seen);
    CHECK_OK(wsabi_socket_connect(runtime, "ws://nowhere.invalid/", WSABI_NUL_TERMINATED, options,
                                  &seen, &socket));
    wait_for_error(&seen, WSABI_ERR_DNS);
    CHECK_OK(wsabi_runtime_free(runtime));
    CHECK_OK(wsabi_options_free(options));
    recorder_free(&seen);
    return 0;
}

static int live_where_nothing_can_be_written(void)
{
    static const char path[] = "/wsabi-bare.sock";
    wsabi_runtime runtime;
    wsabi_options options;
    wsabi_server server = 0;
    char url[64];
    if (!has_own_mounts() ||
        mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0)
        return NOT_POSSIBLE;
    CHECK(access("/", W_OK) != 0 && errno == EROFS);
    runtime = new_runtime();
    snprintf(url, sizeof url, "ws+unix://%s", path);
    CHECK_STATUS(WSABI_ERR_CONNECT, wsabi_server_listen(runtime, url, WSABI_NUL_TERMINATED, 0,
                                                        NULL, &server));
    CHECK(server == 0 && strstr(wsabi_last_error(), path) != NULL);
    CHECK_OK(wsabi_runtime_free(runtime));
    /* The keys are not logged, and that is all. */
    CHECK(setenv("SSLKEYLOGFILE", "/wsabi-bare.keys", 1) == 0);
    options = recording_options();
    CHECK_OK(wsabi_options_set_tls_key_log(options, 1));
    exchange(options, cert_pem);
    return 0;
}

int main(void)
{
    whatever_is_refused_has_a_status_or_an_event();
    circumstance = "without /proc:";
    check_child(live_without_proc, "to hide /proc");
    circumstance = "without /etc:";
    check_child(live_without_etc, "to hide /etc");
    circumstance = "read-only:";
    check_child(live_where_nothing_can_be_written, "a read-only file system");
    return 0;
}
