/*
 * A process of its own, because the command may take its time, and a child of the reporter, because the master has one
 * loop that must not wait.
 *
 * Rejected: a command that is called again and again while an alert lasts; that is for the one who is called to decide.
 */
#include "serve/alerts.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "serve/metrics.h"
#include "serve/totals.h"

enum {
    SAMPLES = 20,       /* of a window */
    COMMAND_MS = 30000, /* a command that runs longer is killed */
    COMMAND_POLL_MS = 50
};

typedef enum alert_id { ALERT_CONFLICTS, ALERT_FAILURES, ALERT_QUEUE, ALERTS } alert_id;

static const struct alert {
    const char *name, *severity, *summary, *runbook;
    double threshold;
    uint64_t least; /* events in the window, so that a single bad one is no alert */
} alerts[ALERTS] = {
    {"BookySyncConflictRateHigh", "warning", "more than 10 % of the operations meet a conflict",
     "operations.md#bookysyncconflictratehigh", 0.10, 10},
    {"BookySyncFailureRateHigh", "critical", "more than 5 % of the requests are answered with 5xx",
     "operations.md#bookysyncfailureratehigh", 0.05, 20},
    {"BookySyncQueueLarge", "warning", "more than 100 operations wait in the queue",
     "operations.md#bookysyncqueuelarge", 100, 0},
};

typedef struct watcher {
    const conf *conf;
    const board *board;
    totals_source *totals;
    metric_sums samples[SAMPLES + 1]; /* a ring: the last window */
    size_t taken;
    struct {
        int64_t since_us; /* the condition holds since then; 0: it does not hold */
        bool told;        /* the command knows that it is firing */
        int64_t began_ms;
    } state[ALERTS];
} watcher;

/* The value of an alert, or -1 if it is not known or there is too little to judge. */
static double value_of(const watcher *w, alert_id id)
{
    const metric_sums *now = &w->samples[(w->taken - 1) % (SAMPLES + 1)];
    const metric_sums *then = &w->samples[w->taken > SAMPLES ? w->taken % (SAMPLES + 1) : 0];
    uint64_t operations = now->operations - then->operations, requests = now->requests - then->requests;
    if (id == ALERT_QUEUE) return (double)totals_refresh(w->totals).queue_waiting;
    if (id == ALERT_CONFLICTS)
        return operations < alerts[id].least ? 0 : (double)(now->conflicts - then->conflicts) / (double)operations;
    return requests < alerts[id].least ? 0 : (double)(now->failures - then->failures) / (double)requests;
}

static const char *document(arena *a, const watcher *w, alert_id id, bool firing, double value)
{
    char host[256] = "";
    strbuf out = STRBUF(a);
    gethostname(host, sizeof host - 1);
    strbuf_putc(&out, '{');
    json_write_member(&out, "alert", alerts[id].name);
    json_write_member(&out, "state", firing ? "firing" : "resolved");
    json_write_member(&out, "severity", alerts[id].severity);
    json_write_member(&out, "summary", alerts[id].summary);
    json_write_raw(&out, "value", arena_printf(a, "%.4g", value));
    json_write_raw(&out, "threshold", arena_printf(a, "%g", alerts[id].threshold));
    json_write_instant(&out, "since", w->state[id].began_ms);
    json_write_instant(&out, "at", clock_now());
    json_write_member(&out, "host", host);
    json_write_member(&out, "runbook", alerts[id].runbook);
    strbuf_puts(&out, "}\n");
    return out.data;
}

static _Noreturn void run_command(const char *command, int input)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    if (dup2(input, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) _exit(127);
    close_range(STDERR_FILENO + 1, ~0U, 0);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

/* The exit status of the command; -1: it did not end in time, or could not be started. */
static int wait_for(pid_t pid)
{
    int status = 0;
    for (int ms = 0; ms < COMMAND_MS; ms += COMMAND_POLL_MS) {
        if (waitpid(pid, &status, WNOHANG) == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        usleep(COMMAND_POLL_MS * 1000);
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return -1;
}

/* Calls the command with `text`, which is shorter than the buffer of a pipe. */
static int call(const char *command, const char *text)
{
    int ends[2];
    size_t len = strlen(text);
    if (pipe(ends) != 0) return -1;
    bool written = write(ends[1], text, len) == (ssize_t)len;
    close(ends[1]);
    pid_t pid = written ? fork() : -1;
    if (pid == 0) run_command(command, ends[0]);
    close(ends[0]);
    return pid > 0 ? wait_for(pid) : -1;
}

/* A command that fails is called again at the next look. */
static void tell(watcher *w, alert_id id, bool firing, double value)
{
    arena *a = arena_new();
    int status = call(w->conf->alerts_command, document(a, w, id, firing, value));
    log_begin(status == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "alert");
    log_str("alert", alerts[id].name);
    log_str("state", firing ? "firing" : "resolved");
    if (status != 0)
        log_str("message", status < 0 ? "alerts.command did not end within 30 s, or was killed"
                                      : arena_printf(a, "alerts.command failed with exit status %d", status));
    log_end();
    if (status == 0) w->state[id].told = firing;
    arena_free(a);
}

static void look(watcher *w, int64_t window_us)
{
    int64_t now_us = clock_monotonic_us();
    metrics_sum(&w->board->counters, &w->samples[w->taken++ % (SAMPLES + 1)]);
    for (alert_id id = 0; id < ALERTS; id++) {
        double value = value_of(w, id);
        if (value < 0) continue;
        bool holds = value > alerts[id].threshold;
        if (holds && w->state[id].since_us == 0) {
            w->state[id].since_us = now_us;
            if (!w->state[id].told) w->state[id].began_ms = clock_now();
        }
        if (!holds) w->state[id].since_us = 0;
        bool due = holds && now_us - w->state[id].since_us >= window_us;
        if (due != w->state[id].told && (due || !holds)) tell(w, id, due, value);
    }
}

static _Noreturn void run(const conf *c, const board *b)
{
    int64_t window_us = c->alerts_window * 1000000;
    watcher w = {.conf = c, .board = b, .totals = totals_start(c)};
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        look(&w, window_us);
        usleep((useconds_t)(window_us / SAMPLES));
    }
}

pid_t alerts_start(const conf *c, const board *b)
{
    pid_t reporter = getpid();
    if (!*c->alerts_command) return 0;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != reporter) _exit(EXIT_FAILURE);
        close_range(STDERR_FILENO + 1, ~0U, 0); /* the reporter's listening socket */
        run(c, b);
    }
    if (pid < 0) log_event(LOG_LEVEL_ERROR, "alert", "cannot fork: %s", strerror(errno));
    return pid > 0 ? pid : 0;
}

void alerts_stop(pid_t pid)
{
    if (pid == 0) return;
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
}
