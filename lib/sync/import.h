/*
 * booky-sync user import: the export of a user, of this server or of another one, joined with what the user has here.
 * Nothing is lost: the times come along, and deletions and incomplete entities too. The queue, the conflict log, the
 * processed operations and the snapshots stay where they are.
 */
#ifndef BOOKY_IMPORT_H
#define BOOKY_IMPORT_H

#include "sync/ctx.h"

/* Imports the document `text`. *failed: the number of entities that could not be stored; the reply lists them. */
rc import_run(sync_ctx *ctx, const char *text, size_t len, strbuf *reply, size_t *failed);

#endif
