/*
 * The three published alerts without Prometheus: a process that looks at the counters of this host and at the totals of
 * the database, and calls alerts.command when an alert begins and when it ends. The thresholds are those of
 * monitoring/booky-sync.rules.yml.
 */
#ifndef BOOKY_ALERTS_H
#define BOOKY_ALERTS_H

#include <sys/types.h>

#include "base/conf.h"
#include "serve/board.h"

/* Starts the process; it ends with the calling one. 0: alerts.command is empty, or the process cannot be started. */
pid_t alerts_start(const conf *c, const board *b);
void alerts_stop(pid_t pid);

#endif
