#include "listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

static bool is_served(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
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

static int fail(char *fault, size_t fault_size, const char *path, const char *why)
{
    snprintf(fault, fault_size, "server.socket: %s: %s", path, why);
    return -1;
}

static int open_path(const conf *c, const char *path, char *fault, size_t fault_size)
{
    struct sockaddr_un address;
    if (!address_of(path, &address)) return fail(fault, fault_size, path, "the path is too long");
    if (is_served(&address)) return fail(fault, fault_size, path, "another process serves it");
    if (unlink(path) != 0 && errno != ENOENT) return fail(fault, fault_size, path, strerror(errno));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fail(fault, fault_size, path, strerror(errno));
    mode_t old = umask(0777); /* nobody connects before mode and group are right */
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
    umask(old);
    if (bound != 0) return fail(fault, fault_size, path, strerror(errno));
    if (*c->socket_group) {
        const struct group *g = getgrnam(c->socket_group);
        if (!g) return fail(fault, fault_size, path, "server.socket_group: no such group");
        if (chown(path, (uid_t)-1, g->gr_gid) != 0) return fail(fault, fault_size, path, strerror(errno));
    }
    if (chmod(path, (mode_t)c->socket_mode) != 0) return fail(fault, fault_size, path, strerror(errno));
    if (listen(fd, (int)c->backlog) != 0) return fail(fault, fault_size, path, strerror(errno));
    return fd;
}

bool listen_open(const conf *c, listeners *out, char *fault, size_t fault_size)
{
    int count = passed();
    *out = (listeners){-1, -1};
    for (int i = 0; i < count && i < 2; i++) {
        int fd = FIRST_PASSED + i;
        fcntl(fd, F_SETFL, O_NONBLOCK);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        *(i == 0 ? &out->requests : &out->status) = fd;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    if (out->requests < 0 && (out->requests = open_path(c, c->socket, fault, fault_size)) < 0) return false;
    if (out->status >= 0 || !*c->status_socket) return true;
    return (out->status = open_path(c, c->status_socket, fault, fault_size)) >= 0;
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
