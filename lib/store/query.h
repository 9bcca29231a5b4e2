/*
 * Statements in the name of one user outside of a write transaction, each form one round trip. All of them identify the
 * user for row-level security and check the server: a connection to the primary must not show a standby, which may be
 * old, and a connection to a replica must show the required clock (store/replica.h).
 */
#ifndef BOOKY_QUERY_H
#define BOOKY_QUERY_H

#include "store/db.h"

/* One statement. It is a transaction and a snapshot of its own, so it needs no transaction block, unless the database
 * is distributed. */
rc query_one(db *d, arena *a, const char *user, sql_id id, const db_param *params, PGresult **result);

/* Several statements in one snapshot. `result` of a step may be NULL. */
rc query_snapshot(db *d, arena *a, const char *user, const db_step *steps, size_t count);

#define QUERY_SNAPSHOT(d, a, user, ...) query_snapshot(d, a, user, DB_STEPS(__VA_ARGS__))

/* The same for results that are streamed: query_open, db_send for each statement, query_start, then db_take or
 * db_next_row for each statement. After query_open the caller must call db_finish in any case. */
typedef struct query {
    db *db;
    bool block; /* the statements stand in a transaction block */
} query;

/* `several`: more than one statement will follow. */
query query_open(db *d, const char *user, bool several);
rc query_start(const query *q, arena *a);

/* Sends the statement that names `user` to row-level security, and takes its result. Every transaction begins with it.
 */
void identify_send(db *d, const char *user);
rc identify_take(db *d, arena *a);

#endif
