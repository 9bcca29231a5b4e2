#include "listen.h"

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

static bool address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) return false;
    strcpy(address->sun_path, path);
    return true;
}

/* A socket that may be passed by systemd, or is made at the path of its setting. */
typedef struct wanted {
    const char *setting, *path;
    int type; /* SOCK_STREAM or SOCK_DGRAM */
    int *fd;
} wanted;

static bool is_served(const wanted *w, const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, w->type | SOCK_CLOEXEC, 0);
    bool served = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0) close(fd);
    return served;
}

enum { FIRST_PASSED = 3 }; /* sd_listen_fds(3) */

static int passed(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    return pid && fds && atoi(pid) == getpid() ? atoi(fds) : 0;
}

static int fail(char *fault, size_t fault_size, const wanted *w, const char *why)
{
    snprintf(fault, fault_size, "%s: %s: %s", w->setting, w->path, why);
    return -1;
}

static int open_path(const conf *c, const wanted *w, char *fault, size_t fault_size)
{
    struct sockaddr_un address;
    if (!address_of(w->path, &address)) return fail(fault, fault_size, w, "the path is too long");
    if (is_served(w, &address)) return fail(fault, fault_size, w, "another process serves it");
    if (unlink(w->path) != 0 && errno != ENOENT) return fail(fault, fault_size, w, strerror(errno));
    int fd = socket(AF_UNIX, w->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fail(fault, fault_size, w, strerror(errno));
    mode_t old = umask(0777); /* nobody connects before mode and group are right */
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
    umask(old);
    if (bound != 0) return fail(fault, fault_size, w, strerror(errno));
    if (*c->socket_group) {
        const struct group *g = getgrnam(c->socket_group);
        if (!g) return fail(fault, fault_size, w, "server.socket_group: no such group");
        if (chown(w->path, (uid_t)-1, g->gr_gid) != 0) return fail(fault, fault_size, w, strerror(errno));
    }
    if (chmod(w->path, (mode_t)c->socket_mode) != 0) return fail(fault, fault_size, w, strerror(errno));
    if (w->type == SOCK_STREAM && listen(fd, (int)c->backlog) != 0) return fail(fault, fault_size, w, strerror(errno));
    return fd;
}

/* HOST:PORT, for an nginx on another host; [ADDRESS]:PORT for IPv6. */
static int open_address(const conf *c, const wanted *w, char *fault, size_t fault_size)
{
    char host[256];
    const char *colon = strrchr(w->path, ':');
    bool bracketed = *w->path == '[' && colon > w->path + 1 && colon[-1] == ']';
    int length = (int)(colon - w->path) - 2 * bracketed;
    if (length <= 0 || length >= (int)sizeof host) return fail(fault, fault_size, w, "neither a path nor HOST:PORT");
    snprintf(host, sizeof host, "%.*s", length, w->path + bracketed);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found;
    int error = getaddrinfo(host, colon + 1, &hints, &found), one = 1;
    if (error != 0) return fail(fault, fault_size, w, gai_strerror(error));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool ok = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, (int)c->backlog) == 0;
    freeaddrinfo(found);
    return ok ? fd : fail(fault, fault_size, w, strerror(errno));
}

/* Only what nginx connects to may be an address. */
static int open_socket(const conf *c, const wanted *w, bool for_nginx, char *fault, size_t fault_size)
{
    bool is_address = for_nginx && strchr(w->path, ':') && !strchr(w->path, '/');
    return is_address ? open_address(c, w, fault, fault_size) : open_path(c, w, fault, fault_size);
}

/* The first must be there; the second only if its setting has a path. */
static bool open_both(const conf *c, const wanted w[2], char *fault, size_t fault_size)
{
    int count = passed();
    for (int i = 0; i < 2; i++) {
        *w[i].fd = i < count ? FIRST_PASSED + i : -1;
        if (i >= count) continue;
        fcntl(*w[i].fd, F_SETFL, O_NONBLOCK);
        fcntl(*w[i].fd, F_SETFD, FD_CLOEXEC);
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    for (int i = 0; i < 2; i++) {
        if (*w[i].fd >= 0 || (i > 0 && !*w[i].path)) continue;
        if ((*w[i].fd = open_socket(c, &w[i], i == 0, fault, fault_size)) < 0) return false;
    }
    return true;
}

bool listen_open(const conf *c, listeners *out, char *fault, size_t fault_size)
{
    const wanted w[] = {{"server.socket", c->socket, SOCK_STREAM, &out->requests},
                        {"server.status_socket", c->status_socket, SOCK_STREAM, &out->status}};
    return open_both(c, w, fault, fault_size);
}

bool listen_open_push(const conf *c, push_sockets *out, char *fault, size_t fault_size)
{
    const wanted w[] = {{"push.socket", c->push_socket, SOCK_STREAM, &out->streams},
                        {"push.pokes_socket", c->pokes_socket, SOCK_DGRAM, &out->pokes}};
    return open_both(c, w, fault, fault_size);
}

void listen_pass(const listeners *l)
{
    char number[16];
    /* Out of the way first: one of them may sit where the other must go. dup leaves FD_CLOEXEC behind. */
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

void listen_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address;
    if (!path || !address_of(path, &address)) return;
    if (*path == '@') address.sun_path[0] = '\0'; /* an abstract socket */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len);
    (void)sent; /* the manager will time out and say so */
    close(fd);
}
