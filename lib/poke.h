/*
 * Pokes: the word that a user's data has moved on, from the worker that committed to the process that holds the open
 * streams (`booky-sync push`), and from there to other hosts. One line of text:
 *
 *     USER CURSOR DEVICE            a poke, a datagram of its own or a line of a NOTIFY
 *     USER CURSOR DEVICE EXPIRES LAST          a ticket: what a worker grants whoever may open a stream
 *
 * USER is the user in base64url, so that any text fits into a header or a payload, and CURSOR what /changes returns. A
 * device is only ever compared, so it travels as a hash of 16 hexadecimal digits, all 0 for none. A poke carries no
 * data and is only a doorbell: one that is lost costs time, never an edit. So it is sent without waiting, and dropped
 * where nobody listens.
 */
#ifndef BOOKY_POKE_H
#define BOOKY_POKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"

enum { POKE_MAX = 1024 }; /* bytes of a poke: a user of 255 bytes is 340, a cursor below 100 */

typedef struct poke {
    const char *user; /* in base64url */
    const char *cursor;
    int64_t epoch, stamp; /* what is in the cursor, to know which of two is newer */
    uint64_t device;      /* of the writer; 0: not known */
} poke;

typedef struct ticket {
    poke at;          /* the user, where the data stands, and the device that asks */
    int64_t expires;  /* seconds since 1970 */
    const char *last; /* the cursor up to which the client knows; "-": it did not say */
} ticket;

/* What stands for a device: never 0, unless `id` is NULL. */
uint64_t poke_device(const char *id);

/* A poke as text, in the arena. */
const char *poke_write(arena *a, const char *user, const char *cursor, uint64_t device);

/* Reads what poke_write wrote; the strings live in the arena. False: it is something else. */
bool poke_read(arena *a, const char *text, size_t len, poke *out);

/* `last` is what the client sent, or NULL. */
const char *ticket_write(arena *a, const char *poke, int64_t expires, const char *last);
bool ticket_read(arena *a, const char *text, size_t len, ticket *out);

/* Hands a poke to whoever reads the datagram socket at `path`. Never waits; false when nobody took it. */
bool poke_send(const char *path, const char *text);

#endif
