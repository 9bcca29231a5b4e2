#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

enum { LINE = 8192, STRING = 1024, TAIL = 2 /* "}\n" */, COLLECT = 16 * 1024 };

static const char *const level_names[] = {[LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARN] = "warn", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_DEBUG] = "debug"};

static log_level threshold = LOG_LEVEL_INFO;
static bool open_event, full;
static log_level level_of_event;

/* The open event is behind those that are collected. A write of its own for every request costs as much as a tenth of a small
 * pull: the workers share one file or journal, and wake its reader each time. */
static log_level at_once = LOG_LEVEL_DEBUG;
static char buffer[COLLECT + LINE];
static char *line = buffer;
static size_t used;
static int64_t oldest_us;

void log_set_level(log_level level)
{
    threshold = level;
}

void log_set_level_name(const char *name)
{
    for (size_t i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (level_names[i] && strcmp(level_names[i], name) == 0) threshold = (log_level)i;
}

/* Adds a whole piece or nothing, so that a cut event is still valid JSON. */
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
    size_t n = 0, cut = strnlen(s, STRING);
    while (cut > 0 && cut == STRING && ((unsigned char)s[cut] & 0xC0) == 0x80) cut--; /* not inside a character */
    for (size_t i = 0; i < cut; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') out[n++] = '\\', out[n++] = (char)c;
        else if (c < 0x20 || c == 0x7F) n += (size_t)sprintf(out + n, "\\u%04x", c);
        else out[n++] = (char)c;
    }
    return n;
}

void log_begin(log_level level, const char *event)
{
    open_event = level <= threshold;
    if (!open_event) return;
    char now[CLOCK_TEXT];
    full = false;
    level_of_event = level;
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
    (void)written; /* there is nowhere to report it to */
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
    at_once = level;
}

void log_end(void)
{
    if (!open_event) return;
    open_event = false;
    memcpy(line + used, "}\n", TAIL);
    if (line == buffer) oldest_us = clock_monotonic_us();
    line += used + TAIL;
    if (level_of_event <= at_once || line >= buffer + COLLECT || log_due() == 0) log_flush();
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
