#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "sync/erase.h"
#include "sync/journal.h"

/*
 * Repeats the erasures of a journal after a backup was restored. An erased account is found by its epochs. Its clock is
 * then older than the erasure, which was its last commit. If the clock is not older, the erasure was written to the
 * journal but not committed, or devices were let in before this command: such an account is reported and left alone.
 */

/* The epochs of many lines. */
typedef struct erasures {
    arena *a;
    strbuf epochs, instants; /* PostgreSQL arrays, one element for each epoch */
    long lines, unreadable;
} erasures;

/* The clocks c that had one of the epochs `erased` (epoch, at). */
#define FOUND(columns, only)                                                                                           \
    "SELECT " columns " FROM clocks c JOIN erased e ON e.epoch = c.epoch " only " UNION ALL SELECT " columns           \
    " FROM clocks c JOIN epochs p ON p.user_id = c.user_id JOIN erased e ON e.epoch = p.epoch " only
#define FOUND_ALL FOUND("c.user_id, c.clock, e.at", "")
#define WRITTEN_SINCE FOUND("e.epoch", "WHERE c.clock >= e.at")

/* Of the epochs $1, erased at $2: the accounts that have them, and whether they were written since. */
static const char accounts_sql[] =
    "WITH erased AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::bigint[]) AS e (epoch, at))"
    " SELECT user_id, bool_or(clock >= at) FROM (" FOUND_ALL ") AS found GROUP BY user_id ORDER BY user_id";

/* Records the epochs, but for those of accounts that were written since. */
static const char record_sql[] = "WITH erased AS MATERIALIZED (SELECT epoch, min(at) AS at FROM"
                                 " unnest($1::bigint[], $2::bigint[]) AS e (epoch, at) GROUP BY epoch),"
                                 " kept AS MATERIALIZED (" WRITTEN_SINCE ")"
                                 " INSERT INTO erased_epochs (epoch, erased_at) SELECT epoch, at FROM erased"
                                 " WHERE epoch NOT IN (SELECT epoch FROM kept) ON CONFLICT (epoch) DO NOTHING";

static void add_line(erasures *all, const journal_line *line)
{
    for (size_t i = 0; i < line->count; i++) {
        const char *comma = all->epochs.len > 1 ? "," : "";
        strbuf_printf(&all->epochs, "%s%lld", comma, (long long)line->epochs[i]);
        strbuf_printf(&all->instants, "%s%lld", comma, (long long)line->at);
    }
    all->lines++;
}

static bool read_file(erasures *all, const char *path)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    journal_line line;
    if (!f) {
        warn("%s", path);
        return false;
    }
    strbuf_putc(&all->epochs, '{');
    strbuf_putc(&all->instants, '{');
    for (long number = 1; getline(&text, &size, f) >= 0; number++) {
        if (journal_read(text, &line)) {
            add_line(all, &line);
        } else {
            warnx("%s:%ld: not an erasure: an instant and epochs are expected", path, number);
            all->unreadable++;
        }
    }
    bool ok = !ferror(f);
    if (!ok) warn("%s", path);
    strbuf_putc(&all->epochs, '}');
    strbuf_putc(&all->instants, '}');
    free(text);
    if (f != stdin) fclose(f);
    return ok;
}

static bool erase_account(const char *user, const conf *settings)
{
    sync_ctx ctx;
    conf unrecorded = *settings;
    unrecorded.erasure_journal = ""; /* the erasure stands in the journal */
    if (!cmd_ctx_begin(&ctx, &unrecorded, user)) return false;
    strbuf receipt = STRBUF(ctx.a);
    rc code = erase_run(&ctx, &receipt);
    if (code != RC_OK) cmd_ctx_failed(&ctx, code);
    cmd_ctx_end(&ctx);
    return code == RC_OK;
}

static bool erase_accounts(const PGresult *accounts, const conf *settings)
{
    long erased = 0, kept = 0;
    bool ok = true;
    for (int i = 0; ok && i < PQntuples(accounts); i++) {
        const char *user = PQgetvalue(accounts, i, 0);
        if (db_column_bool(accounts, i, 1)) {
            warnx("%s: has been written since the erasure in the journal, and was left alone", user);
            kept++;
        } else if ((ok = erase_account(user, settings))) {
            erased++;
        }
    }
    printf("erased again: %ld users\n", erased);
    if (kept > 0) warnx("%ld users were left alone; booky-sync user erase erases one", kept);
    return ok;
}

bool cmd_erase_again(const char *path, const conf *settings)
{
    arena *a = arena_new();
    erasures all = {.a = a, .epochs = STRBUF(a), .instants = STRBUF(a)};
    PGconn *conn = NULL;
    bool ok = read_file(&all, path) && (conn = cmd_admin(settings));
    if (ok) {
        const char *values[] = {all.epochs.data, all.instants.data};
        PGresult *accounts = cmd_sql(conn, accounts_sql, 2, values);
        ok = accounts && cmd_exec(conn, record_sql, 2, values) && erase_accounts(accounts, settings);
        PQclear(accounts);
    }
    if (ok && all.unreadable > 0) {
        warnx("%s: %ld lines could not be read; remove or correct them, and run it again", path, all.unreadable);
        ok = false;
    }
    PQfinish(conn);
    arena_free(a);
    return ok;
}
