/* Takes every case of an Autobahn fuzzingserver, and sends each message of theirs back.
 *
 *     client URL AGENT AT_ONCE      so many cases run at the same time
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <wsabi.h>

/* The suite that is being taken. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *url;
    const char *agent;
    wsabi_runtime runtime;
    wsabi_options options;
    /* How many cases there are (-1: unknown), have begun, and have not ended. */
    int count;
    int begun;
    int running;
} suite = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .count = -1};

static void expect_ok(int32_t status, const char *what)
{
    if (status == WSABI_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, wsabi_status_name(status), wsabi_last_error());
    exit(EXIT_FAILURE);
}

static void connect_to(wsabi_options options, const char *target)
{
    char url[256];
    wsabi_socket socket;
    snprintf(url, sizeof url, "%s%s", suite.url, target);
    expect_ok(wsabi_socket_connect(suite.runtime, url, strlen(url), options, NULL, &socket), url);
}

/* The suite is locked. */
static void begin_next_case(void)
{
    char target[128];
    snprintf(target, sizeof target, "/runCase?case=%d&agent=%s", ++suite.begun, suite.agent);
    suite.running++;
    connect_to(suite.options, target);
}

static void on_case_message(const wsabi_event *event, void *user_data)
{
    int32_t status;
    (void)user_data;
    if (event->type == WSABI_TEXT)
        status = wsabi_socket_send_text(event->handle, (const char *)event->data, event->len);
    else
        status = wsabi_socket_send_binary(event->handle, event->data, event->len);
    expect_ok(status, "a message is not sent back");
}

static void on_case_close(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    wsabi_socket_release(event->handle);
    pthread_mutex_lock(&suite.lock);
    suite.running--;
    if (suite.begun < suite.count)
        begin_next_case();
    pthread_cond_signal(&suite.changed);
    pthread_mutex_unlock(&suite.lock);
}

/* The answer of /getCaseCount is a text message with a number. */
static void on_count_message(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    pthread_mutex_lock(&suite.lock);
    suite.count = atoi((const char *)event->data);
    pthread_cond_signal(&suite.changed);
    pthread_mutex_unlock(&suite.lock);
}

static void on_count_error(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    fprintf(stderr, "%s\n", (const char *)event->data);
    exit(EXIT_FAILURE);
}

static void ask_for_the_count(void)
{
    wsabi_options options;
    expect_ok(wsabi_options_new(&options), "options");
    wsabi_options_on_message(options, on_count_message);
    wsabi_options_on_error(options, on_count_error);
    connect_to(options, "/getCaseCount");
    while (suite.count < 0)
        pthread_cond_wait(&suite.changed, &suite.lock);
    wsabi_options_free(options);
}

int main(int argc, char **argv)
{
    int at_once;
    if (argc != 4) {
        fprintf(stderr, "usage: %s URL AGENT AT_ONCE\n", argv[0]);
        return EXIT_FAILURE;
    }
    suite.url = argv[1];
    suite.agent = argv[2];
    at_once = atoi(argv[3]);
    expect_ok(wsabi_runtime_new(2, WSABI_DELIVER_ON_THREADS, &suite.runtime), "runtime");
    expect_ok(wsabi_options_new(&suite.options), "options");
    /* So that short messages are compressed, too. */
    wsabi_options_set_compression_min(suite.options, 0);
    wsabi_options_on_message(suite.options, on_case_message);
    wsabi_options_on_close(suite.options, on_case_close);

    pthread_mutex_lock(&suite.lock);
    ask_for_the_count();
    while (suite.begun < suite.count && suite.running < at_once)
        begin_next_case();
    while (suite.running > 0)
        pthread_cond_wait(&suite.changed, &suite.lock);
    pthread_mutex_unlock(&suite.lock);

    wsabi_runtime_shutdown(suite.runtime, 3000);
    wsabi_runtime_free(suite.runtime);
    wsabi_options_free(suite.options);
    return EXIT_SUCCESS;
}
