#include "sync/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

enum { EPOCH_TEXT = 17 }; /* a blank and 16 hexadecimal digits */
enum { LINE_SIZE = CLOCK_TEXT + JOURNAL_EPOCHS * EPOCH_TEXT + 2 };

/* A new file is on the disk only once its folder is. */
static bool sync_folder(const char *path)
{
    char *copy = strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    free(copy);
    return ok;
}

/* Writes with the lock held. A part of a line is removed again. */
static bool append(int fd, const char *path, const char *text, size_t len)
{
    struct stat before;
    if (fstat(fd, &before) != 0) return false;
    ssize_t written = write(fd, text, len);
    if (written == (ssize_t)len && fdatasync(fd) == 0 && (before.st_size > 0 || sync_folder(path))) return true;
    int fault = written >= 0 && written < (ssize_t)len ? ENOSPC : errno;
    if (ftruncate(fd, before.st_size) != 0) fault = errno;
    errno = fault;
    return false;
}

bool journal_append(const char *path, const journal_line *line)
{
    char text[LINE_SIZE];
    clock_format(line->at, text);
    size_t len = strlen(text);
    for (size_t i = 0; i < line->count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, " %016" PRIx64, (uint64_t)line->epochs[i]);
    text[len++] = '\n';
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    bool ok = flock(fd, LOCK_EX) == 0 && append(fd, path, text, len);
    int fault = errno;
    close(fd);
    errno = fault;
    return ok;
}

bool journal_read(const char *text, journal_line *out)
{
    char at[CLOCK_TEXT];
    size_t len = strcspn(text, " \n");
    *out = (journal_line){0};
    if (len >= sizeof at) return false;
    memcpy(at, text, len);
    at[len] = '\0';
    if (!clock_parse(at, &out->at)) return false;
    for (text += len; *text == ' ' && out->count < JOURNAL_EPOCHS; text += EPOCH_TEXT) {
        if (strspn(text + 1, "0123456789abcdef") != EPOCH_TEXT - 1) return false;
        out->epochs[out->count++] = (int64_t)strtoull(text + 1, NULL, 16);
    }
    return out->count > 0 && strcmp(text, "\n") == 0;
}
