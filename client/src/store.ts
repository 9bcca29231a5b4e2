// What the app reads: the rows with the waiting edits applied to them. Edits under review count as waiting, so a person
// sees what they typed until it is sent or dropped.

import type { Context } from './context.js';
import { ofEntity, type Row, type StoredOperation, type Tx } from './database.js';
import { entityIdOf } from './ids.js';
import { makeLive, type Read, sorted } from './live.js';
import { overlay } from './merge.js';
import type { Query, Results, Select } from './query.js';
import { type Data, type Entity, SyncError } from './types.js';

const FEW = 50; // for more entities, one read of all edits of the kind is faster than one for each

/** `row` comes from the database just now, so its data may be changed. */
function view(row: Row | undefined, id: string, edits: StoredOperation[]): any {
  const data: Data | undefined = overlay(row?.data, !!row?.deleted, edits);
  return data && Object.assign(data, { id }, row?.updatedAt && { updatedAt: row.updatedAt });
}

/** The store of the public interface (Store), without the types of the kinds. */
export interface AnyStore {
  get(entity: Entity, id: string): Promise<any>;
  list(entity: Entity): Promise<any[]>;
  observe(entity: Entity, fn: (list: any[]) => void): () => void;
  observeOne(entity: Entity, id: string, fn: (data: any) => void): () => void;
  query(entity: Entity, query?: Query<string>): Results<any>;
}

export interface OpenStore extends AnyStore {
  /** Notifies the observers of these entities, or all observers when the list is empty. */
  changed(entities: { entity: Entity; entityId: string }[]): void;
}

/** `compile` makes a query ready for use. It rejects with OFFLINE if a module cannot be loaded. */
export function makeStore(
  { db, owner, clock, options }: Context, compile: (query: any) => Promise<Select>,
): OpenStore {
  const editsOf = async (tx: Tx, ranges: (IDBKeyRange | string[])[]) => {
    const lists = ranges.flatMap((range) => ['queue', 'review'].map((store) => tx.about(store, range)));
    const edits = new Map<string, StoredOperation[]>();
    for (const op of (await Promise.all(lists)).flat().sort((a, b) => a.seq - b.seq))
      edits.set(op.entityId, [...(edits.get(op.entityId) ?? []), op]);
    return edits;
  };

  const read: Read = async (entity, ids) => {
    const all = ofEntity(entity);
    const reading = db.read(async (tx) => {
      const [rows, edits] = await Promise.all([
        ids ? Promise.all(ids.map((id) => tx.get('rows', [entity, id]))) : tx.all('rows', all),
        editsOf(tx, ids && ids.length < FEW ? ids.map((id) => [entity, id]) : [all]),
      ]);
      const found = new Map<string, Row | undefined>(ids?.map((id) => [id, undefined]));
      if (!ids) for (const id of edits.keys()) found.set(id, undefined);
      for (const row of rows as Row[]) if (row) found.set(row.id, row);
      return new Map([...found].map(([id, row]) => [id, view(row, id, edits.get(id) ?? [])]));
    });
    return (await Promise.all([reading, owner.check()]))[0]; // the token may take long
  };

  const get = async (entity: Entity, id: string): Promise<any> => {
    id = entityIdOf(entity, id);
    return (await read(entity, [id])).get(id);
  };
  const list = async (entity: Entity): Promise<any[]> => sorted(await read(entity));
  const live = makeLive(read, owner.check);

  const results = async (entity: Entity, query: any): Promise<any[]> => {
    const select = await compile(query);
    await owner.check();
    return select((await live.current(entity)) ?? (await list(entity)));
  };

  /** If a module cannot be loaded, tries again. An invalid query is an unhandled rejection. */
  const observeQuery = (entity: Entity, query: any, fn: (results: any[]) => void) => {
    let stop: (() => void) | undefined, timer: any, ended = false;
    const start = async (): Promise<void> => {
      try {
        const select = await compile(query);
        if (!ended) stop = live.observe(entity, undefined, fn, select);
      } catch (error) {
        if (!(error instanceof SyncError)) throw error;
        if (!ended) timer = clock.setTimeout(start, options.interval);
      }
    };
    void start();
    return () => {
      ended = true;
      clock.clearTimeout(timer);
      stop?.();
    };
  };

  return {
    get,
    list,
    observe: (entity, fn) => live.observe(entity, undefined, fn),
    observeOne: (entity, id, fn) => live.observe(entity, entityIdOf(entity, id), fn),
    query: (entity, query) => ({
      then: (...handlers) => results(entity, query).then(...handlers),
      observe: (fn) => observeQuery(entity, query, fn),
    }),
    changed: live.changed,
  };
}
