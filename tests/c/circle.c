/* Handlers on two threads that end each other's runtimes, so that each would wait for the other. */
#include "pair.h"

typedef struct side side;

struct side {
    pair pair;
    int32_t (*act)(wsabi_runtime runtime);
    side *other;
    int32_t status;
};

/* Nothing but its mutex and what waits with it are used. */
static recorder meeting;
static int met, done;

static int32_t end_runtime(wsabi_runtime runtime)
{
    return wsabi_runtime_free(runtime);
}

static int32_t shut_down(wsabi_runtime runtime)
{
    return wsabi_runtime_shutdown(runtime, -1);
}

static void count(int *counter)
{
    pthread_mutex_lock(&meeting.mutex);
    ++*counter;
    pthread_cond_broadcast(&meeting.changed);
    pthread_mutex_unlock(&meeting.mutex);
}

static void wait_for_both(const int *counter)
{
    const struct timespec until = deadline();
    pthread_mutex_lock(&meeting.mutex);
    while (*counter < 2)
        wait_for_change(&meeting, &until, "both handlers");
    pthread_mutex_unlock(&meeting.mutex);
}

/* Both handlers are running when either acts. */
static void meet_and_act(const wsabi_event *event, recorder *at)
{
    side *self = (side *)at->context;
    if (event->kind != WSABI_EVENT_OPEN)
        return;
    count(&met);
    wait_for_both(&met);
    self->status = self->act(self->other->pair.runtime);
    count(&done);
}

static void begin(side *self, int32_t (*act)(wsabi_runtime), side *other)
{
    self->act = act;
    self->other = other;
    pair_init(&self->pair);
    self->pair.at_client.hook = meet_and_act;
    self->pair.at_client.context = self;
}

static void connect_side(side *self)
{
    self->pair.server = listen_on_loopback(self->pair.runtime, self->pair.server_options,
                                           &self->pair.at_server);
    self->pair.client = connect_to_port(self->pair.runtime, wsabi_server_port(self->pair.server),
                                        self->pair.client_options, &self->pair.at_client);
}

static void end(side *self)
{
    if (self->other->act == end_runtime) {
        CHECK_STATUS(WSABI_OK, self->other->status);
        CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(self->pair.client));
        CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_runtime_shutdown(self->pair.runtime, 0));
        self->pair.runtime = 0;
    } else {
        /* Of two that would wait for each other, one does not. */
        CHECK(self->other->status == WSABI_OK || self->other->status == WSABI_ERR_TIMEOUT);
    }
    pair_free(&self->pair);
}

static void try_both(int32_t (*first)(wsabi_runtime), int32_t (*second)(wsabi_runtime))
{
    side one, other;
    memset(&one, 0, sizeof one);
    memset(&other, 0, sizeof other);
    met = done = 0;
    begin(&one, first, &other);
    begin(&other, second, &one);
    connect_side(&one);
    connect_side(&other);
    wait_for_both(&done);
    CHECK(one.status == WSABI_OK || other.status == WSABI_OK);
    end(&one);
    end(&other);
}

int main(void)
{
    int round, rounds = repetitions(20);
    /* There handlers run outside the library, one at a time. */
    if (delivery() == BY_NEXT_EVENTS)
        return 0;
    recorder_init(&meeting);
    for (round = 0; round < rounds; round++) {
        try_both(end_runtime, end_runtime);
        try_both(end_runtime, shut_down);
        try_both(shut_down, end_runtime);
        try_both(shut_down, shut_down);
    }
    recorder_free(&meeting);
    return 0;
}
