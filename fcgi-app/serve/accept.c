#include "serve/accept.h"

#include <errno.h>
#include <fcgiapp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "serve/board.h"

volatile sig_atomic_t accept_cancelled;
static volatile sig_atomic_t stopping;
static progress *volatile accepting; /* of a worker, while libfcgi accepts */

static void on_stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static void on_cancel(int signal)
{
    (void)signal;
    accept_cancelled = 1;
    /* libfcgi drops the connection that stalls and goes on to the next one without returning. That has its own time. */
    if (accepting) atomic_store(&accepting->request_started_us, clock_monotonic_us());
}

static void on_alarm(int signal)
{
    (void)signal; /* the call that waits returns with EINTR */
}

/* Installs handlers before FCGX_Init, which would install its own. They have no SA_RESTART, so a signal would interrupt
 * reading and truncate a body: all signals stay blocked except while the process waits for a connection. Only SIGUSR1
 * and, in the reporter, SIGALRM may interrupt: they end a request that takes too long, wherever it waits. */
static void prepare_signals(sigset_t *while_waiting)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < 6; i++)
        sigaddset(&blocked, (const int[]){SIGTERM, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU}[i]);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGQUIT, &(struct sigaction){.sa_handler = on_stop}, NULL);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_cancel}, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_DFL);
    *while_waiting = blocked;
    sigdelset(while_waiting, SIGTERM);
    sigdelset(while_waiting, SIGQUIT);
}

/* Looks at pending signals, too: epoll_pwait delivers one only while it waits, and under full load it never waits. */
bool accept_stopping(void)
{
    sigset_t pending;
    if (stopping || sigpending(&pending) != 0) return stopping;
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGQUIT) == 1;
}

/* The master cancels the requests of a worker that take too long. Nobody watches the reporter (it has no `p`), so it
 * limits itself: a timer interrupts reading and writing, again and again, until the request has ended. */
static void limit_time(const progress *p, bool on)
{
    const struct itimerval limit = {{.tv_sec = on ? ACCEPT_LIMIT_S : 0}, {.tv_sec = on ? ACCEPT_LIMIT_S : 0}};
    if (!p) setitimer(ITIMER_REAL, &limit, NULL);
}

/* libfcgi waits for the parameters of a request and reads them while it accepts, so the request begins before that. */
static int accept_request(FCGX_Request *fcgi, progress *p)
{
    if (p) {
        memset(p->request_id, 0, sizeof p->request_id);
        atomic_store(&p->request_started_us, clock_monotonic_us());
        atomic_store(&p->stage, 0);
    }
    accepting = p;
    int accepted = FCGX_Accept_r(fcgi);
    accepting = NULL;
    return accepted;
}

void accept_loop(int listen_fd, progress *p, bool (*handle)(FCGX_Request *fcgi, void *context), void *context)
{
    sigset_t while_waiting;
    FCGX_Request fcgi;
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE}; /* a connection wakes one process, not all */
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    prepare_signals(&while_waiting);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listen_fd, &event) != 0) return;
    if (FCGX_Init() != 0 || FCGX_InitRequest(&fcgi, listen_fd, 0) != 0) return;
    while (!accept_stopping()) {
        int ready = epoll_pwait(epoll, &event, 1, log_due(), &while_waiting);
        if (ready == 0) log_flush();
        if (ready <= 0 || stopping) continue;
        limit_time(p, true);
        int accepted = accept_request(&fcgi, p);
        bool none = accepted == -EAGAIN || accepted == -EWOULDBLOCK || accepted == -EINTR; /* another one was faster */
        bool go_on = none || (accepted == 0 && handle(&fcgi, context));
        limit_time(p, false);
        if (p) atomic_store(&p->stage, STAGE_IDLE);
        if (!go_on) break;
    }
    FCGX_Free(&fcgi, 1);
    close(epoll);
    log_flush();
}
