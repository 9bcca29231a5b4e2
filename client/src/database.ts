// One IndexedDB database of its own. What belongs together is written in one transaction: an edit and its timestamp, a
// page of changes and the cursor, a result and the operation that it removes. So tabs and crashes can come between
// transactions but never inside one, and no rule depends on there being one tab only.
//
//   meta       name → value: deviceId, last (the latest timestamp), pull:SELECTION, retryAt, lastSync, user, lease
//   queue      operations that wait, in the order of `seq`
//   review     operations that wait for a person
//   rows       what the server has, by [type, id]
//   conflicts  by the id that the server gave

import type { ConflictPolicy, Data, Entity, OperationType } from './types.js';

export interface StoredOperation {
  seq: number;
  id: string;
  type: OperationType;
  entity: Entity;
  entityId: string;
  data?: Data;
  timestamp: number;
  baseVersion?: string;
  conflictResolution?: ConflictPolicy;
  /** It was on its way at least once: the server may know it, so it never changes again. */
  tried: boolean;
  attempts: number;
  nextAt: number;
  error?: string;
  message?: string;
}

const QUEUE = { keyPath: 'seq', autoIncrement: true };

export interface Row {
  type: Entity;
  id: string;
  data: Data;
  /** '': not known to be what the server has, so that the next pull replaces it. */
  updatedAt: string;
  deleted?: boolean;
  /** The resync that last saw it. */
  gen?: string;
}

/** Requests of one transaction over all stores. Inside it only these may be awaited. */
export interface Tx {
  get(store: string, key: IDBValidKey): Promise<any>;
  /** With `count`: the first ones only. */
  all(store: string, range?: IDBKeyRange, count?: number): Promise<any[]>;
  /** The operations in `store` that are about this entity, or about all of a range. */
  about(store: string, entity: IDBKeyRange | string[]): Promise<StoredOperation[]>;
  count(store: string): Promise<number>;
  put(store: string, value: unknown, key?: string): Promise<IDBValidKey>;
  delete(store: string, key: IDBValidKey): void;
  clear(store: string): void;
}

export interface Database {
  read<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  close(): void;
}

export const STORES = ['meta', 'queue', 'review', 'rows', 'conflicts'];

export const ofEntity = (entity: string) => IDBKeyRange.bound([entity], [entity, []]);

const done = <T>(request: IDBRequest<T>) => {
  const result = new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  result.catch(() => {}); // who does not wait for it hears of it when the transaction ends
  return result;
};

export function openDatabase(name: string): Database {
  let opening: Promise<IDBDatabase> | undefined;

  const open = () => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      for (const store of STORES) {
        const made = request.result.createObjectStore(
          store,
          { queue: QUEUE, review: QUEUE, rows: { keyPath: ['type', 'id'] }, conflicts: { keyPath: 'id' } }[store],
        );
        if (made.autoIncrement) made.createIndex('entity', ['entity', 'entityId']);
      }
    };
    return done(request).then(
      (db) => {
        db.onversionchange = close;
        db.onclose = close;
        return db;
      },
      (error) => {
        close();
        throw error;
      },
    );
  };

  const close = () => {
    opening?.then((db) => db.close(), () => {});
    opening = undefined;
  };

  const run = async <T>(mode: IDBTransactionMode, work: (tx: Tx) => Promise<T>): Promise<T> => {
    const tx = (await (opening ??= open())).transaction(STORES, mode, { durability: 'strict' });
    const ended = new Promise<void>((resolve, reject) => {
      tx.oncomplete = () => resolve();
      tx.onabort = () => reject(tx.error);
    });
    ended.catch(() => {});
    const at = (store: string) => tx.objectStore(store);
    try {
      const result = await work({
        get: (store, key) => done(at(store).get(key)),
        all: (store, range, count) => done(at(store).getAll(range, count)),
        about: (store, entity) => done(at(store).index('entity').getAll(entity as IDBKeyRange)),
        count: (store) => done(at(store).count()),
        put: (store, value, key) => done(at(store).put(value, key)),
        delete: (store, key) => at(store).delete(key),
        clear: (store) => at(store).clear(),
      });
      await ended;
      return result;
    } catch (error) {
      try {
        tx.abort();
      } catch {} // it has ended by itself
      throw error;
    }
  };

  return {
    read: (work) => run('readonly', work),
    write: (work) => run('readwrite', work),
    close,
  };
}
