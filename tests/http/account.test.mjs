// All data of a user at once: digest, export, erasure; and GET /config.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { User, ago, book, checkError, content, gone, literal, ms, op, patch, request, sql } from './lib.mjs';
import {
  Owner, checkInvalid, checkOk, ownerOfEverything, syntheticBooks, userTables, withoutVersions,
} from './owner.mjs';

const kinds = ['book', 'rating', 'tag', 'collection', 'readingLog', 'userSettings'];

// Digest

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

// The digest as a client computes it from its pulls: the lines id@updatedAt sorted by bytes, separated by line feeds.
function digestOf(changes) {
  const digest = {};
  for (const kind of kinds) {
    const live = changes.filter(({ type, deleted }) => type === kind && !deleted);
    const lines = live.map(({ data }) => Buffer.from(`${data.id}@${data.updatedAt}`));
    const text = lines.sort(Buffer.compare).map(String).join('\n');
    digest[kind] = { count: lines.length, sha256: sha256(text) };
  }
  return digest;
}

// Ids whose order differs between bytes, UTF-16 and languages, or with and without the @updatedAt behind them.
const ids = ['a', 'a!', 'a@', 'A', 'b', 'é', 'e', 'z', '夜', '🦊', '～', '\uffff', ' ', '0', '10', '2', 'import_123',
  '\u{10ffff}', 'a\nb'];

const several = () => [
  ...ids.map((id) => book(id)),
  op('create', 'rating', 'r1', { bookId: 'a', stars: 2 }),
  op('create', 'rating', 'r2', { bookId: 'a', stars: 3 }, { timestamp: ago(5) }),
  ...ids.map((id, n) => op('create', 'tag', id, { name: `${n}` })), gone('tag', '🦊'),
  op('create', 'collection', 'c', { name: 'C' }), op('create', 'readingLog', 'l', { bookId: 'a', status: 'read' }),
  op('update', 'userSettings', 'whatever', { theme: 'dark' }), patch('incomplete', { notes: 'n' }),
];

test('the digest equals the one that a client computes from its pull, and its cursor is that of the pull', async () => {
  const owner = new Owner();
  await owner.send(several());
  await owner.send([patch('é', { notes: 'later' }), patch('🦊', { notes: 'later' })]);
  const digest = await owner.get('/digest');
  const { changes, cursor } = await owner.pull();
  assert.deepEqual(digest.kinds, digestOf(changes));
  assert.equal(digest.cursor, cursor);
  assert.deepEqual(kinds.map((kind) => digest.kinds[kind].count), [ids.length, 1, ids.length - 1, 1, 1, 1]);
  assert.deepEqual((await owner.pull(`cursor=${digest.cursor}`)).changes, []);
});

test('the digest of an empty library is the hash of no lines', async () => {
  const digest = await new Owner().get('/digest');
  assert.deepEqual(digest.kinds, Object.fromEntries(kinds.map((kind) => [kind, { count: 0, sha256: sha256('') }])));
});

test('the digest of a kind changes exactly when a pull of that kind changes', async () => {
  const owner = new Owner();
  const operation = book('b1', { title: 'T' });
  await owner.send([operation, op('create', 'tag', 't1', { name: 'T' })]);
  const parked = book('b9');
  const steps = [
    ['a repeat', () => owner.apply(operation), []],
    ['an operation that fails', () => owner.apply(book('b2', { title: 7 })), []],
    ['an operation that is parked', () => owner.parked(parked), []],
    ['a parked operation that is marked', () => owner.markSynced([parked.id]), []],
    ['a full sync of the same books', () => owner.replace({ books: [{ id: 'b1', title: 'T' }] }), []],
    ['a dry run', () => owner.replace({ books: [] }, '?dryRun=true'), []],
    ['an update that arrives before its create', () => owner.apply(patch('b2', { notes: 'n' })), []],
    ['a deletion of an unknown book', () => owner.apply(gone('book', 'b3')), []],
    ['an edit', () => owner.apply(patch('b1', { notes: 'n' }, { timestamp: ago(4) })), ['book']],
    ['an edit that loses, because the entity gets a new version', () => owner.apply(patch('b1', { notes: 'old' })),
      ['book']],
    ['the missing create', () => owner.apply(book('b2', { title: 'T' }, { timestamp: ago(12) })), ['book']],
    ['a deletion', () => owner.apply(gone('tag', 't1')), ['tag']],
    ['settings', () => owner.apply(op('update', 'userSettings', 's', {})), ['userSettings']],
  ];
  let before = (await owner.get('/digest')).kinds;
  for (const [name, work, changed] of steps) {
    await work();
    const after = (await owner.get('/digest')).kinds;
    assert.deepEqual(kinds.filter((kind) => after[kind].sha256 !== before[kind].sha256), changed, name);
    before = after;
  }
});

// Export

const everyMember = ['success', 'exportedAt', 'cursor', 'books', 'ratings', 'tags', 'collections', 'readings',
  'settings', 'deleted', 'incomplete', 'times', 'epochs', 'queue', 'conflicts', 'processedOperations', 'snapshots'];
const withoutSnapshots = everyMember.slice(0, -1);

test('an export holds all entities, the queue, conflicts, the ledger and snapshots of the user', async () => {
  const owner = await ownerOfEverything();
  const { cursor } = await owner.pull();
  const everything = await owner.get('/export?snapshots=true');
  assert.deepEqual(Object.keys(everything), everyMember);
  assert.equal(everything.cursor, cursor);
  assert.ok(Math.abs(ms(everything.exportedAt) - Date.now()) < 5000);

  const library = await owner.library();
  const lists = { books: 'book', ratings: 'rating', tags: 'tag', collections: 'collection', readings: 'readingLog' };
  for (const [list, kind] of Object.entries(lists)) {
    const live = Object.keys(library).filter((name) => name.startsWith(`${kind} `));
    assert.deepEqual(everything[list], live.map((name) => library[name]), list);
  }
  assert.deepEqual(everything.settings, library['userSettings settings']);
  const shown = (row) => [row.type, row.data.id, row.beneath];
  assert.deepEqual(everything.deleted.map(shown), [
    ['book', 'b2', { title: 'Two' }], ['collection', 'never there', {}], ['rating', 'r1', { bookId: 'b1', stars: 4.5 }],
  ]);
  assert.ok(everything.deleted.every(({ data }) => data.updatedAt && data.deletedAt));
  const [{ type, data }, ...others] = everything.incomplete;
  assert.deepEqual([type, data.id, content(data), others], ['book', 'incomplete', { notes: 'n' }, []]);
  const timed = everything.times.map(({ type, id }) => `${type} ${id}`);
  assert.deepEqual(timed.sort(), Object.keys(library).sort());
  for (const { times } of [...everything.times, ...everything.incomplete]) assert.ok(times.base && times.edited);
  assert.deepEqual(everything.deleted.map(({ times: { marks, ...times } }) => Object.keys(times)),
    [['base', 'edited', 'deleted'], ['deleted'], ['base', 'edited', 'superseded']]);
  const [{ epoch, until, installation }, ...earlier] = everything.epochs;
  assert.deepEqual([until, earlier], [(await owner.status()).lastSync, []]);
  for (const number of [epoch, installation]) assert.match(number, /^[1-9]\d*$/);
  assert.deepEqual(everything.queue.map(({ id, type, entity, entityId, data }) => [id, type, entity, entityId, data]), [
    ['marked', 'delete', 'book', 'parked', null], ['waits', 'create', 'book', 'parked', { title: 'Book parked' }],
  ]);
  const waits = everything.queue.map(
    ({ timestamp, attempts, lastError, syncedAt }) => [timestamp, attempts, lastError, Boolean(syncedAt)]);
  assert.deepEqual(waits, [[ago(5), 0, null, true], [ago(10), 0, null, false]]);
  const reasons = (list) => list.map(({ reason }) => reason).sort();
  assert.deepEqual(reasons(everything.conflicts), reasons(await owner.conflicts()));
  assert.deepEqual([...new Set(reasons(everything.conflicts))], ['incomplete', 'one_per_book', 'same_name', 'stale']);
  assert.ok(everything.conflicts.every(({ status, localData }) => status && localData));
  assert.equal(everything.processedOperations.length, 4);
  const processed = everything.processedOperations.find(({ result }) => result.id === 'op-r2');
  assert.deepEqual([processed.processedAt, processed.result.status], [processed.result.updatedAt, 'success']);
  const saved = everything.snapshots.map(({ snapshot, type, id, data }) => [Boolean(snapshot), type, id, data.title]);
  assert.deepEqual(saved, [[true, 'book', 'b1', 'One'], [true, 'book', 'b2', 'Two']]);
});

test('an export can be sent as a full sync, which gives a new user the same library', async () => {
  const owner = await ownerOfEverything();
  const copy = new Owner();
  await copy.replace((await owner.request('/export')).text);
  assert.deepEqual(withoutVersions(await copy.library()), withoutVersions(await owner.library()));
  const counts = async (one) => Object.values((await one.get('/digest')).kinds).map(({ count }) => count);
  assert.deepEqual(await counts(copy), await counts(owner));
  const { created, updated, deleted } = await owner.replace((await owner.request('/export')).text);
  assert.deepEqual([created, updated, deleted], [0, 0, 1],
    'sent by the user itself, it removes only the incomplete book');
});

test('an export has the snapshots only if the request asks for them', async () => {
  const owner = await ownerOfEverything();
  for (const query of ['', '?snapshots=false'])
    assert.deepEqual(Object.keys(await owner.get(`/export${query}`)), withoutSnapshots);
  for (const query of ['?snapshots=', '?snapshots=1', '?snapshots=yes'])
    checkInvalid(await owner.request(`/export${query}`), 'snapshots');
});

test('an export is accepted back in either mode, and the reply names the members that it ignores', async () => {
  const owner = await ownerOfEverything();
  for (const mode of ['replace', 'merge']) {
    const copy = new Owner();
    const { text } = await owner.request('/export?snapshots=true');
    const reply = checkOk(await copy.full(text, `?mode=${mode}`));
    assert.ok(['exportedAt', 'queue', 'conflicts', 'processedOperations', 'snapshots'].every((name) =>
      reply.ignored.includes(name)), reply.ignored.join());
    assert.deepEqual(withoutVersions(await copy.library()), withoutVersions(await owner.library()));
  }
});

test('an export is accepted back with an entity as large as it may be, in bytes and in JSON values', async () => {
  const owner = new Owner();
  const list = (count) => Array.from({ length: count }, () => 1);
  const text = (length) => 'x'.repeat(length);
  for (const name of ['a', 'b', 'c', 'd'])
    await owner.send([patch('values', { [name]: list(99_000) }, { timestamp: undefined })]);
  await owner.send([patch('values', { title: 'T' }, { timestamp: undefined })]);
  const room = (1 << 20) - Buffer.byteLength(JSON.stringify({ title: 'T', notes: '' }));
  await owner.send([book('bytes', { title: 'T', notes: text(room) }, { timestamp: undefined })]);
  const before = await owner.library();
  assert.equal(before['book bytes'].notes.length, room);
  const { text: exported } = await owner.request('/export');
  const again = await owner.unchanged(async () => checkOk(await owner.full(exported, '?mode=replace')));
  assert.equal(again.unchanged, 2);
  checkOk(await owner.full(exported, '?mode=merge'));
  const copy = new Owner();
  checkOk(await copy.full(exported));
  for (const one of [owner, copy])
    assert.ok(isDeepStrictEqual(withoutVersions(await one.library()), withoutVersions(before)));
});

test('an export of an empty library has every member and can be sent as a full sync', async () => {
  const owner = new Owner();
  const reply = await owner.request('/export');
  assert.deepEqual(Object.keys(reply.json), withoutSnapshots);
  assert.deepEqual(Object.values(reply.json).filter(Array.isArray), Array(12).fill([]));
  assert.equal(reply.json.settings, null);
  await owner.replace(reply.text);
  assert.deepEqual(await owner.library(), {});
});

test('a long export is complete', async () => {
  const owner = new Owner();
  const books = syntheticBooks(700, 600);
  await owner.replace({ books });
  await owner.replace({ books: books.slice(0, 350), tags: books.map(({ id }) => ({ id, name: id })) });
  const everything = await owner.get('/export?snapshots=true');
  const { books: live, deleted, tags, snapshots } = everything;
  assert.deepEqual([live, deleted, tags, snapshots].map(({ length }) => length), [350, 350, 700, 700]);
  const snapshot = Object.fromEntries(snapshots.map(({ id, data }) => [id, data]));
  for (const { id, ...rest } of books) assert.deepEqual(snapshot[id], rest);
});

// Erasure

const rowsOf = async (user) => {
  const tables = await userTables();
  assert.ok(tables.length >= 7, tables.join());
  const each = tables.map((name) => `SELECT '${name}', count(*) FROM ${name} WHERE user_id = ${literal(user.id)}`);
  const rows = await sql(each.join(' UNION ALL '));
  return Object.fromEntries(rows.map((row) => row.split('|')).map(([name, count]) => [name, Number(count)]));
};

test('erasure leaves no row of the user in any table and answers with a receipt', async () => {
  const [owner, other] = [await ownerOfEverything(), await ownerOfEverything()];
  const [before, others] = [await rowsOf(owner), await rowsOf(other)];
  for (const table of ['entities', 'ledger', 'queue', 'conflicts', 'snapshots', 'snapshot_entities', 'clocks'])
    assert.ok(before[table] > 0, `${table} has rows before`);
  const { receipt, serverTime } = checkOk(await owner.call('DELETE', '/account'));
  assert.ok(serverTime);
  const { erasedAt, ...numbers } = receipt;
  assert.ok(Math.abs(ms(erasedAt) - Date.now()) < 5000);
  assert.deepEqual(numbers, {
    entities: before.entities, processedOperations: before.ledger, queued: before.queue, conflicts: before.conflicts,
    snapshots: before.snapshots,
  });
  assert.deepEqual(Object.values(await rowsOf(owner)).filter((count) => count > 0), []);
  assert.deepEqual(await rowsOf(other), others, 'no other user is affected');
});

test('after an erasure the token belongs to an empty account', async () => {
  const owner = await ownerOfEverything();
  checkOk(await owner.call('DELETE', '/account'));
  const status = await owner.status();
  assert.deepEqual([status.status, status.lastSync, status.pendingOperations, status.conflicts], ['ready', null, 0, 0]);
  const lists = [(await owner.pull()).changes, await owner.pending(), await owner.conflicts(), await owner.snapshots()];
  assert.deepEqual(lists, [[], [], [], []]);
  const result = await owner.apply(
    op('create', 'rating', 'r2', { bookId: 'b1', stars: 1 }, { timestamp: undefined, id: 'op-r2' }));
  assert.deepEqual([result.status, result.duplicate], ['success', undefined], 'operation ids are forgotten too');
  assert.deepEqual(Object.keys(await owner.library()), ['rating r2']);
});

test('a cursor and an ETag from before an erasure are invalid after it, with or without a new write', async () => {
  const owner = await ownerOfEverything();
  const reply = await owner.changes('since=0');
  const { cursor } = reply.json;
  checkOk(await owner.call('DELETE', '/account'));
  const check = async () => {
    checkError(await owner.changes(`cursor=${cursor}`), 410, 'RESYNC_REQUIRED');
    checkError(await owner.full({ books: [] }, '', { 'if-match': `"${cursor}"` }), 409, 'CONFLICT_DETECTED');
    assert.equal((await owner.changes('since=0', { headers: { 'if-none-match': reply.headers.etag } })).status, 200);
  };
  await check();
  await owner.apply(book('b1'));
  await check();
});

test('erasing an empty account, or erasing twice, succeeds with an empty receipt and leaves no row', async () => {
  const owner = new Owner();
  for (let i = 0; i < 2; i++) {
    const { receipt: { erasedAt, ...numbers } } = checkOk(await owner.call('DELETE', '/account'));
    assert.ok(erasedAt);
    assert.deepEqual(numbers, { entities: 0, processedOperations: 0, queued: 0, conflicts: 0, snapshots: 0 });
  }
  assert.deepEqual(Object.values(await rowsOf(owner)).filter((count) => count > 0), []);
});

test('a batch that meets an erasure is applied as a whole before it or after it', async () => {
  const owner = new Owner();
  await owner.replace({ books: syntheticBooks(300, 0) });
  const batch = (n) => owner.send([book(`a${n}`), book(`b${n}`)]);
  const replies = await Promise.all([batch(1), batch(2), owner.call('DELETE', '/account'), batch(3), batch(4)]);
  assert.ok(replies.every((reply) => (reply.json ?? reply).success));
  const left = Object.values(await owner.library()).map(({ id }) => id);
  assert.ok(left.every((id) => /^[ab]\d$/.test(id)), left.join());
  for (const n of [1, 2, 3, 4]) assert.equal(left.includes(`a${n}`), left.includes(`b${n}`), left.join());
});

test('export, restore and erasure work for a user id of any characters', async () => {
  const owner = await ownerOfEverything(`Zoë O'Brien "🦊" \\ %s <${randomUUID()}>; --`);
  const { text } = await owner.request('/export');
  const before = await owner.contents();
  const { snapshot } = await owner.replace(
    { books: [], tags: [], collections: [], ratings: [], readings: [], settings: {} });
  checkOk(await owner.restore(snapshot));
  assert.deepEqual(await owner.contents(), before);
  checkOk(await owner.call('DELETE', '/account'));
  assert.deepEqual(Object.values(await rowsOf(owner)).filter((count) => count > 0), []);
  await owner.replace(text);
  assert.deepEqual(await owner.contents(), before);
});

// Config

const CONFIGURE = readFileSync(new URL('../../configure.ac', import.meta.url), 'utf8');
const [, VERSION] = CONFIGURE.match(/^AC_INIT.*\[(.*)\]\)$/m);

test('GET /config needs no token and states limits, retention and defaults', async () => {
  for (const options of [{}, { token: 'nonsense' }, { token: new User().token }]) {
    const { status, json } = await request('/api/sync/config', options);
    assert.equal(status, 200);
    const { serverTime, ...rest } = json;
    assert.ok(Math.abs(ms(serverTime) - Date.now()) < 5000);
    assert.deepEqual(rest, {
      success: true,
      version: VERSION,
      limits: { bodyBytes: 10 << 20, fullBodyBytes: 32 << 20, fullItems: 100_000, operations: 1000,
        entityBytes: 1 << 20, depth: 64, snapshots: 20 },
      retention: { tombstoneDays: 180, ledgerDays: 90, snapshotDays: 30 },
      batchSize: 10, pollIntervalSeconds: 30, maxAttempts: 5, clockSkewSeconds: 300, conflictResolution: 'merge',
      requestEncodings: ['gzip', 'identity'], entities: kinds,
      sets: { book: ['categories', 'subjects', 'tags'], collection: ['bookIds'] },
    });
  }
});

test('every other endpoint of an account is refused with 401 without a token, below both base paths', async () => {
  const calls = [['GET', '/digest'], ['GET', '/export'], ['DELETE', '/account'], ['GET', '/snapshots'],
    ['POST', '/snapshots/1/restore'],
    ['GET', '/conflicts'], ['POST', '/conflicts/1-0/resolve'], ['POST', '/full'], ['POST', '/queue'],
    ['GET', '/pending'],
    ['POST', '/pending/apply'], ['POST', '/mark-synced'], ['DELETE', '/clear']];
  for (const [method, path] of calls)
    for (const base of ['/api/sync', '/sync']) checkError(await request(base + path, { method }), 401, 'UNAUTHORIZED');
});

test('a wrong method is refused with 405, and Allow names the right one', async () => {
  const owner = new Owner();
  const calls = {
    '/full': 'POST', '/queue': 'POST', '/pending': 'GET, HEAD', '/pending/apply': 'POST', '/mark-synced': 'POST',
    '/clear': 'DELETE',
    '/config': 'GET, HEAD', '/conflicts': 'GET, HEAD', '/conflicts/1-0/resolve': 'POST', '/snapshots': 'GET, HEAD',
    '/snapshots/1/restore': 'POST', '/digest': 'GET, HEAD', '/export': 'GET, HEAD', '/account': 'DELETE',
  };
  for (const [path, allowed] of Object.entries(calls)) {
    const reply = await owner.call(allowed === 'POST' ? 'DELETE' : 'POST', path);
    checkError(reply, 405, 'METHOD_NOT_ALLOWED');
    assert.equal(reply.headers.allow, allowed, path);
  }
});
