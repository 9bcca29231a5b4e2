#include "serve/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool fill_address(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) return false;
    strcpy(address->sun_path, path);
    return true;
}

/* A socket that systemd passes, or that is opened at the path of its setting. */
typedef struct socket_spec {
    const char *setting, *path;
    int type; /* SOCK_STREAM or SOCK_DGRAM */
    int *fd;  /* the result */
} socket_spec;

static bool is_served(const socket_spec *s, const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, s->type | SOCK_CLOEXEC, 0);
    bool served = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0) close(fd);
    return served;
}

enum { FIRST_PASSED = 3 }; /* sd_listen_fds(3) */

static int passed_count(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    return pid && fds && atoi(pid) == getpid() ? atoi(fds) : 0;
}

static int fail(char *fault, size_t fault_size, const socket_spec *s, const char *why)
{
    snprintf(fault, fault_size, "%s: %s: %s", s->setting, s->path, why);
    return -1;
}

static int open_path(const conf *c, const socket_spec *s, char *fault, size_t fault_size)
{
    struct sockaddr_un address;
    if (!fill_address(s->path, &address)) return fail(fault, fault_size, s, "the path is too long");
    if (is_served(s, &address)) return fail(fault, fault_size, s, "another process serves it");
    if (unlink(s->path) != 0 && errno != ENOENT) return fail(fault, fault_size, s, strerror(errno));
    int fd = socket(AF_UNIX, s->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fail(fault, fault_size, s, strerror(errno));
    mode_t old = umask(0777); /* nobody can connect before mode and group are set */
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
    umask(old);
    if (bound != 0) return fail(fault, fault_size, s, strerror(errno));
    if (*c->socket_group) {
        const struct group *g = getgrnam(c->socket_group);
        if (!g) return fail(fault, fault_size, s, "server.socket_group: no such group");
        if (chown(s->path, (uid_t)-1, g->gr_gid) != 0) return fail(fault, fault_size, s, strerror(errno));
    }
    if (chmod(s->path, (mode_t)c->socket_mode) != 0) return fail(fault, fault_size, s, strerror(errno));
    if (s->type == SOCK_STREAM && listen(fd, (int)c->backlog) != 0) return fail(fault, fault_size, s, strerror(errno));
    return fd;
}

/* Opens HOST:PORT, or [ADDRESS]:PORT for IPv6: nginx may run on another host. */
static int open_address(const conf *c, const socket_spec *s, char *fault, size_t fault_size)
{
    char host[256];
    const char *colon = strrchr(s->path, ':');
    bool bracketed = *s->path == '[' && colon > s->path + 1 && colon[-1] == ']';
    int length = (int)(colon - s->path) - 2 * bracketed;
    if (length <= 0 || length >= (int)sizeof host) return fail(fault, fault_size, s, "neither a path nor HOST:PORT");
    snprintf(host, sizeof host, "%.*s", length, s->path + bracketed);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int error = getaddrinfo(host, colon + 1, &hints, &found), one = 1;
    if (error != 0) return fail(fault, fault_size, s, gai_strerror(error));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool ok = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, (int)c->backlog) == 0;
    freeaddrinfo(found);
    return ok ? fd : fail(fault, fault_size, s, strerror(errno));
}

/* Only a socket for nginx may be a TCP address. */
static int open_socket(const conf *c, const socket_spec *s, bool for_nginx, char *fault, size_t fault_size)
{
    bool is_address = for_nginx && strchr(s->path, ':') && !strchr(s->path, '/');
    return is_address ? open_address(c, s, fault, fault_size) : open_path(c, s, fault, fault_size);
}

/* The first socket is required; the second one is optional and needs a path in its setting. */
static bool open_both(const conf *c, const socket_spec s[2], char *fault, size_t fault_size)
{
    int count = passed_count();
    for (int i = 0; i < 2; i++) {
        *s[i].fd = i < count ? FIRST_PASSED + i : -1;
        if (i >= count) continue;
        fcntl(*s[i].fd, F_SETFL, O_NONBLOCK);
        fcntl(*s[i].fd, F_SETFD, FD_CLOEXEC);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    for (int i = 0; i < 2; i++) {
        if (*s[i].fd >= 0 || (i > 0 && !*s[i].path)) continue;
        if ((*s[i].fd = open_socket(c, &s[i], i == 0, fault, fault_size)) < 0) return false;
    }
    return true;
}

bool listen_open(const conf *c, listeners *out, char *fault, size_t fault_size)
{
    const socket_spec s[] = {{"server.socket", c->socket, SOCK_STREAM, &out->requests},
                             {"server.status_socket", c->status_socket, SOCK_STREAM, &out->status}};
    return open_both(c, s, fault, fault_size);
}

bool listen_open_push(const conf *c, push_sockets *out, char *fault, size_t fault_size)
{
    const socket_spec s[] = {{"push.socket", c->push_socket, SOCK_STREAM, &out->streams},
                             {"push.pokes_socket", c->pokes_socket, SOCK_DGRAM, &out->pokes}};
    return open_both(c, s, fault, fault_size);
}

void listen_pass(const listeners *l)
{
    char number[16];
    /* Copied to high numbers first, because one may have the number that the other needs. dup2 clears FD_CLOEXEC. */
    int requests = fcntl(l->requests, F_DUPFD, 16), status = l->status >= 0 ? fcntl(l->status, F_DUPFD, 16) : -1;
    dup2(requests, FIRST_PASSED);
    close(requests);
    if (status >= 0) {
        dup2(status, FIRST_PASSED + 1);
        close(status);
    }
    snprintf(number, sizeof number, "%d", (int)getpid());
    setenv("LISTEN_PID", number, 1);
    setenv("LISTEN_FDS", status >= 0 ? "2" : "1", 1);
}
