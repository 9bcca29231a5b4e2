/*
 * One arena owns everything that a request allocates: plain memory, and foreign handles (json_t, PGresult, jwt_t) that
 * are registered with arena_defer on the line after their creation. So request code never frees, needs no goto, and may
 * return early anywhere.
 *
 * Allocation never returns NULL. When there is no memory, the arena unwinds to the point set by arena_guard, and
 * arena_reset releases what was built. The first block is kept, so that there is memory to answer the request with an
 * error. Rejected: checking every allocation (hundreds of branches that no test reaches) and talloc (no unwinding).
 */
#ifndef BOOKY_ARENA_H
#define BOOKY_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

typedef struct arena arena;

/* Returns a new arena with its first block; aborts when there is no memory for it. Release with arena_free. */
arena *arena_new(void);

/* Runs the deferred releases, newest first, and takes back all memory. The arena can then be used again. */
void arena_reset(arena *a);

/* Bytes that the arena and its children took from the system since the last call of this function. Memory that was
 * given back in between counts. */
size_t arena_taken(arena *a);

/* Resets the arena, then frees it; NULL is allowed. */
void arena_free(arena *a);

/* A new arena for work in parts. It has the guard of `parent`, is freed with it, and can be reset earlier. */
arena *arena_child(arena *parent);

/* Sets the point to which a failed allocation unwinds; NULL: it aborts the process. The caller owns `point`. */
void arena_guard(arena *a, jmp_buf *point);

/* Unwinds like a failed allocation: for a library that reports that it had no memory. */
void arena_exhausted(arena *a) __attribute__((noreturn));

/* Returns `size` zeroed bytes, aligned for any object. They are valid until arena_reset. */
void *arena_alloc(arena *a, size_t size);

/* Grows `old` (`old_size` bytes of this arena, or NULL) to `size` bytes. Returns its new place; the content is kept,
 * the rest is zeroed. */
void *arena_grow(arena *a, void *old, size_t old_size, size_t size);

/* Makes room for one more element of `size` bytes in a growing list that has `count` of *capacity elements; returns the
 * list, which may have moved. */
void *arena_grow_list(arena *a, void *list, size_t count, size_t *capacity, size_t size);

char *arena_strdup(arena *a, const char *s);
char *arena_strndup(arena *a, const char *s, size_t len);
char *arena_printf(arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(arena *a, const char *fmt, va_list ap);

/* Runs `release(handle)` at arena_reset. When there is no memory to store the handle, releases it at once and unwinds.
 */
void arena_defer(arena *a, void (*release)(void *), void *handle);

/* A growable text in an arena. `data` is NULL until something is added, and NUL-terminated afterwards. */
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
