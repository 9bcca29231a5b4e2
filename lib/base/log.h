/* JSON lines on standard error, one for each event. journald reads the <n> prefix as the priority. */
#ifndef BOOKY_LOG_H
#define BOOKY_LOG_H

#include <stdint.h>

typedef enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 } log_level;

/* Events of a level above `level` are dropped. */
void log_set_level(log_level level);

/* The same by name, as in the setting log.level: error, warn, info or debug. */
void log_set_level_name(const char *name);

/* Starts an event named `event`; the log_* calls that follow add members to it, log_end writes it.
 * Strings are escaped here and nowhere else; a byte that is not UTF-8 becomes U+FFFD. A string is truncated at 1,024
 * bytes, an event at 8 KiB. Not thread-safe.
 */
void log_begin(log_level level, const char *event);
void log_str(const char *name, const char *value);      /* NULL is left out */
void log_personal(const char *name, const char *value); /* possibly personal data: only at level debug */
void log_int(const char *name, int64_t value);
void log_end(void);

/* Writes one event with a printf-style `message`. */
void log_event(log_level level, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* From now on, events up to `level` are written at once. Events above it are collected, and written together when there
 * are 16 KiB of them, with the next event that is written at once, or by log_flush. */
void log_collect_above(log_level level);

/* Milliseconds after which log_flush should be called, at most LOG_DELAY; -1 when nothing is collected. */
enum { LOG_DELAY = 200 };
int log_due(void);

void log_flush(void);

#endif
