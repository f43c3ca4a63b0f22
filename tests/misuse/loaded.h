/* The library as a plugin has it: loaded at run time, also in several copies. For programs that are
 * not linked to it. */
#ifndef WSABI_TESTS_LOADED_H
#define WSABI_TESTS_LOADED_H

#include "../c/support.h"

#include <dlfcn.h>

/* The functions that are used, under their names. */
#define FOR_EACH_FUNCTION(apply) \
    apply(last_error);           \
    apply(status_name);          \
    apply(set_thread_hooks);     \
    apply(runtime_new);          \
    apply(runtime_free);         \
    apply(options_new);          \
    apply(options_free);         \
    apply(options_on_event);     \
    apply(options_on_release);   \
    apply(server_listen);        \
    apply(server_port);          \
    apply(socket_connect);       \
    apply(socket_send_text);     \
    apply(socket_ready_state);   \
    apply(socket_close);         \
    apply(socket_release)

#define DECLARE(name) __typeof__(wsabi_##name) *name

typedef struct loaded {
    void *library;
    FOR_EACH_FUNCTION(DECLARE);
} loaded;

/* The one that `support.h` asks: the latest; none before the first. */
static __typeof__(wsabi_last_error) *last_error_of_latest;
static __typeof__(wsabi_status_name) *status_name_of_latest;

const char *wsabi_last_error(void)
{
    return last_error_of_latest == NULL ? "" : last_error_of_latest();
}

const char *wsabi_status_name(int32_t status)
{
    return status_name_of_latest == NULL ? "status" : status_name_of_latest(status);
}

static inline void look_up(void *library, const char *name, void *function_out)
{
    void *address = dlsym(library, name);
    CHECK(address != NULL);
    memcpy(function_out, &address, sizeof address);
}

static inline loaded load(const char *path)
{
    loaded it;
    it.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (it.library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        _Exit(1);
    }
#define LOOK_UP(name) look_up(it.library, "wsabi_" #name, &it.name)
    FOR_EACH_FUNCTION(LOOK_UP);
#undef LOOK_UP
    last_error_of_latest = it.last_error;
    status_name_of_latest = it.status_name;
    return it;
}

static inline void unload(const loaded *it)
{
    CHECK(dlclose(it->library) == 0);
}

#endif
