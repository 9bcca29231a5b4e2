#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"

/*
 * A restored backup, and the promotion of a replica that lagged, take the server back in time: devices hold cursors of
 * commits that are gone. Only a cursor that is still ahead of its user's clock could be told from a good one, so after
 * such an event every user gets a new epoch, which refuses all cursors of before. A thousand users a transaction, so
 * that nobody's writes wait for long.
 */
static const char help[] =
    "usage: booky-sync resync [--user USER] [--config FILE]\n\n"
    "Makes every device (of one user) pull from the beginning: its next request for changes gets 410.\n"
    "To be run once after a backup was restored or a replica promoted that had not all commits.\n"
    "Loses nothing. May be run again when it was interrupted; each run makes all devices pull once more.\n";

/* $1: the user before the page; $2: the only user, or NULL. Never 0, which stands for "no epoch", nor the same again.
 */
static const char page_sql[] =
    "WITH page AS (SELECT user_id FROM clocks WHERE user_id > $1 AND ($2::text IS NULL OR user_id = $2::text)"
    " ORDER BY user_id LIMIT 1000 FOR UPDATE),"
    " renewed AS (UPDATE clocks c SET epoch = 1 + (c.epoch + floor(random() * 4294967294)::bigint) % 4294967295"
    " FROM page WHERE c.user_id = page.user_id)"
    " SELECT count(*), max(user_id) FROM page";

int cmd_resync(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static conf c; /* its strings live until the process ends */
    const char *path = NULL, *user = NULL;
    for (int option; (option = getopt_long(argc, argv, "c:u:h", options, NULL)) != -1;) {
        if (option == 'h')
            return fputs(help, stdout) < 0;
        else if (option == 'c')
            path = optarg;
        else if (option == 'u')
            user = optarg;
        else
            return CMD_USAGE;
    }
    if (optind < argc) return fputs(help, stderr), CMD_USAGE;
    if (!cmd_load_conf(&path, &c)) return CMD_CONFIG;
    PGconn *conn = cmd_admin(&c);
    if (!conn) return CMD_FAILED;
    long long users = 0, count = 1;
    char last[1100] = "";
    while (count > 0) {
        const char *values[] = {last, user};
        PGresult *page = cmd_sql(conn, page_sql, 2, values);
        count = page ? db_column_int(page, 0, 0, 0) : -1;
        if (count > 0) snprintf(last, sizeof last, "%s", PQgetvalue(page, 0, 1));
        users += count > 0 ? count : 0;
        PQclear(page);
    }
    PQfinish(conn);
    if (count == 0 && user && users == 0) return fprintf(stderr, "booky-sync: %s: no such user\n", user), CMD_FAILED;
    printf("new epochs: %lld users\n", users);
    return count == 0 ? CMD_OK : CMD_FAILED;
}
