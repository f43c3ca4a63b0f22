/* The system has no random bytes for a thread. What a client sends is masked with some: each call is
 * refused, and does nothing, until there are. */
#include "../c/pair.h"

#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

/* With what declares it, parameters of the function below have types that ISO C does not know. */
#ifndef RTLD_NEXT
#define RTLD_NEXT ((void *)-1L)
#endif

static __thread int is_refused;
static int refusals;

/* Stands in front of the system's, also for the library. */
ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
    static ssize_t (*real)(void *, size_t, unsigned);
    if (is_refused) {
        __atomic_fetch_add(&refusals, 1, __ATOMIC_SEQ_CST);
        errno = EIO;
        return -1;
    }
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "getrandom");
        CHECK(found != NULL);
        memcpy(&real, &found, sizeof real);
    }
    return real(bytes, len, flags);
}

static char bulk[200000];

static const wsabi_message many[2] = {{"one", 3, WSABI_TEXT, 0}, {"two", 3, WSABI_TEXT, 0}};

/* A thread that has sent nothing yet. */
static void *send_without(void *argument)
{
    const pair *it = (const pair *)argument;
    const wsabi_socket socket = it->client;
    is_refused = 1;
    CHECK_STATUS(WSABI_ERR_RESOURCE, wsabi_socket_send_text(socket, "lost", 4));
    CHECK(strstr(wsabi_last_error(), "random") != NULL);
    CHECK_STATUS(WSABI_ERR_RESOURCE, wsabi_socket_send_binary(socket, bulk, sizeof bulk));
    CHECK_STATUS(WSABI_ERR_RESOURCE, wsabi_socket_send_many(socket, many, 2));
    CHECK_STATUS(WSABI_ERR_RESOURCE, wsabi_socket_send_fragment(socket, WSABI_TEXT, "lost", 4, 0));
    CHECK_STATUS(WSABI_ERR_RESOURCE, wsabi_socket_ping(socket, "lost", 4));
    CHECK_STATUS(WSABI_ERR_RESOURCE, wsabi_socket_close(socket, 1000, "lost", 4));
    CHECK(wsabi_socket_ready_state(socket) == WSABI_OPEN);
    CHECK(wsabi_socket_buffered_amount(socket) == 0);
    CHECK(refusals >= 6);
    is_refused = 0;
    CHECK_OK(wsabi_socket_send_text(socket, "sent", 4));
    CHECK_OK(wsabi_socket_send_binary(socket, bulk, sizeof bulk));
    CHECK_OK(wsabi_socket_send_fragment(socket, WSABI_TEXT, "in ", 3, 0));
    CHECK_OK(wsabi_socket_send_fragment(socket, WSABI_TEXT, "pieces", 6, 1));
    CHECK_OK(wsabi_socket_close(socket, 1000, "done", 4));
    return NULL;
}

/* In frames of at most that many bytes. */
static void what_cannot_be_masked_is_refused(int32_t compression, uint64_t max_frame)
{
    pthread_t thread;
    record message;
    pair it;
    pair_init(&it);
    CHECK_OK(wsabi_options_set_compression(it.client_options, compression));
    CHECK_OK(wsabi_options_set_compression(it.server_options, compression));
    CHECK_OK(wsabi_options_set_max_frame(it.client_options, max_frame));
    pair_connect(&it);
    refusals = 0;
    CHECK(pthread_create(&thread, NULL, send_without, &it) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    wait_for_clean_close(&it.at_server, 1000, "done");
    wait_for_clean_close(&it.at_client, 1000, NULL);
    CHECK(count_events(&it.at_server, WSABI_EVENT_MESSAGE) == 3);
    message = wait_for_message(&it.at_server, 1);
    CHECK(is_text(&message, "sent"));
    message = wait_for_message(&it.at_server, 2);
    CHECK(message.len == sizeof bulk && memcmp(message.data, bulk, sizeof bulk) == 0);
    message = wait_for_message(&it.at_server, 3);
    CHECK(is_text(&message, "in pieces"));
    pair_free(&it);
}

int main(void)
{
    what_cannot_be_masked_is_refused(0, sizeof bulk);
    what_cannot_be_masked_is_refused(0, 1000);
    what_cannot_be_masked_is_refused(1, sizeof bulk);
    return 0;
}
