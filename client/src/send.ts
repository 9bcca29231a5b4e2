// Sends the queue and applies the results.

import { addConflicts, conflictOf } from './conflicts.js';
import type { Context } from './context.js';
import type { Config, Row, StoredOperation, Tx } from './database.js';
import { makeReview, unitsOf } from './groups.js';
import { errorOf } from './http.js';
import { deviceIdOf, operationId } from './ids.js';
import { difference } from './difference.js';
import { changed, isChange } from './lists.js';
import { all, keysOf, laterThan, shown, wire, WINDOW } from './operations.js';
import { delayAfter, RETRIES } from './retry.js';
import { changeOf, rowAfter } from './rows.js';
import { SLOW } from './sizes.js';
import { AHEAD } from './time.js';
import { type Activity, type ReviewItem, SyncError } from './types.js';

const HOUR = 3_600_000;
const MANY = 100; // for larger batches the server is asked for its limit
const MOST = 1000; // operations in one request, if the server does not say

const keyOf = (op: StoredOperation) => JSON.stringify([op.entity, op.entityId]);

export function makeSender(ctx: Context) {
  const { db, clock, options, time } = ctx;
  const tell = (activity: Omit<Activity, 'entities'>, ops: StoredOperation[]) =>
    ctx.emit('activity', { ...activity, entities: keysOf(ops) });
  const diskFull = (error: any) => error.code === 'DISK_FULL';
  const answered = new Set<string>(); // operations whose results could not be stored, because the disk is full

  /**
   * If unsent edits lie ahead, the clock was ahead when they were made. Brings them down, in their order and to `now`
   * at most, but not to before what the person saw. Returns the queue.
   */
  async function bringDown(tx: Tx, ops: StoredOperation[], now: number): Promise<StoredOperation[]> {
    const times = new Map<string, number>();
    const lowered = ops.map((op, i) => {
      const floor = Math.max(laterThan(op.baseVersion), (op.after ?? 0) + 1, (times.get(keyOf(op)) ?? 0) + 1);
      const timestamp = Math.max(Math.min(op.timestamp, now - (ops.length - 1 - i)), floor);
      if (op.tried && op.timestamp > now) return op; // its bytes must not change
      times.set(keyOf(op), op.tried ? op.timestamp : timestamp);
      if (op.tried || timestamp === op.timestamp) return op;
      tx.put('queue', { ...op, timestamp, first: timestamp });
      return { ...op, timestamp };
    });
    return lowered;
  }

  /**
   * The operation with its lists as the server takes them. To a set goes the difference to what was on the screen,
   * if a change makes exactly the list that was written; else the list as a whole.
   */
  function withLists(op: StoredOperation): StoredOperation {
    if (!op.lists?.size) return op;
    const data = { ...op.data }, lists = new Map(op.lists), sets = config!.sets[op.entity] ?? [];
    for (const [name, base] of op.lists) {
      const value = sets.includes(name) ? difference(base, data[name]) ?? data[name] : changed(base, data[name]);
      Object.assign(data, { [name]: value });
      if (!sets.includes(name) || !isChange(value)) lists.delete(name);
    }
    return { ...op, data, lists };
  }

  /**
   * The next batch, marked as tried; 'time' or 'config' if that of the server must be known first. A transaction is in
   * one batch as a whole, an atomic one in a batch of its own. Operations with fewer failures come first; operations on
   * one entity keep their order. After a failure, batches are not larger than the option says, so that one operation at
   * fault costs many others only one attempt.
   */
  const takeBatch = async (size: number, bytes: number) => {
    const choose = async (tx: Tx) => {
      const now = time.now(), limit = now + AHEAD;
      const oldest = await all(tx, 'queue', WINDOW), cut = unitsOf(oldest);
      // The transaction at the end of the window may have operations beyond it. It fits in the window as a whole.
      if (oldest.length === WINDOW && cut.length > 1 && cut[cut.length - 1][0].transaction) cut.pop();
      let ops = cut.flat().filter(({ id }) => !answered.has(id));
      const isAhead = (op: StoredOperation) => op.timestamp > Math.max(limit, laterThan(op.baseVersion), op.after ?? 0);
      if (ops.some((op) => !op.tried && isAhead(op))) {
        if (!time.known) return 'time';
        ops = await bringDown(tx, ops, now);
      }
      // For each entity the most failures and the latest retry time of its earlier operations. `held`: one of them was
      // sent with a time ahead. Later edits must wait for its version to be later than that. Operations of one
      // transaction wait for each other.
      const worst = new Map<string, { rank: number; at: number; held: boolean }>();
      const due = unitsOf(ops)
        .map((unit) => {
          const before = unit.map((op) => worst.get(keyOf(op)) ?? { rank: 0, at: 0, held: false });
          const rank = Math.max(...unit.map((op, i) => Math.max(before[i].rank, op.attempts, op.misses ?? 0)));
          const at = Math.max(...unit.map((op, i) =>
            (before[i].held && !op.tried ? Infinity : Math.max(before[i].at, op.nextAt))));
          unit.forEach((op, i) =>
            worst.set(keyOf(op), { rank, at, held: before[i].held || (op.tried && isAhead(op)) }));
          return { unit, rank, at };
        })
        .filter(({ at }) => at <= clock.now())
        .sort((a, b) => a.rank - b.rank || a.unit[0].seq - b.unit[0].seq);
      const lowest = due[0]?.rank;
      const most = lowest >= RETRIES ? 1 : lowest ? Math.min(size, options.batchSize) : size;
      let room = bytes;
      const chosen: StoredOperation[] = [];
      for (const { unit, rank } of due) {
        room -= JSON.stringify(unit).length;
        const alone = chosen[0]?.atomic || unit[0].atomic; // the server applies all of the request or nothing
        if (chosen.length && (rank !== lowest || alone || chosen.length + unit.length > most || room <= 0)) break;
        chosen.push(...unit);
      }
      if (!config && chosen.some((op) => !op.tried && (op.transaction || op.lists?.size))) return 'config';
      const batch = chosen.map((op) => ({ ...(op.tried ? op : withLists(op)), tried: true }));
      for (const op of batch) tx.put('queue', op);
      return batch;
    };
    try {
      return await db.write(choose);
    } catch (error) {
      if (!diskFull(error)) throw error;
      const batch = await db.read((tx) => choose({ ...tx, put: async () => 0 })); // sending needs no writing
      if (typeof batch !== 'string') for (const { id } of batch) ctx.unmarked.add(id);
      return batch;
    }
  };

  /**
   * Counts a failed attempt for each operation. Moves it to the review list after the last retry, or if `final`.
   * `own` are the messages for single operations.
   */
  async function fail(
    ops: StoredOperation[], error = 'VALIDATION_ERROR', message = '', final = false, own: string[] = [],
  ) {
    const refused = await db.write(async (tx) => {
      const list: StoredOperation[] = [];
      for (const [i, op] of ops.entries()) {
        if (!(await tx.get('queue', op.seq))) continue; // another tab has received its result
        const attempts = op.attempts + 1, failed = { ...op, error, message: own[i] ?? message, attempts };
        if (!final && attempts <= RETRIES)
          tx.put('queue', { ...failed, nextAt: clock.now() + delayAfter(attempts, clock) });
        else {
          tx.delete('queue', op.seq);
          tx.put('review', { ...failed, nextAt: clock.now() + HOUR });
          if (final || attempts === RETRIES + 1) list.push(failed); // told once
        }
      }
      return list;
    });
    for (const op of refused) ctx.emit('review', shown(op) as ReviewItem);
  }

  /**
   * The server has another operation under this id: this device is a clone of another one. Takes a new device id and
   * gives the operation a new id, once. Returns whether it did.
   */
  const renew = (op: StoredOperation) =>
    db.write(async (tx) => {
      if (op.renewed || !(await tx.get('queue', op.seq))) return false;
      const device = options.deviceId ?? (await deviceIdOf(tx));
      const id = operationId(options.deviceId ?? (await deviceIdOf(tx, op.id.startsWith(device))));
      tx.put('queue', { ...op, id, tried: false, renewed: true });
      return true;
    });

  /** Applies the results, which are matched by operation id. Returns the operations that have a result. */
  async function settle(batch: StoredOperation[], results: any[]): Promise<StoredOperation[]> {
    const answers = batch
      .map((op) => ({ op, result: results.find((result) => result?.id === op.id) }))
      .filter(({ result }) => ['success', 'conflict', 'failed'].includes(result?.status));
    const ended = answers.filter(({ result }) => result.status !== 'failed');

    const resultingRows = async (tx: Tx): Promise<Row[]> => {
      const rows = new Map<string, Row>();
      for (const { op, result } of ended) {
        if (!(await tx.get('queue', op.seq))) continue; // another tab has received its result
        const before = await tx.get('rows', [op.entity, op.entityId]);
        if (before?.updatedAt >= (result.current ?? result).updatedAt) continue; // the stored row is later
        const row = rowAfter(rows.get(keyOf(op)) ?? before, op, result);
        if (row) rows.set(keyOf(op), row);
      }
      return [...rows.values()];
    };
    if (options.apply) {
      const rows = await db.read(resultingRows);
      if (rows.length) await options.apply(rows.map(changeOf));
    }
    const conflicts = await db.write(async (tx) => {
      for (const row of await resultingRows(tx)) tx.put('rows', row);
      for (const { op, result } of ended) {
        tx.delete('queue', op.seq);
        // The time of this edit is now that of the version. What the person did after it must be later.
        if (!result.timestampAdjusted) continue;
        const after = Date.parse(result.updatedAt);
        for (const later of await tx.about('queue', [op.entity, op.entityId]))
          if (later.seq > op.seq && !later.tried)
            tx.put('queue', { ...later, after, timestamp: Math.max(later.timestamp, after + 1) });
      }
      await time.store(tx);
      if (time.known && (await tx.get('meta', 'last')) > time.now() + AHEAD) tx.put('meta', time.now(), 'last');
      const found = ended.map(({ result: { conflict, resolution } }) =>
        conflict && conflictOf({ ...conflict, status: resolution ? 'resolved' : 'open', resolution }));
      return addConflicts(tx, found.filter(Boolean));
    }).catch((error) => {
      if (!diskFull(error)) throw error;
      for (const { op } of ended) answered.add(op.id);
      return [];
    });
    if (ended.length) ctx.emit('change', { source: 'remote', entities: keysOf(ended.map(({ op }) => op)) });
    for (const conflict of conflicts) ctx.emit('conflict', conflict);
    for (const { op, result: { status, error, message, retryable } } of answers)
      if (status === 'failed' && (error !== 'OPERATION_ID_REUSED' || !(await renew(op))))
        await fail([op], error, message, !retryable);
    return answers.map(({ op }) => op);
  }

  // How many operations the service has carried lately. Falls if it is unavailable or takes long, in case that one
  // operation is the cause; that one then goes last.
  let carried = MOST;

  // Asked for when it is needed, once, and stored, so that the limits are known offline too.
  let config: Config | undefined;
  const readConfig = async (): Promise<Config> => {
    if (config) return config;
    const stored: Config | undefined = await db.read((tx) => tx.get('meta', 'config'));
    const reply = await ctx.http.call('GET', '/config').catch((error) => {
      if (!stored) throw error;
    });
    const { status = 0, body = {} } = reply ?? {};
    if (status !== 200 && status !== 404 && !stored) throw errorOf(reply!);
    if (status !== 200 && stored) return (config = stored);
    config = { sets: body.sets ?? {}, limits: body.limits ?? {} };
    await db.write((tx) => tx.put('meta', config, 'config')).catch(() => {}); // the disk may be full
    return config;
  };
  const mostAllowed = () => readConfig().then(({ limits }) => limits.operations ?? MOST, () => MOST);

  /**
   * Sends what is due, in at most `batches` requests. Returns whether there may be more. Calls `sent` with the number
   * of operations that have got a result.
   */
  let settled = 0; // how many operations have got a result since the queue was empty or sending failed
  async function push(sent: (count: number) => void, batches = Infinity): Promise<boolean> {
    const total = await db.read((tx) => tx.count('queue')), whole = settled + total;
    // The longer the queue, the larger the batches: the number of requests is limited.
    const grown = Math.ceil(total / 3);
    let size = Math.max(options.batchSize, grown > MANY ? Math.min(grown, await mostAllowed()) : grown);

    async function post(batch: StoredOperation[]): Promise<void> {
      const [{ atomic }] = batch;
      const request = { deviceId: await ctx.deviceId(), atomic, operations: batch.map(wire) };
      const start = clock.now();
      const lighten = (slow: boolean) => {
        if (slow) carried = Math.max(1, batch.length >> 1);
      };
      tell({ kind: 'sent' }, batch);
      const reply = await ctx.up.use(() => ctx.http.call('POST', '/operations', request)).catch((error) => {
        lighten(clock.now() - start > SLOW);
        throw error;
      });
      const { status, body } = reply;
      if (status === 200) {
        if (!Array.isArray(body.results)) throw new SyncError('OFFLINE', 'the reply has no results');
        carried = Math.min(MOST, Math.max(carried, batch.length * 4));
        const ms = clock.now() - start;
        const answered = await settle(batch, body.results);
        const accepted = answered.filter(({ id }) =>
          body.results.some((result: any) => result?.id === id && result.status === 'success'));
        if (accepted.length) tell({ kind: 'confirmed', ms }, accepted);
        settled += answered.length;
        sent(answered.length);
        ctx.emit('progress', { phase: 'push', done: settled, total: Math.max(whole, settled) });
        const missing = batch.filter((op) => !answered.includes(op));
        if (!missing.length) return;
        const error = new SyncError('SYNC_FAILED', 'the reply has no result');
        await fail(missing, error.code, error.message);
        throw error;
      }
      const error = errorOf(reply);
      const units = unitsOf(batch);
      if (status === 413 || status === 400 || (status === 409 && atomic)) {
        const half = units.length >> 1, own: string[] = [];
        for (const { path, message } of error.details ?? []) {
          const [, index] = /^operations\[(\d+)\]/.exec(path) ?? [];
          if (index) own[+index] ??= message;
        }
        if (!half) return fail(batch, error.code, error.message, true, own);
        if (status === 413) size = Math.max(1, batch.length >> 1);
        await post(units.slice(0, half).flat());
        return post(units.slice(half).flat());
      }
      if (status === 500 && body.error) await fail(batch, error.code, error.message);
      else if (status >= 500) {
        lighten(true);
        const misses = Math.min((batch[0].misses ?? 0) + 1, RETRIES - 1);
        if (units.length === 1)
          await db.write(async (tx) => {
            for (const op of batch) if (await tx.get('queue', op.seq)) tx.put('queue', { ...op, misses });
          });
      }
      throw error;
    }

    let more = true;
    try {
      for (; more && batches; batches--) {
        const batch = await takeBatch(Math.min(size, carried), ctx.up.size);
        if (batch === 'config') await readConfig();
        else if (batch === 'time') {
          await ctx.http.callOk('POST', '/operations', { operations: [] }); // tells the time
          time.known = true; // at least as well as it can be
        } else if (batch.length) await post(batch);
        else more = false;
      }
    } catch (error) {
      settled = 0;
      throw error;
    }
    if (!more) settled = 0;
    return more;
  }

  return { push, ...makeReview(ctx) };
}
