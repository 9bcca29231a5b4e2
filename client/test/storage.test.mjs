// Where the data is: in memory where IndexedDB is forbidden, and in databases of other versions of the client.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { book, closeAll, device, edit, pending, settle } from './lib.mjs';

afterEach(closeAll);

/** Makes IndexedDB fail as some browsers do in private windows. */
function forbid(t, fail) {
  const { indexedDB } = globalThis;
  Object.defineProperty(globalThis, 'indexedDB', { configurable: true, get: fail });
  t.after(() => Object.defineProperty(globalThis, 'indexedDB', { configurable: true, value: indexedDB }));
}
const failing = (name) => ({
  open() {
    const request = {};
    queueMicrotask(() => {
      request.error = new DOMException('not here', name);
      request.onerror();
    });
    return request;
  },
});
const ways = {
  'is missing': [() => undefined, /TypeError/],
  'may not be read': [() => { throw new DOMException('denied', 'SecurityError'); }, /SecurityError: denied/],
  'cannot be opened': [() => failing('InvalidStateError'), /InvalidStateError: not here/],
};
for (const [how, [fail, reason]] of Object.entries(ways))
  test(`IndexedDB ${how}: edits are kept in memory and synced, and an event says so`, async (t) => {
    forbid(t, fail);
    const d = device();
    await book(d, 'a');
    await edit(d, 'a', { notes: 'n' });
    assert.deepEqual((await d.store.list('book')).map(({ id, notes }) => [id, notes]), [['a', 'n']]);
    assert.equal((await d.service.sync()).ok, true);
    assert.deepEqual([await pending(d), d.server.rows.get('book a').data.notes], [[], 'n']);
    const [info, ...more] = d.emitted('storage');
    assert.deepEqual([info.kind, more], ['memory', []]);
    assert.match(info.reason, reason);
    assert.equal((await d.service.inspect()).storage.kind, 'memory');
  });

test('with memory each tab works for itself', async (t) => {
  forbid(t, () => undefined);
  const one = device(), two = device({ server: one.server, clock: one.clock, database: one.database });
  for (const d of [one, two]) d.service.startMonitoring();
  await settle();
  await book(two, 'b');
  await two.clock.advance(1000);
  assert.deepEqual([...one.server.rows.keys()], ['book b']);
  assert.equal(two.emitted('change').some(({ source }) => source === 'local'), true);
  assert.equal(one.emitted('change').some(({ source }) => source === 'local'), false);
});

test('another error of IndexedDB is reported and does not hide the data of the device', async (t) => {
  const d = device();
  await book(d, 'a');
  await d.service.close();
  const { open } = IDBFactory.prototype;
  t.after(() => (IDBFactory.prototype.open = open));
  IDBFactory.prototype.open = failing('UnknownError').open;
  const again = device({ server: d.server, database: d.database });
  await assert.rejects(book(again, 'b'), { name: 'UnknownError' });
  IDBFactory.prototype.open = open;
  assert.equal((await again.store.list('book')).length, 1);
  assert.deepEqual(again.emitted('storage'), []);
});

const bundle = async (t, contents) => {
  const root = fileURLToPath(new URL('..', import.meta.url)), folder = mkdtempSync(path.join(tmpdir(), 'booky-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root, loader: 'ts' }, bundle: true, format: 'esm', write: false, platform: 'neutral',
    define: { VERSION: '"next"' },
  });
  writeFileSync(path.join(folder, 'bundle.mjs'), outputFiles[0].text);
  return import(pathToFileURL(path.join(folder, 'bundle.mjs')));
};

test('a transaction in memory that throws changes nothing, and transactions do not mix', async (t) => {
  const { openMemory } = await bundle(t, `export * from './src/memory.ts';`);
  const db = openMemory(randomUUID()), record = { id: 'c', list: [1] };
  await db.write(async (tx) => tx.put('conflicts', record));
  const failed = db.write(async (tx) => {
    tx.put('conflicts', { id: 'd' });
    tx.delete('conflicts', 'c');
    tx.clear('meta');
    await settle();
    throw new Error('no');
  });
  const increment = async (tx) => tx.put('meta', ((await tx.get('meta', 'n')) ?? 0) + 1, 'n');
  const others = [1, 2, 3].map(() => db.write(increment));
  await assert.rejects(failed, /no/);
  await Promise.all(others);
  record.list.push(2);
  (await db.read((tx) => tx.get('conflicts', 'c'))).list.push(3);
  assert.deepEqual(await db.read((tx) => tx.all('conflicts')), [{ id: 'c', list: [1] }]);
  assert.equal(await db.read((tx) => tx.get('meta', 'n')), 3);
  // Numbers as IndexedDB gives them: later than every earlier one, also after a record with a number.
  const put = (value) => db.write((tx) => tx.put('queue', value));
  assert.deepEqual([await put({}), await put({ seq: 9 }), await put({}), await put({ seq: 2 })], [1, 9, 10, 2]);
  assert.deepEqual((await db.read((tx) => tx.all('queue', undefined, 3))).map(({ seq }) => seq), [1, 2, 9]);
});

test('the next version of the database: the old tab lets go and says so, and nothing is lost', async (t) => {
  const { createSyncService } = await bundle(t, `
    import { SCHEMA } from './src/database.ts';
    SCHEMA.push((db, tx) => {
      db.createObjectStore('shelves');
      tx.objectStore('rows').createIndex('gen', 'gen');
    });
    export { createSyncService } from './src/service.ts';`);
  const old = device();
  old.service.startMonitoring();
  await book(old, 'a');
  await old.service.sync();
  await edit(old, 'a', { notes: 'unsent' });

  const options = { server: old.server, clock: old.clock, database: old.database };
  const next = device({ ...options, createSyncService });
  assert.equal((await pending(next)).length, 1);
  assert.deepEqual((await next.store.list('book')).map(({ id, notes }) => [id, notes]), [['a', 'unsent']]);
  assert.equal((await next.service.inspect()).schema, 2);
  await settle();
  assert.deepEqual(old.emitted('storage').map(({ kind }) => kind), ['outdated']);
  await assert.rejects(edit(old, 'a', { notes: 'lost' }), { code: 'OUTDATED' });

  next.service.startMonitoring(); // the old tab does not lead any more
  await edit(next, 'a', { title: 'T' });
  await next.clock.advance(60_000);
  assert.deepEqual(await pending(next), []);
  const { notes, title } = next.server.rows.get('book a').data;
  assert.deepEqual([notes, title], ['unsent', 'T']);

  const late = device(options); // a page of the old version that is opened later
  await assert.rejects(book(late, 'b'), { code: 'OUTDATED' });
  await assert.rejects(book(late, 'b'), { code: 'OUTDATED' });
  assert.equal((await late.service.sync()).error.code, 'OUTDATED');
  const { storage, unreadable, errors } = await late.service.inspect();
  assert.deepEqual([storage.kind, unreadable.code, errors.at(-1).code], ['outdated', 'OUTDATED', 'OUTDATED']);
  assert.deepEqual(late.emitted('storage').map(({ kind }) => kind), ['outdated']);
});
