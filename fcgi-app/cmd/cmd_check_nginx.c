#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"

/* The limits that stand in nginx's files (nginx/booky-sync/) and must fit the settings. The site may be another one, so
 * a directive that is not there is no fault. */

enum { FILE_MAX = 1024 * 1024, KILL_AFTER_S = 5 /* of a request that was cancelled; members.c */ };

/* The value of nginx's "40s", "12m" or "3" in seconds, bytes or as it is; -1: it is something else. */
static long long read_value(const char *text, size_t len)
{
    char *end;
    long long value = strtoll(text, &end, 10);
    size_t used = (size_t)(end - text);
    if (used == 0 || used > len || value < 0) return -1;
    if (used == len || (*end == 's' && used + 1 == len)) return value;
    if (used + 1 != len) return -1;
    return *end == 'k' || *end == 'K' ? value * 1024 : *end == 'm' || *end == 'M' ? value * 1024 * 1024 : -1;
}

static void blank_comments(char *text)
{
    for (char *p = text; (p = strchr(p, '#'));)
        while (*p && *p != '\n') *p++ = ' ';
}

/* The least and the greatest value of the directive in the text: of its last argument. False: it has none. */
static bool find_values(const char *text, const char *directive, long long *least, long long *most)
{
    size_t len = strlen(directive);
    bool found = false;
    for (const char *p = text; (p = strstr(p, directive)); p += len) {
        bool word = (p == text || strchr(" \t\n;{}", p[-1])) && (p[len] == ' ' || p[len] == '\t');
        size_t rest = strcspn(p, ";");
        if (!word || p[rest] != ';') continue;
        while (strchr(" \t\n", p[rest - 1])) rest--;
        size_t start = rest;
        while (start > 0 && !strchr(" \t\n", p[start - 1])) start--;
        long long value = read_value(p + start, rest - start);
        if (value < 0) continue;
        if (!found || value < *least) *least = value;
        if (!found || value > *most) *most = value;
        found = true;
    }
    return found;
}

/* The text of a file without its comments; NULL: it cannot be read. */
static char *read_text(arena *a, const char *dir, const char *name, bool asked)
{
    const char *path = arena_printf(a, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    if (!f) {
        if (asked) warn("%s", path);
        return NULL;
    }
    char *text = arena_alloc(a, FILE_MAX + 1);
    text[fread(text, 1, FILE_MAX, f)] = '\0';
    fclose(f);
    blank_comments(text);
    return text;
}

bool cmd_check_nginx(const conf *settings, const char *dir, bool asked)
{
    arena *a = arena_new();
    long long least, most;
    bool ok = true;
    const char *burst = read_text(a, dir, "burst.conf", asked), *pass = read_text(a, dir, "fastcgi.conf", asked),
               *site = read_text(a, dir, "server.conf", asked);
    if (asked && (!burst || !pass || !site)) ok = false;
    if (burst && find_values(burst, "limit_conn", &least, &most) && most >= settings->workers) {
        warnx("pool.workers: %lld must be more than limit_conn in %s/burst.conf, which is %lld: one token could occupy "
              "all workers",
              (long long)settings->workers, dir, most);
        ok = false;
    }
    if (pass && settings->request_timeout > 0 && find_values(pass, "fastcgi_read_timeout", &least, &most) &&
        least <= settings->request_timeout + KILL_AFTER_S) {
        warnx("pool.request_timeout: %lld s and %d s more must be less than fastcgi_read_timeout in %s/fastcgi.conf, "
              "which is %lld s",
              (long long)settings->request_timeout, KILL_AFTER_S, dir, least);
        ok = false;
    }
    /* The largest value is that of a full sync. 0 is no limit. */
    if (site && find_values(site, "client_max_body_size", &least, &most) && most < settings->full_body) {
        warnx("limits.full_body: %lld bytes must be at most client_max_body_size in %s/server.conf, which is %lld",
              (long long)settings->full_body, dir, most);
        ok = false;
    }
    arena_free(a);
    return ok;
}
