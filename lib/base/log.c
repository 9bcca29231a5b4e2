#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* All in bytes. COLLECT: a full buffer is written. */
enum { LINE = 8192, STRING = 1024, TAIL = 2 /* "}\n" */, COLLECT = 16 * 1024 };

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug"};

static log_level threshold = LOG_LEVEL_INFO;
static bool open_event, full; /* full: no more members fit into the event */
static log_level event_level;

/* The buffer has the collected events, then the open one. One write for every request would cost a tenth of a small
 * pull: the workers share one file or journal, and each write wakes its reader. */
static log_level immediate = LOG_LEVEL_DEBUG; /* events up to this level are written at once */
static char buffer[COLLECT + LINE];
static char *line = buffer; /* the open event */
static size_t used;         /* bytes of it */
static int64_t oldest_us;   /* when the oldest collected event ended */

void log_set_level(log_level level)
{
    threshold = level;
}

void log_set_level_name(const char *name)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (level_names[i] && strcmp(level_names[i], name) == 0) threshold = (log_level)i;
}

/* Adds a whole piece or nothing, so that a truncated event is still valid JSON. */
static void add(const char *piece, size_t len)
{
    if (full || used + len > LINE - TAIL) {
        full = true;
        return;
    }
    memcpy(line + used, piece, len);
    used += len;
}

static size_t escape(char *out, const char *s)
{
    size_t n = 0, len = strnlen(s, STRING);
    while (len > 0 && len == STRING && ((unsigned char)s[len] & 0xC0) == 0x80) len--; /* not inside a character */
    for (size_t i = 0, whole; i < len; i += whole ? whole : 1) {
        unsigned char c = (unsigned char)s[i];
        whole = utf8_length(s + i, len - i);
        if (whole == 0)
            n += (size_t)sprintf(out + n, "\\ufffd");
        else if (c == '"' || c == '\\')
            out[n++] = '\\', out[n++] = (char)c;
        else if (c < 0x20 || c == 0x7F)
            n += (size_t)sprintf(out + n, "\\u%04x", c);
        else
            memcpy(out + n, s + i, whole), n += whole;
    }
    return n;
}

void log_begin(log_level level, const char *event)
{
    open_event = level <= threshold;
    if (!open_event) return;
    char now[CLOCK_TEXT];
    full = false;
    event_level = level;
    used = (size_t)snprintf(line, LINE, "<%d>{\"ts\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"pid\":%d", (int)level,
                            clock_format(clock_now(), now), level_names[level], event, (int)getpid());
}

void log_str(const char *name, const char *value)
{
    if (!open_event || !value) return;
    char piece[STRING * 6 + 128];
    size_t n = (size_t)snprintf(piece, 96, ",\"%s\":\"", name);
    n += escape(piece + n, value);
    piece[n++] = '"';
    add(piece, n);
}

void log_personal(const char *name, const char *value)
{
    if (threshold >= LOG_LEVEL_DEBUG) log_str(name, value);
}

void log_int(const char *name, int64_t value)
{
    if (!open_event) return;
    char piece[128];
    add(piece, (size_t)snprintf(piece, sizeof piece, ",\"%s\":%lld", name, (long long)value));
}

void log_flush(void)
{
    ssize_t written = write(STDERR_FILENO, buffer, (size_t)(line - buffer));
    (void)written; /* an error cannot be reported */
    line = buffer;
}

int log_due(void)
{
    if (line == buffer) return -1;
    int64_t left = LOG_DELAY - (clock_monotonic_us() - oldest_us) / 1000;
    return left > 0 ? (int)left : 0;
}

void log_collect_above(log_level level)
{
    immediate = level;
}

void log_end(void)
{
    if (!open_event) return;
    open_event = false;
    memcpy(line + used, "}\n", TAIL);
    if (line == buffer) oldest_us = clock_monotonic_us();
    line += used + TAIL;
    if (event_level <= immediate || line >= buffer + COLLECT || log_due() == 0) log_flush();
}

void log_event(log_level level, const char *event, const char *fmt, ...)
{
    char text[STRING + 1];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    log_begin(level, event);
    log_str("message", text);
    log_end();
}
