#include "recipe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

enum { FIELDS = 8, BOOK_FIRST = 100000, BOOKS_A_REQUEST = 9, POLL_MS = 30000 };

static recipe_piece *split(arena *a, char *text)
{
    size_t count = 1;
    for (const char *p = text; *p; p++) count += *p == '@';
    recipe_piece *pieces = arena_alloc(a, count * sizeof *pieces), *next = pieces;
    for (char *from = text;; next++) {
        char *at = from;
        while (*at && !(at[0] == '@' && at[1] && strchr("NVTS123456789", at[1]) && at[2] == '@')) at++;
        *next = (recipe_piece){from, (size_t)(at - from), *at ? at[1] : 0};
        if (!*at) return pieces;
        from = at + 3;
    }
}

static bool read_line(arena *a, char *line, recipe *out)
{
    char *fields[FIELDS];
    for (int i = 0; i < FIELDS; i++)
        if (!(fields[i] = strsep(&line, "\t"))) return false;
    *out = (recipe){atoi(fields[0]), atoi(fields[1]),     atoi(fields[2]),     fields[3],
                    fields[4],       split(a, fields[5]), split(a, fields[6]), split(a, fields[7])};
    return out->weight > 0 && !line;
}

/* The lines of a file without their line feeds; there must be at least one. */
static char **read_lines(arena *a, const char *path, size_t *count)
{
    char **lines = NULL, *line = NULL;
    size_t capacity = 0, size = 0;
    FILE *f = fopen(path, "r");
    *count = 0;
    for (ssize_t len; f && (len = getline(&line, &size, f)) > 0;) {
        if (*count == capacity) {
            lines = arena_grow(a, lines, capacity * sizeof *lines, (capacity * 2 + 64) * sizeof *lines);
            capacity = capacity * 2 + 64;
        }
        lines[(*count)++] = arena_strndup(a, line, (size_t)len - (line[len - 1] == '\n'));
    }
    free(line);
    if (f) fclose(f);
    if (*count > 0) return lines;
    fprintf(stderr, "%s: cannot be read, or is empty\n", path);
    exit(EXIT_FAILURE);
}

recipes recipes_read(arena *a, const char *path, const char *tokens, long books, long victims)
{
    recipes r = {.books = books > 0 ? books : 1, .victims = victims > 0 ? victims : 1};
    char **lines = read_lines(a, path, &r.count);
    r.tokens = read_lines(a, tokens, &r.token_count);
    r.list = arena_alloc(a, r.count * sizeof *r.list);
    for (size_t i = 0; i < r.count; i++) {
        if (!read_line(a, lines[i], &r.list[i])) {
            fprintf(stderr, "%s:%zu: not a recipe\n", path, i + 1);
            exit(EXIT_FAILURE);
        }
        r.weights += r.list[i].weight;
    }
    unsigned run;
    if (getrandom(&run, sizeof run, 0) != sizeof run) abort();
    srandom(run);
    r.serial = (1 + run % 9000000ull) * 1000000000ull; /* so that runs do not share ids */
    return r;
}

const recipe *recipe_draw(recipes *r, recipe_values *values)
{
    int at = (int)(random() % r->weights);
    const recipe *chosen = r->list;
    while (at >= chosen->weight) at -= chosen++->weight;
    *values =
        (recipe_values){r->tokens[(size_t)random() % r->token_count], r->serial++, random(), random(), clock_now()};
    return chosen;
}

static long long mark_value(const recipes *r, char mark, const recipe_values *v)
{
    switch (mark) {
    case 'N':
        return (long long)v->serial;
    case 'V':
        return BOOK_FIRST + v->victim % r->victims;
    case 'T':
        return v->now;
    case 'S':
        return v->now - POLL_MS;
    }
    long stride = r->books / BOOKS_A_REQUEST > 0 ? r->books / BOOKS_A_REQUEST : 1;
    return BOOK_FIRST + (v->first % r->books + (mark - '1') * stride) % r->books;
}

void recipe_write(const recipes *r, const recipe_piece *pieces, const recipe_values *values, strbuf *out)
{
    for (;; pieces++) {
        strbuf_add(out, pieces->text, pieces->len);
        if (!pieces->mark) return;
        strbuf_printf(out, "%lld", mark_value(r, pieces->mark, values));
    }
}
