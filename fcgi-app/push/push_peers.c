#include "push/push_peers.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/db_connect.h"
#include "sync/poke.h"

enum {
    COLLECT_MS = 50,
    PAYLOAD_MAX = 7999,    /* PostgreSQL's limit for NOTIFY: shorter than 8,000 bytes */
    WAITING_MAX = 1 << 20, /* bytes of pokes that wait: about 10,000 writes */
    RETRY_FIRST_MS = 100,
    RETRY_MAX_MS = 1000
};

typedef struct peers {
    const conf *conf;
    peers_counts *counts;
    int fd;        /* to the main thread */
    PGconn *conn;  /* NULL: not connected */
    char *waiting; /* pokes to be sent, one per line */
    size_t waiting_len;
    int64_t send_at_us; /* when they are sent; 0: nothing waits */
    int64_t retry_ms;   /* until the next attempt to connect */
} peers;

/* Only the main thread writes to the log. */
static void send_log_message(const peers *p, log_level level, const char *message)
{
    char text[POKE_MAX];
    int len = snprintf(text, sizeof text, "%c%d%.*s", PEERS_REPORT, (int)level, (int)strcspn(message, "\n"), message);
    size_t used = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
    send(p->fd, text, used, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool listen_on(PGconn *conn, const char *channel)
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

static void disconnect(peers *p, const char *fault)
{
    int64_t up = atomic_exchange(&p->counts->up, 0);
    if (up || p->retry_ms == RETRY_FIRST_MS) send_log_message(p, LOG_LEVEL_WARN, fault);
    PQfinish(p->conn);
    p->conn = NULL;
    p->waiting_len = 0; /* too late to be useful; a client that could not listen meanwhile pulls anyway */
    p->send_at_us = 0;
}

/* libpq would write notices of the server to standard error. */
static void drop_notice(void *context, const char *message)
{
    (void)context, (void)message;
}

static void try_connect(peers *p)
{
    char fault[512] = "";
    const char *dsn = *p->conf->push_dsn ? p->conf->push_dsn : p->conf->dsn;
    p->conn = db_connect(dsn, p->conf->password_file, "", fault, sizeof fault);
    if (p->conn) PQsetNoticeProcessor(p->conn, drop_notice, NULL);
    if (p->conn && listen_on(p->conn, p->conf->push_channel)) {
        atomic_store(&p->counts->up, 1);
        p->retry_ms = RETRY_FIRST_MS;
        send_log_message(p, LOG_LEVEL_INFO, "connected, exchanging pokes with other hosts");
        return;
    }
    disconnect(p, p->conn ? PQerrorMessage(p->conn) : fault);
    p->retry_ms = p->retry_ms * 2 < RETRY_MAX_MS ? p->retry_ms * 2 : RETRY_MAX_MS;
}

/* From the other hosts */

static void receive_pokes(peers *p)
{
    if (!PQconsumeInput(p->conn)) {
        disconnect(p, PQerrorMessage(p->conn));
        return;
    }
    for (PGnotify *n; (n = PQnotifies(p->conn)); PQfreemem(n)) {
        if (n->be_pid == PQbackendPID(p->conn)) continue; /* sent by this process */
        for (const char *line = n->extra; *line; line += strcspn(line, "\n"), line += *line == '\n')
            send(p->fd, line, strcspn(line, "\n"), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

/* To the other hosts */

/* The number of bytes of `text` that fit into a payload as whole lines. */
static size_t payload_size(const char *text, size_t len)
{
    if (len <= PAYLOAD_MAX) return len;
    const char *end = memrchr(text, '\n', PAYLOAD_MAX);
    return end ? (size_t)(end - text) + 1 : 0;
}

static void send_waiting(peers *p)
{
    char payload[PAYLOAD_MAX + 1];
    for (size_t at = 0, len; at < p->waiting_len; at += len) {
        len = payload_size(p->waiting + at, p->waiting_len - at);
        if (len == 0) break;
        memcpy(payload, p->waiting + at, len);
        payload[len] = '\0';
        PGresult *r = PQexecParams(p->conn, "SELECT pg_notify($1, $2)", 2, NULL,
                                   (const char *const[]){p->conf->push_channel, payload}, NULL, NULL, 0);
        bool ok = PQresultStatus(r) == PGRES_TUPLES_OK;
        PQclear(r);
        atomic_fetch_add(ok ? &p->counts->notified : &p->counts->failed, 1);
        if (ok) continue;
        disconnect(p, PQerrorMessage(p->conn));
        return;
    }
    p->waiting_len = 0;
    p->send_at_us = 0;
    receive_pokes(p); /* those that arrived meanwhile are in libpq's buffer, where poll does not see them */
}

/* Reads pokes of this host from the main thread. Returns false when it has closed its end. */
static bool collect_pokes(peers *p)
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
        if (p->send_at_us == 0) p->send_at_us = clock_monotonic_us() + COLLECT_MS * 1000;
    }
}

static void *run_thread(void *context)
{
    peers *p = context;
    for (int64_t retry_at = 0;;) {
        int64_t now = clock_monotonic_us();
        if (!p->conn && now >= retry_at) {
            try_connect(p);
            now = clock_monotonic_us();
            retry_at = now + p->retry_ms * 1000;
        }
        int64_t wake_at = !p->conn ? retry_at : p->send_at_us;
        int wait_ms = wake_at == 0 ? -1 : wake_at > now ? (int)((wake_at - now + 999) / 1000) : 0;
        struct pollfd fds[] = {{.fd = p->fd, .events = POLLIN},
                               {.fd = p->conn ? PQsocket(p->conn) : -1, .events = POLLIN}};
        if (poll(fds, 2, wait_ms) < 0) continue;
        if (fds[0].revents && !collect_pokes(p)) break;
        if (p->conn && fds[1].revents) receive_pokes(p);
        if (p->conn && p->send_at_us && clock_monotonic_us() >= p->send_at_us) send_waiting(p);
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
    sigfillset(&all); /* only the main thread handles signals */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, run_thread, p) == 0;
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
