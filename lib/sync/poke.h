/*
 * Pokes: notifications that a user's data has changed. They go from the worker that committed to the process that holds
 * the open streams (`booky-sync push`), and from there to other hosts. One line of text:
 *
 *     USER CURSOR DEVICE            a poke, a datagram of its own or a line of a NOTIFY
 *     USER CURSOR DEVICE EXPIRES LAST          a ticket, which a worker grants to a client that may open a stream
 *
 * USER is the user in base64url, so that any text fits into a header or a payload. CURSOR is a cursor as /changes
 * returns it. Devices are only compared, so DEVICE is a hash of 16 hexadecimal digits; all 0: not known. A poke carries
 * no data: a lost poke costs time, never an edit. It is sent without waiting, and dropped when nobody reads it.
 */
#ifndef BOOKY_POKE_H
#define BOOKY_POKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

enum { POKE_MAX = 1024 }; /* bytes of a poke: a user of 255 bytes is 340, a cursor below 100 */

typedef struct poke {
    const char *user; /* in base64url */
    const char *cursor;
    int64_t epoch, stamp; /* of the cursor, to tell which of two is newer */
    uint64_t device;      /* of the writer; 0: not known */
} poke;

typedef struct ticket {
    poke at;          /* the user, the present cursor, and the device that asks */
    int64_t expires;  /* seconds since 1970 */
    const char *last; /* the last cursor that the client has seen; "-": it did not say */
} ticket;

/* The hash of a device id: never 0, unless `id` is NULL. */
uint64_t poke_device(const char *id);

/* A poke as text, in the arena. */
const char *poke_write(arena *a, const char *user, const char *cursor, uint64_t device);

/* Reads the text of poke_write; the strings live in the arena. False: the text is no poke. */
bool poke_read(arena *a, const char *text, size_t len, poke *out);

/* `last`: as the client sent it, or NULL. */
const char *ticket_write(arena *a, const char *poke, int64_t expires, const char *last);
bool ticket_read(arena *a, const char *text, size_t len, ticket *out);

/* Sends a poke to the datagram socket at `path`. Never waits; false when nobody reads there or its queue is full. */
bool poke_send(const char *path, const char *text);

#endif
