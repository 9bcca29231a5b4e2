#include <errno.h>
#include <getopt.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch.h"
#include "clock.h"
#include "cmd.h"
#include "kind.h"

static const char help[] =
    "usage: booky-sync replay --user USER [--as KIND] [--batch N] [--device ID] [--config FILE] FILE\n\n"
    "Applies operations to a user's library, as POST /operations does, from a file of JSON lines (- for standard input).\n"
    "A line is an operation; with --as, an entity of that kind (book, rating, …), which is created.\n\n"
    "  --as KIND    the lines are entities, not operations\n"
    "  --batch N    operations a transaction, 1 to 1000 (default 100)\n"
    "  --device ID  who made the edits (default: replay)\n\n"
    "A line that cannot be applied is reported with its number and the rest goes on. When the database is away, a batch is\n"
    "tried again at once and after 1, 2, 4 and 8 seconds. A replay may be repeated: what was applied is recognised (with\n"
    "--as always, else by the operations' ids). Exits with 1 when a line could not be applied.\n";

enum { ATTEMPTS = 5, BATCH_DEFAULT = 100, BATCH_MAX = 1000, PROGRESS_US = 100000, BAR = 30 };

typedef struct replay {
    call call;
    FILE *in;
    const char *file, *device;
    const kind *as;
    long batch, line;
    long *lines; /* the line of each operation in the batch */
    long long bytes, size; /* read so far; of the file, or 0 when unknown */
    long long applied, repeated, conflicts, failed;
    int64_t started_us, shown_us;
    bool bar;
} replay;

static void show(replay *r, bool last)
{
    int64_t now = clock_monotonic_us();
    if (!r->bar || (!last && now - r->shown_us < PROGRESS_US)) return;
    r->shown_us = now;
    double seconds = (double)(now - r->started_us) / 1e6, part = r->size > 0 ? (double)r->bytes / (double)r->size : 0;
    int filled = last ? BAR : (int)(part * BAR);
    char bar[BAR + 1];
    for (int i = 0; i < BAR; i++) bar[i] = i < filled ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(stderr, "\r[%s] %3.0f%%  %ld lines  %.0f/s ", bar, last ? 100 : part * 100, r->line,
            seconds > 0 ? (double)r->line / seconds : 0);
    if (last) fputc('\n', stderr);
}

static void complain(replay *r, long line, const char *message)
{
    if (r->bar) fputs("\r\033[K", stderr);
    fprintf(stderr, "%s:%ld: %s\n", r->file, line, message);
    r->failed++;
}

/* An entity becomes a creation whose id is made of its content, so that a repeat is recognised. */
static bool wrap(replay *r, const char *text, size_t len, strbuf *out)
{
    json_fault fault;
    unsigned char hash[32];
    const json_t *entity = json_read(r->call.a, text, len, SIZE_MAX, &fault);
    const json_t *id = json_object_get(entity, "id");
    if (!entity) return complain(r, r->line, fault.message), false;
    if (!json_is_string(id) && !r->as->fixed_id) return complain(r, r->line, "id: must be a string"), false;
    if (EVP_Digest(text, len, hash, NULL, EVP_sha256(), NULL) != 1) abort();
    strbuf name = STRBUF(r->call.a);
    strbuf_puts(&name, "replay-");
    for (int i = 0; i < 16; i++) strbuf_printf(&name, "%02x", hash[i]);
    strbuf_putc(out, '{');
    json_write_member(out, "id", name.data);
    json_write_member(out, "type", "create");
    json_write_member(out, "entity", r->as->name);
    json_write_member(out, "entityId", r->as->fixed_id ? r->as->fixed_id : json_string_value(id));
    json_write_name(out, "data");
    strbuf_add(out, text, len);
    strbuf_putc(out, '}');
    return true;
}

static bool add_line(replay *r, const char *text, size_t len, long count, strbuf *body)
{
    json_fault fault;
    strbuf operation = STRBUF(r->call.a);
    if (r->as && !wrap(r, text, len, &operation)) return false;
    if (!r->as && !json_read(r->call.a, text, len, SIZE_MAX, &fault) && fault.kind == JSON_FAULT_SYNTAX)
        return complain(r, r->line, fault.message), false;
    if (count > 0) strbuf_putc(body, ',');
    strbuf_add(body, r->as ? operation.data : text, r->as ? operation.len : len);
    r->lines[count] = r->line;
    return true;
}

static void count_results(replay *r, const strbuf *reply)
{
    json_fault fault;
    size_t i;
    json_t *one;
    const json_t *root = json_read(r->call.a, reply->data, reply->len, SIZE_MAX, &fault);
    json_array_foreach (json_object_get(root, "results"), i, one) {
        const char *status = json_string_value(json_object_get(one, "status"));
        if (json_is_true(json_object_get(one, "duplicate"))) r->repeated++;
        else if (strcmp(status, "success") == 0) r->applied++;
        else if (strcmp(status, "conflict") == 0) r->conflicts++;
        else {
            const char *message = json_string_value(json_object_get(one, "message")), *path = strchr(message, ']');
            complain(r, r->lines[i], path ? path + 1 + (path[1] == '.') : message); /* the line says where it is */
        }
    }
}

/* Runs a batch with a client's patience: at once, then after 1, 2, 4 and 8 seconds. */
static bool run_batch(replay *r, const strbuf *body)
{
    call *c = &r->call;
    rc code = RC_UNAVAILABLE;
    strbuf reply;
    for (int attempt = 0; attempt <= ATTEMPTS; attempt++) {
        if (attempt > 1) sleep(1u << (attempt - 2));
        reply = STRBUF(c->a);
        c->message = NULL;
        c->committing = false;
        code = db_ready(c->db);
        if (code == RC_OK) code = batch_run(c, body->data, body->len, &reply);
        if (code == RC_OK) break;
        if (!rc_info(code)->retryable) break;
    }
    if (code == RC_OK) count_results(r, &reply);
    else cmd_call_failed(c, code);
    return code == RC_OK;
}

static bool run(replay *r)
{
    char *text = NULL;
    size_t room = 0;
    bool ok = true, more = true;
    while (ok && more) {
        long count = 0;
        strbuf body = STRBUF(r->call.a);
        strbuf_putc(&body, '{');
        json_write_member(&body, "deviceId", r->device);
        json_write_name(&body, "operations");
        strbuf_putc(&body, '[');
        while (count < r->batch && body.len < (size_t)r->call.conf->body / 2) {
            ssize_t len = getline(&text, &room, r->in);
            if ((more = len >= 0) == false) break;
            r->line++;
            r->bytes += len;
            while (len > 0 && strchr(" \t\r\n", text[len - 1])) len--;
            if (len > 0) count += add_line(r, text, (size_t)len, count, &body);
        }
        strbuf_puts(&body, "]}");
        if (count > 0) ok = run_batch(r, &body);
        arena_reset(r->call.a);
        show(r, false);
    }
    free(text);
    return ok;
}

static int replay_file(replay *r)
{
    r->lines = calloc((size_t)r->batch, sizeof *r->lines);
    if (!r->lines) abort();
    r->started_us = clock_monotonic_us();
    r->bar = isatty(STDERR_FILENO) || getenv("BOOKY_PROGRESS");
    if (r->in != stdin && fseek(r->in, 0, SEEK_END) == 0) {
        r->size = ftell(r->in);
        rewind(r->in);
    }
    bool ok = run(r);
    show(r, true);
    free(r->lines);
    double seconds = (double)(clock_monotonic_us() - r->started_us) / 1e6;
    printf("%ld lines: %lld applied, %lld known already, %lld in conflict, %lld failed; %.1f s, %.0f lines/s\n", r->line,
           r->applied, r->repeated, r->conflicts, r->failed, seconds, seconds > 0 ? (double)r->line / seconds : 0);
    if (!ok) fprintf(stderr, "booky-sync replay: stopped before the end; run it again to go on\n");
    return ok && r->failed == 0 ? CMD_OK : CMD_FAILED;
}

int cmd_replay(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"user", required_argument, NULL, 'u'},
        {"as", required_argument, NULL, 'a'},     {"batch", required_argument, NULL, 'b'},
        {"device", required_argument, NULL, 'd'}, {"help", no_argument, NULL, 'h'},
        {0}};
    static conf c; /* its strings live until the process ends */
    const char *path = NULL, *user = NULL, *as = NULL;
    replay r = {.batch = BATCH_DEFAULT, .device = "replay"};
    for (int option; (option = getopt_long(argc, argv, "c:u:a:b:d:h", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        else if (option == 'c') path = optarg;
        else if (option == 'u') user = optarg;
        else if (option == 'a') as = optarg;
        else if (option == 'b') r.batch = atol(optarg);
        else if (option == 'd') r.device = optarg;
        else return CMD_USAGE;
    }
    r.as = as ? kind_find(as) : NULL;
    if (as && !r.as) return fprintf(stderr, "booky-sync replay: --as: %s is no entity kind\n", as), CMD_USAGE;
    if (r.batch < 1 || r.batch > BATCH_MAX)
        return fprintf(stderr, "booky-sync replay: --batch: must be 1 to %d\n", BATCH_MAX), CMD_USAGE;
    if (!user || argc - optind != 1) return fputs(help, stderr), CMD_USAGE;
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    r.file = argv[optind];
    r.in = strcmp(r.file, "-") == 0 ? stdin : fopen(r.file, "re");
    if (!r.in) return fprintf(stderr, "booky-sync replay: %s: %s\n", r.file, strerror(errno)), CMD_FAILED;
    int code = CMD_FAILED;
    if (cmd_call_begin(&r.call, &c, user)) {
        code = replay_file(&r);
        cmd_call_end(&r.call);
    }
    if (r.in != stdin) fclose(r.in);
    return code;
}
