/*
 * A database that hangs must not delay the status pages. So a process of its own asks the database, and the reporter
 * waits for it only briefly.
 *
 * Rejected: a thread, because the log is not thread-safe; the asynchronous calls of libpq, because they resolve names
 * synchronously; a short statement_timeout, because the server has to be running to obey it.
 */
#include "serve/totals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/must.h"
#include "store/db.h"

enum { MAX_AGE_US = 10 * 1000000, WAIT_US = 700000, CHILD_FD = 3 };

static const totals unknown = {.queue_waiting = -1, .queue_review = -1, .conflicts_open = -1, .read_at = -1};

struct totals_source {
    const conf *conf;
    pid_t pid; /* 0: the process does not run */
    int fd;    /* the socket to it: one message for each question, two for each answer */
    int64_t asked_us;
    bool waiting; /* the answer is not complete */
    totals known;
};

/* First whether the database answers; then, which can take longer, the totals. */
typedef struct answer {
    totals totals; /* read_at = -1: they could not be read */
    bool complete;
} answer;

/* The process */

/* A connection that broke while idle does not mean that the database is down: tries again on a new one. */
static rc ask_database(db *d, arena *a, sql_id id, PGresult **row)
{
    rc code = RC_UNAVAILABLE;
    for (int attempt = 0; attempt < 2 && code != RC_OK && db_ready(d) == RC_OK; attempt++) {
        code = DB_RUN(d, a, {.id = id, .result = row});
        if (!db_lost(d)) break;
    }
    return code;
}

static void answer_question(db *d, arena *a, int fd)
{
    PGresult *row;
    answer reply = {.totals = unknown};
    totals *t = &reply.totals;
    t->db_up = ask_database(d, a, SQL_PING, &row) == RC_OK;
    send(fd, &reply, sizeof reply, MSG_NOSIGNAL);
    reply.complete = true;
    if (t->db_up && ask_database(d, a, SQL_TOTALS, &row) == RC_OK) {
        t->queue_waiting = db_column_int(row, 0, COL_TOTALS_WAITING, -1);
        t->queue_review = db_column_int(row, 0, COL_TOTALS_REVIEW, -1);
        t->conflicts_open = db_column_int(row, 0, COL_TOTALS_OPEN, -1);
        t->read_at = clock_now() / 1000;
    }
    send(fd, &reply, sizeof reply, MSG_NOSIGNAL);
}

static _Noreturn void run_child(const conf *c, int fd)
{
    char question;
    /* The rest belongs to the reporter: its listening socket, the connection that it may be serving. */
    if (dup2(fd, CHILD_FD) < 0 || close_range(CHILD_FD + 1, ~0U, 0) != 0) _exit(EXIT_FAILURE);
    db *d = db_new(c);
    arena *a = arena_new();
    db_ready(d); /* the first question need not wait for the connection */
    while (recv(CHILD_FD, &question, 1, 0) == 1) {
        answer_question(d, a, CHILD_FD);
        arena_reset(a);
    }
    _exit(EXIT_SUCCESS);
}

/* The reporter */

static void start_child(totals_source *s)
{
    int pair[2];
    pid_t reporter = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != reporter) _exit(EXIT_FAILURE);
        run_child(s->conf, pair[1]);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return;
    }
    s->pid = pid;
    s->fd = pair[0];
}

static void end_child(totals_source *s)
{
    if (!s->pid) return;
    close(s->fd);
    kill(s->pid, SIGKILL); /* it may wait for the database */
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) continue;
    s->pid = 0;
}

totals_source *totals_start(const conf *c)
{
    totals_source *s = must(calloc(1, sizeof *s));
    s->conf = c;
    s->known = unknown;
    start_child(s);
    return s;
}

void totals_stop(totals_source *s)
{
    end_child(s);
    free(s);
}

static void ask(totals_source *s)
{
    if (!s->pid) start_child(s);
    s->known.db_up = 0; /* until it answers */
    s->waiting = s->pid && send(s->fd, "?", 1, MSG_NOSIGNAL) == 1;
    if (!s->waiting) end_child(s);
}

/* Takes a message that has come. */
static void take(totals_source *s)
{
    answer reply;
    if (recv(s->fd, &reply, sizeof reply, 0) != (ssize_t)sizeof reply) {
        s->waiting = false;
        end_child(s);
        return;
    }
    s->waiting = !reply.complete;
    if (reply.totals.read_at < 0) /* the earlier totals stay, with their time */
        s->known.db_up = reply.totals.db_up;
    else
        s->known = reply.totals;
}

totals totals_refresh(totals_source *s)
{
    int64_t now = clock_monotonic_us();
    bool due = s->asked_us == 0 || now - s->asked_us >= MAX_AGE_US;
    if (due && !s->waiting) {
        s->asked_us = now;
        ask(s);
    }
    int64_t until_us = s->asked_us + WAIT_US;
    while (s->waiting) {
        int64_t left_us = until_us - clock_monotonic_us();
        struct pollfd p = {s->fd, POLLIN, 0};
        int ready = poll(&p, 1, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
        if (ready > 0) take(s);
        if (ready == 0) break;
    }
    if (due && s->waiting && s->asked_us != now) s->known.db_up = 0; /* it began to answer and then stopped */
    return s->known;
}
