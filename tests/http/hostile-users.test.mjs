// A hostile client that knows another user's ids and uses them in every place that takes an id.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkPublicPages, checkReply, ids, readVictim, untouched, victim, word } from './hostile.mjs';
import { book, checkError, op, patch } from './lib.mjs';
import { Owner } from './owner.mjs';

const places = {
  'entities, in every type of operation': async (attacker) => {
    const data = { title: 'x', name: 'x', bookId: 'b1', stars: 1, status: 'read' };
    for (const type of ['create', 'update', 'delete'])
      for (const conflictResolution of ['merge', 'local', 'server', 'manual']) {
        const operations = ids.entities.filter(([, id]) => !id.includes(word))
          .map(([entity, id]) => op(type, entity, id, data, { conflictResolution, timestamp: undefined }));
        checkReply(await attacker.post({ operations }), type);
      }
  },
  'operation ids': async (attacker) => {
    for (const id of ids.operations) checkReply(await attacker.post({ operations: [book('b1', {}, { id })] }), id);
    const { json } = checkReply(await attacker.call('POST', '/mark-synced', { operationIds: ids.operations }),
      'mark-synced');
    assert.deepEqual([json.marked, json.unknown.sort()], [0, [...ids.operations].sort()]);
  },
  'operation ids in the queue that are applied and cleared': async (attacker) => {
    for (const id of ids.operations)
      assert.equal(checkReply(await attacker.park(book('b1', {}, { id })), id).status, 201);
    checkReply(await attacker.call('POST', '/pending/apply'), 'apply');
    checkReply(await attacker.call('DELETE', '/clear'), 'clear');
  },
  'versions and devices': async (attacker) => {
    for (const envelope of [{ lastSync: ids.updatedAt }, { deviceId: 'phone' },
      { atomic: true, deviceId: 'phone', lastSync: ids.updatedAt }])
      checkReply(await attacker.post(
        { operations: [patch('b1', { title: 'x' }, { baseVersion: ids.updatedAt })], ...envelope }), 'envelope');
  },
  conflicts: async (attacker) => {
    for (const id of ids.conflicts)
      for (const decision of [{ resolution: 'keep_local' }, { resolution: 'keep_server' },
        { resolution: 'merge', mergedData: { title: 'x' } },
        { resolution: 'keep_local', baseVersion: ids.updatedAt }])
        checkError(await attacker.resolve(id, decision), 404, 'NOT_FOUND');
  },
  snapshots: async (attacker) => {
    for (const id of ids.snapshots) checkError(await attacker.restore(id), 404, 'NOT_FOUND');
  },
  cursors: async (attacker) => {
    checkError(await attacker.changes(`cursor=${ids.cursor}`), 410, 'RESYNC_REQUIRED');
    for (const path of ['/changes', '/pending', '/conflicts'])
      for (const cursor of [ids.cursor, ids.conflictCursor, ids.pendingCursor])
        checkReply(await attacker.request(`${path}?cursor=${encodeURIComponent(cursor)}`), `${path} ${cursor}`);
  },
  'preconditions': async (attacker) => {
    checkError(await attacker.full({ books: [] }, '', { 'if-match': `"${ids.cursor}"` }), 409, 'CONFLICT_DETECTED');
    const reply = checkReply(await attacker.changes(undefined, { headers: { 'if-none-match': ids.etag } }),
      'If-None-Match');
    assert.equal(reply.status, 200);
  },
  'full syncs of the same ids and of empty lists, and erasure': async (attacker) => {
    const books = ids.entities.filter(([type, id]) => type === 'book' && !id.includes(word))
      .map(([, id]) => ({ id, title: 'x' }));
    for (const body of [{ books }, { mode: 'merge', books },
      { books: [], tags: [], collections: [], ratings: [], readings: [], settings: {} }])
      assert.equal(checkReply(await attacker.full(body), 'full').status, 200);
    assert.equal(checkReply(await attacker.call('DELETE', '/account'), 'account').status, 200);
  },
  'the user id in query, header fields, cookies and bodies': async (attacker) => {
    const name = encodeURIComponent(victim.id);
    const headers = { 'x-user-id': victim.id, 'x-forwarded-user': victim.id, 'remote-user': victim.id,
      'x-original-url': '/api/sync/export', cookie: `userId=${name}` };
    for (const path of ['/changes?since=0&', '/export?', '/status?', '/digest?', '/conflicts?', '/pending?',
      '/snapshots?'])
      checkReply(await attacker.request(`${path}userId=${name}&user_id=${name}&sub=${name}`, { headers }), path);
    const operations = [{ ...book('u1', { userId: 'v', user_id: 'v' }), userId: victim.id, user_id: victim.id }];
    checkReply(await attacker.post({ operations, userId: victim.id, user: { id: victim.id } }, { headers }), 'body');
  },
};

for (const [name, work] of Object.entries(places))
  test(`another user's ids give no access: ${name}`, async () => {
    const attacker = new Owner();
    await attacker.send([book('b1', { title: 'Own' }), op('create', 'tag', 't1', { name: 'Own' })]);
    await work(attacker);
    assert.deepEqual(await readVictim(), untouched);
  });

test('no public page holds a secret or data of the victim', checkPublicPages);
