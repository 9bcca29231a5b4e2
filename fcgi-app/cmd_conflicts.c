#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "review.h"

static const char help[] =
    "usage: booky-sync conflicts list [--user USER] [--status open|resolved] [--json] [--config FILE]\n"
    "       booky-sync conflicts resolve USER ID keep_local|keep_server|merge [--data JSON]\n"
    "                                    [--base VERSION] [--config FILE]\n\n"
    "list shows the conflict log, newest first, of one user or of all. resolve decides one as POST /conflicts/ID/resolve\n"
    "does; merge wants the merged members in --data. When the entity has moved on since, --base names the version (its\n"
    "updatedAt) that was looked at.\n";

static int list(const conf *c, const char *user, const char *status, bool json)
{
    const char *values[] = {user, status};
    PGconn *conn = cmd_admin(c);
    PGresult *r = conn ? cmd_sql(conn,
                                 "SELECT user_id AS \"user\", stamp || '-' || n AS id, kind AS entity,"
                                 " entity_id AS \"entityId\", reason, status, coalesce(resolution, '') AS resolution,"
                                 " to_char(instant(stamp) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
                                 " AS \"createdAt\" FROM conflicts"
                                 " WHERE ($1::text IS NULL OR user_id = $1) AND ($2::text IS NULL OR status = $2)"
                                 " ORDER BY stamp DESC, n DESC",
                                 2, values)
                       : NULL;
    if (r) cmd_print_rows(r, json);
    PQclear(r);
    PQfinish(conn);
    return r ? CMD_OK : CMD_FAILED;
}

static int resolve(const conf *settings, char **words, const char *data, const char *base)
{
    call c;
    if (!cmd_call_begin(&c, settings, words[0])) return CMD_FAILED;
    strbuf body = STRBUF(c.a), reply = STRBUF(c.a);
    strbuf_putc(&body, '{');
    json_write_member(&body, "resolution", words[2]);
    if (base) json_write_member(&body, "baseVersion", base);
    if (data) {
        json_write_name(&body, "mergedData");
        strbuf_puts(&body, data);
    }
    strbuf_putc(&body, '}');
    rc code = review_resolve(&c, words[1], body.data, body.len, &reply);
    int exit_code = code == RC_OK ? CMD_OK : cmd_call_failed(&c, code);
    if (code == RC_OK) puts(reply.data);
    cmd_call_end(&c);
    return exit_code;
}

int cmd_conflicts(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"user", required_argument, NULL, 'u'},
        {"status", required_argument, NULL, 's'}, {"data", required_argument, NULL, 'd'},
        {"base", required_argument, NULL, 'b'},
        {"json", no_argument, NULL, 'j'},         {"help", no_argument, NULL, 'h'},
        {0}};
    static conf c; /* its strings live until the process ends */
    const char *path = NULL, *user = NULL, *status = NULL, *data = NULL, *base = NULL;
    bool json = false;
    for (int option; (option = getopt_long(argc, argv, "c:u:s:d:b:jh", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        else if (option == 'c') path = optarg;
        else if (option == 'u') user = optarg;
        else if (option == 's') status = optarg;
        else if (option == 'd') data = optarg;
        else if (option == 'b') base = optarg;
        else if (option == 'j') json = true;
        else return CMD_USAGE;
    }
    const char *verb = argc > optind ? argv[optind] : "";
    bool lists = strcmp(verb, "list") == 0 && argc - optind == 1, resolves = strcmp(verb, "resolve") == 0 && argc - optind == 4;
    if (status && strcmp(status, "open") != 0 && strcmp(status, "resolved") != 0) lists = resolves = false;
    if (!lists && !resolves) return fputs(help, stderr), CMD_USAGE;
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    return lists ? list(&c, user, status, json) : resolve(&c, argv + optind + 1, data, base);
}
