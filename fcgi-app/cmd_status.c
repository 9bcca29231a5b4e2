#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd.h"

static const char help[] = "usage: booky-sync status [--json] [--config FILE]\n\n"
                           "Shows whether the pool's socket is served, and what the database holds.\n"
                           "Exits with 0 when both answer, 1 otherwise.\n";

static bool is_served(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return false;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool served = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0) close(fd);
    return served;
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
    if (!cmd_load_conf(path, &c)) return CMD_CONFIG;
    const char *values[] = {is_served(c.socket) ? "serving" : "down"};
    PGconn *conn = cmd_admin(&c);
    PGresult *r = conn ? cmd_sql(conn,
                                 "SELECT $1::text AS pool, 'ok' AS database, (SELECT max(version) FROM migrations) AS schema,"
                                 " (SELECT count(*) FROM clocks) AS users,"
                                 " (SELECT count(*) FROM entities WHERE status = 'live') AS entities,"
                                 " (SELECT count(*) FROM queue WHERE synced_at IS NULL) AS queued,"
                                 " (SELECT count(*) FROM conflicts WHERE status = 'open') AS conflicts",
                                 1, values)
                       : NULL;
    if (r) cmd_print_rows(r, json);
    PQclear(r);
    PQfinish(conn);
    return r && strcmp(values[0], "serving") == 0 ? CMD_OK : CMD_FAILED;
}
