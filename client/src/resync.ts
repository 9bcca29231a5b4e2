// What a 410 requires before everything is pulled again, by its reason.
//
// restored, other_server: the server has lost what this device holds later than `until`. The device sends it back, with
//   the times at which each member was edited, so that the server joins the two states exactly. It also sends its
//   deletions, and again the operations that no pull has brought back. Progress is stored with the note that the resync
//   is due, so that a resync of a large library ends although the app is closed or the rate limit is reached.
// erased: what was synced goes with the next pull, which does not return it. Edits from before the erasure are dropped,
//   later ones too unless the app wants to keep them.

import type { Context } from './context.js';
import type { Row, StoredOperation } from './database.js';
import { withGroups } from './groups.js';
import { makeId } from './ids.js';
import { shown } from './operations.js';
import { inParts } from './parts.js';
import type { ResyncInfo, ReviewItem } from './types.js';

const DAY = 86_400_000;
const TOMBSTONE_DAYS = 180; // if the server does not say

/** The note in the store that a resync is due. `after` is the key of the last row that was sent. */
interface Due extends Partial<ResyncInfo> {
  reason: ResyncInfo['reason'];
  until?: string;
  erasedAt?: string;
  after?: [string, string];
}

const text = (ms: number) => new Date(ms).toISOString();
/** The version of a row, as far as this device knows it. */
const versionOf = ({ updatedAt, seen, data }: Row, now: number): string =>
  updatedAt || seen || data.updatedAt || text(now);

/** A row in the shape in which a pull gives it. */
function pulled(row: Row, now: number) {
  const { type, id, data, deleted, times, beneath } = row, updatedAt = versionOf(row, now);
  if (!deleted) return { type, data: { ...data, id, updatedAt }, times };
  return { type, deleted, data: { id, updatedAt, deletedAt: row.deletedAt ?? updatedAt }, times, beneath };
}

/** Sends back what the server has lost. */
async function sendBack({ db, http, emit, time, up }: Context, due: Due, info: ResyncInfo) {
  const now = time.now(), until = due.until ? Date.parse(due.until) : -Infinity;
  const rows: Row[] = (await db.read((tx) => tx.all('rows')))
    .filter((row: Row) => Date.parse(versionOf(row, now)) > until);
  const [lastType, lastId] = due.after ?? ['', ''];
  const rest = rows.filter(({ type, id }) => type > lastType || (type === lastType && id > lastId));

  // What the server refuses, waits for the person as an edit, so that the pull does not remove it.
  const refuse = async (row: Row, error: string, message: string) => {
    const { type, id, deleted } = row, { updatedAt, createdAt, ...data } = row.data;
    const op = {
      id: makeId(), type: deleted ? 'delete' : 'create', entity: type, entityId: id, data: deleted ? undefined : data,
      timestamp: Date.parse(versionOf(row, now)), tried: false, attempts: 0, nextAt: 0, error, message,
    } as StoredOperation;
    const added = await db.write(async (tx) => {
      if ((await tx.about('review', [type, id])).some((other) => other.error === error)) return false;
      const seq = await tx.put('queue', op); // takes a number that no other operation has
      tx.delete('queue', seq);
      tx.put('review', { ...op, seq });
      return true;
    });
    info.refused++;
    if (added) emit('review', shown(op) as ReviewItem);
  };

  await inParts(
    rest, () => up.size,
    async (part) => {
      const body = { mode: 'merge', changes: part.map((row) => pulled(row, now)) };
      const { failed = [] } = await up.use(() => http.callOk('POST', '/full', body));
      for (const { index, error, message } of failed) await refuse(part[index], error, message);
      info.sent += part.length - failed.length;
      const { type, id } = part[part.length - 1];
      await db.write((tx) => tx.put('meta', { ...due, ...info, after: [type, id] }, 'resync'));
      emit('progress', { phase: 'push', done: info.sent, total: rows.length });
    },
    ['PAYLOAD_TOO_LARGE', 'VALIDATION_ERROR'],
    (row, { code, message }) => refuse(row, code, message),
  );
  await db.write(async (tx) => {
    for (const row of rows)
      for (const op of row.sent ?? [])
        if (!(await tx.get('queue', op.seq))) tx.put('queue', { ...op, transaction: undefined, atomic: undefined });
  });
}

/** Drops the edits from before the erasure, and the later ones unless the app wants to keep them. */
async function dropEdits({ db, options }: Context, erasedAt: string | undefined, info: ResyncInfo) {
  const stores = ['queue', 'review'];
  const edits: StoredOperation[] = (await db.read((tx) => Promise.all(stores.map((store) => tx.all(store))))).flat();
  // An atomic transaction that was begun before the erasure is from before it as a whole.
  const before = withGroups(edits, ({ timestamp }) => !erasedAt || timestamp <= Date.parse(erasedAt));
  const later = edits.filter((op) => !before.includes(op));
  const keep = later.length > 0 && (await options.onErased?.(new Date(erasedAt!), later.map(shown)));
  const dropped = edits.filter((op) => !keep || !later.includes(op));
  await db.write(async (tx) => {
    for (const { seq } of dropped) for (const store of stores) tx.delete(store, seq);
    tx.clear('conflicts');
    for (const { type, id, deleted } of (await tx.all('rows')) as Row[]) if (deleted) tx.delete('rows', [type, id]);
  });
  info.dropped += dropped.length;
}

/** Does what the 410 requires. Afterwards everything must be pulled. */
export async function prepare(ctx: Context, due: Due): Promise<ResyncInfo> {
  const { reason, sent = 0, refused = 0, dropped = 0 } = due;
  const info: ResyncInfo = { reason, sent, refused, dropped };
  if (reason === 'restored' || reason === 'other_server') await sendBack(ctx, due, info);
  if (reason === 'erased') await dropEdits(ctx, due.erasedAt, info);
  ctx.emit('change', { source: 'remote', entities: [] }); // edits were dropped, or wait again
  return info;
}

/** Forgets the deletions that the server no longer remembers either. */
export async function forgetDeletions({ db, http, time, emit }: Context) {
  const { status, body } = await http.call('GET', '/config');
  const days = (status === 200 && body.retention?.tombstoneDays) || TOMBSTONE_DAYS;
  const before = text(time.now() - days * DAY);
  const forgotten = await db.write(async (tx) => {
    const rows: Row[] = (await tx.all('rows')).filter((row) => row.deleted && versionOf(row, 0) < before);
    for (const { type, id } of rows) tx.delete('rows', [type, id]);
    return rows;
  });
  // An edit that still waits would have restored members of the deleted entity.
  const entities = forgotten.map(({ type, id }) => ({ entity: type, entityId: id }));
  if (entities.length) emit('change', { source: 'remote', entities });
}
