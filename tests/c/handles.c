/* Handles that are zero, of another kind, released, from a freed runtime, or made up: each function
 * answers WSABI_ERR_HANDLE. */
#include "functions.h"

static void check_refused(size_t function, uint64_t handle)
{
    circumstance = functions[function].name;
    CHECK_STATUS(WSABI_ERR_HANDLE, functions[function].call(handle));
    CHECK(wsabi_last_error()[0] != 0);
    CHECK(made == 0);
}

/* Every function that takes this kind refuses the handle. */
static void check_stale(int kind, uint64_t handle)
{
    size_t i;
    for (i = 0; i < COUNT_OF(functions); i++) {
        if (functions[i].kind == kind)
            check_refused(i, handle);
    }
}

static int is_good(living *self, uint64_t handle)
{
    int kind;
    for (kind = 0; kind < KINDS; kind++) {
        if (handle == self->handles[kind])
            return 1;
    }
    return handle == self->pair.server_options || handle == accepted(&self->pair) ||
           handle == self->asked_server || handle == self->asking_client;
}

static void zero_and_other_kinds_are_refused(void)
{
    living it;
    size_t i;
    int kind;
    living_init(&it);
    for (i = 0; i < COUNT_OF(functions); i++) {
        if (!functions[i].takes_zero)
            check_refused(i, 0);
        for (kind = 0; kind < KINDS; kind++) {
            if (kind != functions[i].kind)
                check_refused(i, it.handles[kind]);
        }
    }
    living_end(&it);
}

static void released_handles_are_refused(void)
{
    wsabi_runtime runtime = new_runtime();
    wsabi_options options = recording_options();
    pair it;
    pair_init(&it);
    pair_connect(&it);
    CHECK_OK(wsabi_runtime_free(runtime));
    check_stale(RUNTIME, runtime);
    CHECK_OK(wsabi_options_free(options));
    check_stale(OPTIONS, options);
    CHECK_OK(wsabi_server_close(it.server));
    check_stale(SERVER, it.server);
    wait_for_close(&it.at_client);
    CHECK_OK(wsabi_socket_release(it.client));
    check_stale(SOCKET, it.client);
    pair_free(&it);
}

/* Answered, or of a runtime that is freed. */
static void requests_that_are_over_are_refused(void)
{
    int is_answered;
    for (is_answered = 0; is_answered < 2; is_answered++) {
        living it;
        living_init(&it);
        if (is_answered)
            CHECK_OK(wsabi_request_reject(it.handles[REQUEST], 403, NULL, 0));
        CHECK_OK(wsabi_runtime_free(it.pair.runtime));
        it.pair.runtime = 0;
        check_stale(REQUEST, it.handles[REQUEST]);
        check_stale(SERVER, it.asked_server);
        check_stale(SOCKET, it.asking_client);
        living_free(&it);
    }
}

static void handles_of_a_freed_runtime_are_refused(void)
{
    wsabi_socket at_server;
    pair it;
    pair_init(&it);
    pair_connect(&it);
    at_server = accepted(&it);
    CHECK_OK(wsabi_runtime_free(it.runtime));
    check_stale(RUNTIME, it.runtime);
    check_stale(SERVER, it.server);
    check_stale(SOCKET, it.client);
    check_stale(SOCKET, at_server);
    it.runtime = 0;
    pair_free(&it);
}

static void a_handle_stays_stale_when_its_slot_is_used_again(void)
{
    uint64_t first = 0, previous = 0;
    int i;
    CHECK_OK(wsabi_options_new(&first));
    CHECK_OK(wsabi_options_free(first));
    for (i = 0; i < repetitions(100000); i++) {
        uint64_t options = 0;
        CHECK_OK(wsabi_options_new(&options));
        CHECK(options != first && options != previous);
        CHECK(options < UINT64_C(1) << 53);
        CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_options_free(first));
        CHECK_OK(wsabi_options_free(options));
        previous = options;
    }
    check_stale(OPTIONS, first);
}

/* xorshift64, by G. Marsaglia. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void made_up_handles_are_refused(void)
{
    uint64_t state = UINT64_C(0x9E3779B97F4A7C15);
    int i, bit, count = repetitions(10000);
    size_t function;
    living it;
    living_init(&it);
    for (i = 0; i < count; i++) {
        uint64_t number = next_random(&state);
        /* Half of them look like handles. */
        if (i % 2 == 0)
            number >>= 11;
        for (function = 0; function < COUNT_OF(functions); function++)
            check_refused(function, number);
    }
    /* One bit away from a good one, unless that is good as well. */
    for (function = 0; function < COUNT_OF(functions); function++) {
        for (bit = 0; bit < 64; bit++) {
            uint64_t number = it.handles[functions[function].kind] ^ UINT64_C(1) << bit;
            if (!is_good(&it, number))
                check_refused(function, number);
        }
    }
    for (function = 0; function < COUNT_OF(functions); function++)
        check_refused(function, UINT64_MAX);
    circumstance = "send_text";
    for (i = 0; i < repetitions(is_long() ? 1000000 : 100000); i++) {
        /* Those that look like handles of sockets come closest. */
        const uint64_t random = next_random(&state) >> 11;
        const uint64_t kind = it.handles[SOCKET] >> 50 << 50;
        const uint64_t number = kind | (random & ((UINT64_C(1) << 50) - 1));
        if (!is_good(&it, number))
            CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_send_text(number, "a", 1));
    }
    living_end(&it);
}

int main(void)
{
    zero_and_other_kinds_are_refused();
    released_handles_are_refused();
    requests_that_are_over_are_refused();
    handles_of_a_freed_runtime_are_refused();
    a_handle_stays_stale_when_its_slot_is_used_again();
    made_up_handles_are_refused();
    return 0;
}
