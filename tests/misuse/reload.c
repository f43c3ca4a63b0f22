/* The library is loaded, used and unloaded, over and over, as a plugin is by its host. The argument
 * is its path; this program is not linked to it. */
#include "../c/support.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

#include "process.h"

/* The functions that are used here, under their names. */
static int32_t (*runtime_new)(uint32_t, int32_t, wsabi_runtime *);
static int32_t (*runtime_free)(wsabi_runtime);
static int32_t (*options_new)(wsabi_options *);
static int32_t (*options_free)(wsabi_options);
static int32_t (*options_on_event)(wsabi_options, int32_t, wsabi_handler);
static int32_t (*server_listen)(wsabi_runtime, const char *, size_t, wsabi_options, void *,
                                wsabi_server *);
static int32_t (*server_port)(wsabi_server);
static int32_t (*socket_connect)(wsabi_runtime, const char *, size_t, wsabi_options, void *,
                                 wsabi_socket *);
static int32_t (*socket_send_text)(wsabi_socket, const char *, size_t);
static const char *(*last_error)(void);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int messages;

/* `support.h` names it; there is none before the library is loaded. */
const char *wsabi_last_error(void)
{
    return last_error == NULL ? "" : last_error();
}

const char *wsabi_status_name(int32_t status)
{
    (void)status;
    return "status";
}

static void look_up(void *library, const char *name, void *function_out)
{
    void *address = dlsym(library, name);
    CHECK(address != NULL);
    memcpy(function_out, &address, sizeof address);
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        _Exit(1);
    }
    look_up(library, "wsabi_runtime_new", &runtime_new);
    look_up(library, "wsabi_runtime_free", &runtime_free);
    look_up(library, "wsabi_options_new", &options_new);
    look_up(library, "wsabi_options_free", &options_free);
    look_up(library, "wsabi_options_on_event", &options_on_event);
    look_up(library, "wsabi_server_listen", &server_listen);
    look_up(library, "wsabi_server_port", &server_port);
    look_up(library, "wsabi_socket_connect", &socket_connect);
    look_up(library, "wsabi_socket_send_text", &socket_send_text);
    look_up(library, "wsabi_last_error", &last_error);
    return library;
}

/* Begins an endless exchange with the first event. */
static void answer(const wsabi_event *event, void *user_data)
{
    (void)user_data;
    if (event->kind == WSABI_EVENT_OPEN || event->kind == WSABI_EVENT_MESSAGE)
        socket_send_text(event->handle, "again", 5);
    pthread_mutex_lock(&mutex);
    messages += event->kind == WSABI_EVENT_MESSAGE;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void use(void)
{
    char url[64];
    wsabi_runtime runtime = 0;
    wsabi_options options = 0;
    wsabi_server server = 0;
    wsabi_socket socket = 0;
    int32_t port;
    CHECK_OK(runtime_new(2, WSABI_DELIVER_ON_THREADS, &runtime));
    CHECK_OK(options_new(&options));
    CHECK_OK(options_on_event(options, 0, answer));
    CHECK_OK(server_listen(runtime, "ws://127.0.0.1:0/", WSABI_NUL_TERMINATED, options, NULL,
                           &server));
    port = server_port(server);
    snprintf(url, sizeof url, "ws://127.0.0.1:%d/", port);
    CHECK_OK(socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, NULL, &socket));
    /* Whose name is looked up, on a thread of its own. */
    snprintf(url, sizeof url, "ws://localhost:%d/", port);
    CHECK_OK(socket_connect(runtime, url, WSABI_NUL_TERMINATED, options, NULL, &socket));
    pthread_mutex_lock(&mutex);
    while (messages < 100)
        pthread_cond_wait(&changed, &mutex);
    messages = 0;
    pthread_mutex_unlock(&mutex);
    /* This thread's failure is remembered until it ends. */
    CHECK(socket_send_text(0, "", 0) == WSABI_ERR_HANDLE);
    CHECK_OK(options_free(options));
    CHECK_OK(runtime_free(runtime));
}

/* The library is first used on a thread that ends after it was unloaded. */
static void *load_use_unload(void *path)
{
    void *library = load((const char *)path);
    use();
    CHECK(dlclose(library) == 0);
    last_error = NULL;
    return NULL;
}

/* What the library has asked to be called at a fork is not there any more. */
static void fork_without_the_library(void)
{
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        _exit(0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    int descriptors = count_descriptors(), threads = count_threads(), round;
    CHECK(argc == 2);
    alarm((unsigned)(DEADLINE_MS / 1000 * slowness()));
    for (round = 0; round < 20; round++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, load_use_unload, argv[1]) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        load_use_unload(argv[1]);
        fork_without_the_library();
    }
    wait_for_nothing_left(descriptors, threads);
    return 0;
}
