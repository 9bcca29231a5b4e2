/* Simulates a full disk for PostgreSQL without root: a library that is preloaded into its processes. While the file
 * named by FULL_DISK exists, a write to a file whose path contains the text in it fails with ENOSPC, as on a full file
 * system. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static bool is_full(int fd)
{
    char link[64], path[4096] = "", text[256] = "";
    const char *name = getenv("FULL_DISK");
    int saved = errno, flag = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    errno = saved;
    if (flag < 0) return false;
    ssize_t len = read(flag, text, sizeof text - 1);
    close(flag);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (len <= 0 || readlink(link, path, sizeof path - 1) < 0) return false;
    return strstr(path, text) != NULL;
}

/* PostgreSQL calls the large-file variants of these, which are the same functions on 64-bit systems. */
#define WRITER(name, types, arguments)                                                                                 \
    ssize_t name types                                                                                                 \
    {                                                                                                                  \
        ssize_t(*real) types = (ssize_t(*) types)dlsym(RTLD_NEXT, #name);                                              \
        if (!is_full(fd)) return real arguments;                                                                       \
        errno = ENOSPC;                                                                                                \
        return -1;                                                                                                     \
    }
WRITER(pwrite, (int fd, const void *bytes, size_t len, off_t at), (fd, bytes, len, at))
WRITER(pwrite64, (int fd, const void *bytes, size_t len, off_t at), (fd, bytes, len, at))
WRITER(pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
WRITER(pwritev64, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))

/* These return the error instead of setting errno. */
#define ALLOCATOR(name)                                                                                                \
    int name(int fd, off_t at, off_t len)                                                                              \
    {                                                                                                                  \
        int (*real)(int, off_t, off_t) = (int (*)(int, off_t, off_t))dlsym(RTLD_NEXT, #name);                          \
        return is_full(fd) ? ENOSPC : real(fd, at, len);                                                               \
    }
ALLOCATOR(posix_fallocate)
ALLOCATOR(posix_fallocate64)
