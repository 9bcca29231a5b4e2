/* booky-sync: the sync server and its administration. Start reading at cmd_serve.c. */

#include <err.h>
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "cmd/cmd.h"

/* booky-sync(8) and the bash completion are held against this table by tests/cmd. */
// clang-format off
static const command commands[] = {
    {.name = "serve", .run = cmd_serve,
     .help = "run the pool of workers in the foreground"},

    {.name = "push", .run = cmd_push,
     .help = "run the process that holds the event streams, in the foreground"},

    {.name = "check-config", .run = cmd_check_config, .checks_settings = true,
     .help = "check the configuration, the keys, the connection to the database and the limits of nginx",
     .options = {{"nginx", 'n', "DIR", OPTIONAL, "the files of the site (default: " CMD_NGINX ", if it is there)"}}},

    {.name = "migrate", .run = cmd_migrate,
     .help = "create the tables of the database or bring them up to date",
     .options = {{"status", 's', NULL, OPTIONAL, "only list the migrations; exit with 1 if one is not applied"},
                 {"shards", 'n', "N", OPTIONAL, "shards of a database that is distributed now (default: 16)"},
                 {"dir", 'd', "DIR", OPTIONAL, "read the migrations from DIR (default: $BOOKY_MIGRATIONS_DIR, else "
                                     CMD_MIGRATIONS ")"}}},

    {.name = "token mint", .run = cmd_token_mint,
     .help = "print an access token signed with an HS256 key of auth.keys_dir",
     .options = {{"user", 'u', "USER", REQUIRED, "the user that the token is for"},
                 {"ttl", 't', "SECONDS", OPTIONAL, "lifetime of the token (default: 3600)"},
                 {"kid", 'k', "KID", OPTIONAL, "key to sign with (default: the first .hmac key by name)"}}},

    {.name = "token inspect", .run = cmd_token_inspect,
     .help = "show the content of a token (-: read from standard input) and whether it is accepted",
     .operands = {"TOKEN"}},

    {.name = "status", .run = cmd_status,
     .help = "show the pool, a line for each worker, the push process and the totals of the database",
     .options = {{"json", 'j', NULL, OPTIONAL, "print JSON"},
                 {"watch", 'w', NULL, OPTIONAL, "show it again every two seconds"}}},

    {.name = "user list", .run = cmd_user_list,
     .help = "list the users with the number of their entities and their last write",
     .options = {{"json", 'j', NULL, OPTIONAL, "print JSON"}}},

    {.name = "user show", .run = cmd_user_show,
     .help = "show what a user stores: quota, kinds, devices, queue, open conflicts, snapshots, epochs, streams",
     .operands = {"USER"},
     .options = {{"json", 'j', NULL, OPTIONAL, "print JSON"},
                 {"recount", 'r', NULL, OPTIONAL, "count the rows anew and correct the counters"}}},

    {.name = "user export", .run = cmd_user_export,
     .help = "print all data of a user as a JSON document that POST /full accepts",
     .operands = {"USER"},
     .options = {{"snapshots", 's', NULL, OPTIONAL, "also the contents of the user's snapshots"}}},

    {.name = "user import", .run = cmd_user_import,
     .help = "join an export, also of another server, with the data of a user (-: standard input)",
     .operands = {"USER", "FILE"}},

    {.name = "user erase", .run = cmd_user_erase,
     .help = "erase all data of a user and print a receipt",
     .operands = {"USER"},
     .options = {{"yes", 'y', NULL, REQUIRED, "confirm the erasure, which cannot be undone"}}},

    {.name = "queue list", .run = cmd_queue_list,
     .help = "list the operations that wait in the queue, oldest first",
     .options = {{"user", 'u', "USER", OPTIONAL, "only the operations of USER"},
                 {"json", 'j', NULL, OPTIONAL, "print JSON"}}},

    {.name = "snapshots list", .run = cmd_snapshots_list,
     .help = "list the snapshots that full syncs have left, by user and newest first",
     .options = {{"user", 'u', "USER", OPTIONAL, "only the snapshots of USER"},
                 {"json", 'j', NULL, OPTIONAL, "print JSON"}}},

    {.name = "snapshots restore", .run = cmd_snapshots_restore,
     .help = "bring the library of a user back to a snapshot, as POST /snapshots/ID/restore does",
     .operands = {"USER", "ID"}},

    {.name = "conflicts list", .run = cmd_conflicts_list,
     .help = "list the conflict log, newest first",
     .options = {{"user", 'u', "USER", OPTIONAL, "only the conflicts of USER"},
                 {"status", 's', "open|resolved", OPTIONAL, "only the conflicts in this state"},
                 {"json", 'j', NULL, OPTIONAL, "print JSON"}}},

    {.name = "conflicts resolve", .run = cmd_conflicts_resolve,
     .help = "resolve a conflict, as POST /conflicts/ID/resolve does",
     .operands = {"USER", "ID", "keep_local|keep_server|merge"},
     .options = {{"data", 'd', "JSON", OPTIONAL, "the merged members of the entity; required for merge"},
                 {"base", 'b', "VERSION", OPTIONAL, "updatedAt of the reviewed version, if the entity has changed"}}},

    {.name = "purge", .run = cmd_purge,
     .help = "delete the data that is past its retention",
     .options = {{"dry-run", 'n', NULL, OPTIONAL, "only count"},
                 {"json", 'j', NULL, OPTIONAL, "print JSON"}}},

    {.name = "resync", .run = cmd_resync,
     .help = "give all users a new epoch after a restore, so that devices send what was lost",
     .options = {{"user", 'u', "USER", OPTIONAL, "only USER"},
                 {"erased", 'e', "FILE", OPTIONAL, "first erase the accounts again that the journal FILE lists"},
                 {"restamp", 'r', NULL, OPTIONAL, "only users whose clocks are ahead: bring them back to now"}}},

    {.name = "replay", .run = cmd_replay,
     .help = "import operations or entities from a file of JSON lines (-: standard input)",
     .operands = {"FILE"},
     .options = {{"user", 'u', "USER", REQUIRED, "the user whose library is written"},
                 {"as", 'a', "KIND", OPTIONAL, "the lines are entities of this kind (book, rating, ...)"},
                 {"batch", 'b', "N", OPTIONAL, "operations per transaction, 1 to 1000 (default: 100)"},
                 {"device", 'd', "ID", OPTIONAL, "the device that the edits are attributed to (default: replay)"}}},
    {0},
};
// clang-format on

/* A command that could not write all of its output has failed. */
static int close_output(int exit_code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return exit_code;
    warn("standard output");
    return exit_code == CMD_OK ? CMD_FAILED : exit_code;
}

int main(int argc, char **argv)
{
    static conf settings; /* its strings live until the process ends */
    cmdline line;
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return close_output(printf("booky-sync %s\n", PACKAGE_VERSION) < 0);
    int exit_code = cmdline_read(commands, argc, argv, &line);
    if (exit_code != CMD_RUN) return close_output(exit_code);
    line.faulty = !cmd_load_conf(&line, &settings);
    if (line.faulty && !line.command->checks_settings) return CMD_CONFIG;
    return close_output(line.command->run(&line, &settings));
}
