#include "push_peers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "db.h"
#include "log.h"
#include "poke.h"

/* A payload must be shorter than 8,000 bytes. The pokes that wait fill at most 1 MiB: what 10,000 writes leave. */
enum { EVERY_MS = 50, PAYLOAD_MAX = 7999, WAITING_MAX = 1 << 20, RETRY_FIRST_MS = 100, RETRY_MAX_MS = 1000 };

typedef struct peers {
    const conf *conf;
    peers_counts *counts;
    int fd;
    PGconn *conn;
    char *waiting; /* lines */
    size_t waiting_len;
    int64_t send_at_us; /* 0: nothing waits */
    int64_t retry_ms;
} peers;

/* The log is the main thread's. */
static void report(const peers *p, log_level level, const char *message)
{
    char text[POKE_MAX];
    int len = snprintf(text, sizeof text, "%c%d%.*s", PEERS_REPORT, (int)level, (int)strcspn(message, "\n"), message);
    size_t whole = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    send(p->fd, text, whole, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool listens(PGconn *conn, const char *channel)
{
    static const char set[] = "SET application_name TO 'booky-sync push'; LISTEN ";
    char *name = PQescapeIdentifier(conn, channel, strlen(channel));
    char *sql = name ? malloc(strlen(name) + sizeof set) : NULL;
    if (sql) strcat(strcpy(sql, set), name);
    PGresult *r = sql ? PQexec(conn, sql) : NULL;
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    PQfreemem(name);
    free(sql);
    return ok;
}

static void lose(peers *p, const char *fault)
{
    int64_t up = atomic_exchange(&p->counts->up, 0);
    if (up || p->retry_ms == RETRY_FIRST_MS) report(p, LOG_LEVEL_WARN, fault);
    PQfinish(p->conn);
    p->conn = NULL;
    p->waiting_len = 0; /* they would be late, and whoever could not listen meanwhile asks anyway */
    p->send_at_us = 0;
}

/* What the server says beside its answers; libpq would write it to standard error. */
static void drop_notice(void *context, const char *message)
{
    (void)context, (void)message;
}

static void connect_once(peers *p)
{
    char fault[512] = "";
    const char *dsn = *p->conf->push_dsn ? p->conf->push_dsn : p->conf->dsn;
    p->conn = db_connect(dsn, p->conf->password_file, "", fault, sizeof fault);
    if (p->conn) PQsetNoticeProcessor(p->conn, drop_notice, NULL);
    if (p->conn && listens(p->conn, p->conf->push_channel)) {
        atomic_store(&p->counts->up, 1);
        p->retry_ms = RETRY_FIRST_MS;
        report(p, LOG_LEVEL_INFO, "telling and hearing other hosts");
        return;
    }
    lose(p, p->conn ? PQerrorMessage(p->conn) : fault);
    p->retry_ms = p->retry_ms * 2 < RETRY_MAX_MS ? p->retry_ms * 2 : RETRY_MAX_MS;
}

/* From the other hosts */

static void hear(peers *p)
{
    if (!PQconsumeInput(p->conn)) {
        lose(p, PQerrorMessage(p->conn));
        return;
    }
    for (PGnotify *n; (n = PQnotifies(p->conn)); PQfreemem(n)) {
        if (n->be_pid == PQbackendPID(p->conn)) continue; /* our own */
        for (const char *line = n->extra; *line; line += strcspn(line, "\n"), line += *line == '\n')
            send(p->fd, line, strcspn(line, "\n"), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

/* To the other hosts */

/* How much of `text` fits into a payload, in whole lines. */
static size_t payload_of(const char *text, size_t len)
{
    if (len <= PAYLOAD_MAX) return len;
    const char *end = memrchr(text, '\n', PAYLOAD_MAX);
    return end ? (size_t)(end - text) + 1 : 0;
}

static void tell(peers *p)
{
    char payload[PAYLOAD_MAX + 1];
    for (size_t at = 0, len; at < p->waiting_len; at += len) {
        len = payload_of(p->waiting + at, p->waiting_len - at);
        if (len == 0) break;
        memcpy(payload, p->waiting + at, len);
        payload[len] = '\0';
        PGresult *r = PQexecParams(p->conn, "SELECT pg_notify($1, $2)", 2, NULL,
                                   (const char *const[]){p->conf->push_channel, payload}, NULL, NULL, 0);
        bool ok = PQresultStatus(r) == PGRES_TUPLES_OK;
        PQclear(r);
        atomic_fetch_add(ok ? &p->counts->notified : &p->counts->failed, 1);
        if (ok) continue;
        lose(p, PQerrorMessage(p->conn));
        return;
    }
    p->waiting_len = 0;
    p->send_at_us = 0;
    hear(p); /* what came in between is in libpq's buffer, where poll does not see it */
}

/* Returns false when the other end was closed. */
static bool collect(peers *p)
{
    for (;;) {
        char line[POKE_MAX];
        ssize_t n = recv(p->fd, line, sizeof line - 1, MSG_DONTWAIT);
        if (n == 0) return false;
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        line[n++] = '\n';
        if (!p->conn || p->waiting_len + (size_t)n > WAITING_MAX) continue;
        memcpy(p->waiting + p->waiting_len, line, (size_t)n);
        p->waiting_len += (size_t)n;
        if (p->send_at_us == 0) p->send_at_us = clock_monotonic_us() + EVERY_MS * 1000;
    }
}

static void *run(void *context)
{
    peers *p = context;
    for (int64_t retry_at = 0;;) {
        int64_t now = clock_monotonic_us();
        if (!p->conn && now >= retry_at) {
            connect_once(p);
            now = clock_monotonic_us();
            retry_at = now + p->retry_ms * 1000;
        }
        int64_t until = !p->conn ? retry_at : p->send_at_us;
        int wait = until == 0 ? -1 : until > now ? (int)((until - now + 999) / 1000) : 0;
        struct pollfd fds[] = {{.fd = p->fd, .events = POLLIN},
                               {.fd = p->conn ? PQsocket(p->conn) : -1, .events = POLLIN}};
        if (poll(fds, 2, wait) < 0) continue;
        if (fds[0].revents && !collect(p)) break;
        if (p->conn && fds[1].revents) hear(p);
        if (p->conn && p->send_at_us && clock_monotonic_us() >= p->send_at_us) tell(p);
    }
    PQfinish(p->conn);
    close(p->fd);
    free(p->waiting);
    free(p);
    return NULL;
}

int peers_start(const conf *c, peers_counts *counts)
{
    int pair[2];
    sigset_t all, before;
    pthread_t thread;
    peers *p = calloc(1, sizeof *p);
    if (!p) return -1;
    *p = (peers){.conf = c, .counts = counts, .waiting = malloc(WAITING_MAX), .retry_ms = RETRY_FIRST_MS};
    if (!p->waiting || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        free(p->waiting);
        free(p);
        return -1;
    }
    p->fd = pair[1];
    sigfillset(&all); /* signals are the main thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, run, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        pthread_detach(thread);
        return pair[0];
    }
    close(pair[0]);
    close(pair[1]);
    free(p->waiting);
    free(p);
    return -1;
}
