/*
 * The result of one operation: as POST /operations answers it, and as the ledger remembers it for a repeat. The ledger
 * keeps neither the content of the entity nor the sides of a conflict, so a small operation on a large entity stores
 * little. A repeat takes the sides from the conflict log. It tells the content while the entity still has the version
 * of the result, and otherwise the present version as `current`.
 */
#ifndef BOOKY_RESULT_H
#define BOOKY_RESULT_H

#include "engine/resolve.h"
#include "store/rows.h"

#define RESULT_NEEDS_DECISION "another edit stands against this one; a person must decide"

typedef enum result_form { RESULT_REPLY, RESULT_LEDGER } result_form;

/* Appends the result of a plain success of the stamp: the ledger does not keep it. */
void result_write_plain(const operation *op, int64_t stamp, strbuf *text);

/* Appends the result of an operation, after all operations of its request were decided. Not for OUTCOME_REPEAT. */
void result_write(const resolver *r, const operation *op, const outcome *o, result_form form, strbuf *text);

/* Appends the repeat of an operation that the ledger knows. The row has a result, also for a plain success. `e` is its
 * entity. */
void result_write_repeat(const ledger_row *row, const entity *e, int64_t stamp, strbuf *text);

/* The bytes that result_write_repeat writes, at most, without the content of the entity. */
size_t result_repeat_size(const ledger_row *row);

/* Appends a repeat of a result of this request. */
void result_write_copy(const strbuf *first, strbuf *text);

#endif
