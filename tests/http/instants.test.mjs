// Instants: integers that look like seconds, dates, leap seconds. And values that an earlier version accepted: the
// server always takes back what it holds.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, checkError, content, literal, op, patch, seconds, sql } from './lib.mjs';
import { Owner } from './owner.mjs';

const log = (id, data, more) => op('create', 'readingLog', id, { bookId: id, status: 'read', ...data }, more);
const looks = 'looks like seconds; milliseconds are expected';

test('an integer of seconds is refused as a timestamp and as a known instant member, with its path', async () => {
  const user = new User();
  const now = seconds();
  const rows = [
    [book('b', {}, { timestamp: now }), '.timestamp'],
    [book('b', {}, { timestamp: 0 }), '.timestamp'],
    [book('b', {}, { timestamp: -1 }), '.timestamp'],
    [book('b', {}, { timestamp: 99_999_999_999 }), '.timestamp'],
    [book('b', { updatedAt: now }, { timestamp: undefined }), '.data.updatedAt'],
    ...['addedAt', 'notesUpdatedAt', 'lastSyncedAt'].map((name) => [book('b', { [name]: now }), `.data.${name}`]),
    ...['startedAt', 'finishedAt'].map((name) => [log('l', { [name]: now }), `.data.${name}`]),
  ];
  const { results } = await user.send(rows.map(([operation]) => operation));
  assert.deepEqual(results.map(({ status, message }) => [status, message]),
    rows.map(([, path], i) => ['failed', `operations[${i}]${path}: ${looks}`]));
  const refused = await user.request('/queue', { method: 'POST', body: JSON.stringify(log('l', { startedAt: now })) });
  assert.equal(checkError(refused, 400, 'VALIDATION_ERROR').message, `data.startedAt: ${looks}`);
  const full = await user.request('/full', { method: 'POST',
    body: JSON.stringify({ books: [{ id: 'b', title: 'T', updatedAt: now }] }) });
  assert.match(checkError(full, 400, 'VALIDATION_ERROR').message, /^books\[0\]\.updatedAt: looks like seconds/);
});

test('milliseconds, other members, and `since` are not concerned', async () => {
  const user = new User();
  const data = { pageCount: 0, own: seconds(), createdAt: 0, updatedAt: 5, addedAt: 100_000_000_000 };
  const { results } = await user.send(
    [book('b1', data), book('b2', {}, { timestamp: Date.now() }), book('b3', {}, { timestamp: -100_000_000_000 })]);
  assert.deepEqual(results.map(({ message }) => message), [undefined, undefined, undefined]);
  for (const since of ['0', '-1000', `${seconds()}`])
    assert.equal((await user.pull(`since=${since}`)).changes.length, 3);
});

test('startedAt, finishedAt and addedAt accept a date, which is returned as it was sent', async () => {
  const user = new User();
  const days = { startedAt: '2024-02-29', finishedAt: '2024-03-01' };
  await user.send([log('l1', days), book('b1', { addedAt: '2024-01-15' })]);
  assert.deepEqual(content(await user.read('readingLog', 'l1')), { bookId: 'l1', status: 'read', ...days });
  assert.equal((await user.read('book', 'b1')).addedAt, '2024-01-15');
  const { results } = await user.send([log('l2', { startedAt: '2023-02-29' }), log('l3', { finishedAt: '2024-1-1' }),
    book('b2', { notesUpdatedAt: '2024-01-15' }), book('b3', {}, { timestamp: '2024-01-15' })]);
  assert.deepEqual(results.map(({ message }) => message.replace(/^\S+ /, '')), [
    ...Array(2).fill('must be a date, an RFC 3339 instant or integer milliseconds since 1970'),
    ...Array(2).fill('must be an RFC 3339 instant or integer milliseconds since 1970')]);
});

test('a second of 60 is accepted at 23:59:60 UTC only', async () => {
  const user = new User();
  const at = (timestamp) => user.apply(book('b1', {}, { timestamp }));
  for (const good of ['2016-12-31T23:59:60Z', '2017-01-01T05:29:60.5+05:30'])
    assert.equal((await at(good)).status, 'success', good);
  for (const bad of ['2024-01-15T10:30:60Z', '2016-12-31T23:59:60+01:00'])
    assert.equal((await at(bad)).status, 'failed', bad);
});

// An account from an earlier version, with values that are refused now.
const old = { startedAt: 1_705_314_600, finishedAt: '2024-01-15T10:30:60Z' };
async function account() {
  const user = new Owner();
  await user.send([log('l1', { note: 'n' }), log('l2'), book('b1')]);
  await sql(`UPDATE entities SET data = (data::jsonb || ${literal(JSON.stringify(old))})::json
    WHERE user_id = ${literal(user.id)} AND entity_id = 'l1'`);
  return user;
}
const held = { bookId: 'l1', status: 'read', note: 'n', ...old };

test('an upload of what the server holds is accepted, whatever it is', async () => {
  for (const mode of ['replace', 'merge']) {
    const user = await account();
    const library = (await user.request('/export')).json;
    assert.deepEqual(content(library.readings.find(({ id }) => id === 'l1')), held);
    const { created, updated, deleted, unchanged } = await user.replace({ ...library, mode });
    assert.deepEqual([created, deleted, updated + unchanged], [0, 0, 3], mode);
    const other = { id: 'l2', bookId: 'l2', status: 'dnf' };
    await user.replace({ mode, readings: [{ id: 'l1', ...held, note: 'm' }, other] });
    assert.deepEqual(content(await user.read('readingLog', 'l1')), { ...held, note: 'm' });
  }
});

test('other values are refused, in the order of the list, and what is held is not named', async () => {
  const user = await account();
  const items = [{ id: 'l0', ...held }, { id: 'l1', ...held }, { id: 'l2', bookId: 'l2' },
    { id: 'l3', bookId: 'l3', status: 'dnf', startedAt: 5 }];
  const { details, message } = checkError(await user.request('/full', { method: 'POST',
    body: JSON.stringify({ readings: items, books: [{ id: 'b1', title: 7 }] }) }), 400, 'VALIDATION_ERROR');
  assert.deepEqual(details.map(({ path }) => path),
    ['readings[0].startedAt', 'readings[2].status', 'readings[3].startedAt', 'books[0].title']);
  assert.match(message, /^readings\[0\]\.startedAt: looks like seconds.* \(4 items cannot be stored; nothing was/);
  const changed = { id: 'l1', ...held, startedAt: old.startedAt + 1 };
  const other = checkError(await user.request('/full', { method: 'POST',
    body: JSON.stringify({ readings: [changed] }) }), 400, 'VALIDATION_ERROR');
  assert.deepEqual(other.details.map(({ path }) => path), ['readings[0].startedAt']);
});

test('a list of many values that are held is accepted, and of one that is not, the rest is not named', async () => {
  const user = new Owner();
  const readings = Array.from({ length: 1300 }, (_, i) => ({ id: `l${i}`, bookId: `b${i}`, status: 'read' }));
  await user.replace({ readings });
  await sql(`UPDATE entities SET data = (data::jsonb || '{"startedAt": 7}')::json WHERE user_id = ${literal(user.id)}`);
  const items = readings.map((item) => ({ ...item, startedAt: 7 }));
  assert.equal((await user.replace({ readings: items })).unchanged, 1300);
  items[1200].startedAt = 8;
  const { details } = checkError(await user.request('/full', { method: 'POST',
    body: JSON.stringify({ readings: items }) }), 400, 'VALIDATION_ERROR');
  assert.deepEqual(details.map(({ path }) => path), ['readings[1200].startedAt']);
});

test('a snapshot with such values is restored', async () => {
  const user = await account();
  const { snapshot } = await user.replace({ readings: [{ id: 'l9', bookId: 'b9', status: 'read' }] });
  const reply = await user.request(`/snapshots/${snapshot}/restore`, { method: 'POST' });
  assert.equal(reply.status, 200, reply.text);
  assert.deepEqual(content(await user.read('readingLog', 'l1')), held);
});

test('an app that sends whole entities can still edit such an entity, and a person can merge it', async () => {
  const user = await account();
  const whole = (more) => op('update', 'readingLog', 'l1', { ...held, ...more }, { timestamp: ago(4) });
  const { results } = await user.send([whole({ note: 'm' }), whole({ startedAt: 3 })]);
  assert.deepEqual(results.map(({ status, message }) => [status, message]),
    [['success', undefined], ['failed', `operations[1].data.startedAt: ${looks}`]]);
  assert.equal((await user.read('readingLog', 'l1')).note, 'm');
  const { conflict } = await user.apply(op('update', 'readingLog', 'l1', { note: 'x' },
    { timestamp: ago(60), conflictResolution: 'manual' }));
  const reply = await user.resolve(conflict.id, { resolution: 'merge', mergedData: { ...held, note: 'both' } });
  assert.equal(reply.status, 200, reply.text);
  assert.deepEqual(content(await user.read('readingLog', 'l1')), { ...held, note: 'both' });
});

test('a repeat of an operation that an earlier version accepted gets its result', async () => {
  const user = new User();
  const first = patch('b1', { title: 'T', addedAt: 1_705_314_600_000 });
  const result = await user.apply(first);
  // As if the number had been accepted: the ledger knows the hash of the data.
  const later = patch('b1', { title: 'T', addedAt: 5 });
  const again = await user.apply({ ...later, id: first.id });
  assert.equal(again.error, 'OPERATION_ID_REUSED', 'the ledger is asked before the values are judged');
  assert.deepEqual(await user.apply(first), { ...result, duplicate: true });
});
