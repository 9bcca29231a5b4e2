// Rows are what the server has, as far as this device knows. This file says how the result of an operation or a pulled
// change alters a row.

import type { Row, StoredOperation, Tx } from './database.js';
import { equal, merge } from './merge.js';
import type { Change, Data, Entity } from './types.js';

/**
 * The row after the server's result of `op`; undefined when nothing was applied. All results of one request have the
 * same version. `current` is the entity at the end of the request; it takes the place of a stored result.
 */
export function rowAfter(row: Row | undefined, op: StoredOperation, result: any): Row | undefined {
  const { duplicate, resolution, status, current } = result;
  const { updatedAt = '', data, deleted, incomplete } = current ?? result;
  const { entity: type, entityId: id } = op;
  const sent = [...(row?.sent ?? []), op];
  const seen = updatedAt || row?.seen;
  const gone = !!(deleted || incomplete); // a pull does not return incomplete entities either
  if (data || current)
    return { ...row, type, id, data: (!deleted && data) || row?.data || {}, deleted: gone, updatedAt, seen, sent };
  if (status === 'conflict') return undefined;
  // The version is trusted only if the row is now certainly what the server has: it was at the version on which the
  // edit was made, or an earlier result of this reply has completed it. It may not be after a repeat or a resolved
  // conflict without `data`, nor after a deletion is undone: other devices may have edited the deleted entity. Without
  // a version the next pull replaces the row.
  const known = row?.updatedAt && !row.deleted && !duplicate && !resolution &&
    (row.updatedAt === op.baseVersion || row.updatedAt === updatedAt);
  return {
    ...row, type, id,
    data: op.type === 'delete' ? row?.data ?? {} : merge(row?.data ?? {}, op.data!, op.lists),
    deleted: gone || op.type === 'delete',
    updatedAt: known ? updatedAt : '',
    seen, sent,
    deletedAt: new Date(op.timestamp).toISOString(),
  };
}

/** A row in the form that the app is given. */
export const changeOf = ({ type, id, data, deleted, updatedAt }: Row): Change => ({
  type,
  ...(deleted && { deleted }),
  data: { ...(deleted ? {} : data), id, ...(updatedAt && { updatedAt }) },
});

/** A change as a pull brings it. With `patch`, `data` has only the id and the version. */
export type Pulled = Change & { patch?: Data };

/**
 * The changes with whole entities: patches are laid over the rows. Undefined if the row of a patch is not exactly what
 * the server had.
 */
export async function unpatched(tx: Tx, changes: Pulled[]): Promise<Change[] | undefined> {
  const whole: Change[] = [];
  for (const { patch, ...change } of changes) {
    const { type, data } = change, row: Row | undefined = patch && (await tx.get('rows', [type, data.id]));
    if (patch && (!row?.updatedAt || row.deleted)) return undefined;
    whole.push(patch ? { ...change, data: { ...merge(row!.data, patch), ...data } } : change);
  }
  return whole;
}

interface Compared {
  rows: Row[];
  news: Change[];
  /** The deletions of entities that this device does not know from the server. Edits may wait for them. */
  unknown: Change[];
  /** Those of the news that another device has made. */
  foreign: Change[];
  /** The rows whose latest version was written by this device, and which another device has written now. */
  lost: Row[];
}

/**
 * Compares pulled changes with the stored rows. Returns the rows to write, and the changes that are new to this device.
 * A resync (`gen`) takes the server's version even if the stored one is later: the server may have been restored from a
 * backup.
 */
export async function compare(tx: Tx, changes: Change[], gen?: string): Promise<Compared> {
  const rows: Row[] = [], news: Change[] = [], unknown: Change[] = [], foreign: Change[] = [], lost: Row[] = [];
  const stored: (Row | undefined)[] = await Promise.all(
    changes.map(({ type, data }) => tx.get('rows', [type, data.id])),
  );
  changes.forEach((change, i) => {
    const { type, deleted, data } = change, row = stored[i], updatedAt = data.updatedAt!;
    const same = row && (gen ? row.updatedAt === updatedAt : row.updatedAt >= updatedAt);
    if (same && !gen && row.updatedAt > updatedAt) return; // an equal version is written: the row may lack members
    const before = row && !row.deleted && { ...row.data, id: data.id, updatedAt };
    if (!same || !equal(before, !deleted && data)) (row || !deleted ? news : unknown).push(change);
    if (!same && (row || !deleted) && row?.seen !== updatedAt) foreign.push(change);
    const seen = row?.seen;
    if (row && seen && !gen && (!row.updatedAt || row.updatedAt === seen) && seen < updatedAt) lost.push(row);
    const { id, deletedAt } = data, { times, beneath } = change as Pick<Row, 'times' | 'beneath'>;
    // A tombstone keeps the data: a later edit restores it.
    rows.push({
      type, id, data: deleted ? row?.data ?? {} : data, deleted, deletedAt, updatedAt, gen, times, beneath,
      seen: seen === updatedAt ? seen : undefined,
    });
  });
  return { rows, news, unknown, foreign, lost };
}

/** The rows that the resync `gen` has not met. It need not meet deleted ones. */
export const unmetRows = async (tx: Tx, gen: string, entities?: Entity[]): Promise<Row[]> =>
  ((await tx.all('rows')) as Row[])
    .filter((row) => row.gen !== gen && !row.deleted && (!entities || entities.includes(row.type)));
