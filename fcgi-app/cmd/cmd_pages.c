#include <fastcgi.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "engine/cursor.h"

/* The pages of the pool, read by FastCGI, and those of the push process, read by HTTP. */

enum { TIMEOUT_S = 5, PAGE_MAX = 8 * 1024 * 1024 };

static void add_record(strbuf *out, unsigned char type, const void *content, size_t len)
{
    const FCGI_Header header = {.version = FCGI_VERSION_1,
                                .type = type,
                                .requestIdB0 = 1,
                                .contentLengthB1 = (unsigned char)(len >> 8),
                                .contentLengthB0 = (unsigned char)len};
    strbuf_add(out, (const char *)&header, sizeof header);
    if (len > 0) strbuf_add(out, content, len);
}

static void add_param(strbuf *out, const char *name, const char *value)
{
    strbuf_putc(out, (char)strlen(name)); /* one byte each, because both are shorter than 128 */
    strbuf_putc(out, (char)strlen(value));
    strbuf_puts(out, name);
    strbuf_puts(out, value);
}

static bool read_all(int fd, void *to, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, (char *)to + done, len - done);
        if (n <= 0) return false;
        done += (size_t)n;
    }
    return true;
}

static bool read_reply(int fd, strbuf *out)
{
    static char content[65536 + 256];
    FCGI_Header header;
    while (read_all(fd, &header, sizeof header)) {
        size_t len = (size_t)header.contentLengthB1 << 8 | header.contentLengthB0;
        if (!read_all(fd, content, len + header.paddingLength)) return false;
        if (header.type == FCGI_STDOUT) strbuf_add(out, content, len);
        if (out->len > PAGE_MAX) return false;
        if (header.type == FCGI_END_REQUEST) return true;
    }
    return false;
}

/* A connection to the unix socket `path`, or -1. */
static int open_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    if (!*path || strlen(path) >= sizeof address.sun_path) return -1;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static bool send_all(int fd, const strbuf *request)
{
    return send(fd, request->data, request->len, MSG_NOSIGNAL) == (ssize_t)request->len;
}

static const char *body_of(const strbuf *reply)
{
    const char *body = reply->data ? strstr(reply->data, "\r\n\r\n") : NULL;
    return body ? body + 4 : NULL;
}

const char *cmd_pool_page(arena *a, const conf *settings, const char *uri)
{
    const FCGI_BeginRequestBody begin = {.roleB0 = FCGI_RESPONDER};
    strbuf params = STRBUF(a), request = STRBUF(a), reply = STRBUF(a);
    add_param(&params, "REQUEST_METHOD", "GET");
    add_param(&params, "REQUEST_URI", uri);
    add_record(&request, FCGI_BEGIN_REQUEST, &begin, sizeof begin);
    add_record(&request, FCGI_PARAMS, params.data, params.len);
    add_record(&request, FCGI_PARAMS, NULL, 0);
    add_record(&request, FCGI_STDIN, NULL, 0);
    int fd = open_socket(settings->status_socket);
    if (fd < 0) return NULL;
    bool ok = send_all(fd, &request) && read_reply(fd, &reply);
    close(fd);
    return ok ? body_of(&reply) : NULL;
}

const char *cmd_push_page(arena *a, const conf *settings, const char *path, const char *user)
{
    strbuf request = STRBUF(a), reply = STRBUF(a);
    char piece[4096];
    ssize_t n = -1;
    strbuf_printf(&request, "GET %s HTTP/1.1\r\nHost: booky-sync\r\nConnection: close\r\n", path);
    if (user) strbuf_printf(&request, "X-Booky-User: %s\r\n", cursor_wrap(a, user));
    strbuf_puts(&request, "\r\n");
    int fd = open_socket(settings->push_socket);
    if (fd < 0) return NULL;
    if (send_all(fd, &request))
        while (reply.len < PAGE_MAX && (n = read(fd, piece, sizeof piece)) > 0) strbuf_add(&reply, piece, (size_t)n);
    close(fd);
    bool ok = n == 0 && reply.data && strncmp(reply.data, "HTTP/1.1 200 ", 13) == 0;
    return ok ? body_of(&reply) : NULL;
}
