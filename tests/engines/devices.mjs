// The engines behind one interface: open(options) → { create, update, remove, rows, sync, close }. The options are
// { booky, network, name }; sync() resolves to whether the device has sent and pulled everything.
import { Database, Model, appSchema, tableSchema } from '@nozbe/watermelondb';
import LokiAdapter from '@nozbe/watermelondb/adapters/lokijs/index.js';
import { logger } from '@nozbe/watermelondb/utils/common/index.js';
import { createCollection } from '@tanstack/db';
import Dexie from 'dexie';
import { IDBFactory, IDBKeyRange } from 'fake-indexeddb';
import { createRxDatabase } from 'rxdb';
import { getRxStorageMemory } from 'rxdb/plugins/storage-memory';
import loki from 'lokijs';
import * as dexie from './dexie.mjs';
import { ownMembers, replicate } from './rxdb.mjs';
import { bookyCollectionOptions } from './tanstack.mjs';
import { untilQuiet } from './network.mjs';
import { syncWith } from './watermelondb.mjs';

export const kinds = ['book', 'tag', 'collection'];
const retryTime = 4; // milliseconds

logger.silence();

const unavailable = (error) => {
  if (!error.unavailable) throw error;
  return false;
};

const string = { type: 'string' }, strings = { type: 'array', items: string };
const members = {
  book: { title: string, notes: string, genre: string, tags: strings },
  tag: { name: string, color: string },
  collection: { name: string, bookIds: strings },
};

async function rxdb({ booky, network, name }) {
  const db = await createRxDatabase({ name, storage: getRxStorageMemory(), multiInstance: false });
  const collections = await db.addCollections(Object.fromEntries(kinds.map((kind) => [kind, { schema: {
    version: 0, primaryKey: 'id', type: 'object', required: ['id'],
    properties: { id: { ...string, maxLength: 100 }, ...members[kind], ...ownMembers } } }])));
  const replications = kinds.map((kind) => replicate({ collection: collections[kind], kind, booky, retryTime }));
  const find = (kind, id) => collections[kind].findOne(id).exec();
  return {
    create: (kind, id, data) => collections[kind].insert({ id, ...data }),
    update: async (kind, id, data) => (await find(kind, id)).incrementalPatch(data),
    remove: async (kind, id) => (await find(kind, id)).incrementalRemove(),
    rows: async (kind) => (await collections[kind].find().exec()).map((doc) => doc.toJSON()),
    async sync() {
      let done = false;
      for (const one of replications) one.poke();
      Promise.all(replications.map((one) => one.awaitInSync())).then(() => (done = true));
      await untilQuiet(network, () => done);
      return done;
    },
    close: () => db.close(),
  };
}

// WatermelonDB's fields, which an app declares with decorators.
const model = (table, columns, json) => {
  class Row extends Model {
    static table = table;
    get updatedAt() { // its presence makes WatermelonDB set updated_at
      return this._getRaw('updated_at');
    }
  }
  for (const column of columns)
    Object.defineProperty(Row.prototype, column, {
      get() {
        return json.includes(column) ? JSON.parse(this._getRaw(column) || 'null') : this._getRaw(column);
      },
      set(value) {
        this._setRaw(column, json.includes(column) ? JSON.stringify(value) : value);
      },
    });
  return Row;
};

async function watermelondb({ booky, name }) {
  const tables = {
    books: { kind: 'book', columns: { title: 'title', notes: 'notes', genre: 'genre', tags: 'tags' }, json: ['tags'] },
    tags: { kind: 'tag', columns: { name: 'name', color: 'color' } },
    collections: { kind: 'collection', columns: { name: 'name', book_ids: 'bookIds' }, json: ['book_ids'] },
  };
  const column = { book: (member) => member, tag: (member) => member,
    collection: (member) => ({ bookIds: 'book_ids' })[member] ?? member };
  const schema = appSchema({ version: 1, tables: Object.entries(tables).map(([table, { columns }]) => tableSchema({
    name: table, columns: [
      ...Object.keys(columns).map((one) => ({ name: one, type: 'string', isOptional: true })),
      { name: 'version', type: 'string' }, { name: 'updated_at', type: 'number' }] })) });
  const adapter = new LokiAdapter.default({ schema, dbName: name, useWebWorker: false, useIncrementalIndexedDB: false,
    _testLokiAdapter: new loki.LokiMemoryAdapter(), extraLokiOptions: { autosave: false } });
  const database = new Database({ adapter, modelClasses: Object.entries(tables).map(([table, { columns, json = [] }]) =>
    model(table, Object.keys(columns), json)) });
  const synchronize = syncWith({ database, tables, booky });
  const tableOf = Object.fromEntries(Object.entries(tables).map(([table, { kind }]) => [kind, table]));
  const write = (kind, work) => database.write(() => work(database.get(tableOf[kind])));
  const set = (kind, row, data) => {
    for (const [member, value] of Object.entries(data)) row[column[kind](member)] = value;
  };
  return {
    create: (kind, id, data) => write(kind, (table) => table.create((row) => {
      row._raw.id = id;
      row._setRaw('updated_at', Date.now());
      set(kind, row, data);
    })),
    update: (kind, id, data) => write(kind, async (table) =>
      (await table.find(id)).update((row) => set(kind, row, data))),
    remove: (kind, id) => write(kind, async (table) => (await table.find(id)).markAsDeleted()),
    rows: async (kind) => (await database.get(tableOf[kind]).query().fetch()).map((row) => ({ id: row.id,
      ...Object.fromEntries(Object.keys(members[kind]).map((member) => [member, row[column[kind](member)]])) })),
    sync: () => synchronize().then(() => true, unavailable),
    close: () => database.adapter.underlyingAdapter._driver?.loki?.close(),
  };
}

async function tanstack({ booky, network }) {
  const collections = Object.fromEntries(kinds.map((kind) =>
    [kind, createCollection({ ...bookyCollectionOptions({ kind, booky, retryTime }), startSync: true })]));
  let open = 0;
  const track = ({ isPersisted }) => {
    open++;
    isPersisted.promise.then(() => open--);
  };
  return {
    create: (kind, id, data) => track(collections[kind].insert({ id, ...data })),
    update: (kind, id, data) => track(collections[kind].update(id, (draft) => void Object.assign(draft, data))),
    remove: (kind, id) => track(collections[kind].delete(id)),
    rows: (kind) => collections[kind].toArray,
    async sync() {
      let done = false;
      const pulls = Promise.allSettled(kinds.map((kind) => collections[kind].utils.pull()));
      pulls.then(() => (done = true));
      await untilQuiet(network, () => done && open === 0);
      return done && open === 0 && (await pulls).every(({ status }) => status === 'fulfilled');
    },
    close() {},
  };
}

async function dexieLoop({ booky, name }) {
  const db = new Dexie(name, { indexedDB: new IDBFactory(), IDBKeyRange });
  db.version(1).stores(dexie.stores);
  const edit = (kind, id, change) => dexie.edit(db, kind, id, change);
  return {
    create: (kind, id, data) => edit(kind, id, () => data),
    update: (kind, id, data) => edit(kind, id, (row) => ({ ...row, ...data })),
    remove: (kind, id) => edit(kind, id, () => undefined),
    rows: (kind) => db.table(dexie.tables[kind]).toArray(),
    sync: () => dexie.sync(db, booky).then(() => true, unavailable),
    close: () => db.close(),
  };
}

// How lists end, and by which rules an engine loses edits (verdict.mjs). RxDB's free edition opens at most 16
// collections, so only one history runs at once.
export const engines = {
  RxDB: { open: rxdb, atOnce: 1, lists: 'merge', rules: ['together', 'no return'] },
  WatermelonDB: { open: watermelondb, lists: 'whole', rules: ['together', 'late delete', 'with row'] },
  'TanStack DB': { open: tanstack, lists: 'merge', rules: [] },
  Dexie: { open: dexieLoop, lists: 'merge', rules: [] },
};
