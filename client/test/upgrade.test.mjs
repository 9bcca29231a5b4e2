// Databases that the first edition of the client wrote are continued in place, without a loss.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, test } from 'node:test';
import { closeAll, device, edit, json, pending, sent, START } from './lib.mjs';

afterEach(closeAll);

const at = (ms) => new Date(START + ms).toISOString();

/** A database as the first edition made it: version 1 and the records of that time. */
async function oldDatabase(records) {
  const name = randomUUID();
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => {
    const db = request.result;
    db.createObjectStore('meta');
    const numbered = { keyPath: 'seq', autoIncrement: true };
    for (const store of ['queue', 'review'])
      db.createObjectStore(store, numbered).createIndex('entity', ['entity', 'entityId']);
    db.createObjectStore('rows', { keyPath: ['type', 'id'] });
    db.createObjectStore('conflicts', { keyPath: 'id' });
  };
  const db = await new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
  const tx = db.transaction([...db.objectStoreNames], 'readwrite');
  for (const [store, list] of Object.entries(records))
    for (const record of list)
      if (store === 'meta') tx.objectStore(store).put(record[1], record[0]);
      else tx.objectStore(store).put(record);
  await new Promise((resolve) => (tx.oncomplete = resolve));
  db.close();
  return name;
}

const operation = (seq, entityId, more) => ({
  seq, id: `op-${seq}`, type: 'update', entity: 'book', entityId, data: { notes: `${seq}` }, timestamp: START + seq,
  tried: false, attempts: 0, nextAt: 0, ...more,
});
const records = {
  meta: [
    ['deviceId', 'phone'], ['last', START + 3], ['pull:', { cursor: at(0), done: 0 }], ['lastSync', START],
    ['user', 'alice'],
  ],
  queue: [operation(1, 'a', { tried: true, attempts: 2 }), operation(2, 'b')],
  review: [operation(3, 'a', { error: 'VALIDATION_ERROR', message: 'no' })],
  rows: [
    { type: 'book', id: 'a', data: { id: 'a', title: 'A', createdAt: at(-9), updatedAt: at(-2) }, updatedAt: at(-2) },
    { type: 'book', id: 'b', data: { id: 'b', title: 'B', createdAt: at(-9), updatedAt: at(-1) }, updatedAt: '' },
    { type: 'tag', id: 't', data: { id: 't', name: 'gone' }, updatedAt: at(-3), deleted: true, gen: 'g' },
  ],
  conflicts: [{ id: '1-0', status: 'open', entity: 'book', entityId: 'a', localData: {}, serverData: {} }],
};

test('a database of the first edition: rows and edits are shown, the queue is sent, the cursor goes on', async () => {
  const d = device({ database: await oldDatabase(records) });
  const shown = (await d.store.list('book')).map(({ id, title, notes }) => [id, title, notes]);
  assert.deepEqual(shown, [['a', 'A', '3'], ['b', 'B', '2']]);
  assert.deepEqual((await pending(d)).map(({ id, attempts }) => [id, attempts]), [['op-1', 2], ['op-2', 0]]);
  const status = await d.service.getStatus();
  assert.deepEqual([status.pendingOperations, status.review, status.conflicts], [2, 1, 1]);
  const { timestamp } = await edit(d, 'c', { title: 'C' });
  assert.equal(timestamp, at(4));
  assert.equal((await d.service.sync()).ok, true);
  for (const id of ['op-1', 'op-2']) assert.ok(sent(d.server).flat().includes(id), id);
  assert.equal(d.server.of('/operations')[0].body.deviceId, 'phone');
  assert.equal(d.server.of('/changes')[0].query.cursor, at(0));
  assert.deepEqual((await d.operations.getReview()).map(({ id }) => id), ['op-3']);
});

test('a database of the first edition: its rows and deletions are sent back after a restore', async () => {
  const d = device({ database: await oldDatabase({ ...records, queue: [] }) });
  d.server.answers.push(() => json(410, { success: false, error: 'RESYNC_REQUIRED', reason: 'restored' }));
  await d.service.sync();
  const [{ body }] = d.server.of('/full');
  assert.deepEqual(body.changes.map(({ type, deleted, data }) => [type, !!deleted, data.id, data.updatedAt]), [
    ['book', false, 'a', at(-2)], ['book', false, 'b', at(-1)], ['tag', true, 't', at(-3)],
  ]);
  assert.equal(body.changes[2].data.deletedAt, at(-3));
});
