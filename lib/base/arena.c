#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BOOKY_ASAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define BOOKY_ASAN 1
#endif
#ifdef BOOKY_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum { ALIGN = 16, BLOCK = 64 * 1024, LARGE = BLOCK / 4 };

/* Small allocations share blocks. A large one has a block of its own, so that it grows by one realloc and its memory
 * goes back to the system at reset. The first shared block is kept for the next request. */
typedef struct block {
    struct block *next, *prev;
    size_t size, used;
    _Alignas(ALIGN) char data[];
} block;

typedef struct deferred {
    struct deferred *next;
    void (*release)(void *);
    void *handle;
} deferred;

struct arena {
    block *shared; /* newest first */
    block *large;
    deferred *releases;
    jmp_buf *guard;
    arena *parent;
    size_t taken; /* see arena_taken */
};

static void count_taken(arena *a, size_t size)
{
    for (; a; a = a->parent) a->taken += size;
}

size_t arena_taken(arena *a)
{
    size_t taken = a->taken;
    a->taken = 0;
    return taken;
}

void arena_exhausted(arena *a)
{
    if (!a->guard) abort();
    longjmp(*a->guard, 1);
}

void arena_guard(arena *a, jmp_buf *point)
{
    a->guard = point;
}

static void release_child(void *child)
{
    arena_free(child);
}

arena *arena_child(arena *parent)
{
    arena *child = calloc(1, sizeof *child);
    if (!child) arena_exhausted(parent);
    child->guard = parent->guard;
    child->parent = parent;
    arena_defer(parent, release_child, child);
    return child;
}

static block *block_new(arena *a, block **list, size_t size)
{
    block *b = size > SIZE_MAX - sizeof *b ? NULL : malloc(sizeof *b + size);
    if (!b) arena_exhausted(a);
    count_taken(a, size);
    *b = (block){.next = *list, .size = size};
    if (*list) (*list)->prev = b;
    return *list = b;
}

static block *shared_new(arena *a)
{
    block *b = block_new(a, &a->shared, BLOCK);
    ASAN_POISON_MEMORY_REGION(b->data, b->size);
    return b;
}

arena *arena_new(void)
{
    arena *a = must(calloc(1, sizeof *a));
    shared_new(a);
    return a;
}

static void *large_alloc(arena *a, size_t size)
{
    block *b = block_new(a, &a->large, size);
    b->used = size;
    memset(b->data, 0, size);
    return b->data;
}

static size_t align(size_t size)
{
    return (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

void *arena_alloc(arena *a, size_t size)
{
    if (size > SIZE_MAX / 2) arena_exhausted(a);
    size = size == 0 ? ALIGN : align(size);
    if (size > LARGE) return large_alloc(a, size);
    block *b = a->shared;
    if (!b || b->size - b->used < size) b = shared_new(a);
    void *p = b->data + b->used;
    b->used += size;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return memset(p, 0, size);
}

static void *large_grow(arena *a, void *old, size_t size)
{
    block *b = (block *)((char *)old - offsetof(block, data));
    size_t rounded = align(size);
    block *grown = size > SIZE_MAX / 2 ? NULL : realloc(b, sizeof *b + rounded);
    if (!grown) arena_exhausted(a);
    if (grown->prev)
        grown->prev->next = grown;
    else
        a->large = grown;
    if (grown->next) grown->next->prev = grown;
    memset(grown->data + grown->size, 0, rounded - grown->size);
    count_taken(a, rounded - grown->size);
    grown->size = grown->used = rounded;
    return grown->data;
}

void *arena_grow(arena *a, void *old, size_t old_size, size_t size)
{
    if (size <= old_size) return old;
    if (old && align(old_size) > LARGE) return large_grow(a, old, size);
    void *grown = arena_alloc(a, size);
    if (old) memcpy(grown, old, old_size);
    return grown;
}

void arena_defer(arena *a, void (*release)(void *), void *handle)
{
    jmp_buf *outer = a->guard, here;
    deferred *volatile d = NULL;
    if (outer && setjmp(here)) { /* no memory to store the handle: release it, then unwind as usual */
        a->guard = outer;
        release(handle);
        longjmp(*outer, 1);
    }
    if (outer) a->guard = &here;
    d = arena_alloc(a, sizeof *d);
    a->guard = outer;
    *d = (deferred){a->releases, release, handle};
    a->releases = d;
}

void arena_reset(arena *a)
{
    for (deferred *d; (d = a->releases);) {
        a->releases = d->next;
        d->release(d->handle);
    }
    for (block *b; (b = a->large);) {
        a->large = b->next;
        free(b);
    }
    while (a->shared && a->shared->next) {
        block *b = a->shared;
        a->shared = b->next;
        free(b);
    }
    if (a->shared) {
        a->shared->prev = NULL;
        a->shared->used = 0;
        ASAN_POISON_MEMORY_REGION(a->shared->data, a->shared->size);
    }
}

void arena_free(arena *a)
{
    if (!a) return;
    arena_reset(a);
    free(a->shared);
    free(a);
}

char *arena_strndup(arena *a, const char *s, size_t len)
{
    char *copy = arena_alloc(a, len + 1);
    return memcpy(copy, s, len);
}

void *arena_grow_list(arena *a, void *list, size_t count, size_t *capacity, size_t size)
{
    size_t old = *capacity;
    if (count < old) return list;
    *capacity = old ? old * 2 : 8;
    return arena_grow(a, list, old * size, *capacity * size);
}

char *arena_strdup(arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(arena *a, const char *fmt, va_list ap)
{
    char small[256], *text;
    va_list again;
    if (!fmt) abort();
    va_copy(again, ap);
    int len = vsnprintf(small, sizeof small, fmt, ap);
    if (len < (int)sizeof small)
        text = arena_strndup(a, small, len < 0 ? 0 : (size_t)len);
    else
        vsnprintf(text = arena_alloc(a, (size_t)len + 1), (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}

char *arena_printf(arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return text;
}

void strbuf_add(strbuf *b, const char *s, size_t len)
{
    if (b->cap - b->len < len + 1 || !b->data) {
        size_t cap = b->cap ? b->cap : 256;
        while (cap - b->len < len + 1) cap *= 2;
        b->data = arena_grow(b->a, b->data, b->cap, cap);
        b->cap = cap;
    }
    memcpy(b->data + b->len, s, len);
    b->len += len;
    b->data[b->len] = '\0';
}

void strbuf_puts(strbuf *b, const char *s)
{
    strbuf_add(b, s, strlen(s));
}

void strbuf_int(strbuf *b, long long value)
{
    char text[24], *digit = text + sizeof text;
    unsigned long long rest = value < 0 ? 0ULL - (unsigned long long)value : (unsigned long long)value;
    do *--digit = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) *--digit = '-';
    strbuf_add(b, digit, (size_t)(text + sizeof text - digit));
}

void strbuf_printf(strbuf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    char small[256];
    int len = vsnprintf(small, sizeof small, fmt, ap);
    if (len >= 0 && (size_t)len < sizeof small)
        strbuf_add(b, small, (size_t)len);
    else
        strbuf_puts(b, arena_vprintf(b->a, fmt, again));
    va_end(again);
    va_end(ap);
}
