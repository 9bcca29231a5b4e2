// The database where IndexedDB is forbidden or missing: in memory, with the same transactions. It lasts as long as the
// page. Services of one page that name the same database share it.

import type { Database, Tx } from './database.js';

type Key = string | number | Key[];
type Table = Map<string, { key: Key; value: unknown }>;
interface Memory {
  tables: Record<string, Table>;
  /** The last number that was given to a record without one. */
  seq: number;
  /** Ends with the last transaction. They run one after the other. */
  tail: Promise<unknown>;
}

const memories = new Map<string, Memory>();
const KEYS: Record<string, (value: any) => Key> = {
  queue: ({ seq }) => seq, review: ({ seq }) => seq, rows: ({ type, id }) => [type, id], conflicts: ({ id }) => id,
};

const compare = (a: any, b: any): number =>
  Array.isArray(a) ? compare(a[0], b[0]) || compare(a[1], b[1]) : a < b ? -1 : +(a > b);

export function openMemory(name: string): Database {
  const memory = memories.get(name) ?? { tables: {}, seq: 0, tail: Promise.resolve() };
  memories.set(name, memory);

  // A transaction writes to copies of the tables. They take the place of the tables when it succeeds.
  const transact = async (work: (tx: Tx) => Promise<any>) => {
    const changed: Record<string, Table> = {};
    const at = (store: string) => changed[store] ?? memory.tables[store] ?? new Map();
    const write = (store: string) => (changed[store] ??= new Map(at(store)));
    const find = (store: string, matches: (key: Key, value: any) => unknown) =>
      [...at(store).values()]
        .filter(({ key, value }) => matches(key, value))
        .sort((a, b) => compare(a.key, b.key))
        .map(({ value }): any => structuredClone(value));
    const within = (range: any, key: Key) => (Array.isArray(range) ? !compare(range, key) : range.includes(key));
    const result = await work({
      get: async (store, key) => structuredClone(at(store).get(JSON.stringify(key))?.value),
      all: async (store, range, count) => find(store, (key) => !range || within(range, key)).slice(0, count),
      about: async (store, range) => find(store, (_, { entity, entityId }) => within(range, [entity, entityId])),
      count: async (store) => at(store).size,
      async put(store, given, name) {
        const value: any = structuredClone(given), numbered = store === 'queue' || store === 'review';
        if (numbered) memory.seq = Math.max(memory.seq, (value.seq ??= memory.seq + 1));
        const key = name ?? KEYS[store](value);
        write(store).set(JSON.stringify(key), { key, value });
        return key as IDBValidKey;
      },
      delete: (store, key) => void write(store).delete(JSON.stringify(key)),
      clear: (store) => void (changed[store] = new Map()),
    });
    Object.assign(memory.tables, changed);
    return result;
  };
  const run = (work: (tx: Tx) => Promise<any>) => {
    const turn = memory.tail.then(() => transact(work));
    memory.tail = turn.catch(() => {});
    return turn;
  };
  return { read: run, write: run, close() {} };
}
