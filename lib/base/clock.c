#include "base/clock.h"

#include <string.h>
#include <time.h>

int64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_monotonic_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Rejected: timegm, which expects a valid tm and
 * accepts 2023-02-29. */
static int64_t days_from_civil(int y, int m, int d)
{
    y -= m <= 2;
    int era = (y >= 0 ? y : y - 399) / 400;
    int yoe = y - era * 400;
    int doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return (int64_t)era * 146097 + doe - 719468;
}

static int days_in_month(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

/* Reads exactly `n` digits at *p; returns -1 when there are fewer. */
static int digits(const char **p, int n)
{
    int value = 0;
    for (; n > 0; n--, (*p)++) {
        if (**p < '0' || **p > '9') return -1;
        value = value * 10 + (**p - '0');
    }
    return value;
}

static bool literal(const char **p, char lower, char upper)
{
    if (**p != lower && **p != upper) return false;
    (*p)++;
    return true;
}

/* Reads a date at *p; *days counts from 1970-01-01. */
static bool date(const char **p, int64_t *days)
{
    int year, month, day;
    if ((year = digits(p, 4)) < 0 || !literal(p, '-', '-')) return false;
    if ((month = digits(p, 2)) < 1 || month > 12 || !literal(p, '-', '-')) return false;
    if ((day = digits(p, 2)) < 1 || day > days_in_month(year, month)) return false;
    *days = days_from_civil(year, month, day);
    return true;
}

bool clock_parse_date(const char *text, int64_t *ms)
{
    int64_t days;
    if (!date(&text, &days) || *text != '\0') return false;
    *ms = days * CLOCK_DAY;
    return true;
}

bool clock_parse(const char *text, int64_t *ms)
{
    const char *p = text;
    int hour, minute, second, milli = 0, offset = 0;
    int64_t days;
    if (!date(&p, &days) || !literal(&p, 't', 'T')) return false;
    if ((hour = digits(&p, 2)) < 0 || hour > 23 || !literal(&p, ':', ':')) return false;
    if ((minute = digits(&p, 2)) < 0 || minute > 59 || !literal(&p, ':', ':')) return false;
    if ((second = digits(&p, 2)) < 0 || second > 60) return false;
    if (literal(&p, '.', '.')) {
        int count = 0;
        for (; *p >= '0' && *p <= '9'; p++, count++)
            if (count < 3) milli = milli * 10 + (*p - '0');
        if (count == 0) return false;
        for (; count < 3; count++) milli *= 10;
    }
    if (!literal(&p, 'z', 'Z')) {
        int sign = *p == '+' ? 1 : *p == '-' ? -1 : 0, h, m;
        if (sign == 0) return false;
        p++;
        if ((h = digits(&p, 2)) < 0 || h > 23 || !literal(&p, ':', ':')) return false;
        if ((m = digits(&p, 2)) < 0 || m > 59) return false;
        offset = sign * (h * 60 + m);
    }
    if (*p != '\0') return false;
    int64_t result = days * CLOCK_DAY + ((int64_t)hour * 3600 + (minute - offset) * 60 + second) * 1000 + milli;
    if (second == 60 && (result - milli) % CLOCK_DAY != 0) return false; /* a leap second is the last one of a day */
    if (result < CLOCK_MIN || result > CLOCK_MAX) return false;
    *ms = result;
    return true;
}

/* Writes the last `n` decimal digits of `value` and the character `after`. Returns the end. */
static char *put_digits(char *out, int value, int n, char after)
{
    for (int i = n - 1; i >= 0; i--, value /= 10) out[i] = (char)('0' + value % 10);
    out[n] = after;
    return out + n + 1;
}

/* Rejected: snprintf, which is too slow for a pull with two instants for each entity. */
char *clock_format(int64_t ms, char out[CLOCK_TEXT])
{
    if (ms < CLOCK_MIN) ms = CLOCK_MIN;
    if (ms > CLOCK_MAX) ms = CLOCK_MAX;
    int64_t days = ms / CLOCK_DAY, rest = ms % CLOCK_DAY;
    if (rest < 0) rest += CLOCK_DAY, days--;
    /* The inverse of days_from_civil. */
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int doe = (int)(z - era * 146097);
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int mp = (5 * doy + 2) / 153, day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    int year = (int)(yoe + era * 400 + (month <= 2));
    int secs = (int)(rest / 1000);
    char *p = put_digits(out, year, 4, '-');
    p = put_digits(p, month, 2, '-');
    p = put_digits(p, day, 2, 'T');
    p = put_digits(p, secs / 3600, 2, ':');
    p = put_digits(p, secs / 60 % 60, 2, ':');
    p = put_digits(p, secs % 60, 2, '.');
    p = put_digits(p, (int)(rest % 1000), 3, 'Z');
    *p = '\0';
    return out;
}
