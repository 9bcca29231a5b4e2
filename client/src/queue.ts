// Edits, from the moment a person makes them until the server has said what became of each.
//
// An operation that was on its way once never changes again: the server may know it under its id. Only what the server
// answers about an id takes it out of the queue. What stands between: being offline, an expired token and a 429 cost
// nothing; a 5xx costs one of its retries; a refusal of the whole batch is narrowed down by halves until the operation
// that is at fault is alone and goes to the review list. Its last retry each operation has alone, so that no
// neighbour's fault is held against it.

import { conflictOf, type Context, makeId } from './context.js';
import { type Row, type StoredOperation, type Tx } from './database.js';
import { problem } from './http.js';
import { coalesce, isObject } from './merge.js';
import { delayAfter, RETRIES } from './retry.js';
import { changeOf, landed } from './store.js';
import type { ConflictInfo, Data, Entity, Operation, OperationType, ReviewItem } from './types.js';
import { SyncError } from './types.js';

const ENTITIES = ['book', 'rating', 'tag', 'collection', 'readingLog', 'userSettings'];
const TYPES = ['create', 'update', 'delete'];
const CONFLICTS = 100; // settled ones that are kept
const WINDOW = 500; // operations from which a batch is chosen

/** Settings are one per user, and the server calls them so. */
export const idOf = (entity: Entity, id: string) => (entity === 'userSettings' ? 'settings' : id);

export const shown = ({ seq, timestamp, tried, nextAt, ...op }: StoredOperation) =>
  ({ ...op, timestamp: new Date(timestamp).toISOString(), synced: false }) as Operation;

const wire = ({ id, type, entity, entityId, data, timestamp, baseVersion, conflictResolution }: StoredOperation) => ({
  id, type, entity, entityId, data, timestamp: new Date(timestamp).toISOString(), baseVersion, conflictResolution,
});

const all = (tx: Tx, store: string, count?: number): Promise<StoredOperation[]> => tx.all(store, undefined, count);

const keyOf = (op: StoredOperation) => JSON.stringify([op.entity, op.entityId]);

export type Queue = ReturnType<typeof makeQueue>;

export function makeQueue(c: Context) {
  const { db, clock, options } = c;

  async function add(entity: Entity, entityId: string, type: OperationType, data?: Data): Promise<Operation> {
    const check = (holds: unknown, message: string) => {
      if (!holds) throw new TypeError(message);
    };
    check(ENTITIES.includes(entity), `entity: must be one of ${ENTITIES}`);
    check(TYPES.includes(type), `type: must be one of ${TYPES}`);
    check(typeof entityId === 'string' && entityId && [...entityId].length < 256, 'entityId: must be 1 to 255 characters');
    check(type === 'delete' || isObject(data), 'data: must be an object');
    entityId = idOf(entity, entityId);
    data = type === 'delete' ? undefined : JSON.parse(JSON.stringify(data)); // what will be sent: no undefined, dates as text
    const op = await db.write(async (tx) => {
      const row: Row | undefined = await tx.get('rows', [entity, entityId]);
      const last = (await tx.get('meta', 'last')) ?? 0;
      const timestamp = Math.max(clock.now(), last + 1);
      tx.put('meta', timestamp, 'last');
      const fresh: Omit<StoredOperation, 'seq'> = {
        id: makeId(), type, entity, entityId, data, timestamp, tried: false, attempts: 0, nextAt: 0,
        baseVersion: (!row?.deleted && row?.updatedAt) || undefined,
        conflictResolution: options.conflictResolution,
      };
      const before = (await tx.about('queue', [entity, entityId])).pop();
      const edit =
        before && !before.tried && before.baseVersion === fresh.baseVersion && before.conflictResolution === fresh.conflictResolution
          ? coalesce(before, fresh)
          : undefined;
      const stored = edit ? { ...before!, data: undefined, ...edit, timestamp } : fresh;
      return { ...stored, seq: (await tx.put('queue', stored)) as number };
    });
    c.emit('change', { source: 'local', entities: [{ entity, entityId }] });
    return shown(op);
  }

  /** The next batch, marked as tried. Edits of one entity keep their order, and what has failed least goes first. */
  const take = (size: number) =>
    db.write(async (tx) => {
      const worst = new Map<string, { rank: number; at: number }>(); // of the earlier edits of an entity
      const due = (await all(tx, 'queue', WINDOW))
        .map((op) => {
          const key = keyOf(op);
          const { rank, at } = worst.get(key) ?? { rank: 0, at: 0 };
          const turn = { op, rank: Math.max(rank, op.attempts), at: Math.max(at, op.nextAt) };
          worst.set(key, turn);
          return turn;
        })
        .filter(({ at }) => at <= clock.now())
        .sort((a, b) => a.rank - b.rank || a.op.seq - b.op.seq);
      const alone = due[0]?.rank === RETRIES;
      const batch = due.filter(({ rank }) => rank < RETRIES || alone).slice(0, alone ? 1 : size).map(({ op }) => ({ ...op, tried: true }));
      for (const op of batch) tx.put('queue', op);
      return batch;
    });

  /** One attempt in vain for each of them; after the last one, and with `final`, to the review list. */
  async function fail(ops: StoredOperation[], error = 'VALIDATION_ERROR', message = '', final = false) {
    const refused = await db.write(async (tx) => {
      const list: StoredOperation[] = [];
      for (const op of ops) {
        if (!(await tx.get('queue', op.seq))) continue; // another tab has heard of it already
        const attempts = op.attempts + 1, failed = { ...op, error, message, attempts };
        if (!final && attempts <= RETRIES) tx.put('queue', { ...failed, nextAt: clock.now() + delayAfter(attempts, clock) });
        else {
          tx.delete('queue', op.seq);
          tx.put('review', failed);
          list.push(failed);
        }
      }
      return list;
    });
    for (const op of refused) c.emit('review', shown(op) as ReviewItem);
  }

  /** What the server said of each operation, by its id. Returns those that it speaks of. */
  async function settle(batch: StoredOperation[], results: any[]): Promise<StoredOperation[]> {
    const answers = batch
      .map((op) => ({ op, result: results.find((result) => result?.id === op.id) }))
      .filter(({ result }) => ['success', 'conflict', 'failed'].includes(result?.status));
    const ended = answers.filter(({ result }) => result.status !== 'failed');

    const land = async (tx: Tx): Promise<Row[]> => {
      const rows = new Map<string, Row>();
      for (const { op, result } of ended) {
        if (!(await tx.get('queue', op.seq))) continue; // another tab has heard of it already
        const before = await tx.get('rows', [op.entity, op.entityId]);
        if (before?.updatedAt >= result.updatedAt) continue; // something later is there already
        const row = landed(rows.get(keyOf(op)) ?? before, op, result);
        if (row) rows.set(keyOf(op), row);
      }
      return [...rows.values()];
    };
    if (options.apply) {
      const rows = await db.read(land);
      if (rows.length) await options.apply(rows.map(changeOf));
    }
    const conflicts = await db.write(async (tx) => {
      for (const row of await land(tx)) tx.put('rows', row);
      const list: ConflictInfo[] = [];
      for (const { op, result } of ended) {
        tx.delete('queue', op.seq);
        const { conflict, resolution } = result;
        if (!conflict || (await tx.get('conflicts', conflict.id))) continue;
        list.push(conflictOf({ ...conflict, status: resolution ? 'resolved' : 'open', resolution }));
        tx.put('conflicts', list[list.length - 1]);
      }
      const old: ConflictInfo[] = list.length ? await tx.all('conflicts') : [];
      for (const { id } of old.filter(({ status }) => status !== 'open').slice(0, -CONFLICTS)) tx.delete('conflicts', id);
      return list;
    });
    if (ended.length) c.emit('change', { source: 'remote', entities: ended.map(({ op: { entity, entityId } }) => ({ entity, entityId })) });
    for (const conflict of conflicts) c.emit('conflict', conflict);
    for (const { op, result } of answers)
      if (result.status === 'failed') await fail([op], result.error, result.message, !result.retryable);
    return answers.map(({ op }) => op);
  }

  /** Sends everything that is due, and tells how much is settled so far. Throws what ended it before. */
  async function push(sent: (count: number) => void): Promise<void> {
    let settled = 0, size = options.batchSize;
    const total = await db.read((tx) => tx.count('queue'));

    async function post(batch: StoredOperation[]): Promise<void> {
      const reply = await c.http.call('POST', '/operations', { deviceId: await c.deviceId(), operations: batch.map(wire) });
      const { status, body } = reply;
      if (status === 200) {
        if (!Array.isArray(body.results)) throw new SyncError('OFFLINE', 'an answer without results');
        const answered = await settle(batch, body.results);
        sent((settled += answered.length));
        c.emit('progress', { phase: 'push', done: settled, total: Math.max(total, settled) });
        const missing = batch.filter((op) => !answered.includes(op)), error = new SyncError('SYNC_FAILED', 'there is no result');
        if (!missing.length) return;
        await fail(missing, error.code, error.message);
        throw error;
      }
      const error = problem(reply);
      if (status === 413 || status === 400) {
        const half = batch.length >> 1;
        if (!half) return fail(batch, error.code, error.message, true);
        if (status === 413) size = half;
        await post(batch.slice(0, half));
        return post(batch.slice(half));
      }
      if (status >= 500) await fail(batch, error.code, error.message);
      throw error;
    }

    for (let batch; (batch = await take(size)).length; ) await post(batch);
  }

  return {
    add,
    push,
    /** How long until another of what waits for a retry is due; Infinity when none does. */
    due: async () => {
      const waits = (await db.read((tx) => all(tx, 'queue', WINDOW))).map((op) => op.nextAt - clock.now());
      return Math.min(...waits.filter((wait) => wait > 0));
    },
    pending: async () => (await db.read((tx) => all(tx, 'queue'))).map(shown),
    review: async () => (await db.read((tx) => all(tx, 'review'))).map(shown) as ReviewItem[],
    retry: (id?: string, data?: Data) =>
      db.write(async (tx) => {
        for (const { error, message, ...op } of await all(tx, 'review')) {
          if (id !== undefined && id !== op.id) continue;
          tx.delete('review', op.seq);
          // A failed operation is not remembered, so it may come again under its id, corrected too; but not one whose
          // fate is unknown with other data, nor an id that is in use.
          const renew = error === 'OPERATION_ID_REUSED' || (data && error === 'SYNC_FAILED');
          tx.put('queue', { ...op, ...(data && { data }), id: renew ? makeId() : op.id, attempts: 0, nextAt: 0 });
        }
      }),
    drop: (id: string) =>
      db.write(async (tx) => {
        for (const op of await all(tx, 'review')) if (op.id === id) tx.delete('review', op.seq);
      }),
  };
}
