/* A recorder of events: what the tests give to the library as handler and user_data, and what
 * they wait for with a deadline. */
#ifndef WSABI_TESTS_RECORDER_H
#define WSABI_TESTS_RECORDER_H

#include "support.h"

#include <pthread.h>

/* Ends the program unless the recorder has exactly these events: a letter of `kind_letter` each. */
#define CHECK_EVENTS(recorder, letters) check_events(__FILE__, __LINE__, (recorder), (letters))

typedef struct record {
    int32_t kind;
    int32_t type;
    int32_t code;
    int32_t was_clean;
    int32_t state; /* of the socket when its handler began, or a failure */
    uint64_t handle;
    uint64_t value;
    uint8_t *data; /* followed by a NUL; lives as long as the recorder */
    size_t len;
} record;

/* Keeps what happens to one socket, or to the sockets of one server. It is their user_data. */
typedef struct recorder {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    record *records;
    size_t count;
    size_t count_of[16]; /* by kind */
    size_t capacity;
    int releases;
    int handed_over; /* how often this was given to the library as a user_data */
    /* Runs inside the handler, before the event is recorded; NULL for none. */
    void (*hook)(const wsabi_event *event, struct recorder *self);
    void *context; /* for the hook */
} recorder;

static inline char kind_letter(int32_t kind)
{
    switch (kind) {
    case WSABI_EVENT_OPEN:
        return 'O';
    case WSABI_EVENT_MESSAGE:
        return 'M';
    case WSABI_EVENT_ERROR:
        return 'E';
    case WSABI_EVENT_CLOSE:
        return 'C';
    case WSABI_EVENT_PING:
        return 'I';
    case WSABI_EVENT_PONG:
        return 'P';
    case WSABI_EVENT_DRAIN:
        return 'D';
    case WSABI_EVENT_RECONNECT:
        return 'R';
    case WSABI_EVENT_REQUEST:
        return 'Q';
    default:
        return '?';
    }
}

static inline void print_records(const recorder *self)
{
    size_t i;
    for (i = 0; i < self->count && i < 100; i++) {
        const record *it = &self->records[i];
        fprintf(stderr, "  %c type %d code %d clean %d state %d, %lu bytes: %.100s\n",
                kind_letter(it->kind), (int)it->type, (int)it->code, (int)it->was_clean,
                (int)it->state, (unsigned long)it->len, (const char *)it->data);
    }
}

static inline void check_events(const char *file, int line, recorder *self, const char *letters)
{
    size_t i;
    int same;
    pthread_mutex_lock(&self->mutex);
    same = self->count == strlen(letters);
    for (i = 0; same && i < self->count; i++)
        same = kind_letter(self->records[i].kind) == letters[i];
    if (!same) {
        fprintf(stderr, "%s:%d: %s these events instead of %s:\n", file, line, circumstance,
                letters);
        print_records(self);
        _Exit(1);
    }
    pthread_mutex_unlock(&self->mutex);
}

static inline void recorder_init(recorder *self)
{
    pthread_condattr_t attributes;
    memset(self, 0, sizeof *self);
    self->handed_over = 1;
    pthread_mutex_init(&self->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static inline void recorder_free(recorder *self)
{
    size_t i;
    for (i = 0; i < self->count; i++)
        free(self->records[i].data);
    free(self->records);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
}

static inline void recorder_append(recorder *self, const record *it)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 16 : self->capacity * 2;
        self->records = (record *)realloc(self->records, self->capacity * sizeof *self->records);
        CHECK(self->records != NULL);
    }
    self->records[self->count++] = *it;
    CHECK(it->kind > 0 && (size_t)it->kind < COUNT_OF(self->count_of));
    self->count_of[it->kind]++;
}

/* The handler of every kind of event. */
static inline void record_event(const wsabi_event *event, void *user_data)
{
    recorder *self = (recorder *)user_data;
    record it;
    memset(&it, 0, sizeof it);
    CHECK(event->size >= sizeof *event);
    CHECK(event->user_data == user_data);
    CHECK(event->data != NULL);
    it.kind = event->kind;
    it.type = event->type;
    it.code = event->code;
    it.was_clean = event->was_clean;
    it.handle = event->handle;
    it.value = event->value;
    it.state = wsabi_socket_ready_state(event->handle);
    if (self->hook != NULL)
        self->hook(event, self);
    /* Copied last, because the payload has to outlive whatever the hook does. */
    it.len = event->len;
    it.data = (uint8_t *)malloc(event->len + 1);
    CHECK(it.data != NULL);
    memcpy(it.data, event->data, event->len + 1);
    CHECK(it.data[it.len] == 0);
    pthread_mutex_lock(&self->mutex);
    CHECK(self->releases < self->handed_over);
    recorder_append(self, &it);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* The release function of recorders. */
static inline void record_release(void *user_data)
{
    recorder *self = (recorder *)user_data;
    pthread_mutex_lock(&self->mutex);
    self->releases++;
    CHECK(self->releases <= self->handed_over);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->mutex);
}

/* How many events of this kind there have been. */
static inline size_t count_events(recorder *self, int32_t kind)
{
    size_t count;
    pthread_mutex_lock(&self->mutex);
    count = self->count_of[kind];
    pthread_mutex_unlock(&self->mutex);
    return count;
}

static inline int count_releases(recorder *self)
{
    int releases;
    pthread_mutex_lock(&self->mutex);
    releases = self->releases;
    pthread_mutex_unlock(&self->mutex);
    return releases;
}

/* The mutex is held; returns when something changed, and ends the program at the deadline. */
static inline void wait_for_change(recorder *self, const struct timespec *until, const char *what)
{
    if (pthread_cond_timedwait(&self->changed, &self->mutex, until) == 0)
        return;
    fprintf(stderr, "%s waited in vain for %s; %lu events, %d releases:\n", circumstance, what,
            (unsigned long)self->count, self->releases);
    print_records(self);
    _Exit(1);
}

/* Waits for the `ordinal`th event of this kind, the first being 1. */
static inline record wait_for_event(recorder *self, int32_t kind, size_t ordinal)
{
    struct timespec until = deadline();
    char what[64];
    size_t i;
    record found;
    snprintf(what, sizeof what, "event %c number %lu", kind_letter(kind), (unsigned long)ordinal);
    pthread_mutex_lock(&self->mutex);
    while (self->count_of[kind] < ordinal)
        wait_for_change(self, &until, what);
    for (i = 0; ordinal > 0; i++)
        ordinal -= self->records[i].kind == kind;
    found = self->records[i - 1];
    pthread_mutex_unlock(&self->mutex);
    return found;
}

static inline record wait_for_open(recorder *self)
{
    return wait_for_event(self, WSABI_EVENT_OPEN, 1);
}

static inline record wait_for_message(recorder *self, size_t ordinal)
{
    return wait_for_event(self, WSABI_EVENT_MESSAGE, ordinal);
}

static inline record wait_for_close(recorder *self)
{
    return wait_for_event(self, WSABI_EVENT_CLOSE, 1);
}

/* Waits for a CLOSE that says that both Close frames were exchanged. The reason is that of the
 * peer's frame: whoever closes first may get none back. NULL: any. */
static inline void wait_for_clean_close(recorder *self, int32_t code, const char *reason)
{
    record it = wait_for_close(self);
    if (it.was_clean && it.code == code &&
        (reason == NULL || strcmp((const char *)it.data, reason) == 0))
        return;
    fprintf(stderr, "%s no clean CLOSE with %d \"%s\":\n", circumstance, (int)code,
            reason == NULL ? "" : reason);
    print_records(self);
    _Exit(1);
}

/* Waits for the ERROR event and for the CLOSE that has to follow it. */
static inline record wait_for_error(recorder *self, int32_t status)
{
    record error = wait_for_event(self, WSABI_EVENT_ERROR, 1);
    record close = wait_for_close(self);
    if (error.code != status) {
        fprintf(stderr, "%s ERROR with %s instead of %s: %s\n", circumstance,
                wsabi_status_name(error.code), wsabi_status_name(status),
                (const char *)error.data);
        _Exit(1);
    }
    CHECK(error.len > 0);
    CHECK(!close.was_clean);
    return error;
}

static inline void wait_for_releases(recorder *self, int releases)
{
    struct timespec until = deadline();
    pthread_mutex_lock(&self->mutex);
    while (self->releases < releases)
        wait_for_change(self, &until, "a release of user_data");
    CHECK(self->releases == releases);
    pthread_mutex_unlock(&self->mutex);
}

static inline int is_text(const record *it, const char *text)
{
    return it->len == strlen(text) && memcmp(it->data, text, it->len) == 0;
}

#endif
