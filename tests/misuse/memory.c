/* Memory is refused: each allocation fails, alone or with all that follow, while the main job runs.
 * The outcome is a status, an event, or the end of the process with a sentence that says why. */
#include "job.h"

#include <signal.h>

#include "allocator.h"

/* What a child finishes with where all went well because no allocation was refused. */
enum { NOT_MET = 42 };

/* Which allocation fails, and how many from it on. */
static int is_counting, fails_at, fails_for, allocations;

static int is_refused(size_t len)
{
    int number;
    (void)len;
    if (!__atomic_load_n(&is_counting, __ATOMIC_SEQ_CST))
        return 0;
    number = __atomic_fetch_add(&allocations, 1, __ATOMIC_SEQ_CST);
    return number >= fails_at && number - fails_at < fails_for;
}

/* The job itself needs memory to count what is open: only while nothing is refused. */
static void refuse_nothing(void)
{
    __atomic_store_n(&is_counting, 0, __ATOMIC_SEQ_CST);
}

static int is_over(void)
{
    return allocations - fails_at >= fails_for;
}

static const char *scheme;

static int live(void)
{
    int is_done;
    job_prepare();
    is_counting = 1;
    is_done = job_run(scheme, is_over, refuse_nothing);
    if (allocations > fails_at)
        return 0;
    CHECK(is_done);
    return NOT_MET;
}

/* Whether a process that ended with SIGABRT has said that it was for want of memory. */
static int says_why(const char *errors)
{
    return strstr(errors, "memory allocation of") != NULL ||
           strstr(errors, "out of memory") != NULL ||
           strstr(errors, "Cannot allocate memory") != NULL;
}

/* Whether there are that many allocations. */
static int refuse(int at, int times, int *aborts)
{
    static char errors[65536], description[128];
    int status;
    snprintf(description, sizeof description, "%s: allocation %d fails %s:", scheme, at,
             times == 1 ? "once" : "for ever");
    circumstance = description;
    fails_at = at;
    fails_for = times;
    status = in_a_child(live, errors, sizeof errors);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_MET)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 1;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && says_why(errors)) {
        ++*aborts;
        return 1;
    }
    fprintf(stderr, "%s exit %d, signal %d\n%s\n", description, WEXITSTATUS(status),
            WIFSIGNALED(status) ? WTERMSIG(status) : 0, errors);
    _Exit(1);
}

int main(void)
{
    static const char *const schemes[] = {"ws", "wss"};
    int at, aborts = 0, count = 0;
    size_t i;
    for (i = 0; i < COUNT_OF(schemes); i++) {
        int step = is_long() ? 1 : (i == 0 ? 3 : 23) * job_sampling();
        scheme = schemes[i];
        for (at = 0; refuse(at, 1, &aborts); at += step, count += 2)
            refuse(at, 1 << 30, &aborts);
    }
    CHECK(count > 100 / job_sampling());
    printf("%d failures, of which %d ended the process\n", count, aborts);
    return 0;
}
