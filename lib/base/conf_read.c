#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/must.h"

/* What is wrong with the settings, one line each. Reading goes on after a fault, so that all of them are told. */
typedef struct faults {
    char *text;
    size_t size, used;
    int count;
    bool full; /* no more are told: the text or the number of lines is at its limit */
} faults;

typedef struct reader {
    conf *c;
    faults *faults;
    const char *path;
    FILE *file;
    int line;          /* of the file, from 1 */
    bool *seen;        /* of conf_rows: the file has set it already */
    bool skims;        /* only looks for lines that are neither section, setting nor comment */
    const int *broken; /* such lines, in order */
    size_t broken_count;
    int depth; /* number of files that include this one, directly or not */
} reader;

__attribute__((format(printf, 2, 3))) static void report(faults *f, const char *fmt, ...)
{
    enum { FAULTS_MAX = 100 };
    va_list ap;
    if (f->full) return;
    bool more = f->count++ > 0;
    size_t start = f->used;
    if (more && f->used + 1 < f->size) f->text[f->used++] = '\n';
    va_start(ap, fmt);
    int len = vsnprintf(f->text + f->used, f->size - f->used, fmt, ap);
    va_end(ap);
    f->used += (size_t)len;
    f->full = f->used >= f->size || f->count == FAULTS_MAX;
    if (f->used < f->size) return;
    f->used = more ? start : f->size - 1; /* only whole lines, but the first one in any case */
    f->text[f->used] = '\0';
}

static bool in_list(const char *list, const char *value)
{
    size_t len = strlen(value);
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == len && strncmp(p, value, len) == 0) return true;
    return false;
}

/* Checks `value` against its row and stores it. `where` names the place of the value. */
static void set(reader *r, const conf_row *row, const char *value, const char *where)
{
    void *field = (char *)r->c + row->offset;
    if (row->type == CONF_STRING || row->type == CONF_CHOICE) {
        if (row->type == CONF_CHOICE && !in_list(row->choices, value)) {
            report(r->faults, "%s: %s: \"%s\" is not one of %s", where, row->name, value, row->choices);
            return;
        }
        char *copy = must(strdup(value));
        free(*(char **)field); /* the default, or the value of the file before that of the environment */
        *(char **)field = copy;
        return;
    }
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, row->type == CONF_OCTAL ? 8 : 10);
    if (end == value || *end || errno) {
        report(r->faults, "%s: %s: \"%s\" is not %s number", where, row->name, value,
               row->type == CONF_OCTAL ? "an octal" : "a whole");
        return;
    }
    if (number >= row->min && number <= row->max) {
        *(int64_t *)field = number;
        return;
    }
    const char *side = number < row->min ? "below" : "above";
    long long limit = number < row->min ? row->min : row->max;
    if (row->type == CONF_OCTAL)
        report(r->faults, "%s: %s: %s is %s %04llo", where, row->name, value, side, limit);
    else
        report(r->faults, "%s: %s: %s is %s %lld%s%s", where, row->name, value, side, limit, row->unit ? " " : "",
               row->unit ? row->unit : "");
}

static const conf_row *find(const char *section, const char *key)
{
    size_t len = strlen(section);
    for (const conf_row *row = conf_rows; row->name; row++)
        if (strncmp(row->name, section, len) == 0 && row->name[len] == '.' && strcmp(row->name + len + 1, key) == 0)
            return row;
    return NULL;
}

static bool is_broken(const reader *r, int line)
{
    for (size_t i = 0; i < r->broken_count; i++)
        if (r->broken[i] == line) return true;
    return false;
}

/* Passes one line to inih, or a blank one in place of a line that is reported here. Debian's library does not report
 * the line number to the handler, and truncates long lines silently. */
static char *next_line(char *out, int size, void *user)
{
    reader *r = user;
    if (r->faults->full || !fgets(out, size, r->file)) return NULL;
    r->line++;
    bool too_long = strlen(out) == (size_t)size - 1 && out[size - 2] != '\n', broken = is_broken(r, r->line);
    for (int c = 0; too_long && c != '\n' && c != EOF;) c = getc(r->file);
    if (too_long && !r->skims) report(r->faults, "%s:%d: longer than %d bytes", r->path, r->line, size - 2);
    if (broken && !r->skims) report(r->faults, "%s:%d: not a section, setting or comment", r->path, r->line);
    return too_long || broken ? strcpy(out, "\n") : out;
}

static void read_file(conf *c, faults *f, const char *path, int depth);

/* `include = FILE`, or a pattern: the files are read at this place, sorted by name. A relative path starts at the
 * folder of the including file. If several files have the same setting, the last one read counts. */
static void include(reader *r, const char *where, const char *value)
{
    enum { DEPTH_MAX = 8 };
    char pattern[4096];
    glob_t found;
    const char *slash = strrchr(r->path, '/');
    int folder = slash && *value != '/' ? (int)(slash - r->path) + 1 : 0;
    if (r->depth == DEPTH_MAX) {
        report(r->faults, "%s: include: more than %d files deep", where, DEPTH_MAX);
        r->faults->full = true; /* a file that includes itself twice would be read 2^8 times */
        return;
    }
    snprintf(pattern, sizeof pattern, "%.*s%s", folder, r->path, value);
    bool is_pattern = strpbrk(value, "*?[") != NULL;
    int status = glob(pattern, is_pattern ? 0 : GLOB_NOCHECK, NULL, &found);
    if (status != 0 && !(status == GLOB_NOMATCH && is_pattern))
        report(r->faults, "%s: include: %s: cannot be read", where, pattern);
    for (size_t i = 0; status == 0 && i < found.gl_pathc; i++)
        read_file(r->c, r->faults, found.gl_pathv[i], r->depth + 1);
    globfree(&found);
}

/* Returns 1, "no fault", in any case: inih then returns the first broken line only. */
static int on_pair(void *user, const char *section, const char *key, const char *value)
{
    reader *r = user;
    char where[4096];
    if (r->skims || r->faults->full) return 1;
    snprintf(where, sizeof where, "%s:%d", r->path, r->line);
    const conf_row *row = find(section, key);
    if (strcmp(key, "include") == 0) {
        include(r, where, value);
    } else if (!row) {
        report(r->faults, "%s: %s.%s: no such setting", where, section, key);
    } else if (r->seen[row - conf_rows]) { /* inih reports an indented line as another value of the setting above it */
        report(r->faults, "%s: %s: set twice, or the line is indented", where, row->name);
    } else {
        r->seen[row - conf_rows] = true;
        set(r, row, value, where);
    }
    return 1;
}

static int parse(reader *r)
{
    r->line = 0;
    return ini_parse_stream(next_line, r, on_pair, r);
}

/* inih returns the number of the first broken line. So the file is skimmed again with that line blank, up to the
 * BROKEN_MAX, before it is read. */
static void read_file(conf *c, faults *f, const char *path, int depth)
{
    enum { BROKEN_MAX = 20 };
    int broken[BROKEN_MAX], line;
    reader r = {.c = c, .faults = f, .path = path, .depth = depth, .broken = broken, .skims = true};
    r.file = fopen(path, "re");
    if (!r.file) {
        report(f, "%s: %s", path, strerror(errno));
        return;
    }
    bool again = fseek(r.file, 0, SEEK_SET) == 0; /* a pipe can be read once only */
    while (again && r.broken_count < BROKEN_MAX && (line = parse(&r)) > 0) {
        broken[r.broken_count++] = line;
        rewind(r.file);
    }
    if (again) rewind(r.file);
    size_t rows = 0;
    while (conf_rows[rows].name) rows++;
    r.seen = must(calloc(rows, sizeof *r.seen));
    r.skims = false;
    line = parse(&r);
    if (line > 0) report(f, "%s:%d: not a section, setting or comment", path, line);
    if (line < 0) report(f, "%s: cannot be read", path);
    free(r.seen);
    fclose(r.file);
}

static void read_environment(reader *r)
{
    for (const conf_row *row = conf_rows; row->name; row++) {
        char name[96] = "BOOKY_";
        size_t n = strlen(name);
        for (const char *p = row->name; *p && n + 1 < sizeof name; p++)
            name[n++] = *p == '.' ? '_' : (char)toupper((unsigned char)*p);
        name[n] = '\0';
        const char *value = getenv(name);
        if (value) set(r, row, value, name);
    }
}

static void check_spares(const conf *c, faults *f)
{
    bool order = c->min_spare > c->max_spare;
    if (strcmp(c->mode, "dynamic") != 0 || (!order && c->max_spare <= c->workers)) return;
    report(f, "%s: %lld is above %s, which is %lld", order ? "pool.min_spare" : "pool.max_spare",
           (long long)(order ? c->min_spare : c->max_spare), order ? "pool.max_spare" : "pool.workers",
           (long long)(order ? c->max_spare : c->workers));
}

bool conf_load(conf *c, const char *path, char *fault, size_t fault_size)
{
    faults f = {.text = fault, .size = fault_size};
    reader r = {.c = c, .faults = &f};
    *c = (conf){0};
    fault[0] = '\0';
    for (const conf_row *row = conf_rows; row->name; row++)
        if (row->fallback) set(&r, row, row->fallback, "default");
    if (path) read_file(c, &f, path, 0);
    read_environment(&r);
    if (c->workers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        c->workers = cores > 2 ? 2 * cores : 4; /* more than limit_conn in nginx/booky-sync/burst.conf */
    }
    if (f.count == 0) check_spares(c, &f); /* else one of them may only be the default */
    return f.count == 0;
}
