#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "account.h"
#include "cmd.h"

static const char help[] =
    "usage: booky-sync user list [--json] [--config FILE]\n"
    "       booky-sync user export USER [--config FILE]\n"
    "       booky-sync user erase USER --yes [--config FILE]\n\n"
    "list shows every user with the number of live and deleted entities and the last write. export writes everything of\n"
    "a user to standard output, as GET /export does; POST /full accepts it back. erase removes all of it and prints a\n"
    "receipt; there is no way back, so it wants --yes.\n";

static int list(const conf *c, bool json)
{
    PGconn *conn = cmd_admin(c);
    PGresult *r = conn ? cmd_sql(conn,
                                 "SELECT c.user_id AS \"user\", count(e.entity_id) FILTER (WHERE e.status = 'live') AS live,"
                                 " count(e.entity_id) FILTER (WHERE e.status = 'deleted') AS deleted,"
                                 " to_char(instant(c.clock) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
                                 " AS \"lastSync\""
                                 " FROM clocks c LEFT JOIN entities e ON e.user_id = c.user_id"
                                 " GROUP BY c.user_id, c.clock ORDER BY c.user_id",
                                 0, NULL)
                       : NULL;
    if (r) cmd_print_rows(r, json);
    PQclear(r);
    PQfinish(conn);
    return r ? CMD_OK : CMD_FAILED;
}

static int export_or_erase(const conf *settings, const char *user, bool erase)
{
    call c;
    if (!cmd_call_begin(&c, settings, user)) return CMD_FAILED;
    strbuf reply = STRBUF(c.a);
    rc code = erase ? account_erase(&c, &reply) : account_export(&c);
    int exit_code = code == RC_OK ? CMD_OK : cmd_call_failed(&c, code);
    if (code == RC_OK) puts(reply.data ? reply.data : "");
    cmd_call_end(&c);
    return exit_code;
}

int cmd_user(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'}, {"json", no_argument, NULL, 'j'},
                                            {"yes", no_argument, NULL, 'y'},          {"help", no_argument, NULL, 'h'},
                                            {0}};
    static conf c; /* its strings live until the process ends */
    const char *path = NULL;
    bool json = false, yes = false;
    for (int option; (option = getopt_long(argc, argv, "c:jyh", options, NULL)) != -1;) {
        if (option == 'h') return fputs(help, stdout) < 0;
        else if (option == 'c') path = optarg;
        else if (option == 'j') json = true;
        else if (option == 'y') yes = true;
        else return CMD_USAGE;
    }
    const char *verb = argc > optind ? argv[optind] : "";
    int words = argc - optind;
    bool lists = strcmp(verb, "list") == 0 && words == 1, exports = strcmp(verb, "export") == 0 && words == 2;
    bool erases = strcmp(verb, "erase") == 0 && words == 2;
    if (!lists && !exports && !erases) return fputs(help, stderr), CMD_USAGE;
    if (erases && !yes) return fputs("booky-sync user erase: there is no way back; say --yes\n", stderr), CMD_USAGE;
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    return lists ? list(&c, json) : export_or_erase(&c, argv[optind + 1], erases);
}
