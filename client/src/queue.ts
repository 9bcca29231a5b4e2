// The queue of operations: from the edit of a person until the server has returned a result. send.ts sends it.
//
// An operation that was sent once never changes again, because the server may know it under its id. Only a result for
// that id removes it from the queue. A service that cannot be reached, is unavailable or refuses the token costs no
// attempt; only an answer of the server itself does, which is its 500. A batch that the server rejects is halved until
// the operation at fault is alone; that one goes to the review list. The last retry of each operation is made alone, so
// that it does not fail because of another operation in its batch.

import type { Context } from './context.js';
import type { Config, Row, StoredOperation, Tx } from './database.js';
import { checkSize } from './groups.js';
import { deviceIdOf, entityIdOf, makeId, operationId } from './ids.js';
import { isChange, isObject } from './lists.js';
import { coalesce, covers, overlay } from './merge.js';
import { all, keysOf, laterThan, shown } from './operations.js';
import type { AnyEdit, Data, Operation, ReviewItem, TransactionOptions } from './types.js';

const ENTITIES = ['book', 'rating', 'tag', 'collection', 'readingLog', 'userSettings'];
const TYPES = ['create', 'update', 'delete'];
const GROUP = 1000; // milliseconds in which edits become one operation
type Group = Pick<StoredOperation, 'transaction' | 'atomic'>;

export type Queue = ReturnType<typeof makeQueue>;

export function makeQueue(ctx: Context) {
  const { db, clock, options } = ctx;

  /** An edit in the form in which it is stored: without undefined members, dates as text. */
  function checked({ entity, entityId, type, data, list }: AnyEdit) {
    const check = (valid: unknown, message: string) => {
      if (!valid) throw new TypeError(message);
    };
    check(ENTITIES.includes(entity), `entity: must be one of ${ENTITIES}`);
    check(TYPES.includes(type), `type: must be one of ${TYPES}`);
    const length = typeof entityId === 'string' ? [...entityId].length : 0;
    check(length && length < 256, 'entityId: must be 1 to 255 characters');
    check(type === 'delete' || isObject(data), 'data: must be an object');
    const copy: Data | undefined = type === 'delete' ? undefined : JSON.parse(JSON.stringify(data));
    return { entity, entityId: entityIdOf(entity, entityId), type, data: copy, list };
  }

  async function store(tx: Tx, { list, ...edit }: ReturnType<typeof checked>, group: Group, config?: Config) {
    const { entity, entityId, data } = edit, key = [entity, entityId];
    const [row, waiting, last = 0, skew = 0, deviceId] = await Promise.all([
      tx.get('rows', key) as Promise<Row | undefined>, tx.about('queue', key),
      tx.get('meta', 'last'), tx.get('meta', 'skew'), options.deviceId ?? deviceIdOf(tx),
    ]);
    const before = waiting[waiting.length - 1];
    // Later than what the person sees, so that a correction wins even if the clock is slow.
    const timestamp = Math.max(clock.now() + skew, last + 1, laterThan(row?.updatedAt, row?.seen));
    tx.put('meta', timestamp, 'last');
    const fresh: Omit<StoredOperation, 'seq'> = {
      ...edit, ...group, timestamp, tried: false, attempts: 0, nextAt: 0,
      id: operationId(deviceId),
      baseVersion: row?.updatedAt || undefined,
      conflictResolution: options.conflictResolution,
    };
    const sets = config?.sets[entity];
    const names = Object.keys(data ?? {}).filter((name) =>
      name === list || ((Array.isArray(data![name]) || isChange(data![name])) && (!config || sets?.includes(name))));
    if (names.length) {
      const edits = [...(await tx.about('review', key)), ...waiting].sort((a, b) => a.seq - b.seq);
      const screen = overlay(row?.data, !!row?.deleted, edits);
      const known = names.filter((name) => screen || isChange(data![name]));
      fresh.lists = new Map(known.map((name) => [name, screen?.[name]]));
    }
    const joinable =
      before && !before.tried && !ctx.unmarked.has(before.id) && before.baseVersion === fresh.baseVersion &&
      before.conflictResolution === fresh.conflictResolution && before.transaction === group.transaction;
    // One operation has one timestamp. So two edits become one only if nothing is left of the first, or if the second
    // comes so soon after the first one of the group that the times hardly differ.
    const covered = joinable && covers(fresh, before);
    const first = joinable && !covered ? before.first ?? before.timestamp : timestamp;
    const joined = joinable && timestamp - first < GROUP ? coalesce(before, fresh) : undefined;
    const stored = joined ? { ...before!, ...joined, timestamp, first } : fresh;
    return { ...stored, seq: (await tx.put('queue', stored)) as number };
  }

  /**
   * Stores the edits, all or none. A transaction (`one`) is sent in one request, so it must not be too large for that.
   */
  async function add(edits: AnyEdit[], one?: boolean, { atomic }: TransactionOptions = {}): Promise<Operation[]> {
    const parts = edits.map(checked);
    if (!parts.length) return [];
    await ctx.owner.check();
    const group: Group = { ...((one || atomic) && { transaction: makeId() }), ...(atomic && { atomic }) };
    const stored = await db.write(async (tx) => {
      const config: Config | undefined = await tx.get('meta', 'config'), ops = new Map<number, StoredOperation>();
      for (const edit of parts) {
        const op = await store(tx, edit, group, config);
        ops.set(op.seq, op);
      }
      const list = [...ops.values()];
      if (group.transaction) checkSize(list, config?.limits);
      return list;
    });
    ctx.emit('change', { source: 'local', entities: keysOf(parts) });
    return stored.map(shown);
  }

  return {
    add,
    pending: async () => (await db.read((tx) => all(tx, 'queue'))).map(shown),
    review: async () => (await db.read((tx) => all(tx, 'review'))).map(shown) as ReviewItem[],
  };
}
