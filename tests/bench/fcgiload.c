/*
 * Load for the pool without nginx: keeps a number of concurrent requests on its FastCGI socket, each over its own
 * connection, as nginx makes them, and checks every reply. Prints one line of JSON: counts, throughput and latencies of
 * the requests that began after the warm-up. Exits with 1 if a reply was not what its recipe expects.
 *
 * One process and poll(2) suffice: with at most a hundred connections, more elaborate designs make no measurable
 * difference.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "recipe.h"

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, RECORD_MAX = 65528, HEADER = 8, CONNECTIONS_MAX = 256 };

typedef struct slot {
    int fd; /* -1: idle */
    const recipe *what;
    strbuf out, in;  /* the request, and the received part of the reply */
    size_t sent, at; /* `at`: the offset of the first unread record */
    int64_t from_us;
} slot;

typedef struct load {
    struct sockaddr_un address;
    recipes recipes;
    long connections, limit; /* `limit`: the number of requests; 0: as many as there is time for */
    double seconds, warm;
    int64_t start_us, measure_us, end_us;
    unsigned long started;
    uint64_t requests, failures, bytes;
    uint32_t *us; /* latency of each request */
    size_t capacity;
    char fault[400]; /* the first failure */
} load;

static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

/* The request */

static void write_records(strbuf *out, int type, const char *bytes, size_t len)
{
    for (size_t at = 0, n; at < len; at += n) {
        n = len - at < RECORD_MAX ? len - at : RECORD_MAX;
        strbuf_add(out, (const char[]){1, (char)type, 0, 1, (char)(n >> 8), (char)n, 0, 0}, HEADER);
        strbuf_add(out, bytes + at, n);
    }
    strbuf_add(out, (const char[]){1, (char)type, 0, 1, 0, 0, 0, 0}, HEADER);
}

static void write_length(strbuf *out, size_t n)
{
    if (n < 128)
        strbuf_putc(out, (char)n);
    else
        strbuf_add(out, (const char[]){(char)(n >> 24 | 0x80), (char)(n >> 16), (char)(n >> 8), (char)n}, 4);
}

static void write_param(strbuf *out, const char *name, const char *value)
{
    write_length(out, strlen(name));
    write_length(out, strlen(value));
    strbuf_puts(out, name);
    strbuf_puts(out, value);
}

/* "If-None-Match: x" becomes HTTP_IF_NONE_MATCH. */
static void write_header(arena *a, strbuf *params, char *line)
{
    char *colon = strstr(line, ": ");
    if (!colon) return;
    *colon = '\0';
    for (char *c = line; *c; c++) *c = *c == '-' ? '_' : (*c >= 'a' && *c <= 'z') ? (char)(*c - 32) : *c;
    write_param(params, arena_printf(a, "HTTP_%s", line), colon + 2);
}

static void write_request(load *l, arena *a, slot *s)
{
    recipe_values values;
    strbuf target = STRBUF(a), header = STRBUF(a), body = STRBUF(a), params = STRBUF(a);
    s->what = recipe_draw(&l->recipes, &values);
    recipe_write(&l->recipes, s->what->target, &values, &target);
    recipe_write(&l->recipes, s->what->header, &values, &header);
    recipe_write(&l->recipes, s->what->body, &values, &body);
    write_param(&params, "REQUEST_METHOD", s->what->method);
    write_param(&params, "REQUEST_URI", target.data);
    write_param(&params, "HTTP_AUTHORIZATION", arena_printf(a, "Bearer %s", values.token));
    if (header.len > 0) write_header(a, &params, header.data);
    if (body.len > 0) {
        write_param(&params, "CONTENT_TYPE", "application/json");
        write_param(&params, "CONTENT_LENGTH", arena_printf(a, "%zu", body.len));
    }
    s->out.len = s->in.len = s->sent = s->at = 0;
    strbuf_add(&s->out, (const char[]){1, BEGIN, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0}, 2 * HEADER);
    write_records(&s->out, PARAMS, params.data, params.len);
    write_records(&s->out, STDIN, body.data, body.len);
    arena_reset(a);
}

/* The reply */

static int occurrences(const char *text, size_t len, const char *what)
{
    int count = 0;
    size_t size = strlen(what);
    for (const char *p = text, *end = text + len; (p = memmem(p, (size_t)(end - p), what, size)); p += size) count++;
    return count;
}

/* Whether the reply, without its record headers, is what its recipe expects. */
static bool reply_is_expected(const slot *s, const strbuf *reply)
{
    const char *body = memmem(reply->data, reply->len, "\r\n\r\n", 4), *status = strstr(reply->data, "Status: ");
    if (!body) return false;
    if ((status && status < body ? atoi(status + 8) : 200) != s->what->status) return false;
    body += 4;
    return s->what->count < 0 ||
           occurrences(body, reply->len - (size_t)(body - reply->data), s->what->expected) == s->what->count;
}

static void finish(load *l, arena *a, slot *s, const char *fault)
{
    strbuf reply = STRBUF(a);
    int64_t us = clock_monotonic_us() - s->from_us;
    close(s->fd);
    s->fd = -1;
    strbuf_puts(&reply, "");
    for (size_t at = 0; at + HEADER <= s->at;) {
        const unsigned char *head = (const unsigned char *)s->in.data + at;
        size_t len = (size_t)head[4] << 8 | head[5];
        if (head[1] == STDOUT) strbuf_add(&reply, (const char *)head + HEADER, len);
        at += HEADER + len + head[6];
    }
    if (fault || !reply_is_expected(s, &reply)) {
        if (l->failures++ == 0)
            snprintf(l->fault, sizeof l->fault, "%s: %s", fault ? fault : "not as expected", reply.data);
    } else if (s->from_us >= l->measure_us) {
        if (l->requests == l->capacity) {
            l->capacity = l->capacity ? l->capacity * 2 : 65536;
            l->us = realloc(l->us, l->capacity * sizeof *l->us);
            if (!l->us) abort();
        }
        l->us[l->requests++] = (uint32_t)us;
        l->bytes += reply.len;
    }
    arena_reset(a);
}

/* Reads the received records; true when the last one has arrived. */
static bool reply_is_complete(slot *s)
{
    while (s->in.len - s->at >= HEADER) {
        const unsigned char *head = (const unsigned char *)s->in.data + s->at;
        size_t size = HEADER + ((size_t)head[4] << 8 | head[5]) + head[6];
        if (s->in.len - s->at < size) return false;
        s->at += size;
        if (head[1] == END) return true;
    }
    return false;
}

/* The loop */

static void start(load *l, arena *a, slot *s)
{
    write_request(l, a, s);
    s->from_us = clock_monotonic_us();
    l->started++;
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0) die("socket: %s", strerror(errno));
    if (connect(s->fd, (struct sockaddr *)&l->address, sizeof l->address) != 0)
        die("%s: %s", l->address.sun_path, strerror(errno));
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
}

static void proceed(load *l, arena *a, slot *s)
{
    char piece[64 * 1024];
    ssize_t n;
    while (s->sent < s->out.len && (n = send(s->fd, s->out.data + s->sent, s->out.len - s->sent, MSG_NOSIGNAL)) > 0)
        s->sent += (size_t)n;
    while ((n = recv(s->fd, piece, sizeof piece, 0)) > 0) strbuf_add(&s->in, piece, (size_t)n);
    if (reply_is_complete(s))
        finish(l, a, s, NULL);
    else if (n == 0)
        finish(l, a, s, "closed before the end of the reply");
    else if (errno != EAGAIN)
        finish(l, a, s, strerror(errno));
}

static bool more(const load *l)
{
    if (l->limit > 0) return l->started < (unsigned long)l->limit;
    return clock_monotonic_us() < l->end_us;
}

static void run(load *l)
{
    slot slots[CONNECTIONS_MAX];
    struct pollfd polled[CONNECTIONS_MAX];
    arena *scratch = arena_new(), *kept = arena_new();
    for (long i = 0; i < l->connections; i++) slots[i] = (slot){.fd = -1, .out = STRBUF(kept), .in = STRBUF(kept)};
    l->start_us = clock_monotonic_us();
    l->measure_us = l->start_us + (int64_t)(l->warm * 1e6);
    l->end_us = l->measure_us + (int64_t)(l->seconds * 1e6);
    for (bool busy = true; busy;) {
        busy = false;
        for (long i = 0; i < l->connections; i++) {
            slot *s = &slots[i];
            if (s->fd < 0 && more(l)) start(l, scratch, s);
            busy |= s->fd >= 0;
            polled[i] = (struct pollfd){s->fd, (short)(POLLIN | (s->fd >= 0 && s->sent < s->out.len ? POLLOUT : 0)), 0};
        }
        if (busy && poll(polled, (nfds_t)l->connections, 60000) == 0) die("no reply within a minute");
        for (long i = 0; i < l->connections; i++)
            if (slots[i].fd >= 0 && polled[i].revents) proceed(l, scratch, &slots[i]);
    }
    l->end_us = clock_monotonic_us();
    arena_free(scratch);
    arena_free(kept);
}

/* The result */

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void report(const load *l)
{
    double seconds = (double)(l->end_us - l->measure_us) / 1e6, sum = 0;
    for (size_t i = 0; i < l->requests; i++) sum += l->us[i];
    if (l->requests > 0) qsort(l->us, l->requests, sizeof *l->us, by_value);
    printf("{\"requests\":%llu,\"failures\":%llu,\"seconds\":%.3f", (unsigned long long)l->requests,
           (unsigned long long)l->failures, seconds);
    if (l->requests > 0)
        printf(",\"perSecond\":%.2f,\"mean\":%.4f,\"p50\":%.4f,\"p99\":%.4f,\"bytes\":%llu",
               (double)l->requests / seconds, sum / (double)l->requests / 1e3, l->us[l->requests / 2] / 1e3,
               l->us[l->requests * 99 / 100] / 1e3, (unsigned long long)l->bytes);
    puts("}");
    if (l->failures > 0)
        fprintf(stderr, "%llu requests failed. The first: %s\n", (unsigned long long)l->failures, l->fault);
}

int main(int argc, char **argv)
{
    load l = {.address.sun_family = AF_UNIX, .connections = 1, .seconds = 1};
    const char *requests = NULL, *tokens = NULL, *socket_path = NULL;
    long books = 1, victims = 1;
    for (int c; (c = getopt(argc, argv, "s:c:t:w:n:r:u:b:v:")) != -1;) {
        if (c == 's')
            socket_path = optarg;
        else if (c == 'c')
            l.connections = atol(optarg);
        else if (c == 't')
            l.seconds = atof(optarg);
        else if (c == 'w')
            l.warm = atof(optarg);
        else if (c == 'n')
            l.limit = atol(optarg);
        else if (c == 'r')
            requests = optarg;
        else if (c == 'u')
            tokens = optarg;
        else if (c == 'b')
            books = atol(optarg);
        else if (c == 'v')
            victims = atol(optarg);
        else
            requests = NULL, optind = argc;
    }
    if (!requests || !tokens || !socket_path || l.connections < 1 || l.connections > CONNECTIONS_MAX)
        die("usage: fcgiload -s SOCKET -r RECIPES -u TOKENS [-c CONNECTIONS] [-t SECONDS] [-w WARM-UP] [-n REQUESTS]\n"
            "       [-b BOOKS] [-v VICTIMS]");
    if (strlen(socket_path) >= sizeof l.address.sun_path) die("%s: too long for a socket", socket_path);
    strcpy(l.address.sun_path, socket_path);
    arena *a = arena_new();
    l.recipes = recipes_read(a, requests, tokens, books, victims);
    run(&l);
    report(&l);
    bool ok = l.failures == 0 && l.requests > 0;
    free(l.us);
    arena_free(a);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
