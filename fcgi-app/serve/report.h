/* The reporter: one process that answers for the pool on the status socket, also while all workers are busy. */
#ifndef BOOKY_REPORT_H
#define BOOKY_REPORT_H

#include "base/conf.h"
#include "serve/board.h"
#include "serve/listen.h"

/* Serves /ping, /pool (text; ?json, ?full) and /metrics until told to stop. Returns the exit code of the process. */
int report_run(const conf *c, const listeners *l, board *b);

#endif
