#include <fastcgi.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd.h"

static const char help[] = "usage: booky-sync status [--json] [--config FILE]\n\n"
                           "Shows the pool (what /pool?full tells) and what the database holds.\n"
                           "Exits with 0 when both answer, 1 otherwise.\n";

/* The pool's page, by FastCGI from the reporter. */

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
    strbuf_putc(out, (char)strlen(name)); /* both shorter than 128 */
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
        if (header.type == FCGI_END_REQUEST) return true;
    }
    return false;
}

/* The body of the reporter's answer for `uri`, or NULL when it does not answer within a few seconds. */
static const char *ask(arena *a, const char *path, const char *uri)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 5};
    const FCGI_BeginRequestBody begin = {.roleB0 = FCGI_RESPONDER};
    strbuf params = STRBUF(a), request = STRBUF(a), reply = STRBUF(a);
    if (!*path || strlen(path) >= sizeof address.sun_path) return NULL;
    strcpy(address.sun_path, path);
    add_param(&params, "REQUEST_METHOD", "GET");
    add_param(&params, "REQUEST_URI", uri);
    add_record(&request, FCGI_BEGIN_REQUEST, &begin, sizeof begin);
    add_record(&request, FCGI_PARAMS, params.data, params.len);
    add_record(&request, FCGI_PARAMS, NULL, 0);
    add_record(&request, FCGI_STDIN, NULL, 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return NULL;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool ok = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
              send(fd, request.data, request.len, MSG_NOSIGNAL) == (ssize_t)request.len && read_reply(fd, &reply);
    close(fd);
    const char *body = ok && reply.data ? strstr(reply.data, "\r\n\r\n") : NULL;
    return body ? body + 4 : NULL;
}

static PGresult *ask_database(const conf *c)
{
    PGconn *conn = cmd_admin(c);
    PGresult *r = conn ? cmd_sql(conn,
                                 "SELECT (SELECT max(version) FROM migrations) AS schema, (SELECT count(*) FROM clocks) AS users,"
                                 " (SELECT count(*) FROM entities WHERE status = 'live') AS entities, waiting AS queued,"
                                 " review, open AS conflicts FROM totals()",
                                 0, NULL)
                       : NULL;
    PQfinish(conn);
    return r;
}

int cmd_status(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    static conf c; /* its strings live until the process ends */
    const char *path = NULL;
    bool json = false;
    for (int option; (option = getopt_long(argc, argv, "c:jh", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        else if (option == 'c') path = optarg;
        else if (option == 'j') json = true;
        else return CMD_USAGE;
    }
    if (optind < argc) return fputs(help, stderr), CMD_USAGE;
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    arena *a = arena_new();
    const char *pool = ask(a, c.status_socket, json ? "/pool?json&full" : "/pool?full");
    PGresult *database = ask_database(&c);
    printf(json ? "{\"pool\":%s" : "%s\n", pool ? pool : json ? "null" : "the pool does not answer");
    if (json) fputs(",\"database\":", stdout);
    if (database) cmd_print_rows(database, json);
    else if (json) fputs("null", stdout);
    if (json) puts("}");
    bool ok = pool && database;
    PQclear(database);
    arena_free(a);
    return ok ? CMD_OK : CMD_FAILED;
}
