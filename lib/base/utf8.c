#include "base/utf8.h"

static bool between(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

size_t utf8_length(const char *s, size_t len)
{
    const unsigned char *u = (const unsigned char *)s;
    if (len == 0) return 0;
    if (u[0] < 0x80) return 1;
    size_t n = between(u[0], 0xC2, 0xDF) ? 2 : between(u[0], 0xE0, 0xEF) ? 3 : between(u[0], 0xF0, 0xF4) ? 4 : 0;
    if (n == 0 || len < n) return 0;
    unsigned char low = u[0] == 0xE0 ? 0xA0 : u[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char high = u[0] == 0xED ? 0x9F : u[0] == 0xF4 ? 0x8F : 0xBF;
    if (!between(u[1], low, high)) return 0;
    for (size_t i = 2; i < n; i++)
        if (!between(u[i], 0x80, 0xBF)) return 0;
    return n;
}

bool utf8_valid(const char *s, size_t len)
{
    while (len > 0) {
        size_t n = utf8_length(s, len);
        if (n == 0) return false;
        s += n;
        len -= n;
    }
    return true;
}
