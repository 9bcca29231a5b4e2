/* The reporter: one process that answers for the pool on the status socket, so that a busy pool can still be asked. */
#ifndef BOOKY_REPORT_H
#define BOOKY_REPORT_H

#include "board.h"
#include "conf.h"
#include "listen.h"

/* Serves /ping, /pool (text; ?json, ?full) and /metrics until told to stop. Returns the exit code of the process. */
int report_run(const conf *c, const listeners *l, board *b);

#endif
