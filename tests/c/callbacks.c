/* Calls from inside the functions of the application that are no handlers of a socket. */
#include "secure.h"

#include <dlfcn.h>
#include <sys/socket.h>

/* It is declared only for those who ask for all of GNU. */
#ifndef RTLD_NEXT
#define RTLD_NEXT ((void *)-1L)
#endif

/* What the library reads next in place of what there is: a record of TLS that has no place there, of
 * which rustls complains to the log. */
static int is_interrupted;

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    static const char record[] = "\x14\x03\x03\0\x01\x01";
    ssize_t (*real)(int, void *, size_t, int);
    void *found;
    if (len >= sizeof record && __atomic_exchange_n(&is_interrupted, 0, __ATOMIC_SEQ_CST)) {
        memcpy(data, record, sizeof record - 1);
        return sizeof record - 1;
    }
    found = dlsym(RTLD_NEXT, "recv");
    CHECK(found != NULL);
    memcpy(&real, &found, sizeof real);
    return real(fd, data, len, flags);
}

/* What the functions call into, of which any may have ended or not begun; 0: nothing yet. */
static struct {
    wsabi_runtime runtime;
    wsabi_server server;
    wsabi_socket sockets[2];
    unsigned calls;
} targets;

/* What may come of a call on a handle that others use and end. */
static int is_fair(int32_t status)
{
    return status >= 0 || status == WSABI_ERR_HANDLE || status == WSABI_ERR_STATE ||
           status == WSABI_ERR_CLOSED || status == WSABI_ERR_BUFFER_FULL;
}

/* Calls of every part of the library. */
static void call_everything(void)
{
    wsabi_options options = 0;
    wsabi_stats stats;
    char text[64];
    size_t i;
    stats.size = sizeof stats;
    for (i = 0; i < COUNT_OF(targets.sockets); i++) {
        wsabi_socket socket = __atomic_load_n(&targets.sockets[i], __ATOMIC_SEQ_CST);
        CHECK(is_fair(wsabi_socket_send_text(socket, "from inside", WSABI_NUL_TERMINATED)));
        CHECK(is_fair(wsabi_socket_ping(socket, "inside", 6)));
        CHECK(is_fair(wsabi_socket_stats(socket, &stats)));
        CHECK(is_fair((int32_t)wsabi_socket_fact(socket, WSABI_FACT_TLS_VERSION, text,
                                                 sizeof text)));
        CHECK(is_fair(wsabi_socket_pause(socket)));
        CHECK(is_fair(wsabi_socket_resume(socket)));
    }
    CHECK(is_fair((int32_t)wsabi_server_publish(
        __atomic_load_n(&targets.server, __ATOMIC_SEQ_CST), NULL, 0, WSABI_TEXT, "inside", 6)));
    CHECK(is_fair(wsabi_runtime_wake(__atomic_load_n(&targets.runtime, __ATOMIC_SEQ_CST))));
    CHECK_OK(wsabi_options_new(&options));
    CHECK_OK(wsabi_options_free(options));
    __atomic_fetch_add(&targets.calls, 1, __ATOMIC_SEQ_CST);
}

static void set_target(uint64_t *target, uint64_t handle)
{
    __atomic_store_n(target, handle, __ATOMIC_SEQ_CST);
}

/* Connects, over ws or wss, and sets the targets. */
static void begin(pair *it, const char *scheme)
{
    set_target(&targets.runtime, it->runtime);
    pair_secure(it);
    pair_listen_over(it, scheme);
    set_target(&targets.server, it->server);
    it->client = pair_dial_over(it, scheme);
    set_target(&targets.sockets[0], it->client);
    wait_for_open(&it->at_client);
    set_target(&targets.sockets[1], accepted(it));
}

static void forget(pair *it)
{
    pair_free(it);
    set_target(&targets.sockets[0], 0);
    set_target(&targets.sockets[1], 0);
    set_target(&targets.server, 0);
    set_target(&targets.runtime, 0);
}

static void end(pair *it)
{
    CHECK_OK(wsabi_socket_close(it->client, 1000, "", 0));
    wait_for_close(&it->at_client);
    wait_for_close(&it->at_server);
    forget(it);
}

static void log_and_call(int32_t level, const char *target, const char *message, size_t len,
                         void *user_data)
{
    (void)level;
    (void)target;
    (void)user_data;
    CHECK(strlen(message) == len);
    call_everything();
}

static void a_log_handler_can_call_everything(void)
{
    static const char *const schemes[] = {"ws", "wss"};
    size_t i;
    for (i = 0; i < COUNT_OF(schemes); i++) {
        pair it;
        targets.calls = 0;
        CHECK_OK(wsabi_set_log_handler(5, log_and_call, NULL));
        pair_init(&it);
        begin(&it, schemes[i]);
        CHECK_OK(wsabi_socket_send_text(it.client, "hello", 5));
        wait_for_message(&it.at_server, 1);
        end(&it);
        CHECK_OK(wsabi_set_log_handler(0, NULL, NULL));
        CHECK(targets.calls > 0);
    }
}

/* Nothing but its mutex and what waits with it are used. */
static recorder meeting;
static int is_logging, is_sent;

static void tell(int *what)
{
    pthread_mutex_lock(&meeting.mutex);
    *what = 1;
    pthread_cond_broadcast(&meeting.changed);
    pthread_mutex_unlock(&meeting.mutex);
}

static void wait_for(const int *what, const char *name)
{
    const struct timespec until = deadline();
    pthread_mutex_lock(&meeting.mutex);
    while (!*what)
        wait_for_change(&meeting, &until, name);
    pthread_mutex_unlock(&meeting.mutex);
}

/* What rustls says, it says in the middle of its work on a session. */
static void wait_at_complaint(int32_t level, const char *target, const char *message, size_t len,
                              void *user_data)
{
    (void)level;
    (void)len;
    (void)user_data;
    if (strncmp(target, "rustls", 6) != 0 || strstr(message, "ChangeCipherSpec") == NULL)
        return;
    tell(&is_logging);
    wait_for(&is_sent, "a message to be sent");
}

static void while_a_log_handler_waits_other_threads_can_send(void)
{
    pair it;
    recorder_init(&meeting);
    pair_init(&it);
    begin(&it, "wss");
    CHECK_OK(wsabi_set_log_handler(2, wait_at_complaint, NULL));
    __atomic_store_n(&is_interrupted, 1, __ATOMIC_SEQ_CST);
    CHECK_OK(wsabi_socket_send_text(it.client, "hello", 5));
    wait_for(&is_logging, "a complaint of rustls");
    CHECK(is_fair(wsabi_socket_send_text(accepted(&it), "hello", 5)));
    CHECK(is_fair(wsabi_socket_send_text(it.client, "hello", 5)));
    tell(&is_sent);
    wait_for_error(&it.at_server, WSABI_ERR_TLS);
    end(&it);
    CHECK_OK(wsabi_set_log_handler(0, NULL, NULL));
    recorder_free(&meeting);
}

/* What is done when this user_data is given back, once. */
static void *given_back;
static void (*act)(void);
static wsabi_runtime other_runtime;

static void act_and_record(void *user_data)
{
    if (user_data == given_back) {
        given_back = NULL;
        act();
    }
    record_release(user_data);
}

static void act_connect(void)
{
    wsabi_socket socket = 0;
    char url[64];
    int32_t port = wsabi_server_port(targets.server), status;
    if (port < 0)
        return; /* its runtime has been freed, or the server closed */
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", (int)port);
    status = wsabi_socket_connect(targets.runtime, url, WSABI_NUL_TERMINATED,
                                  WSABI_DEFAULT_OPTIONS, NULL, &socket);
    CHECK(status == WSABI_OK || status == WSABI_ERR_HANDLE);
    if (status == WSABI_OK)
        CHECK(is_fair(wsabi_socket_release(socket)));
}

static void act_end_all(void)
{
    size_t i;
    for (i = 0; i < COUNT_OF(targets.sockets); i++) {
        CHECK(is_fair(wsabi_socket_close(targets.sockets[i], 1000, "", 0)));
        CHECK(is_fair(wsabi_socket_abort(targets.sockets[i])));
        CHECK(is_fair(wsabi_socket_release(targets.sockets[i])));
    }
    CHECK(is_fair(wsabi_server_close(targets.server)));
}

static void act_free_another_runtime(void)
{
    CHECK_OK(wsabi_runtime_free(other_runtime));
    other_runtime = 0;
}

static void act_free_own_runtime(void)
{
    CHECK(is_fair(wsabi_runtime_free(targets.runtime)));
}

/* Ways to have the user_data of the client given back. */
static void by_releasing(pair *it, recorder *next)
{
    (void)next;
    CHECK_OK(wsabi_socket_release(it->client));
}

static void by_releasing_in_a_handler(pair *it, recorder *next)
{
    (void)next;
    CHECK_OK(wsabi_socket_send_text(accepted(it), "release", 7));
}

static void release_at_message(const wsabi_event *event, recorder *self)
{
    (void)self;
    if (event->kind == WSABI_EVENT_MESSAGE)
        CHECK_OK(wsabi_socket_release(event->handle));
}

static void by_replacing(pair *it, recorder *next)
{
    CHECK_OK(wsabi_socket_set_user_data(it->client, next));
}

static void by_freeing_the_runtime(pair *it, recorder *next)
{
    (void)next;
    CHECK_OK(wsabi_runtime_free(it->runtime));
}

/* And that of the server. */
static void by_closing_the_server(pair *it, recorder *next)
{
    (void)next;
    CHECK_OK(wsabi_server_close(it->server));
}

static void act_when_given_back(void (*give_back)(pair *, recorder *), void (*action)(void))
{
    recorder next, *given;
    int32_t status;
    pair it;
    recorder_init(&next);
    pair_init(&it);
    CHECK_OK(wsabi_options_on_release(it.client_options, act_and_record));
    CHECK_OK(wsabi_options_on_release(it.server_options, act_and_record));
    other_runtime = new_runtime();
    if (give_back == by_releasing_in_a_handler)
        it.at_client.hook = release_at_message;
    begin(&it, "ws");
    given = give_back == by_closing_the_server ? &it.at_server : &it.at_client;
    act = action;
    given_back = given;
    give_back(&it, &next);
    wait_for_releases(given, 1);
    CHECK(given_back == NULL);
    status = wsabi_runtime_free(it.runtime);
    CHECK(status == WSABI_OK || status == WSABI_ERR_HANDLE);
    it.runtime = 0;
    if (other_runtime != 0)
        CHECK_OK(wsabi_runtime_free(other_runtime));
    if (give_back == by_replacing)
        wait_for_releases(&next, 1);
    recorder_free(&next);
    forget(&it);
}

static void what_gets_user_data_back_can_call_everything(void)
{
    static void (*const ways[])(pair *, recorder *) = {
        by_releasing, by_releasing_in_a_handler, by_replacing, by_freeing_the_runtime,
        by_closing_the_server};
    static void (*const actions[])(void) = {call_everything, act_connect, act_end_all,
                                            act_free_another_runtime, act_free_own_runtime};
    static char description[64];
    size_t way, action;
    circumstance = description;
    for (way = 0; way < COUNT_OF(ways); way++) {
        for (action = 0; action < COUNT_OF(actions); action++) {
            snprintf(description, sizeof description, "way %d, action %d:", (int)way, (int)action);
            act_when_given_back(ways[way], actions[action]);
        }
    }
    circumstance = "";
}

int main(void)
{
    a_log_handler_can_call_everything();
    while_a_log_handler_waits_other_threads_can_send();
    what_gets_user_data_back_can_call_everything();
    return 0;
}
