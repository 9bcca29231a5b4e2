// Dexie: a table for each kind, a table of the edits that wait, and a loop that sends them and pulls.
//
// A row has `id`, the members of the entity, and the server's `createdAt` and `updatedAt`.
import { difference, timeOfEdit } from './booky.mjs';

export const tables = { book: 'books', tag: 'tags', collection: 'collections' }; // kind → table
export const stores = { books: 'id', tags: 'id', collections: 'id', waiting: '++number', state: 'name' };

const content = ({ id, createdAt, updatedAt, ...members }) => members;

// What the app calls for every edit: `change` gets the members of the row and returns the new ones, or undefined to
// delete the row. The row and the edit are stored in one transaction.
export function edit(db, kind, id, change) {
  const table = db.table(tables[kind]);
  return db.transaction('rw', table, db.waiting, db.state, async () => {
    const old = await table.get(id), before = old ? content(old) : {};
    const now = change(structuredClone(before));
    const last = (await db.state.get('lastTime'))?.value ?? 0;
    const timestamp = Math.max(timeOfEdit(old?.updatedAt), last + 1);
    const data = now && (difference(kind, before, now) ?? {});
    const type = !now ? 'delete' : old ? 'update' : 'create';
    await db.waiting.add({ type, entity: kind, entityId: id, timestamp, baseVersion: old?.updatedAt, data });
    await db.state.put({ name: 'lastTime', value: timestamp });
    await (now ? table.put({ ...old, ...now, id }) : table.delete(id));
  });
}

// Sends what waits, then pulls. One at a time. If it rejects, call it again later: nothing is lost.
export async function sync(db, booky) {
  let applied;
  do {
    await push(db, booky);
    applied = await pull(db, booky);
  } while (!applied);
}

async function push(db, booky) {
  const waiting = await db.waiting.orderBy('number').limit(500).toArray();
  if (!waiting.length) return;
  const states = await booky.push(waiting.map(({ number, ...operation }) => operation));
  await db.transaction('rw', db.waiting, db.state, async () => {
    await db.waiting.bulkDelete(waiting.map(({ number }) => number));
    // The row shows an edit that no pull takes back: pull everything.
    if (states.some(({ refused }) => refused)) await db.state.delete('cursor');
  });
}

// Changes and cursor are stored in one transaction, but not while an edit waits: the person would see it vanish and
// come back. Resolves to whether they were stored.
async function pull(db, booky) {
  const names = Object.values(tables);
  const cursor = (await db.state.get('cursor'))?.value;
  const held = async () => (await Promise.all(Object.entries(tables).map(async ([type, name]) =>
    (await db.table(name).toArray()).filter((row) => row.updatedAt).map((data) => ({ type, data }))))).flat();
  const pulled = await booky.pull({ cursor, kinds: Object.keys(tables), held });
  return db.transaction('rw', [...names, 'waiting', 'state'], async () => {
    if (await db.waiting.count()) return false;
    if (pulled.complete) await Promise.all(names.map((name) => db.table(name).clear()));
    for (const { type, deleted, data } of pulled.changes)
      await (deleted ? db.table(tables[type]).delete(data.id) : db.table(tables[type]).put(data));
    await db.state.put({ name: 'cursor', value: pulled.cursor });
    return true;
  });
}
