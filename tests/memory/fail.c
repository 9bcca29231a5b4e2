#include "fail.h"

#include <errno.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BOOKY_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(BOOKY_ASAN)
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

void *REAL(malloc)(size_t size);
void *REAL(calloc)(size_t count, size_t size);
void *REAL(realloc)(void *old, size_t size);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);

static bool armed, all;
static long left, failures;

void fail_arm(long nth, bool rest)
{
    left = nth;
    all = rest;
    failures = 0;
    armed = true;
}

long fail_disarm(void)
{
    armed = false;
    return failures;
}

static bool fails(void)
{
    if (!armed || left == 0 || --left > 0) return false;
    if (all) left = 1;
    failures++;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return fails() ? NULL : REAL(malloc)(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : REAL(calloc)(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : REAL(realloc)(old, size);
}
