/* wss:// between two ends in one process: messages, threads, and ends at any moment. */
#include "secure.h"

#include <pthread.h>

static void messages_of_every_size_arrive(void)
{
    static const size_t sizes[] = {0, 1, 1000, 16384, 70000, 1 << 20};
    char version[16];
    record message;
    pair it;
    size_t i;
    pair_init(&it);
    pair_connect_over(&it, "wss");
    CHECK(wsabi_socket_fact(it.client, WSABI_FACT_TLS_VERSION, version, sizeof version) > 0);
    CHECK(strncmp(version, "TLSv1.3", 7) == 0);
    for (i = 0; i < COUNT_OF(sizes); i++) {
        char *data = (char *)malloc(sizes[i] + 1);
        CHECK(data != NULL);
        memset(data, (int)i + 1, sizes[i] + 1);
        CHECK_OK(wsabi_socket_send_binary(it.client, data, sizes[i]));
        message = wait_for_message(&it.at_server, i + 1);
        CHECK(message.len == sizes[i] && memcmp(message.data, data, sizes[i]) == 0);
        CHECK_OK(wsabi_socket_send_binary(accepted(&it), data, sizes[i]));
        message = wait_for_message(&it.at_client, i + 1);
        CHECK(message.len == sizes[i] && memcmp(message.data, data, sizes[i]) == 0);
        free(data);
    }
    CHECK_OK(wsabi_socket_close(it.client, 1000, "done", 4));
    wait_for_clean_close(&it.at_server, 1000, "done");
    wait_for_clean_close(&it.at_client, 1000, "");
    pair_free(&it);
}

enum { SENDERS = 4, MESSAGES = 200 };

static void *send_many(void *socket)
{
    char data[300];
    int i;
    memset(data, 's', sizeof data);
    for (i = 0; i < MESSAGES; i++)
        CHECK_OK(wsabi_socket_send_binary(*(wsabi_socket *)socket, data, (size_t)(i % 300)));
    return NULL;
}

static void many_threads_send_in_both_directions(void)
{
    pthread_t threads[2 * SENDERS];
    wsabi_socket ends[2];
    pair it;
    int i;
    pair_init(&it);
    pair_connect_over(&it, "wss");
    ends[0] = it.client;
    ends[1] = accepted(&it);
    for (i = 0; i < 2 * SENDERS; i++)
        CHECK(pthread_create(&threads[i], NULL, send_many, &ends[i % 2]) == 0);
    for (i = 0; i < 2 * SENDERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    wait_for_message(&it.at_server, (size_t)SENDERS * MESSAGES);
    wait_for_message(&it.at_client, (size_t)SENDERS * MESSAGES);
    CHECK(count_events(&it.at_server, WSABI_EVENT_ERROR) == 0);
    CHECK(count_events(&it.at_client, WSABI_EVENT_ERROR) == 0);
    pair_free(&it);
}

/* Busy for a time that grows with `step`, so that the end comes at ever other moments. */
static void pass_time(int step)
{
    volatile int turns;
    for (turns = step * 2000; turns > 0; turns--) {
    }
}

static void a_client_may_end_at_any_moment_of_the_handshake(void)
{
    pair it;
    int i;
    pair_init(&it);
    pair_secure(&it);
    pair_listen_over(&it, "wss");
    it.at_client.handed_over = repetitions(300);
    for (i = 0; i < repetitions(300); i++) {
        wsabi_socket socket = pair_dial_over(&it, "wss");
        pass_time(i);
        if (i % 3 == 0)
            CHECK_OK(wsabi_socket_abort(socket));
        if (i % 3 == 1)
            CHECK_OK(wsabi_socket_close(socket, 1000, NULL, 0));
        CHECK_OK(wsabi_socket_release(socket));
    }
    wait_for_releases(&it.at_client, it.at_client.handed_over);
    pair_free(&it);
}

static void a_runtime_may_be_freed_at_any_moment_of_the_handshake(void)
{
    int i;
    for (i = 0; i < repetitions(60); i++) {
        pair it;
        pair_init(&it);
        pair_secure(&it);
        pair_listen_over(&it, "wss");
        it.client = pair_dial_over(&it, "wss");
        pass_time(i * 5);
        CHECK_OK(wsabi_runtime_free(it.runtime));
        it.runtime = 0;
        pair_free(&it);
    }
}

int main(void)
{
    messages_of_every_size_arrive();
    many_threads_send_in_both_directions();
    a_client_may_end_at_any_moment_of_the_handshake();
    a_runtime_may_be_freed_at_any_moment_of_the_handshake();
    return 0;
}
