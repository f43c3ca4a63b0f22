/* What the process has allocated, to the byte. glibc counts what a thread keeps for its next use as in
 * use, so that such a program has to be run without that: `GLIBC_TUNABLES=glibc.malloc.tcache_count=0`.
 * A sanitizer's allocator counts nothing, and looks for what is lost in its own way. */
#ifndef WSABI_TESTS_HEAP_H
#define WSABI_TESTS_HEAP_H

#include "../c/support.h"

#include <malloc.h>

/* A table in which threads wait for locks belongs to the process. It grows when more threads wait at a
 * time than ever before. */
enum { FOR_LOCKS = 4096 };

/* To be called first: else what threads of the library allocate would not be counted. */
static inline void count_all_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
}

static inline size_t used_memory(void)
{
    const struct mallinfo2 memory = mallinfo2();
    return memory.uordblks + memory.hblkhd;
}

/* That no more is in use than `before`, but for `allowed` bytes. */
static inline void check_memory(size_t before, size_t allowed)
{
    const size_t after = used_memory();
    if (after <= before + allowed)
        return;
    fprintf(stderr, "%s %lu bytes of memory have become %lu\n", circumstance,
            (unsigned long)before, (unsigned long)after);
    _Exit(1);
}

#endif
