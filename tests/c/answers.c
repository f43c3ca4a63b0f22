/* Two threads answer a request at the same moment, or one does when its time is over or its server
 * closes: one of them is first, and the other learns that it was not. */
#include "asking.h"

/* Whoever wants to answer, on a thread of its own. */
typedef struct contender {
    pthread_t thread;
    asking *asking;
    wsabi_request request;
    int64_t moment_ns; /* when to act; 0: at once */
    int32_t (*act)(const struct contender *self);
    int32_t status;
} contender;

/* How a contest goes. */
typedef struct contest {
    const char *name;
    int32_t (*rival)(const contender *self); /* NULL: time alone */
    int status; /* HTTP, of a client that is refused */
} contest;

/* Whoever waits until this is reached acts together with the others. */
static pthread_barrier_t start;

#define TIMEOUT_MS 20

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int32_t accept_it(const contender *self)
{
    wsabi_socket socket = 77;
    int32_t status = try_to_accept(self->asking, self->request, NULL, &socket);
    CHECK((socket != 77) == (status == WSABI_OK));
    return status;
}

static int32_t reject_it(const contender *self)
{
    return wsabi_request_reject(self->request, 403, NULL, 0);
}

static int32_t close_the_server(const contender *self)
{
    return wsabi_server_close(self->asking->pair.server);
}

static void *contend(void *argument)
{
    contender *self = (contender *)argument;
    pthread_barrier_wait(&start);
    /* The moment itself is what is wanted; sleeping would miss it. */
    while (now_ns() < self->moment_ns)
        continue;
    self->status = self->act(self);
    return NULL;
}

/* Starts both, and waits for the request. 0: its time was over before the application heard of it. */
static wsabi_request begin(asking *it)
{
    int64_t until = now_ms() + DEADLINE_MS * slowness();
    it->pair.client = connect_to_port(it->pair.runtime, asking_listen(it), it->pair.client_options,
                                      &it->pair.at_client);
    while (count_events(&it->pair.at_server, WSABI_EVENT_REQUEST) == 0) {
        if (count_events(&it->pair.at_client, WSABI_EVENT_CLOSE) > 0)
            return 0;
        CHECK(now_ms() < until && "a request comes in time");
    }
    return wait_for_event(&it->pair.at_server, WSABI_EVENT_REQUEST, 1).handle;
}

/* Whether the one who accepts was first. The rival, if it answers as well, was not. */
static int run_contenders(asking *it, const contest *contest, wsabi_request request, int round)
{
    contender contenders[2];
    size_t i, count = contest->rival == NULL ? 1 : 2;
    int accepted;
    memset(contenders, 0, sizeof contenders);
    CHECK(pthread_barrier_init(&start, NULL, (unsigned)count) == 0);
    for (i = 0; i < count; i++) {
        contenders[i].asking = it;
        contenders[i].request = request;
        contenders[i].act = i == 0 ? accept_it : contest->rival;
    }
    /* From a millisecond before the time is over to one behind it. */
    if (contest->rival == NULL)
        contenders[0].moment_ns = now_ns() + (TIMEOUT_MS - 1) * 1000000 + round % 20 * 100000;
    for (i = 0; i < count; i++)
        CHECK(pthread_create(&contenders[i].thread, NULL, contend, &contenders[i]) == 0);
    for (i = 0; i < count; i++)
        CHECK(pthread_join(contenders[i].thread, NULL) == 0);
    CHECK(pthread_barrier_destroy(&start) == 0);
    accepted = contenders[0].status == WSABI_OK;
    if (!accepted)
        CHECK_STATUS(WSABI_ERR_HANDLE, contenders[0].status);
    if (contest->rival == close_the_server) {
        CHECK_OK(contenders[1].status);
    } else if (contest->rival == accept_it) {
        CHECK_STATUS(accepted ? WSABI_ERR_HANDLE : WSABI_OK, contenders[1].status);
        accepted = 1;
    } else if (contest->rival != NULL) {
        CHECK_STATUS(accepted ? WSABI_ERR_HANDLE : WSABI_OK, contenders[1].status);
    }
    return accepted;
}

/* The client sees what the first one has answered, and the socket ends in CLOSE. */
static void check_outcome(asking *it, const contest *contest, int accepted)
{
    wsabi_socket client = it->pair.client;
    if (!accepted) {
        wait_for_error(&it->pair.at_client, WSABI_ERR_HTTP);
        CHECK(wsabi_socket_response_status(client) == contest->status);
        CHECK_EVENTS(&it->opened, "");
        return;
    }
    if (contest->rival != close_the_server) {
        wait_for_open(&it->pair.at_client);
        wait_for_open(&it->opened);
        CHECK_OK(wsabi_socket_close(client, 1000, NULL, 0));
        wait_for_clean_close(&it->opened, 1000, NULL);
    }
    wait_for_close(&it->opened);
    wait_for_close(&it->pair.at_client);
    CHECK(count_events(&it->opened, WSABI_EVENT_CLOSE) == 1);
}

static void exactly_one_answer_holds(const contest *contest)
{
    int round, won = 0, rounds = repetitions(is_long() ? 5000 : 100);
    circumstance = contest->name;
    for (round = 0; round < rounds; round++) {
        asking it;
        wsabi_request request;
        asking_init(&it, NULL);
        if (contest->rival == NULL)
            CHECK_OK(wsabi_options_set_connect_timeout_ms(it.pair.server_options, TIMEOUT_MS));
        request = begin(&it);
        if (request != 0) {
            int accepted = run_contenders(&it, contest, request, round);
            check_outcome(&it, contest, accepted);
            won += accepted;
        }
        asking_free(&it);
    }
    printf("accepting against %s: it was first %d times of %d\n", contest->name, won, rounds);
}

int main(void)
{
    static const contest contests[] = {
        {"a close of the server", close_the_server, 503},
        {"a rejection", reject_it, 403},
        {"another who accepts", accept_it, 0},
        {"the end of its time", NULL, 503},
    };
    size_t i;
    for (i = 0; i < COUNT_OF(contests); i++)
        exactly_one_answer_holds(&contests[i]);
    return 0;
}
