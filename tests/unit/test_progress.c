/* progress.h: what the master reads of a worker while the worker goes on. */
#include <check.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "http/progress.h"

enum { EARLIER_US = 1000, NOW_US = 31000000 };

static char *pages; /* two; `stage` is at the end of the first, `request_started_us` at the start of the second */
static progress *shared;
static size_t page_size;
static int faults;

/* A read of the protected page stops here. Meanwhile the worker begins with a request, as accept.c does. */
static void begin_request(int signal)
{
    (void)signal;
    faults++;
    mprotect(pages, 2 * page_size, PROT_READ | PROT_WRITE);
    atomic_store(&shared->request_started_us, NOW_US);
    atomic_store(&shared->stage, 0);
}

/* _i: the page whose first read the request comes before. */
START_TEST(a_request_that_begins_while_it_is_read_has_no_earlier_start)
{
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "valgrind")) return; /* it reports the read of the protected page */
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    pages = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);
    shared = (progress *)(pages + page_size - offsetof(progress, request_started_us));
    atomic_store(&shared->request_started_us, EARLIER_US);
    atomic_store(&shared->stage, -1);
    ck_assert_int_eq(progress_request_us(shared), 0);
    sigaction(SIGSEGV, &(struct sigaction){.sa_handler = begin_request}, NULL);
    mprotect(pages + (size_t)_i * page_size, page_size, PROT_NONE);
    int64_t started_us = progress_request_us(shared);
    ck_assert_msg(started_us == 0 || started_us == NOW_US, "it is taken for one that began at %lld",
                  (long long)started_us);
    ck_assert_int_eq(faults, _i == 0);
    mprotect(pages, 2 * page_size, PROT_READ | PROT_WRITE);
    munmap(pages, 2 * page_size);
}
END_TEST

Suite *suite_progress(void)
{
    Suite *s = suite_create("progress");
    TCase *t = tcase_create("progress");
    tcase_add_loop_test(t, a_request_that_begins_while_it_is_read_has_no_earlier_start, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
