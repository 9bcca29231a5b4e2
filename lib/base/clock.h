/* Time. Inside the program, every instant is an int64_t in milliseconds since 1970-01-01T00:00:00Z. */
#ifndef BOOKY_CLOCK_H
#define BOOKY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_TEXT = 25 }; /* "2024-01-15T10:30:00.000Z" and its NUL */

/* The first and the last instant that RFC 3339 can express: years 0000 to 9999. */
#define CLOCK_MIN INT64_C(-62167219200000)
#define CLOCK_MAX INT64_C(253402300799999)

#define CLOCK_DAY INT64_C(86400000) /* milliseconds */

/* The system's wall clock. */
int64_t clock_now(void);

/* A clock that never jumps, for durations: microseconds since an arbitrary start. */
int64_t clock_monotonic_us(void);

/* Reads an RFC 3339 instant with any offset, with or without fractions (digits beyond milliseconds are ignored). A
 * second of 60 must be a leap second, 23:59:60 UTC, and is read as the next one. Returns false, and does not change
 * *ms, when `text` is anything else. */
bool clock_parse(const char *text, int64_t *ms);

/* Reads a date, 2024-01-15, as its begin in UTC. Returns false, and does not change *ms, when `text` is anything else.
 */
bool clock_parse_date(const char *text, int64_t *ms);

/* Writes `ms` as UTC with milliseconds into `out`, and returns `out`. Values outside the bounds are clamped. */
char *clock_format(int64_t ms, char out[CLOCK_TEXT]);

#endif
