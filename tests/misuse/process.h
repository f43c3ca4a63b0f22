/* What this process holds: descriptors and threads, to be compared before and after. Linux. */
#ifndef WSABI_TESTS_PROCESS_H
#define WSABI_TESTS_PROCESS_H

#include "../c/support.h"

#include <dirent.h>

static inline int count_entries(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;
    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* With the one that counts, and two names of directories. */
static inline int count_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

/* The threads whose name begins so. */
static inline int count_threads_named(const char *beginning)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        char path[300], name[32] = "";
        FILE *file;
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        file = fopen(path, "r");
        /* It may have ended. */
        if (file == NULL)
            continue;
        if (fgets(name, sizeof name, file) != NULL)
            count += strncmp(name, beginning, strlen(beginning)) == 0;
        fclose(file);
    }
    closedir(directory);
    return count;
}

/* Those of the library, by their names: a sanitizer may have threads as well. */
static inline int count_threads(void)
{
    return count_threads_named("wsabi");
}

/* Those of them that end with their runtime. */
static inline int count_workers(void)
{
    return count_threads_named("wsabi\n");
}

static inline void rest_ms(long milliseconds)
{
    struct timespec pause;
    pause.tv_sec = milliseconds / 1000;
    pause.tv_nsec = milliseconds % 1000 * 1000000;
    nanosleep(&pause, NULL);
}

/* Waits until `count` gives no more than `expected`. */
static inline void wait_for_count(int (*count)(void), int expected, const char *what)
{
    int64_t until = now_ms() + (int64_t)DEADLINE_MS * slowness();
    while (count() > expected) {
        if (now_ms() > until) {
            fprintf(stderr, "%s %d %s instead of %d\n", circumstance, count(), what, expected);
            _Exit(1);
        }
        rest_ms(1);
    }
}

/* Waits until there are no more descriptors and threads than there were. Threads that look names
 * up and read certificates end after seconds without work. */
static inline void wait_for_nothing_left(int descriptors, int threads)
{
    wait_for_count(count_descriptors, descriptors, "descriptors");
    wait_for_count(count_threads, threads, "threads");
}

#endif
