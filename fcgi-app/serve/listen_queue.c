/*
 * Linux shows the queue of a TCP socket in TCP_INFO, but that of a unix socket only through NETLINK_SOCK_DIAG
 * (unix_diag.h). php-fpm does not do that and cannot show the queue of a unix socket.
 */
#include "serve/listen_queue.h"

#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Asks for the queue of the unix socket `fd`. Returns the length of the answer, or -1. */
static ssize_t ask(int fd, char *answer, size_t size)
{
    struct stat st;
    struct {
        struct nlmsghdr header;
        struct unix_diag_req body;
    } request = {.header = {sizeof request, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0},
                 .body = {.sdiag_family = AF_UNIX, .udiag_states = -1U, .udiag_show = UDIAG_SHOW_RQLEN}};
    int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (netlink < 0) return -1;
    if (fstat(fd, &st) == 0) {
        request.body.udiag_ino = (uint32_t)st.st_ino;
        request.body.udiag_cookie[0] = request.body.udiag_cookie[1] = ~0U; /* any */
    }
    bool sent = send(netlink, &request, sizeof request, 0) == (ssize_t)sizeof request;
    ssize_t n = sent ? recv(netlink, answer, size, 0) : -1;
    close(netlink);
    return n;
}

static const struct unix_diag_rqlen *find_queue(const struct nlmsghdr *header)
{
    const struct unix_diag_msg *message = NLMSG_DATA(header);
    size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof *message);
    const struct nlattr *attribute = (const struct nlattr *)(message + 1);
    while (left >= sizeof *attribute && attribute->nla_len >= sizeof *attribute && attribute->nla_len <= left) {
        if (attribute->nla_type == UNIX_DIAG_RQLEN) return (const struct unix_diag_rqlen *)(attribute + 1);
        size_t step = NLA_ALIGN(attribute->nla_len);
        if (step >= left) break;
        attribute = (const struct nlattr *)((const char *)attribute + step);
        left -= step;
    }
    return NULL;
}

void listen_queue_read(int fd, int64_t *length, int64_t *limit)
{
    struct tcp_info tcp;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &(socklen_t){sizeof tcp}) == 0) {
        *length = tcp.tcpi_unacked; /* of a listening socket, these two fields hold length and limit of the queue */
        *limit = tcp.tcpi_sacked;
        return;
    }
    _Alignas(struct nlmsghdr) char answer[4096];
    *length = *limit = -1;
    ssize_t n = ask(fd, answer, sizeof answer);
    const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
    if (n < (ssize_t)sizeof *header || !NLMSG_OK(header, (size_t)n) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return;
    const struct unix_diag_rqlen *queue = find_queue(header);
    if (!queue) return;
    *length = queue->udiag_rqueue;
    *limit = queue->udiag_wqueue;
}
