// Data and habits of real clients and libraries.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { promisify } from 'node:util';
import { User, ago, book, content, gone, ms, mint, op, origin, patch, request } from './lib.mjs';
import { Owner, checkOk, encode, members, syntheticBooks } from './owner.mjs';

// Envelopes

// Members that clients keep in their own queue and send along.
const baggage = {
  synced: { synced: false }, 'synced already': { synced: true }, retryCount: { retryCount: 3 },
  'retryCount as text': { retryCount: '3' },
  priority: { priority: 'high' }, lastError: { lastError: { code: 'NETWORK', stack: 'Error: …\n  at sync' } },
  'lastError null': { lastError: null },
  'conflictResolution merge': { conflictResolution: 'merge' }, 'conflictResolution null': { conflictResolution: null },
  'conflictResolution local': { conflictResolution: 'local' },
  'conflictResolution server': { conflictResolution: 'server' },
  'needsSync and localOnly': { needsSync: true, localOnly: false }, 'a user id': { userId: 'somebody else' },
  'all of them': {
    synced: false, retryCount: 0, priority: 1, lastError: '', conflictResolution: 'merge', attempts: [], createdAt: 0,
    version: 2,
  },
};

for (const [name, more] of Object.entries(baggage))
  test(`an operation is processed and parked despite further members: ${name}`, async () => {
    const owner = new Owner();
    const { status, ...rest } = await owner.apply(book('b1', {}, more),
      { clientVersion: '2.1', userId: 'somebody else', retryCount: 2 });
    assert.equal(status, 'success', JSON.stringify(rest));
    await owner.parked(book('b2', {}, more));
    assert.equal((await owner.applyPending()).failed, 0);
    assert.deepEqual(await owner.contents(), { 'book b1': { title: 'Book b1' }, 'book b2': { title: 'Book b2' } });
  });

test('a retry with a changed retry counter is the same operation', async () => {
  const user = new User();
  const operation = book('b1');
  await user.apply({ ...operation, retryCount: 0, synced: false });
  const again = await user.apply({ ...operation, retryCount: 1, lastError: 'timeout', priority: 'high' });
  assert.deepEqual([again.status, again.duplicate], ['success', true]);
});

// Data

const description = ['“Long”\n\n', '<p>text</p> ', 'é夜🦊 '].join('').repeat(800);

const books = {
  'an empty isbn13': { isbn13: '' },
  'publishedYear null': { publishedYear: null },
  'a year before Christ': { publishedYear: -750 },
  'a languageCode that is a path': { languageCode: 'languages/eng' },
  'lccn as an array': { externalIds: { lccn: ['2001016794', '92000001'], isbn10: '0', openLibrary: null } },
  'a description of 20 kB': { description },
  'numbers at the limits of a double': { averageRating: 4.1, pageCount: 0, seriesVolume: 1.5,
    x: [1e21, 5e-324, -0.1, 9007199254740991] },
  'members of every type null': {
    subtitle: null, isbn13: null, pageCount: null, isEbook: null, authors: null, externalIds: null, format: null,
    addedAt: null,
  },
  'empty lists and objects': { authors: [], tags: [], externalIds: {}, dimensions: {}, listPrice: {} },
  'instants of every form': { addedAt: '2024-01-15T10:30:00+02:00', notesUpdatedAt: 1705314600000,
    lastSyncedAt: '2024-01-15T10:30:00.123456Z' },
  'authors as objects and texts': { authors: ['A', { name: 'B', key: '/authors/OL1A' }],
    authorDetails: [{ id: null }] },
  'unknown members': { ratings: { count: 3, histogram: [0, 0, 1, 1, 1] }, _id: 'x', $ref: 1, 'a.b/c~d': {}, '': 0,
    __proto_: null },
  'flags of the client': { needsSync: true, localOnly: true, synced: false },
  'control characters and escapes': { notes: '\u0001\u007f\u2028"\\/\t\r\n\ufeff' },
};

for (const [name, data] of Object.entries(books))
  test(`a book comes back unchanged from every endpoint that stores it: ${name}`, async () => {
    const owner = new Owner();
    const sent = { title: 'T', ...data };
    assert.equal((await owner.apply({ ...book('b1'), data: { id: 'b1', ...sent } })).status, 'success');
    await owner.parked({ ...book('b2'), data: sent });
    await owner.applyPending();
    await owner.replace({ mode: 'merge', books: [{ id: 'b3', ...sent }] });
    for (const one of Object.values(await owner.library()))
      assert.equal(JSON.stringify(content(one)), JSON.stringify(sent));
    await owner.replace({ books: ['b1', 'b2', 'b4'].map((id) => ({ id, ...sent })) });
    const library = await owner.library();
    assert.deepEqual(Object.keys(library).sort(), ['book b1', 'book b2', 'book b4']);
    for (const one of Object.values(library)) assert.equal(JSON.stringify(content(one)), JSON.stringify(sent));
  });

test('a tag without a colour is accepted', async () => {
  const owner = new Owner();
  const { results } = await owner.send(
    [op('create', 'tag', 't1', { name: 'Sea' }), op('create', 'tag', 't2', { name: 'Sky', color: null })]);
  assert.deepEqual(results.map(({ status }) => status), ['success', 'success']);
  await owner.replace({ tags: [{ id: 't3', name: 'Sun' }] });
  assert.deepEqual(await owner.contents(), { 'tag t3': { name: 'Sun' } });
});

test('several users can have the same entity ids and operation ids', async () => {
  const owners = [new Owner(), new Owner(), new Owner()];
  const operation = (owner) => book('import_123', { title: owner.id }, { id: 'op-1' });
  const results = await Promise.all(owners.map((owner) => owner.apply(operation(owner))));
  assert.ok(results.every(({ status, duplicate }) => status === 'success' && duplicate === undefined));
  await owners[0].apply(patch('import_123', { title: 'changed' }, { timestamp: ago(4) }));
  await owners[1].apply(gone('book', 'import_123'));
  assert.deepEqual(await Promise.all(owners.map((owner) => owner.contents())),
    [{ 'book import_123': { title: 'changed' } }, {}, { 'book import_123': { title: owners[2].id } }]);
});

test('a user id in the body does not change whose data is written', async () => {
  const [owner, other] = [new Owner(), new Owner()];
  await owner.send([book('b1', { userId: other.id }, { userId: other.id })], { userId: other.id });
  await owner.replace({ userId: other.id, tags: [{ id: 't1', name: 'T', userId: other.id }] });
  assert.deepEqual(await other.contents(), {});
  assert.deepEqual(await owner.contents(),
    { 'book b1': { title: 'Book b1', userId: other.id }, 'tag t1': { name: 'T', userId: other.id } });
});

// Order

test('an update that arrives before its create is kept until the create arrives', async () => {
  for (const together of [true, false]) {
    const owner = new Owner();
    const later = { timestamp: ago(5) };
    const operations = [
      patch('b1', { notes: 'n', title: 'New' }, later), book('b1', { title: 'Old', genre: 'g' }),
      patch('b2', { notes: 'n' }, later), book('b2'),
    ];
    const results = together ? (await owner.send(operations)).results : [];
    if (!together) for (const one of operations) results.push(await owner.apply(one));
    assert.ok(results.every(({ status }) => status === 'success'));
    assert.deepEqual(await owner.contents(),
      { 'book b1': { title: 'New', notes: 'n', genre: 'g' }, 'book b2': { title: 'Book b2', notes: 'n' } });
    assert.equal((await owner.status()).conflicts, 0);
  }
});

test('an update whose create never arrives is not pulled but is in the review list', async () => {
  const owner = new Owner();
  assert.equal((await owner.apply(patch('b1', { notes: 'n' }))).incomplete, true);
  assert.deepEqual((await owner.pull()).changes, []);
  const [conflict] = await owner.conflicts('?status=open');
  assert.deepEqual([conflict.reason, conflict.entityId, conflict.localData], ['incomplete', 'b1', { notes: 'n' }]);
});

test('the same batch posted fifteen times simultaneously over several connections takes effect once', async () => {
  const owner = new Owner();
  const operations = Array.from({ length: 10 }, (_, n) => book(`b${n}`));
  operations.push(op('create', 'readingLog', 'l1', { bookId: 'b1', status: 'read' }), gone('book', 'b9'),
    patch('b1', { title: 7 }));
  const replies = await Promise.all(Array.from({ length: 15 }, () => owner.send(operations)));
  for (let i = 0; i < operations.length - 1; i++) {
    const results = replies.map((reply) => reply.results[i]);
    assert.ok(results.every(({ status }) => status === 'success'));
    assert.equal(results.filter(({ duplicate }) => !duplicate).length, 1, `operation ${i} is processed once`);
    assert.equal(new Set(results.map(({ updatedAt }) => updatedAt)).size, 1, 'and every reply has the same version');
  }
  assert.ok(replies.every(({ results }) => results.at(-1).status === 'failed'));
  const { changes } = await owner.pull();
  assert.equal(changes.length, 10);
  assert.equal(new Set(changes.map(({ data }) => data.updatedAt)).size, 1);
  assert.deepEqual(await owner.conflicts(), []);
});

const statuses = ['want_to_read', 'currently_reading', 'dnf', 'currently_reading', 'read'];
const logs = () => statuses.map(
  (status, n) => op('create', 'readingLog', randomUUID(), { bookId: 'b1', status }, { timestamp: ago(20 - n) }));
const orders = {
  'one after the other': async (owner, operations) => {
    for (const one of operations) await owner.apply(one);
  },
  'in one batch': (owner, operations) => owner.send(operations),
  'backwards, one after the other': async (owner, operations) => {
    for (const one of [...operations].reverse()) await owner.apply(one);
  },
  'all at once': (owner, operations) => Promise.all(operations.map((one) => owner.apply(one))),
  'from the queue': async (owner, operations) => {
    for (const one of operations) await owner.parked(one);
    await owner.applyPending();
  },
};

for (const [name, send] of Object.entries(orders))
  test(`only the last of several reading logs of one book stays, sent ${name}`, async () => {
    const owner = new Owner();
    const operations = logs();
    const { cursor } = await owner.pull();
    await send(owner, operations);
    const { changes } = await owner.pull(`cursor=${cursor}`);
    const live = changes.filter(({ deleted }) => !deleted);
    assert.deepEqual(live.map(({ data }) => [data.id, data.status]), [[operations.at(-1).entityId, 'read']]);
    const away = changes.filter(({ deleted }) => deleted).map(({ data }) => data.id);
    assert.deepEqual(away.sort(), operations.slice(0, -1).map(({ entityId }) => entityId).sort());
    const conflicts = await owner.conflicts();
    assert.equal(conflicts.length, 4);
    assert.ok(conflicts.every(({ status, reason }) => status === 'resolved' && reason === 'one_per_book'));
  });

// Size

test('a first full sync of 11 MB is stored and comes back unchanged', async () => {
  const owner = new Owner();
  const list = syntheticBooks(4000, 2600);
  const body = JSON.stringify({ books: list, collections: [], tags: [], readings: [], settings: {} });
  const size = Buffer.byteLength(body);
  assert.ok(size > 10e6 && size < 12e6, `${size} bytes`);
  assert.equal((await owner.replace(body)).created, 4001);
  const { changes } = await owner.pull();
  const library = Object.fromEntries(changes.map(({ data }) => [data.id, data]));
  assert.equal(changes.length, 4001);
  for (const one of list) assert.equal(JSON.stringify(content(library[one.id])), JSON.stringify(members(one)));
});

// Clients of the published specification

test('status repeats lastSync as lastSyncTime', async () => {
  const owner = new Owner();
  const empty = await owner.status();
  assert.deepEqual([empty.lastSync, empty.lastSyncTime], [null, null]);
  const { syncedAt } = await owner.send([book('b1')]);
  const status = await owner.status();
  assert.deepEqual([status.lastSync, status.lastSyncTime], [syncedAt, syncedAt]);
});

test('the published requests get the published replies', async () => {
  const owner = new Owner();
  const post = (path, body) => owner.call('POST', path, body);
  const operation = {
    id: 'op-123', type: 'create', entity: 'book', entityId: 'book-456', data: { title: 'T' },
    timestamp: '2024-01-15T10:30:00Z',
  };
  const { results } = checkOk(await post('/operations', { operations: [operation] }));
  const { id, status, entity, entityId } = results[0];
  assert.deepEqual({ id, status, entity, entityId },
    { id: 'op-123', status: 'success', entity: 'book', entityId: 'book-456' });

  const queued = checkOk(
    await post('/queue', { type: 'update', entity: 'book', entityId: 'book-456', data: { notes: 'n' } }), 201);
  assert.deepEqual(Object.keys(queued.operation), ['id', 'type', 'entity', 'entityId', 'timestamp', 'synced']);
  const pending = await owner.get('/pending');
  assert.deepEqual(pending.operations.map((one) => [one.id, one.data, one.synced]),
    [[queued.operation.id, { notes: 'n' }, false]]);
  assert.equal((await owner.status()).pendingOperations, 1);

  const since = '2024-01-15T10:00:00Z';
  const changes = await owner.get(`/changes?since=${since}`);
  assert.deepEqual([changes.success, changes.since], [true, since]);
  assert.deepEqual(changes.changes.map(({ type, data }) => [type, data.id]), [['book', 'book-456']]);

  assert.equal((await owner.markSynced(['op-999', queued.operation.id])).message, 'Marked 1 operations as synced');
  const { serverTime, ...cleared } = await owner.clear();
  assert.deepEqual(cleared, { success: true, message: 'Cleared synced operations', cleared: 1 });
});

test('a client that polls since lastSync, or since the last updatedAt, sees each change once', async () => {
  const owner = new Owner();
  await owner.apply(book('b1'));
  const { lastSync } = await owner.status();
  await owner.send([book('b2'), book('b3')]);
  const { changes } = await owner.pull(`since=${lastSync}`);
  assert.deepEqual(changes.map(({ data }) => data.id), ['b2', 'b3']);
  assert.deepEqual((await owner.pull(`since=${changes.at(-1).data.updatedAt}`)).changes, []);
});

test('a pull since the epoch, in any time zone or in milliseconds, returns everything', async () => {
  const owner = new Owner();
  await owner.apply(book('b1'));
  const zoned = '1970-01-01T01:00:00+01:00';
  for (const since of ['1970-01-01T00:00:00.000Z', zoned, encodeURIComponent(zoned), '0', `${ms(ago(60))}`])
    assert.equal((await owner.pull(`since=${since}`)).changes.length, 1, since);
});

// The published diagnostic commands, verbatim.
const published = {
  status: `curl -H "Authorization: Bearer <token>" \\
  https://api.booky.app/sync/status`,
  pending: `curl -H "Authorization: Bearer <token>" \\
  https://api.booky.app/sync/pending`,
  full: `curl -X POST -H "Authorization: Bearer <token>" \\
  -d '{"force": true}' \\
  https://api.booky.app/sync/full`,
};

const run = promisify(execFile);
const env = { ...process.env, CURL_CA_BUNDLE: process.env.BOOKY_TEST_CA };

const shell = async (owner, command, base) => {
  const text = command.replace('<token>', owner.token).replace('https://api.booky.app', origin + base);
  return JSON.parse((await run('sh', ['-c', text], { env })).stdout);
};

for (const base of ['', '/api'])
  test(`the published curl commands work below ${base}/sync`, async () => {
    const owner = new Owner();
    await owner.apply(book('b1'));
    const parked = await owner.parked(patch('b1', { notes: 'n' }));
    const status = await shell(owner, published.status, base);
    assert.deepEqual([status.success, status.status, status.pendingOperations], [true, 'ready', 1]);
    const pending = await shell(owner, published.pending, base);
    assert.deepEqual(pending.operations.map(({ id }) => id), [parked.id]);
    const full = await owner.unchanged(() => shell(owner, published.full, base));
    assert.deepEqual([full.success, typeof full.syncedAt], [true, 'string']);
    const refused = await shell({ token: 'wrong' }, published.full, base);
    assert.deepEqual([refused.success, refused.error], [false, 'UNAUTHORIZED']);
  });

test('both base paths serve the same API', async () => {
  const owner = new Owner();
  const headers = { 'content-type': 'application/json' };
  const call = (path, method, body) => request(`/sync${path}`,
    { method, token: owner.token, headers, body: encode(body) });
  checkOk(await call('/operations', 'POST', { operations: [book('b1')] }));
  checkOk(await call('/queue', 'POST', book('b2')), 201);
  checkOk(await call('/pending/apply', 'POST'));
  for (const path of ['/status', '/pending', '/changes?since=0', '/conflicts', '/snapshots', '/digest', '/export',
    '/config'])
    assert.equal((await call(path, 'GET')).status, 200, path);
  assert.equal(Object.keys(await owner.library()).length, 2);
  assert.equal((await request('/sync/status', { token: mint({ userId: owner.id, type: 'refresh' }) })).status, 401);
});
