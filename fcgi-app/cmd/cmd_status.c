#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cmd/cmd.h"

enum {
    WATCH_SECONDS = 2,
    TOTALS_ROUNDS = 10, /* --watch reads the totals of the database every so many rounds, because they are counted */
    UNIT_SIZE = 32
};

static const char totals_sql[] =
    "SELECT (SELECT max(version) FROM migrations) AS schema, (SELECT count(*) FROM clocks) AS users,"
    " (SELECT count(*) FROM entities WHERE status = 'live') AS entities, waiting AS queued, review, open AS conflicts"
    " FROM totals()";

static const char *get_text(const json_t *page, const char *name)
{
    const char *text = json_string_value(json_object_get(page, name));
    return text ? text : "";
}

static long long get_int(const json_t *page, const char *name)
{
    return json_integer_value(json_object_get(page, name));
}

/* "3 h 12 min": the two largest units. */
static const char *span(char out[UNIT_SIZE], long long s)
{
    if (s >= 86400)
        snprintf(out, UNIT_SIZE, "%lld d %lld h", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        snprintf(out, UNIT_SIZE, "%lld h %lld min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(out, UNIT_SIZE, "%lld min %lld s", s / 60, s % 60);
    else
        snprintf(out, UNIT_SIZE, "%lld s", s);
    return out;
}

static const char *duration(char out[UNIT_SIZE], long long us)
{
    if (us >= 1000000)
        snprintf(out, UNIT_SIZE, "%.1f s", (double)us / 1e6);
    else
        snprintf(out, UNIT_SIZE, "%.1f ms", (double)us / 1e3);
    return out;
}

/* The metric `name`, with its labels, or -1. */
static long long metric(const char *metrics, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = metrics; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, name, len) == 0 && line[len] == ' ') return atoll(line + len);
    return -1;
}

typedef struct push_state {
    long long sse, websocket, sent, hosts_up; /* hosts_up: -1 without other hosts */
} push_state;

static bool read_push(arena *a, const conf *settings, push_state *out)
{
    const char *page = cmd_push_page(a, settings, "/metrics", NULL);
    if (!page) return false;
    *out = (push_state){metric(page, "booky_sync_push_streams{protocol=\"sse\"}"),
                        metric(page, "booky_sync_push_streams{protocol=\"websocket\"}"),
                        metric(page, "booky_sync_push_pokes_sent_total"), metric(page, "booky_sync_push_hosts_up")};
    return true;
}

static void print_workers(const json_t *page)
{
    char up[UNIT_SIZE], took[UNIT_SIZE];
    size_t i;
    json_t *row;
    printf("\n%8s  %-8s  %-13s  %10s  %10s  %-18s  %s\n", "worker", "state", "up", "requests", "duration", "endpoint",
           "request id");
    json_array_foreach(json_object_get(page, "processes"), i, row)
    {
        printf("%8lld  %-8s  %-13s  %10lld  %10s  %-18s  %s\n", get_int(row, "pid"), get_text(row, "state"),
               span(up, get_int(row, "start since")), get_int(row, "requests"),
               duration(took, get_int(row, "request duration")), get_text(row, "endpoint"),
               get_text(row, "request id"));
    }
}

static void print_pool(const json_t *page, double rate)
{
    char up[UNIT_SIZE];
    if (!page) {
        puts("pool      does not answer");
        return;
    }
    printf("pool      %s, up %s; %lld requests, %lld of them slow", get_text(page, "process manager"),
           span(up, get_int(page, "start since")), get_int(page, "accepted conn"), get_int(page, "slow requests"));
    printf(isnan(rate) ? "\n" : "; %.1f requests/s\n", rate);
    printf("workers   %lld idle, %lld busy, %lld starting; at most %lld, which was reached %lld times\n",
           get_int(page, "idle processes"), get_int(page, "active processes"), get_int(page, "starting processes"),
           get_int(page, "max processes"), get_int(page, "max children reached"));
    printf("queue     %lld of %lld connections wait for a worker\n", get_int(page, "listen queue"),
           get_int(page, "listen queue len"));
}

static void print_push(const push_state *push)
{
    if (!push) {
        puts("push      does not answer");
        return;
    }
    printf("push      %lld streams (%lld Server-Sent Events, %lld WebSocket), %lld pokes sent", //
           push->sse + push->websocket, push->sse, push->websocket, push->sent);
    puts(push->hosts_up < 0 ? "" : push->hosts_up > 0 ? "; other hosts are heard" : "; other hosts are NOT heard");
}

static void print_totals(const PGresult *totals)
{
    if (!totals)
        puts("database  does not answer");
    else
        printf("database  schema %s; %s users, %s entities; queue: %s wait, %s of them for review; %s open conflicts\n",
               PQgetvalue(totals, 0, 0), PQgetvalue(totals, 0, 1), PQgetvalue(totals, 0, 2), PQgetvalue(totals, 0, 3),
               PQgetvalue(totals, 0, 4), PQgetvalue(totals, 0, 5));
}

static void print_json(const char *pool, const push_state *push, const PGresult *totals)
{
    printf("{\"pool\":%s,\"push\":", pool ? pool : "null");
    if (push)
        printf("{\"sse\":%lld,\"websocket\":%lld,\"pokesSent\":%lld,\"hostsHeard\":%s},\"database\":", push->sse,
               push->websocket, push->sent,
               push->hosts_up < 0   ? "null"
               : push->hosts_up > 0 ? "true"
                                    : "false");
    else
        fputs("null,\"database\":", stdout);
    if (totals)
        cmd_print_rows(totals, true);
    else
        fputs("null", stdout);
    puts("}");
}

/* Once. *last: when and how many requests, for the rate. */
typedef struct sample {
    struct timespec at;
    long long requests;
} sample;

static bool show(const conf *settings, bool json, const PGresult *totals, sample *last)
{
    arena *a = arena_new();
    json_fault fault;
    push_state push;
    sample now = {.requests = -1};
    double rate = NAN;
    const char *text = cmd_pool_page(a, settings, "/pool?json&full");
    bool pushes = read_push(a, settings, &push);
    const json_t *page = text && !json ? json_read(a, text, strlen(text), 8, &fault) : NULL;
    if (json) {
        print_json(text, pushes ? &push : NULL, totals);
    } else {
        clock_gettime(CLOCK_MONOTONIC, &now.at);
        if (page) now.requests = get_int(page, "accepted conn");
        double seconds = (double)(now.at.tv_sec - last->at.tv_sec) + (double)(now.at.tv_nsec - last->at.tv_nsec) / 1e9;
        if (last->requests >= 0 && now.requests >= last->requests && seconds > 0)
            rate = (double)(now.requests - last->requests) / seconds;
        print_pool(page, rate);
        print_push(pushes ? &push : NULL);
        print_totals(totals);
        if (page) print_workers(page);
        *last = now;
    }
    arena_free(a);
    return text && totals;
}

/* Until it is interrupted or nobody reads the output any more. */
static int watch(const conf *settings)
{
    PGresult *totals = NULL;
    sample last = {.requests = -1};
    bool terminal = isatty(STDOUT_FILENO);
    for (int round = 0; !ferror(stdout); round++) {
        if (round % TOTALS_ROUNDS == 0) {
            PQclear(totals);
            totals = cmd_query(settings, totals_sql, 0, NULL);
        }
        if (terminal) fputs("\033[H\033[2J", stdout);
        show(settings, false, totals, &last);
        if (!terminal) puts("");
        if (fflush(stdout) != 0) break;
        sleep(WATCH_SECONDS);
    }
    PQclear(totals);
    return CMD_OK;
}

int cmd_status(const cmdline *line, const conf *settings)
{
    bool json = cmdline_get(line, "json");
    sample last = {.requests = -1};
    if (cmdline_get(line, "watch") && json) return cmdline_refuse(line, "--watch prints no JSON; leave out --json");
    if (cmdline_get(line, "watch")) return watch(settings);
    PGresult *totals = cmd_query(settings, totals_sql, 0, NULL);
    bool ok = show(settings, json, totals, &last);
    PQclear(totals);
    return ok ? CMD_OK : CMD_FAILED;
}
