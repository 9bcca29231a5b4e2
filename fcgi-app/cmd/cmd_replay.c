#include <err.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/cmd.h"
#include "engine/kind.h"
#include "sync/batch.h"

enum { BATCH_DEFAULT = 100, BATCH_MAX = 1000 }; /* operations per transaction */
enum { PROGRESS_EVERY_US = 100000, PROGRESS_COLUMNS = 30 };

/* Seconds before each attempt to run a batch while the database is unavailable. */
static const unsigned delays_s[] = {0, 0, 1, 2, 4, 8};

typedef struct replay {
    sync_ctx ctx;
    FILE *in;
    const char *file, *device;
    const kind *kind;      /* of the entities in the file; NULL: it has operations */
    long batch;            /* most operations in a transaction */
    long line;             /* number of lines read */
    long *lines;           /* the line of each operation in the batch */
    long long bytes, size; /* bytes read; of the file, or 0 if unknown */
    long long applied, repeated, conflicts, failed;
    int64_t started_us, shown_us; /* shown_us: when the progress bar was last drawn */
    bool progress;                /* whether to draw it */
} replay;

static double lines_per_second(const replay *r)
{
    double seconds = (double)(clock_monotonic_us() - r->started_us) / 1e6;
    return seconds > 0 ? (double)r->line / seconds : 0;
}

static void show_progress(replay *r, bool done)
{
    int64_t now = clock_monotonic_us();
    if (!r->progress || (!done && now - r->shown_us < PROGRESS_EVERY_US)) return;
    r->shown_us = now;
    double part = done ? 1 : r->size > 0 ? (double)r->bytes / (double)r->size : 0;
    char bar[PROGRESS_COLUMNS + 1] = {0};
    for (int i = 0; i < PROGRESS_COLUMNS; i++) bar[i] = i < (int)(part * PROGRESS_COLUMNS) ? '#' : '.';
    fprintf(stderr, "\r[%s] %3.0f%%  %ld lines  %.0f/s ", bar, part * 100, r->line, lines_per_second(r));
    if (done) fputc('\n', stderr);
}

static void report_line(replay *r, long line, const char *message)
{
    if (r->progress) fputs("\r\033[K", stderr);
    fprintf(stderr, "%s:%ld: %s\n", r->file, line, message);
    r->failed++;
}

/* Makes an entity a create operation. Its id is a hash of the text, so that a repeated replay is recognised. */
static bool wrap_entity(replay *r, const char *text, size_t len, strbuf *out)
{
    json_fault fault;
    unsigned char hash[32];
    const json_t *entity = json_read(r->ctx.a, text, len, SIZE_MAX, &fault);
    const json_t *id = json_object_get(entity, "id");
    if (!entity) return report_line(r, r->line, fault.message), false;
    if (!json_is_string(id) && !r->kind->fixed_id) return report_line(r, r->line, "id: must be a string"), false;
    if (EVP_Digest(text, len, hash, NULL, EVP_sha256(), NULL) != 1) abort();
    strbuf name = STRBUF(r->ctx.a);
    strbuf_puts(&name, "replay-");
    for (int i = 0; i < 16; i++) strbuf_printf(&name, "%02x", hash[i]);
    strbuf_putc(out, '{');
    json_write_member(out, "id", name.data);
    json_write_member(out, "type", "create");
    json_write_member(out, "entity", r->kind->name);
    json_write_member(out, "entityId", r->kind->fixed_id ? r->kind->fixed_id : json_string_value(id));
    json_write_name(out, "data");
    strbuf_add(out, text, len);
    strbuf_putc(out, '}');
    return true;
}

/* Appends a line of the file to the batch as its operation number `count`. Returns false if it was reported. */
static bool add_line(replay *r, const char *text, size_t len, long count, strbuf *body)
{
    json_fault fault;
    strbuf operation = STRBUF(r->ctx.a);
    if (r->kind) {
        if (!wrap_entity(r, text, len, &operation)) return false;
    } else {
        /* Other faults fail the operation alone; a syntax error would spoil the whole batch. */
        if (!json_read(r->ctx.a, text, len, SIZE_MAX, &fault) && fault.kind == JSON_FAULT_SYNTAX)
            return report_line(r, r->line, fault.message), false;
        strbuf_add(&operation, text, len);
    }
    if (count > 0) strbuf_putc(body, ',');
    strbuf_add(body, operation.data, operation.len);
    r->lines[count] = r->line;
    return true;
}

static void count_results(replay *r, const strbuf *reply)
{
    json_fault fault;
    size_t i;
    json_t *one;
    const json_t *root = json_read(r->ctx.a, reply->data, reply->len, SIZE_MAX, &fault);
    json_array_foreach(json_object_get(root, "results"), i, one)
    {
        const char *status = json_string_value(json_object_get(one, "status"));
        if (json_is_true(json_object_get(one, "duplicate")))
            r->repeated++;
        else if (strcmp(status, "success") == 0)
            r->applied++;
        else if (strcmp(status, "conflict") == 0)
            r->conflicts++;
        else {
            const char *message = json_string_value(json_object_get(one, "message")), *path = strchr(message, ']');
            report_line(r, r->lines[i], path ? path + 1 + (path[1] == '.') : message); /* without operations[…] */
        }
    }
}

static bool run_batch(replay *r, const strbuf *body)
{
    sync_ctx *ctx = &r->ctx;
    rc code = RC_UNAVAILABLE;
    strbuf reply;
    for (size_t i = 0; i < sizeof delays_s / sizeof *delays_s; i++) {
        sleep(delays_s[i]);
        reply = STRBUF(ctx->a);
        ctx->message = NULL;
        code = db_ready(ctx->db);
        if (code == RC_OK) code = batch_run(ctx, body->data, body->len, &reply);
        if (code == RC_OK || !rc_info(code)->retryable) break;
    }
    if (code == RC_OK)
        count_results(r, &reply);
    else
        cmd_ctx_failed(ctx, code);
    return code == RC_OK;
}

/* Reads lines into the body of a request, until it is full or the file ends: then *more is false. Returns the number of
 * operations in it. `text` and `size` are getline(3)'s. */
static long read_batch(replay *r, strbuf *body, char **text, size_t *size, bool *more)
{
    long count = 0;
    strbuf_putc(body, '{');
    json_write_member(body, "deviceId", r->device);
    json_write_name(body, "operations");
    strbuf_putc(body, '[');
    while (count < r->batch && body->len < (size_t)r->ctx.conf->body / 2) {
        ssize_t len = getline(text, size, r->in);
        *more = len >= 0;
        if (!*more) break;
        r->line++;
        r->bytes += len;
        while (len > 0 && strchr(" \t\r\n", (*text)[len - 1])) len--;
        if (len > 0) count += add_line(r, *text, (size_t)len, count, body);
    }
    strbuf_puts(body, "]}");
    return count;
}

/* Returns false if a batch could not be run; the rest of the file is then not read. */
static bool run_batches(replay *r)
{
    char *text = NULL;
    size_t size = 0;
    bool ok = true, more = true;
    while (ok && more) {
        strbuf body = STRBUF(r->ctx.a);
        if (read_batch(r, &body, &text, &size, &more) > 0) ok = run_batch(r, &body);
        arena_reset(r->ctx.a);
        show_progress(r, false);
    }
    free(text);
    return ok;
}

static int replay_file(replay *r)
{
    r->lines = calloc((size_t)r->batch, sizeof *r->lines);
    if (!r->lines) abort();
    r->started_us = clock_monotonic_us();
    r->progress = isatty(STDERR_FILENO) || getenv("BOOKY_PROGRESS");
    if (r->in != stdin && fseek(r->in, 0, SEEK_END) == 0) {
        r->size = ftell(r->in);
        rewind(r->in);
    }
    bool ok = run_batches(r);
    show_progress(r, true);
    free(r->lines);
    printf("%ld lines: %lld applied, %lld already known, %lld in conflict, %lld failed; %.1f s, %.0f lines/s\n",
           r->line, r->applied, r->repeated, r->conflicts, r->failed,
           (double)(clock_monotonic_us() - r->started_us) / 1e6, lines_per_second(r));
    if (!ok) warnx("stopped before the end of the file; repeat the command to continue");
    return ok && r->failed == 0 ? CMD_OK : CMD_FAILED;
}

int cmd_replay(const cmdline *line, const conf *settings)
{
    const char *as = cmdline_get(line, "as"), *batch = cmdline_get(line, "batch");
    const char *device = cmdline_get(line, "device");
    replay r = {.file = line->operands[0],
                .device = device ? device : "replay",
                .kind = as ? kind_find(as) : NULL,
                .batch = batch ? atol(batch) : BATCH_DEFAULT};
    if (as && !r.kind) return cmdline_refuse(line, "--as %s: no such kind", as);
    if (r.batch < 1 || r.batch > BATCH_MAX)
        return cmdline_refuse(line, "--batch %s: must be 1 to %d", batch, BATCH_MAX);
    r.in = strcmp(r.file, "-") == 0 ? stdin : fopen(r.file, "re");
    if (!r.in) {
        warn("%s", r.file);
        return CMD_FAILED;
    }
    int code = CMD_FAILED;
    if (cmd_ctx_begin(&r.ctx, settings, cmdline_get(line, "user"))) {
        code = replay_file(&r);
        cmd_ctx_end(&r.ctx);
    }
    if (r.in != stdin) fclose(r.in);
    return code;
}
