/* arena.[ch]: memory that is released all at once. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/arena.h"
#include "fixture.h"
#include "unit.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BOOKY_ASAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define BOOKY_ASAN
#endif

/* Sizes around every limit: alignment (16), own block (16 KiB), shared block (64 KiB). */
static const size_t sizes[] = {0, 1, 15, 16, 17, 255, 4096, 16383, 16384, 16385, 65535, 65536, 65537, 1000000};

START_TEST(memory_is_zeroed_aligned_and_not_shared)
{
    size_t size = sizes[_i];
    unsigned char *pieces[8];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            pieces[i] = arena_alloc(a, size);
            ck_assert_msg((uintptr_t)pieces[i] % 16 == 0, "%zu bytes: not aligned", size);
            for (size_t at = 0; at < size; at++)
                ASSERT_IN_LOOP(pieces[i][at] == 0, "%zu bytes: byte %zu is not zero in round %d", size, at, round);
            memset(pieces[i], 'A' + i, size);
        }
        for (int i = 0; i < 8 && size > 0; i++)
            ck_assert_msg(pieces[i][0] == 'A' + i && pieces[i][size - 1] == 'A' + i, "%zu bytes: overlap", size);
        arena_reset(a);
    }
}
END_TEST

START_TEST(growing_keeps_the_content_and_zeroes_the_rest)
{
    size_t from = sizes[_i];
    for (int i = 0; i < 5; i++)
        memset(arena_alloc(a, 100000), 'd', 100000); /* memory that the system may hand out again */
    arena_reset(a);
    unsigned char *p = arena_alloc(a, from);
    memset(p, 'x', from);
    unsigned char *other = arena_alloc(a, 20000 + from); /* a second allocation that moves too */
    for (size_t size = from; size < 200000; size = size * 2 + 100) {
        size_t grown = size * 2 + 100;
        p = arena_grow(a, p, size, grown);
        for (size_t at = 0; at < grown; at++)
            ASSERT_IN_LOOP(p[at] == (at < from ? 'x' : 0), "%zu to %zu bytes: byte %zu", size, grown, at);
        other = arena_grow(a, other, 20000 + size, 20000 + grown);
        ASSERT_IN_LOOP(other[0] == 0, "%zu to %zu bytes: the other allocation", size, grown);
    }
    ck_assert_ptr_eq(arena_grow(a, p, 100, 50), p);
    ck_assert_ptr_nonnull(arena_grow(a, NULL, 0, 10));
}
END_TEST

START_TEST(the_memory_that_a_request_took_is_counted_with_that_of_its_children)
{
    arena_taken(a);
    arena_alloc(a, 100);
    ck_assert_uint_eq(arena_taken(a), 0); /* from the block that is there */
    char *grows = arena_alloc(a, 100000);
    arena *child = arena_child(a);
    arena_alloc(arena_child(child), 50000);
    arena_reset(child);
    arena_grow(a, grows, 100000, 300000);
    size_t taken = arena_taken(a);
    ck_assert_uint_ge(taken, 350000);
    ck_assert_uint_lt(taken, 450000);
    arena_reset(a);
    ck_assert_uint_eq(arena_taken(a), 0);
}
END_TEST

static char order[8];

static void note(void *handle)
{
    strcat(order, handle);
}

START_TEST(handles_are_released_newest_first_and_once)
{
    order[0] = '\0';
    arena_defer(a, note, "1");
    arena_defer(a, note, "2");
    arena_defer(a, note, "3");
    ck_assert_str_eq(order, "");
    arena_reset(a);
    ck_assert_str_eq(order, "321");
    arena_reset(a);
    ck_assert_str_eq(order, "321");
    arena_defer(a, note, "4");
    arena_reset(a);
    ck_assert_str_eq(order, "3214");
}
END_TEST

START_TEST(a_failed_allocation_unwinds_to_the_guard)
{
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2 + 1};
    jmp_buf point;
    char *kept = arena_strdup(a, "kept"), *large = arena_alloc(a, 100000);
    volatile size_t unwound = 0;
    arena_guard(a, &point);
    order[0] = '\0';
    arena_defer(a, note, "x");
    if (setjmp(point)) unwound++;
    if (unwound < 3) arena_alloc(a, impossible[unwound]);
    if (unwound < 6) arena_grow(a, large, 100000, impossible[unwound - 3]);
    if (unwound == 6) arena_exhausted(a);
    ck_assert_uint_eq(unwound, 7);
    ck_assert_str_eq(kept, "kept");
    ck_assert_str_eq(order, "");
    arena_reset(a);
    ck_assert_str_eq(order, "x");
}
END_TEST

#ifndef BOOKY_ASAN /* needs more address space than the limit */
static volatile size_t released;

static void count(void *handle)
{
    (void)handle;
    released++;
}

START_TEST(a_handle_that_cannot_be_stored_is_released_at_once)
{
    jmp_buf point;
    struct rlimit limit, tight;
    volatile size_t stored = 0;
    size_t pages = 0;
    const char *preload = getenv("LD_PRELOAD");
    if (preload && strstr(preload, "valgrind")) return; /* valgrind does, too */
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert(f && fscanf(f, "%zu", &pages) == 1);
    fclose(f);
    getrlimit(RLIMIT_AS, &limit);
    tight = (struct rlimit){pages * (size_t)sysconf(_SC_PAGESIZE) + 300000, limit.rlim_max};
    released = 0;
    arena_guard(a, &point);
    setrlimit(RLIMIT_AS, &tight);
    if (setjmp(point) == 0)
        for (; stored < 100000000; stored++) arena_defer(a, count, NULL);
    setrlimit(RLIMIT_AS, &limit);
    ck_assert_uint_lt(stored, 100000000);
    ck_assert_uint_eq(released, 1);
    arena_reset(a);
    ck_assert_uint_eq(released, stored + 1);
}
END_TEST
#endif

static void note_child(void *handle)
{
    ck_assert_str_eq(handle, "child's");
    strcat(order, "c");
}

START_TEST(a_child_is_released_with_its_parent)
{
    order[0] = '\0';
    arena_defer(a, note, "1");
    arena *child = arena_child(a);
    arena_defer(a, note, "2");
    arena_defer(child, note_child, arena_strdup(child, "child's"));
    arena_reset(child);
    ck_assert_str_eq(order, "c");
    arena_defer(child, note_child, arena_strdup(child, "child's"));
    arena_alloc(child, 100000);
    arena_reset(a);
    ck_assert_str_eq(order, "c2c1");
}
END_TEST

START_TEST(a_child_unwinds_to_the_guard_of_its_parent)
{
    jmp_buf point;
    volatile int unwound = 0;
    arena_guard(a, &point);
    arena *child = arena_child(a);
    if (setjmp(point))
        unwound++;
    else
        arena_alloc(child, SIZE_MAX);
    ck_assert_int_eq(unwound, 1);
}
END_TEST

START_TEST(texts_are_copied_and_formatted)
{
    char large[5000];
    memset(large, 'y', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    ck_assert_str_eq(arena_strdup(a, ""), "");
    ck_assert_str_eq(arena_strdup(a, "book"), "book");
    ck_assert_str_eq(arena_strndup(a, "bookshelf", 4), "book");
    ck_assert_str_eq(arena_printf(a, "%s-%d", "book", 7), "book-7");
    ck_assert_uint_eq(strlen(arena_printf(a, "<%s>", large)), 5001);
}
END_TEST

START_TEST(a_strbuf_grows)
{
    strbuf b = STRBUF(a);
    ck_assert_ptr_null(b.data);
    strbuf_puts(&b, "");
    ck_assert_str_eq(b.data, "");
    size_t expected = 0;
    for (size_t len = 1; len < 100000; len = len * 3 + 1, expected += 3) {
        char *piece = arena_alloc(a, len + 1);
        memset(piece, 'z', len);
        strbuf_puts(&b, piece);
        strbuf_putc(&b, '-');
        strbuf_printf(&b, "%s+", piece);
        strbuf_add(&b, "\0!", 2);
        expected += 2 * len + 1;
        ck_assert_uint_eq(b.len, expected + 3);
        ck_assert_mem_eq(b.data + b.len - 3, "+\0!", 4);
    }
}
END_TEST

Suite *suite_arena(void)
{
    Suite *s = suite_create("arena");
    TCase *c = tcase_create("arena");
    tcase_add_checked_fixture(c, fixture_setup, fixture_teardown);
    tcase_add_loop_test(c, memory_is_zeroed_aligned_and_not_shared, 0, COUNT(sizes));
    tcase_add_loop_test(c, growing_keeps_the_content_and_zeroes_the_rest, 0, COUNT(sizes));
    tcase_add_test(c, the_memory_that_a_request_took_is_counted_with_that_of_its_children);
    tcase_add_test(c, handles_are_released_newest_first_and_once);
    tcase_add_test(c, a_failed_allocation_unwinds_to_the_guard);
#ifndef BOOKY_ASAN
    tcase_add_test(c, a_handle_that_cannot_be_stored_is_released_at_once);
#endif
    tcase_add_test(c, a_child_is_released_with_its_parent);
    tcase_add_test(c, a_child_unwinds_to_the_guard_of_its_parent);
    tcase_add_test(c, texts_are_copied_and_formatted);
    tcase_add_test(c, a_strbuf_grows);
    suite_add_tcase(s, c);
    return s;
}
