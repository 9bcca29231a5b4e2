/*
 * One arena owns everything that a request allocates: plain memory, and foreign handles (json_t, PGresult, jwt_t)
 * that join it with arena_defer on the line after they were made. So request code never frees, needs no goto, and
 * an early return is always safe.
 *
 * Allocation never returns NULL. When memory runs out the arena unwinds to the point set by arena_guard, and arena_reset
 * releases what was built; the first block stays, so that there is memory to answer the request with an error.
 * Rejected: checking every allocation (hundreds of branches that no test reaches) and talloc (no unwinding).
 */
#ifndef BOOKY_ARENA_H
#define BOOKY_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

typedef struct arena arena;

/* Returns a new arena with its first block; aborts when there is no memory even for that. Release with arena_free. */
arena *arena_new(void);

/* Runs the deferred releases, newest first, and takes back all memory. The arena can be used again. */
void arena_reset(arena *a);

/* arena_reset, then frees the arena itself. */
void arena_free(arena *a);

/* A new arena for work that comes in parts: it unwinds to where `parent` does and ends with it, and can be reset sooner. */
arena *arena_child(arena *parent);

/* Sets where an allocation that cannot be satisfied unwinds to; NULL: abort the process. The caller owns `point`. */
void arena_guard(arena *a, jmp_buf *point);

/* Unwinds as when an allocation cannot be satisfied: for a library that had no memory. */
void arena_exhausted(arena *a) __attribute__((noreturn));

/* Returns `size` zeroed bytes, aligned for any object; lives until arena_reset. */
void *arena_alloc(arena *a, size_t size);

/* Grows `old` (of `old_size` bytes, from this arena, or NULL) to `size` bytes; the content moves along. */
void *arena_grow(arena *a, void *old, size_t old_size, size_t size);

char *arena_strdup(arena *a, const char *s);
char *arena_strndup(arena *a, const char *s, size_t len);
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(arena *a, const char *fmt, va_list ap);

/* Runs `release(handle)` at arena_reset. If the note itself cannot be stored, releases at once and unwinds. */
void arena_defer(arena *a, void (*release)(void *), void *handle);

/* A growable text in an arena. `data` is NUL-terminated once anything was added (NULL before). */
typedef struct strbuf {
    arena *a;
    char *data;
    size_t len, cap;
} strbuf;

#define STRBUF(arena_) ((strbuf){.a = (arena_)})

void strbuf_add(strbuf *b, const char *s, size_t len);
void strbuf_puts(strbuf *b, const char *s);
void strbuf_int(strbuf *b, long long value); /* in decimal */
void strbuf_printf(strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void strbuf_putc(strbuf *b, char c)
{
    if (b->cap - b->len < 2) {
        strbuf_add(b, &c, 1);
        return;
    }
    b->data[b->len++] = c;
    b->data[b->len] = '\0';
}

#endif
