// The IndexedDB database of a service. Data that belongs together is written in one transaction: an edit and its
// timestamp, a page of changes and its cursor, a result and the removal of its operation. A crash or another tab can
// therefore come between two transactions but never inside one, and no rule depends on there being only one tab.
//
//   meta       by name: deviceId, last (the latest timestamp), skew (time.ts), pull:SELECTION, resync (what a 410
//              requires and is not done yet), tidied, retryAt, lastSync, user, lease, config (what /config said)
//   queue      operations that wait to be sent, ordered by `seq`
//   review     operations that wait for a person
//   rows       what the server has, by [type, id]
//   conflicts  by the id that the server assigned
//
// Where IndexedDB is forbidden or missing, memory.ts takes its place.

import {
  type ConflictPolicy, type Data, type Entity, type OperationType, type StorageInfo, SyncError,
} from './types.js';

export interface StoredOperation {
  seq: number;
  id: string;
  type: OperationType;
  entity: Entity;
  entityId: string;
  data?: Data;
  timestamp: number;
  /** See Edit in merge.ts. Before the first sending send.ts decides in which form each list is sent. */
  lists?: Map<string, unknown>;
  /** The id of the transaction that it belongs to. Its operations are sent in one request. */
  transaction?: string;
  /** The server applies all operations of the transaction or none. */
  atomic?: boolean;
  /** The timestamp of the first edit, if several became one operation. */
  first?: number;
  /** The version that an earlier operation on the entity got. Set if its timestamp was too far ahead. */
  after?: number;
  baseVersion?: string;
  conflictResolution?: ConflictPolicy;
  /** It was sent at least once. The server may know it, so it must not change any more. */
  tried: boolean;
  attempts: number;
  /** How often the service was unavailable when this was sent alone. */
  misses?: number;
  /** It has got a new id, because the server had another operation under the old one. */
  renewed?: boolean;
  nextAt: number;
  error?: string;
  message?: string;
}

/** What the server has said at `/config`. */
export interface Config {
  /** The members that are sets, by kind. */
  sets: Record<string, string[] | undefined>;
  limits: { operations?: number; bodyBytes?: number };
}

export interface Row {
  type: Entity;
  id: string;
  data: Data;
  /** Empty when the row may differ from what the server has; the next pull then replaces it. */
  updatedAt: string;
  /** The latest version that a result named. What the person sees may be as late as this. */
  seen?: string;
  deleted?: boolean;
  deletedAt?: string;
  /** The times of the members, and the members beneath a deletion, as the pull gave them; sent back after a loss. */
  times?: unknown;
  beneath?: unknown;
  /** Operations that the server has answered and no pull has brought back yet. */
  sent?: StoredOperation[];
  /** The id of the last resync that met it. */
  gen?: string;
}

/** Requests of one transaction over all stores. Code inside a transaction must await nothing else. */
export interface Tx {
  get(store: string, key: IDBValidKey): Promise<any>;
  /** With `count`, only the first ones. */
  all(store: string, range?: IDBKeyRange, count?: number): Promise<any[]>;
  /** The operations in `store` on one entity ([entity, entityId]) or on a range of entities. */
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

/** What the errors are called with which browsers forbid IndexedDB, or which its absence causes. */
const FORBIDDEN = ['SecurityError', 'InvalidStateError', 'ReferenceError', 'TypeError'];

/**
 * What each version of the database adds to the version before. The number of steps is the version. Never change a step
 * that was published: append one.
 */
export const SCHEMA: ((db: IDBDatabase, tx: IDBTransaction) => void)[] = [
  (db) => {
    const queue = { keyPath: 'seq', autoIncrement: true };
    db.createObjectStore('meta');
    for (const store of ['queue', 'review'])
      db.createObjectStore(store, queue).createIndex('entity', ['entity', 'entityId']);
    db.createObjectStore('rows', { keyPath: ['type', 'id'] });
    db.createObjectStore('conflicts', { keyPath: 'id' });
  },
];

/** The key range of all entities of a kind. */
export const ofEntity = (entity: string): IDBKeyRange =>
  globalThis.IDBKeyRange?.bound([entity], [entity, []]) ?? { includes: ([type]: string[]) => type === entity };

const resultOf = <T>(request: IDBRequest<T>) => {
  const result = new Promise<T>((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  result.catch(() => {}); // an error that nobody awaits is reported when the transaction ends
  return result;
};

/** `tell` is called when the database is in memory, or is no longer usable. `memory` opens one in memory. */
export function openDatabase(
  name: string, tell: (info: StorageInfo) => void, memory: () => Promise<Database>,
): Database {
  let opening: Promise<IDBDatabase> | undefined, instead: Promise<Database> | undefined, opened = false;

  const outdated = () => {
    const message = 'a newer version of the app has changed the database: reload the page';
    tell({ kind: 'outdated', reason: message });
    return new SyncError('OUTDATED', message);
  };

  const open = async () => {
    const request = indexedDB.open(name, SCHEMA.length);
    request.onupgradeneeded = ({ oldVersion }) => {
      for (const step of SCHEMA.slice(oldVersion)) step(request.result, request.transaction!);
    };
    const db = await resultOf(request);
    db.onversionchange = ({ newVersion }) => {
      close();
      if (newVersion) outdated();
    };
    db.onclose = close;
    opened = true;
    return db;
  };

  const close = () => {
    opening?.then((db) => db.close(), () => {});
    opening = undefined;
  };

  const run = async <T>(mode: IDBTransactionMode, work: (tx: Tx) => Promise<T>): Promise<T> => {
    const db = instead
      ? undefined
      : await (opening ??= open()).catch((error) => {
          close();
          if (error.name === 'VersionError') throw outdated();
          if (opened || !FORBIDDEN.includes(error.name)) throw error;
          tell({ kind: 'memory', reason: `${error}` });
          instead ??= memory();
          instead.catch(() => (instead = undefined));
        });
    if (!db) return (await instead!).write(work);
    const tx = db.transaction(STORES, mode, { durability: 'strict' });
    const ended = new Promise<void>((resolve, reject) => {
      tx.oncomplete = () => resolve();
      tx.onabort = () => reject(tx.error);
    });
    ended.catch(() => {});
    const at = (store: string) => tx.objectStore(store);
    try {
      const result = await work({
        get: (store, key) => resultOf(at(store).get(key)),
        all: (store, range, count) => resultOf(at(store).getAll(range, count)),
        about: (store, entity) => resultOf(at(store).index('entity').getAll(entity as IDBKeyRange)),
        count: (store) => resultOf(at(store).count()),
        put: (store, value, key) => resultOf(at(store).put(value, key)),
        delete: (store, key) => at(store).delete(key),
        clear: (store) => at(store).clear(),
      });
      await ended;
      return result;
    } catch (error) {
      try {
        tx.abort();
      } catch {} // it has already ended
      throw (error as Error)?.name === 'QuotaExceededError'
        ? new SyncError('DISK_FULL', 'the disk is full, or the browser grants no more space')
        : error;
    }
  };

  return {
    read: (work) => run('readonly', work),
    write: (work) => run('readwrite', work),
    close,
  };
}
