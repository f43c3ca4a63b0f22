/* The end of a child of fork(). */
#ifndef WSABI_TESTS_CHILD_H
#define WSABI_TESTS_CHILD_H

#include "support.h"

#include <unistd.h>

/* What only the threads of the parent know of is lost in a child, which valgrind would count: it does
 * not where the child becomes another program. */
static inline void end_child(int status)
{
    char command[16];
    snprintf(command, sizeof command, "exit %d", status);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(1);
}

#endif
