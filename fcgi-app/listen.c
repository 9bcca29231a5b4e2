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

static int passed_by_systemd(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    if (!pid || !fds || atoi(pid) != getpid() || atoi(fds) != 1) return -1;
    return 3;
}

static int fail(char *fault, size_t fault_size, const conf *c, const char *why)
{
    snprintf(fault, fault_size, "server.socket: %s: %s", c->socket, why);
    return -1;
}

int listen_open(const conf *c, char *fault, size_t fault_size)
{
    struct sockaddr_un address;
    int fd = passed_by_systemd();
    if (fd >= 0) return fcntl(fd, F_SETFL, O_NONBLOCK), fd;
    if (!address_of(c->socket, &address)) return fail(fault, fault_size, c, "the path is too long");
    if (is_served(&address)) return fail(fault, fault_size, c, "another process serves it");
    if (unlink(c->socket) != 0 && errno != ENOENT) return fail(fault, fault_size, c, strerror(errno));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fail(fault, fault_size, c, strerror(errno));
    mode_t old = umask(0777); /* nobody connects before mode and group are right */
    int bound = bind(fd, (const struct sockaddr *)&address, sizeof address);
    umask(old);
    if (bound != 0) return fail(fault, fault_size, c, strerror(errno));
    if (*c->socket_group) {
        const struct group *g = getgrnam(c->socket_group);
        if (!g) return fail(fault, fault_size, c, "server.socket_group: no such group");
        if (chown(c->socket, (uid_t)-1, g->gr_gid) != 0) return fail(fault, fault_size, c, strerror(errno));
    }
    if (chmod(c->socket, (mode_t)c->socket_mode) != 0) return fail(fault, fault_size, c, strerror(errno));
    if (listen(fd, (int)c->backlog) != 0) return fail(fault, fault_size, c, strerror(errno));
    return fd;
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
