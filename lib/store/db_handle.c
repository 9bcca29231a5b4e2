#include "store/db_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/db_connect.h"

static const db_manner primary = {"primary", "5", 100, 2000, 0}, replica = {"replica", "2", 1000, 30000, 3000};

static db *db_make(const conf *c, const db_manner *manner, const char *dsn)
{
    db *d = calloc(1, sizeof *d);
    if (!d) abort();
    d->conf = c;
    d->manner = manner;
    d->dsn = dsn;
    d->backoff_ms = manner->backoff_first_ms;
    d->pooled = strcmp(c->pooler, "transaction") == 0;
    d->distributed = conf_is_distributed(c);
    db_connect_identify(c, d->identify, sizeof d->identify);
    return d;
}

db *db_new(const conf *c)
{
    return db_make(c, &primary, c->dsn);
}

const conf *db_settings(const db *d)
{
    return d->conf;
}

db *db_new_replica(const conf *c)
{
    return *c->replica_dsn ? db_make(c, &replica, c->replica_dsn) : NULL;
}

void db_free(db *d)
{
    if (!d) return;
    db_drop(d);
    free(d);
}

void db_drop(db *d)
{
    if (d->conn) PQfinish(d->conn);
    PQclear(d->row);
    d->conn = NULL;
    d->row = NULL;
    d->lost = true;
    d->count = d->taken = 0;
    d->synced = d->streaming = d->oversize = false;
}

bool db_lost(const db *d)
{
    return d->lost;
}

void db_interrupt(db *d, const volatile sig_atomic_t *flag)
{
    d->interrupt = flag;
}

bool db_is_primary(const db *d)
{
    return d->manner == &primary;
}

bool db_refused(const db *d)
{
    return d->refused;
}

bool db_locked(const db *d)
{
    return d->locked;
}

bool db_is_distributed(const db *d)
{
    return d->distributed;
}

db_position *db_required(db *d)
{
    return &d->required;
}

const char *db_slowest(const db *d, int64_t *us)
{
    *us = d->slow.us;
    return *d->slow.statements ? d->slow.statements : NULL;
}

void db_slow_reset(db *d)
{
    d->slow = (db_slow){0};
}

uint64_t db_round_trips(const db *d)
{
    return d->round_trips;
}

uint64_t db_connects(const db *d)
{
    return d->connects;
}

rc db_ready(db *d)
{
    d->locked = false;
    if (d->conn && PQstatus(d->conn) == CONNECTION_OK) {
        d->lost = false;
        return RC_OK;
    }
    int64_t now = clock_monotonic_us();
    if (now < d->retry_at_us) return RC_UNAVAILABLE;
    db_drop(d);
    char fault[512] = "";
    d->conn = db_connect_worker(d->conf, d->dsn, d->manner->connect_timeout, d->pooled, fault, sizeof fault);
    if (d->conn) {
        if (d->backoff_ms > d->manner->backoff_first_ms)
            log_event(LOG_LEVEL_INFO, "database", "connected again to the %s", d->manner->name);
        d->connects++;
        d->backoff_ms = d->manner->backoff_first_ms;
        d->lost = false;
        return RC_OK;
    }
    db_drop(d);
    fault[strcspn(fault, "\n")] = ' ';
    if (d->manner == &primary)
        log_event(LOG_LEVEL_ERROR, "database", "cannot connect: %s", fault);
    else if (d->backoff_ms == d->manner->backoff_first_ms) /* logged once: no client notices */
        log_event(LOG_LEVEL_WARN, "database", "cannot connect to the replica, the primary answers: %s", fault);
    int64_t next = d->backoff_ms * 2, most = d->manner->backoff_max_ms;
    d->retry_at_us = clock_monotonic_us() + d->backoff_ms * 1000;
    d->backoff_ms = next < most ? next : most;
    return RC_UNAVAILABLE;
}

const char *db_column(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : PQgetvalue(r, row, column);
}

int64_t db_column_int(const PGresult *r, int row, int column, int64_t null)
{
    const char *text = db_column(r, row, column);
    return text ? strtoll(text, NULL, 10) : null;
}

bool db_column_bool(const PGresult *r, int row, int column)
{
    const char *text = db_column(r, row, column);
    return text && *text == 't';
}
