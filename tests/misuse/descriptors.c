/* Descriptors are used up, and given back: what fails says so, and what waits goes on by itself. */
#include "../c/pair.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "../c/raw_peer.h"

#include "process.h"

static int taken[1024];
static size_t taken_count;

/* Leaves this process `left` descriptors. */
static void use_descriptors_up(int left)
{
    int fd;
    while (taken_count < COUNT_OF(taken) && (fd = open("/dev/null", O_RDONLY)) >= 0)
        taken[taken_count++] = fd;
    while (left-- > 0)
        close(taken[--taken_count]);
}

static void give_descriptors_back(void)
{
    while (taken_count > 0)
        close(taken[--taken_count]);
}

static void a_runtime_without_descriptors_is_refused(void)
{
    int left;
    for (left = 0; left < 3; left++) {
        wsabi_runtime runtime = 0;
        int32_t status;
        use_descriptors_up(left);
        status = wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &runtime);
        give_descriptors_back();
        if (left < 2)
            CHECK(status == WSABI_ERR_RESOURCE && runtime == 0);
        if (status == WSABI_OK)
            CHECK_OK(wsabi_runtime_free(runtime));
    }
}

static void a_connection_without_a_descriptor_fails_and_the_next_one_works(void)
{
    pair it;
    recorder other;
    wsabi_socket second;
    pair_init(&it);
    recorder_init(&other);
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    use_descriptors_up(0);
    it.client = connect_to_port(it.runtime, wsabi_server_port(it.server), it.client_options,
                                &it.at_client);
    wait_for_error(&it.at_client, WSABI_ERR_RESOURCE);
    CHECK_EVENTS(&it.at_client, "EC");
    give_descriptors_back();
    second = connect_to_port(it.runtime, wsabi_server_port(it.server), it.client_options, &other);
    wait_for_open(&other);
    CHECK_OK(wsabi_socket_release(second));
    wait_for_releases(&other, 1);
    recorder_free(&other);
    pair_free(&it);
}

/* What this process has had of the processor, in milliseconds. */
static int64_t processor_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

/* valgrind lets the system accept, and closes what there is no descriptor for. */
static int closes_what_is_too_much(void)
{
    const char *runner = getenv("WSABI_RUNNER");
    return runner != NULL && strstr(runner, "valgrind") != NULL;
}

/* The client is in the queue of the system meanwhile, and the server must not spin. */
static void a_server_accepts_again_when_there_are_descriptors(void)
{
    int64_t began;
    int peer;
    pair it;
    pair_init(&it);
    it.server = listen_on_loopback(it.runtime, it.server_options, &it.at_server);
    use_descriptors_up(1);
    peer = raw_connect(wsabi_server_port(it.server));
    raw_request_upgrade(peer);
    began = processor_ms();
    rest_ms(500);
    CHECK(processor_ms() - began < 100 * slowness());
    CHECK(count_events(&it.at_server, WSABI_EVENT_OPEN) == 0);
    give_descriptors_back();
    if (closes_what_is_too_much()) {
        close(peer);
        peer = raw_connect(wsabi_server_port(it.server));
        raw_request_upgrade(peer);
    }
    wait_for_open(&it.at_server);
    close(peer);
    pair_free(&it);
}

int main(void)
{
    struct rlimit few;
    int descriptors, threads;
    CHECK(getrlimit(RLIMIT_NOFILE, &few) == 0);
    /* The soft limit only: those of valgrind are above it, and it keeps the hard one. */
    few.rlim_cur = 200;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    descriptors = count_descriptors();
    threads = count_threads();
    a_runtime_without_descriptors_is_refused();
    a_connection_without_a_descriptor_fails_and_the_next_one_works();
    a_server_accepts_again_when_there_are_descriptors();
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
