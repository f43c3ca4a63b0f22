/* An allocator that refuses what `is_refused` says, in place of the one of the system. */
#ifndef WSABI_TESTS_ALLOCATOR_H
#define WSABI_TESTS_ALLOCATOR_H

#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t len);
extern void *__libc_calloc(size_t count, size_t len);
extern void *__libc_realloc(void *old, size_t len);
extern void *__libc_memalign(size_t alignment, size_t len);

/* Whether so many bytes are not to be had. Each program has its own. */
static int is_refused(size_t len);

void *malloc(size_t len)
{
    if (!is_refused(len))
        return __libc_malloc(len);
    errno = ENOMEM;
    return NULL;
}

void *calloc(size_t count, size_t len)
{
    if (!is_refused(count * len))
        return __libc_calloc(count, len);
    errno = ENOMEM;
    return NULL;
}

void *realloc(void *old, size_t len)
{
    if (!is_refused(len))
        return __libc_realloc(old, len);
    errno = ENOMEM;
    return NULL;
}

int posix_memalign(void **place, size_t alignment, size_t len)
{
    if (is_refused(len))
        return ENOMEM;
    *place = __libc_memalign(alignment, len);
    return *place == NULL ? ENOMEM : 0;
}

#endif
