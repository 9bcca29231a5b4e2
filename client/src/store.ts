// What the app reads: the server's rows with the edits laid over them that still wait, those for review included, so
// that a person sees what was typed until it is sent or dropped. And what a result or a change makes of a row.

import type { Context } from './context.js';
import { ofEntity, type Row, type StoredOperation, type Tx } from './database.js';
import { merge, overlay } from './merge.js';
import { idOf } from './queue.js';
import type { Change, Data, Entity, Store } from './types.js';

/** The row after the server's result of `op`; undefined when nothing was applied. Results of one request share a version. */
export function landed(row: Row | undefined, op: StoredOperation, result: any): Row | undefined {
  const { updatedAt, data, duplicate, resolution, status } = result;
  const deleted = !!(result.deleted || result.incomplete); // what no pull shows is not shown here either
  const { entity: type, entityId: id } = op;
  if (data) return { ...row, type, id, data: result.deleted ? row?.data ?? {} : data, deleted, updatedAt: updatedAt ?? '' };
  if (status === 'conflict') return undefined;
  // The result of a repeat, or of a conflict, that does not say what is there: the next pull does. So it does of what was
  // deleted here and comes back: edits of others may have gone beneath the deletion unseen.
  const known = row?.updatedAt && !row.deleted && updatedAt && !duplicate && !resolution;
  return {
    ...row, type, id,
    data: op.type === 'delete' ? row?.data ?? {} : merge(row?.data ?? {}, op.data!),
    deleted: deleted || op.type === 'delete',
    updatedAt: known ? updatedAt : '',
  };
}

/** What the app is told of a row. */
export const changeOf = ({ type, id, data, deleted, updatedAt }: Row): Change => ({
  type,
  ...(deleted && { deleted }),
  data: { ...(deleted ? {} : data), id, ...(updatedAt && { updatedAt }) },
});

/** What changes make of the rows: those to write, and the changes that say something new. A resync (`gen`) believes the
 *  server whatever is known here: it may have gone back to a backup. */
export async function absorb(tx: Tx, changes: Change[], gen?: string): Promise<{ rows: Row[]; news: Change[] }> {
  const rows: Row[] = [], news: Change[] = [];
  const before: (Row | undefined)[] = await Promise.all(changes.map(({ type, data }) => tx.get('rows', [type, data.id])));
  changes.forEach((change, i) => {
    const { type, deleted, data } = change, row = before[i], updatedAt = data.updatedAt!;
    const same = row && (gen ? row.updatedAt === updatedAt : row.updatedAt >= updatedAt);
    if (!same && (row || !deleted)) news.push(change);
    if (same && !gen) return;
    // A tombstone keeps what is beneath it: a later edit brings that back.
    if (!deleted) rows.push({ type, id: data.id, data, updatedAt, gen });
    else if (row) rows.push({ ...row, deleted, updatedAt, gen });
  });
  return { rows, news };
}

/** What a finished resync did not hold. */
export const lost = async (tx: Tx, gen: string, entities?: Entity[]): Promise<Row[]> =>
  ((await tx.all('rows')) as Row[]).filter((row) => row.gen !== gen && (!entities || entities.includes(row.type)));

function view(row: Row | undefined, id: string, edits: StoredOperation[]): any {
  const data: Data | undefined = overlay(row?.data, !!row?.deleted, edits);
  return data && { ...data, id, ...(row?.updatedAt && { updatedAt: row.updatedAt }) };
}

export interface OpenStore extends Store {
  /** Tells the observers of these entities; of all, when the list is empty. */
  changed(entities: { entity: Entity; entityId: string }[]): void;
}

export function makeStore({ db }: Context): OpenStore {
  const observers = new Set<{ entity: Entity; id?: string; look(): void }>();

  const edits = async (tx: Tx, range: IDBKeyRange | string[]): Promise<StoredOperation[]> => {
    const lists = await Promise.all(['queue', 'review'].map((store) => tx.about(store, range)));
    return lists.flat().sort((a, b) => a.seq - b.seq);
  };

  const get = (entity: Entity, id: string): Promise<any> => {
    id = idOf(entity, id);
    return db.read(async (tx) => view(await tx.get('rows', [entity, id]), id, await edits(tx, [entity, id])));
  };

  const list = (entity: Entity): Promise<any[]> =>
    db.read(async (tx) => {
      const rows = new Map<string, Row>((await tx.all('rows', ofEntity(entity))).map((row: Row) => [row.id, row]));
      const over = new Map<string, StoredOperation[]>();
      for (const op of await edits(tx, ofEntity(entity))) over.set(op.entityId, [...(over.get(op.entityId) ?? []), op]);
      const ids = new Set([...rows.keys(), ...over.keys()]);
      return [...ids].map((id) => view(rows.get(id), id, over.get(id) ?? [])).filter(Boolean);
    });

  // Reads again while news came in during a read, so the last thing an observer hears is the truth.
  const observe = (entity: Entity, id: string | undefined, read: () => Promise<any>, fn: (value: any) => void) => {
    let reading = false, again = false;
    const observer = {
      entity, id,
      async look() {
        again = true;
        if (reading) return;
        reading = true;
        try {
          while (again) {
            again = false;
            const value = await read();
            if (observers.has(observer)) fn(value);
          }
        } finally {
          reading = false;
        }
      },
    };
    observers.add(observer);
    void observer.look();
    return () => void observers.delete(observer);
  };

  return {
    get,
    list,
    observe: (entity, fn) => observe(entity, undefined, () => list(entity), fn),
    observeOne: (entity, id, fn) => observe(entity, idOf(entity, id), () => get(entity, id), fn),
    changed(entities) {
      for (const observer of observers)
        if (!entities.length || entities.some((it) => it.entity === observer.entity && it.entityId === (observer.id ?? it.entityId)))
          void observer.look();
    },
  };
}
