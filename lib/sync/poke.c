#include "sync/poke.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/cursor.h"

/* FNV-1a, of 64 bits: two devices of one user that share a hash would miss each other's pokes, and nothing else. */
uint64_t poke_device(const char *id)
{
    uint64_t hash = 14695981039346656037u;
    if (!id) return 0;
    for (; *id; id++) hash = (hash ^ (unsigned char)*id) * 1099511628211u;
    return hash ? hash : 1;
}

const char *poke_write(arena *a, const char *user, const char *cursor, uint64_t device)
{
    return arena_printf(a, "%s %s %016" PRIx64, cursor_wrap(a, user), cursor, device);
}

static bool is_word(const char *s)
{
    return *s && s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
}

/* Splits `text` at its blanks into exactly `count` words in the alphabet of base64url. */
static bool split_words(arena *a, const char *text, size_t len, char **words, size_t count)
{
    char *rest = arena_strndup(a, text, len);
    if (strlen(rest) != len) return false;
    for (size_t i = 0; i < count; i++)
        if (!(words[i] = strsep(&rest, " ")) || !is_word(words[i])) return false;
    return rest == NULL;
}

static bool read_words(arena *a, char *const *words, poke *out)
{
    position p;
    if (!position_read(a, words[1], &p)) return false;
    if (strlen(words[2]) != 16 || strspn(words[2], "0123456789abcdef") != 16) return false;
    *out = (poke){words[0], words[1], p.epoch, p.stamp, strtoull(words[2], NULL, 16)};
    return true;
}

bool poke_read(arena *a, const char *text, size_t len, poke *out)
{
    char *words[3];
    return split_words(a, text, len, words, 3) && read_words(a, words, out);
}

const char *ticket_write(arena *a, const char *poke, int64_t expires, const char *last)
{
    /* Only the cursor at the end of a pull can be the newest one. Any other text counts as nothing sent: the client
     * gets a poke at once. */
    position p;
    bool known = last && position_read(a, last, &p) && *p.kind == '\0';
    return arena_printf(a, "%s %" PRId64 " %s", poke, expires, known ? last : "-");
}

bool ticket_read(arena *a, const char *text, size_t len, ticket *out)
{
    char *words[5];
    int end = 0;
    if (!split_words(a, text, len, words, 5) || !read_words(a, words, &out->at)) return false;
    out->last = words[4];
    return sscanf(words[3], "%" SCNd64 "%n", &out->expires, &end) == 1 && words[3][end] == '\0';
}

bool poke_send(const char *path, const char *text)
{
    static int fd = -1; /* made once per process; the reader may come and go */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!*path || strlen(path) >= sizeof address.sun_path) return false;
    strcpy(address.sun_path, path);
    if (fd < 0) fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && sendto(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&address,
                             sizeof address) >= 0;
}
