/* wsabi_runtime_next_events and wsabi_runtime_next_packed: what is handed out, how long it lives,
 * and what is not handed out any more. */
#include "polled.h"

/* As a later version of the library may know it. */
typedef struct larger_event {
    wsabi_event event;
    uint64_t more[3];
} larger_event;

#define LAYOUT_SIZE 48

/* An event of wsabi_runtime_next_packed. */
typedef struct packed {
    int32_t kind;
    int32_t type;
    int32_t code;
    int32_t was_clean;
    uint64_t handle;
    uint64_t user_data;
    uint64_t value;
    uint64_t len;
} packed;

/* Takes out one event at a time until one of this kind, which is returned and lives until the next
 * call. */
static wsabi_event take(wsabi_runtime runtime, int32_t kind)
{
    wsabi_event event;
    do
        CHECK_STATUS(1, wsabi_runtime_next_events(runtime, &event, sizeof event, 1, DEADLINE_MS));
    while (event.kind != kind);
    return event;
}

static void polled_open(polled *it)
{
    polled_init(it);
    polled_begin(it);
    take(it->near, WSABI_EVENT_OPEN);
    wait_for_open(&it->at_server);
}

/* Sends so many numbered messages, and waits until all of them can be taken. */
static void let_wait(polled *it, uint32_t count)
{
    uint32_t number;
    for (number = 0; number < count; number++)
        send_number(far_end(it), number);
    while (received(it->client) < count * sizeof number) {
        /* Without threads this reads, and takes nothing out. */
        CHECK_STATUS(0, wsabi_runtime_next_events(it->near, NULL, sizeof(wsabi_event), 0, 20));
    }
}

static void a_larger_event_is_left_as_it_is_behind_its_fields(void)
{
    larger_event events[4];
    polled it;
    size_t i;
    int32_t count;
    uint32_t taken = 0;
    polled_open(&it);
    let_wait(&it, 4);
    while (taken < 4) {
        memset(events, 0xA5, sizeof events);
        count = wsabi_runtime_next_events(it.near, &events[0].event, sizeof events[0], 4,
                                          DEADLINE_MS);
        CHECK(count > 0 && taken + (uint32_t)count <= 4);
        for (i = 0; i < COUNT_OF(events); i++) {
            const wsabi_event *event = &events[i].event;
            CHECK(events[i].more[0] == 0xA5A5A5A5A5A5A5A5u);
            CHECK(events[i].more[2] == 0xA5A5A5A5A5A5A5A5u);
            if (i >= (size_t)count) {
                CHECK(event->handle == 0xA5A5A5A5A5A5A5A5u);
                continue;
            }
            CHECK(event->size == sizeof *event && event->kind == WSABI_EVENT_MESSAGE);
            CHECK(event->handle == it.client && event->user_data == &it.at_client);
            CHECK(event->type == WSABI_BINARY && event->len == 4);
            CHECK(number_of(event->data) == taken + i && ((const char *)event->data)[4] == 0);
        }
        taken += (uint32_t)count;
    }
    CHECK(it.at_client.count == 0 && "no handler has run");
    polled_free(&it);
}

static void sizes_that_cannot_be_are_refused(void)
{
    static const uint32_t sizes[] = {0, 8, sizeof(wsabi_event) - 8, sizeof(wsabi_event) + 1};
    wsabi_runtime runtime = new_polled_runtime();
    wsabi_event event;
    uint8_t byte;
    size_t i, bytes;
    for (i = 0; i < COUNT_OF(sizes); i++)
        CHECK_STATUS(WSABI_ERR_ARGUMENT,
                     wsabi_runtime_next_events(runtime, &event, sizes[i], 1, 0));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_runtime_next_events(runtime, NULL, sizeof event, 1, 0));
    CHECK_STATUS(WSABI_ERR_ARGUMENT,
                 wsabi_runtime_next_events(runtime, &event, sizeof event, 1, -2));
    CHECK_STATUS(0, wsabi_runtime_next_events(runtime, &event, sizeof event, 1, 0));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_runtime_next_packed(runtime, NULL, 1, 0, &bytes));
    CHECK_STATUS(WSABI_ERR_ARGUMENT, wsabi_runtime_next_packed(runtime, &byte, 1, 0, NULL));
    CHECK_STATUS(0, wsabi_runtime_next_packed(runtime, NULL, 0, 0, &bytes));
    CHECK(bytes == 0);
    CHECK_OK(wsabi_runtime_free(runtime));
}

static void data_lives_until_the_next_call_whatever_happens(void)
{
    wsabi_event event;
    polled it;
    recorder other;
    recorder_init(&other);
    polled_open(&it);
    CHECK_OK(wsabi_socket_send_text(far_end(&it), "to be kept", WSABI_NUL_TERMINATED));
    event = take(it.near, WSABI_EVENT_MESSAGE);
    CHECK_OK(wsabi_socket_set_user_data(it.client, &other));
    CHECK_OK(wsabi_socket_release(it.client));
    if (io_threads > 0)
        wait_for_close(&it.at_server);
    CHECK(event.len == 10 && strcmp((const char *)event.data, "to be kept") == 0);
    CHECK(event.user_data == &it.at_client && count_releases(&it.at_client) == 0);
    CHECK_STATUS(0, wsabi_runtime_next_events(it.near, &event, sizeof event, 1, 0));
    CHECK(count_releases(&it.at_client) == 1);
    wait_for_close(&it.at_server);
    wait_for_releases(&other, 1);
    polled_free(&it);
    recorder_free(&other);
}

static void a_poll_ends_what_was_lent_as_well(void)
{
    polled it;
    recorder other;
    recorder_init(&other);
    polled_open(&it);
    send_number(far_end(&it), 0);
    take(it.near, WSABI_EVENT_MESSAGE);
    CHECK_OK(wsabi_socket_set_user_data(it.client, &other));
    CHECK(count_releases(&it.at_client) == 0);
    CHECK(wsabi_runtime_poll(it.near, 0, 0) >= 0);
    CHECK(count_releases(&it.at_client) == 1);
    send_number(far_end(&it), 1);
    CHECK(take(it.near, WSABI_EVENT_MESSAGE).user_data == &other);
    CHECK_OK(wsabi_runtime_free(it.near));
    wait_for_releases(&other, 1);
    CHECK(count_releases(&it.at_client) == 1);
    it.near = 0;
    polled_free(&it);
    recorder_free(&other);
}

static void nothing_of_a_released_socket_is_handed_out(void)
{
    wsabi_event event;
    polled it;
    polled_open(&it);
    let_wait(&it, 5);
    take(it.near, WSABI_EVENT_MESSAGE);
    CHECK_OK(wsabi_socket_release(it.client));
    CHECK_STATUS(0, wsabi_runtime_next_events(it.near, &event, sizeof event, 1, 50));
    wait_for_releases(&it.at_client, 1);
    polled_free(&it);
}

static void after_close_no_message_is_handed_out(void)
{
    wsabi_event event;
    polled it;
    polled_open(&it);
    let_wait(&it, 5);
    take(it.near, WSABI_EVENT_MESSAGE);
    CHECK_OK(wsabi_socket_close(it.client, 1000, "", 0));
    CHECK_STATUS(1, wsabi_runtime_next_events(it.near, &event, sizeof event, 1, DEADLINE_MS));
    CHECK(event.kind == WSABI_EVENT_CLOSE && event.code == 1000 && event.was_clean == 1);
    CHECK_STATUS(0, wsabi_runtime_next_events(it.near, &event, sizeof event, 1, 20));
    CHECK(wsabi_socket_ready_state(it.client) == WSABI_CLOSED);
    polled_free(&it);
}

static void a_packed_event_has_its_header_its_data_and_padding(void)
{
    static const char *const texts[] = {"", "1", "1234567", "12345678", "123456789"};
    uint8_t buf[LAYOUT_SIZE + 16 + 8];
    packed header;
    polled it;
    size_t i, j, bytes;
    CHECK(sizeof header == LAYOUT_SIZE);
    polled_open(&it);
    for (i = 0; i < COUNT_OF(texts); i++) {
        size_t len = strlen(texts[i]), padded = (len + 7) / 8 * 8;
        CHECK_OK(wsabi_socket_send_text(far_end(&it), texts[i], len));
        memset(buf, 0xA5, sizeof buf);
        CHECK_STATUS(1, wsabi_runtime_next_packed(it.near, buf, sizeof buf, DEADLINE_MS, &bytes));
        CHECK(bytes == LAYOUT_SIZE + padded);
        memcpy(&header, buf, sizeof header);
        CHECK(header.kind == WSABI_EVENT_MESSAGE && header.type == WSABI_TEXT);
        CHECK(header.code == 0 && header.was_clean == 0 && header.value == 0);
        CHECK(header.handle == it.client && header.user_data == (uintptr_t)&it.at_client);
        CHECK(header.len == len && memcmp(buf + LAYOUT_SIZE, texts[i], len) == 0);
        for (j = LAYOUT_SIZE + len; j < LAYOUT_SIZE + padded; j++)
            CHECK(buf[j] == 0);
        for (; j < sizeof buf; j++)
            CHECK(buf[j] == 0xA5);
    }
    polled_free(&it);
}

static void as_many_packed_events_come_as_fit(void)
{
    static uint8_t buf[3 * (LAYOUT_SIZE + 8) + 7];
    polled it;
    uint32_t taken = 0;
    polled_open(&it);
    let_wait(&it, 10);
    while (taken < 10) {
        size_t bytes, i;
        int32_t count =
            wsabi_runtime_next_packed(it.near, buf, sizeof buf, DEADLINE_MS, &bytes);
        CHECK(count >= 1 && count <= 3 && bytes == (size_t)count * (LAYOUT_SIZE + 8));
        for (i = 0; i < (size_t)count; i++)
            CHECK(number_of(buf + i * (LAYOUT_SIZE + 8) + LAYOUT_SIZE) == taken++);
    }
    polled_free(&it);
}

static void an_event_that_does_not_fit_tells_its_size_and_stays(void)
{
    static uint8_t buf[LAYOUT_SIZE + 1000];
    size_t bytes = 0, room;
    polled it;
    polled_open(&it);
    CHECK_OK(wsabi_socket_send_binary(far_end(&it), buf, 1000));
    for (room = 0; room < sizeof buf; room += 131) {
        CHECK_STATUS(0, wsabi_runtime_next_packed(it.near, room == 0 ? NULL : buf, room,
                                                  DEADLINE_MS, &bytes));
        CHECK(bytes == sizeof buf);
    }
    CHECK_STATUS(1, wsabi_runtime_next_packed(it.near, buf, bytes, DEADLINE_MS, &bytes));
    CHECK(bytes == sizeof buf);
    CHECK_STATUS(0, wsabi_runtime_next_packed(it.near, buf, sizeof buf, 10, &bytes));
    CHECK(bytes == 0);
    polled_free(&it);
}

static void an_accepted_socket_lives_until_the_call_after_its_close(void)
{
    wsabi_runtime near = new_polled_runtime(), far = 0;
    wsabi_options options = recording_options();
    wsabi_server server;
    wsabi_socket client;
    recorder at_server, at_client;
    wsabi_event event;
    CHECK_OK(wsabi_runtime_new(1, WSABI_DELIVER_ON_THREADS, &far));
    recorder_init(&at_server);
    recorder_init(&at_client);
    server = listen_on_loopback(near, options, &at_server);
    client = connect_to_port(far, wsabi_server_port(server), options, &at_client);
    event = take(near, WSABI_EVENT_OPEN);
    CHECK(event.user_data == &at_server);
    CHECK_OK(wsabi_socket_send_text(event.handle, "welcome", WSABI_NUL_TERMINATED));
    CHECK_STATUS(0, wsabi_runtime_next_events(near, &event, sizeof event, 0, 0));
    wait_for_message(&at_client, 1);
    CHECK_OK(wsabi_socket_close(client, 4000, "bye", 3));
    event = take(near, WSABI_EVENT_CLOSE);
    CHECK(event.code == 4000 && event.was_clean == 1);
    CHECK(wsabi_socket_ready_state(event.handle) == WSABI_CLOSED);
    CHECK_STATUS(0, wsabi_runtime_next_events(near, NULL, sizeof event, 0, 0));
    CHECK_STATUS(WSABI_ERR_HANDLE, wsabi_socket_ready_state(event.handle));
    CHECK_OK(wsabi_server_close(server));
    CHECK_OK(wsabi_runtime_free(near));
    CHECK_OK(wsabi_runtime_free(far));
    wait_for_releases(&at_server, 1);
    wait_for_releases(&at_client, 1);
    CHECK_OK(wsabi_options_free(options));
    recorder_free(&at_server);
    recorder_free(&at_client);
}

int main(void)
{
    static void (*const cases[])(void) = {
        a_larger_event_is_left_as_it_is_behind_its_fields,
        sizes_that_cannot_be_are_refused,
        data_lives_until_the_next_call_whatever_happens,
        a_poll_ends_what_was_lent_as_well,
        nothing_of_a_released_socket_is_handed_out,
        after_close_no_message_is_handed_out,
        a_packed_event_has_its_header_its_data_and_padding,
        as_many_packed_events_come_as_fit,
        an_event_that_does_not_fit_tells_its_size_and_stays,
        an_accepted_socket_lives_until_the_call_after_its_close,
    };
    run_polled(cases, COUNT_OF(cases));
    return 0;
}
