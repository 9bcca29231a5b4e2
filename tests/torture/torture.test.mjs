// Tests of the torture test itself: verify.mjs accepts correct evidence and finds each planted error. Also tests of the
// model, the plan and the proxy.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import net from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Device } from './device.mjs';
import { Dice } from './dice.mjs';
import { Model } from './model.mjs';
import { DevicePlan } from './plan.mjs';
import { Proxy } from './proxy.mjs';
import { Record, markOf } from './record.mjs';
import { Replica } from './replica.mjs';
import { verify, verifyReturn } from './verify.mjs';

// Evidence: seven operations of three requests, one of them an update without its create.

const iso = (at) => new Date(at).toISOString();
const sha256 = (text) => createHash('sha256').update(text).digest('hex');

function evidence() {
  const edit = (opId, type, kind, id, data, at, stamp, request) => ({
    opId, type, kind, id, data, at, number: Number(opId.slice(1)), policy: 'merge', requests: [request],
    syncedAt: iso(stamp), sentAt: stamp - 10, heardAt: stamp + 10,
    result: `{"id":"${opId}","status":"success"}`,
  });
  const edits = [
    edit('o1', 'create', 'book', 'b1', { title: 'Dune', own: { a: 1 } }, 1000, 5000, 1),
    edit('o2', 'update', 'book', 'b1', { own: { b: 2 } }, 900, 6000, 2),
    edit('o3', 'create', 'rating', 'r1', { bookId: 'b1', stars: 4 }, 1100, 5000, 1),
    edit('o4', 'create', 'rating', 'r2', { bookId: 'b1', stars: 5 }, 1200, 6000, 2),
    edit('o5', 'create', 'tag', 't1', { name: 'SF' }, 1300, 6000, 2),
    edit('o6', 'delete', 'tag', 't1', undefined, 1400, 7000, 3),
    edit('o7', 'update', 'tag', 't2', { color: 'red' }, 1500, 7000, 3),
  ];
  const row = (status, updatedAt, data) => ({ status, updatedAt, data });
  const rows = new Map([
    ['book b1', row('live', 6000, { title: 'Dune', own: { a: 1, b: 2 } })],
    ['rating r1', row('deleted', 6000, { bookId: 'b1', stars: 4 })],
    ['rating r2', row('live', 6000, { bookId: 'b1', stars: 5 })],
    ['tag t1', row('deleted', 7000, { name: 'SF' })],
    ['tag t2', row('incomplete', 7000, { color: 'red' })],
  ]);
  const shown = () => new Map(['book b1', 'rating r2'].map((name) => {
    const { updatedAt, data } = rows.get(name), version = iso(updatedAt);
    return [name, { version, data: { id: name.split(' ')[1], createdAt: iso(5000), updatedAt: version, ...data } }];
  }));
  const log = (stamp, operation, kind, id, other, reason,
    status) => ({ stamp, operation, kind, id, other, reason, status });
  return {
    name: 'user', policy: 'merge', edits, rows, fresh: shown(), freshClock: 'clock',
    usage: { counted: '3 100 500', stored: '3 100 500' },
    ledger: new Map(edits.map(({ opId, result, syncedAt }) => [opId, { stamp: Date.parse(syncedAt), result }])),
    conflicts: [log(6000, 'o4', 'rating', 'r2', 'r1', 'one_per_book', 'resolved'),
      log(7000, 'o7', 'tag', 't2', null, 'incomplete', 'open')],
    digest: {
      cursor: 'clock',
      kinds: { book: { count: 1, sha256: sha256(`b1@${iso(6000)}`) },
        rating: { count: 1, sha256: sha256(`r2@${iso(6000)}`) }, tag: { count: 0, sha256: sha256('') } },
    },
    replicas: [{ label: 'poller', writes: false, live: shown() }, { label: 'device', writes: true, live: shown() }],
  };
}

test('correct evidence is accepted', () => assert.deepEqual(verify(evidence()), []));

const held = (user, label) => user.replicas.find((replica) => replica.label === label).live;
const planted = [
  ['an acknowledged operation that is missing in the ledger', (user) => user.ledger.delete('o2'),
    /o2 was acknowledged and is not in the ledger/],
  ['an acknowledged edit that is missing in the state', (user) => delete user.rows.get('book b1').data.own.b,
    /book b1 is live .* and should be live/],
  ['an acknowledged operation that the model was not given', (user) => user.edits.splice(1, 1),
    /book b1 is live .* and should be/],
  ['a counter that differs from the rows', (user) => (user.usage.counted = '3 100 501'),
    /the clock counts 3 100 501 .* the rows are 3 100 500/],
  ['an operation that was never answered', (user) => delete user.edits[4].result, /o5 was never answered/],
  ['an operation that nobody sent', (user) => user.ledger.set('o9', { stamp: 7000, result: '{}' }),
    /o9, which nobody sent/],
  ['another result than was acknowledged', (user) => (user.ledger.get('o3').result = '{"id":"o3","status":"failed"}'),
    /o3: acknowledged/],
  ['another stamp than was acknowledged', (user) => (user.ledger.get('o1').stamp = 5001), /o1: acknowledged at/],
  ['one stamp for two requests', (user) => (user.edits[6].requests = [4]), /several requests have the stamp 7000/],
  ['a version that no operation gave', (user) => (user.rows.get('book b1').updatedAt = 6001),
    /book b1 has the version 6001/],
  ['a timestamp that was lowered without need', (user) =>
    (user.edits[0].result = user.ledger.get('o1').result = '{"timestampAdjusted":true}'),
  /timestampAdjusted true, sent/],
  ['a timestamp that was accepted although it was too far ahead', (user) => (user.edits[0].at = 400_000),
    /timestampAdjusted false, answered/],
  ['a commit clock behind a timestamp that was accepted', (user) => (user.edits[0].at = 5001),
    /timestampAdjusted false, but the commit clock is behind/],
  ['an edit that a policy raised above its stamp', (user) => (user.edits[0].at = 5001),
    /o1 has the time 5001, later than its stamp 5000/],
  ['a deletion that did not happen', (user) => (user.rows.get('tag t1').status = 'live'),
    /tag t1 is live .* should be deleted/],
  ['two ratings of one book', (user) => (user.rows.get('rating r1').status = 'live'),
    /rating r1 is live .* should be deleted/],
  ['an incomplete entity that is shown', (user) => user.fresh.set('tag t2', held(user, 'poller').get('book b1')),
    /tag t2 is incomplete, and in a pull/],
  ['an entity that nobody made', (user) => user.rows.set('book b9', user.rows.get('book b1')),
    /book b9 is there, and nobody made it/],
  ['a poller that missed an entity', (user) => held(user, 'poller').delete('rating r2'),
    /poller has never heard of rating r2/],
  ['a poller that holds a deleted entity', (user) => held(user, 'poller')
    .set('tag t1', { version: iso(6000), data: { id: 't1', name: 'SF' } }), /poller holds tag t1, which is gone/],
  ['a poller with a swapped value', (user) => (held(user, 'poller').get('book b1').data.own = { a: 2, b: 1 }),
    /poller holds book b1 as/],
  ['a device that skipped a version', (user) => (held(user, 'device').get('book b1').version = iso(5000)),
    /device holds book b1 as/],
  ['a conflict that was logged again', (user) => user.conflicts.push(user.conflicts[0]), /a conflict was logged twice/],
  ['a conflict that a repeat logged', (user) => (user.conflicts[0].stamp = 7000), /o4 was logged at 7000/],
  ['an open conflict that should be closed', (user) =>
    user.conflicts.push({ ...user.conflicts[1], id: 't1', operation: null }), /open conflicts .*incomplete tag t1/],
  ['an open conflict that is missing', (user) => user.conflicts.pop(), /open conflicts .*missing.*incomplete tag t2/],
  ['a digest of another state', (user) => (user.digest.kinds.book.sha256 = sha256('b1')),
    /digest: another sum of book/],
];
for (const [name, plant, expected] of planted)
  test(`a planted error is found: ${name}`, () => {
    const user = evidence();
    plant(user);
    assert.match(verify(user).join('\n'), expected);
  });

// A loss after the evidence: the versions are new, one edit waited, and nothing is left of what no pull showed.

function returned() {
  const before = evidence(), user = evidence();
  user.edits.push({ ...user.edits[1], opId: 'o8', number: 8, data: { own: { a: 3 } }, at: 7500, waited: true });
  user.ledger = new Map([['o8', { stamp: 8000, result: '{"id":"o8","status":"success"}' }]]);
  user.rows.delete('tag t2');
  const views = [user.fresh, ...user.replicas.map(({ live }) => live)];
  for (const view of views) {
    view.get('book b1').data.own = { a: 3, b: 2 };
    view.get('book b1').version = iso(8000);
  }
  user.digest.kinds.book.sha256 = sha256(`b1@${iso(8000)}`);
  return { user, before, views };
}

test('a correct return is accepted', () => {
  const { user, before } = returned();
  assert.deepEqual(verifyReturn(user, before), []);
});

const returns = [
  ['an entity that is not back', ({ views }) => views.forEach((view) => view.delete('rating r2')),
    /after a loss, rating r2 is pulled as undefined/],
  ['a deleted entity that is back', ({ views }) => views.forEach((view) => view.set('tag t1',
    { version: iso(8000), data: { id: 't1', name: 'SF' } })), /after a loss, tag t1 is pulled as .* undefined/],
  ['an old value', ({ views }) => views.forEach((view) => (view.get('book b1').data.own.b = 1)),
    /after a loss, book b1 is pulled as/],
  ['an edit that waited and is gone', ({ views }) => views.forEach((view) => (view.get('book b1').data.own.a = 1)),
    /after a loss, book b1 is pulled as/],
  ['a device that holds another state', ({ user }) => held(user, 'device').delete('rating r2'),
    /device has never heard of rating r2/],
];
for (const [name, plant, expected] of returns)
  test(`a planted error is found after a loss: ${name}`, () => {
    const world = returned();
    plant(world);
    assert.match(verifyReturn(world.user, world.before).join('\n'), expected);
  });

// The checks during a run: replies, results, pulls

const me = markOf('a', 1), other = markOf('a', 2);
const replies = [
  ['a correct reply', 200, { success: true, changes: [{ mark: me }] }, [], undefined],
  ['a documented fault', 503, { success: false, error: 'SYNC_FAILED', message: 'm', requestId: 'r' }, [], undefined],
  ['a refusal that was expected', 409, { success: false }, [409], undefined],
  ["another user's data", 200, { success: true, changes: [{ mark: other }] }, [], /shows data of/],
  ['a refusal that was not expected', 409, { success: false }, [400], /was not expected/],
  ['a fault of the server', 500, { success: false, error: 'SYNC_FAILED', message: 'm', requestId: 'r' }, [],
    /not a documented fault/],
  ['a fault in another shape', 502, { success: false }, [], /not a documented fault/],
  ['a status 200 with success false', 200, { success: false }, [], /success is false/],
  ['a page of HTML', 502, '<html>', [], /is not JSON/],
];
for (const [name, status, body, expected, complaint] of replies)
  test(`a reply is accepted or complained about: ${name}`, () => {
    const record = new Record();
    record.read('GET /changes', me, { status, headers: {}, text: typeof body === 'string' ? body
      : JSON.stringify(body) }, expected);
    assert.match(record.complaints.join(), complaint ?? /^$/);
  });

// The complaints of a device that has sent an operation with this role and reads these results one after the other.
function readResults(role, results, more) {
  const record = new Record(), edit = { opId: 'o1', kind: 'book', id: 'b', type: 'create', data: {}, ...more };
  const device = new Device({ name: me, client: { record }, policy: 'merge' }, 1, undefined, new Dice('1'));
  for (const result of results) device.readResult({ wire: { id: 'o1' }, edit, role }, result, iso(1), true);
  return record.complaints.join();
}
const success = { id: 'o1', status: 'success', updatedAt: iso(1) }, duplicate = { ...success, duplicate: true };
const outcomes = [
  ['an operation, and its repeat', 'op', [success, duplicate], {}, undefined],
  ['a repeat of an operation in doubt', 'op', [duplicate], { doubtful: true }, undefined],
  ['the result of another operation', 'op', [{ ...success, id: 'o2' }], {}, /answered for another id/],
  ['an operation that failed', 'op', [{ ...success, status: 'failed' }], {}, /failed/],
  ['an operation that took effect twice', 'op', [success, success], {}, /took effect twice/],
  ['a repeat with another result', 'op', [success, { ...duplicate, updatedAt: iso(2) }], {},
    /is not the result that was acknowledged/],
  ['a fault that said nothing was applied, and lied', 'op', [duplicate], {}, /said nothing was applied/],
  ['an invalid operation that was applied', 'poison', [success], {}, /should be VALIDATION_ERROR/],
  ['an id that was used again', 'reuse', [success], {}, /should be OPERATION_ID_REUSED/],
  ['a second copy that was applied', 'copy', [success], {}, /should be a duplicate/],
];
for (const [name, role, results, more, complaint] of outcomes)
  test(`a result is accepted or complained about: ${name}`,
    () => assert.match(readResults(role, results, more), complaint ?? /^$/));

test('a pull with a version that goes back is found, in the order and in an entity', () => {
  const record = new Record();
  const replica = new Replica('poller', { record }, { by: 'since' });
  replica.held = new Set();
  const change = (id, version) => ({ type: 'book', data: { id, updatedAt: iso(version) } });
  replica.take([change('a', 5), change('b', 6)]);
  assert.deepEqual(record.complaints, []);
  replica.take([change('a', 4)]);
  assert.match(record.complaints.join(), /came after .*went back/);
});

test('a patch is laid over what the device holds; one for what it does not hold is found', () => {
  const record = new Record();
  const replica = new Replica('poller', { record }, { by: 'cursor', delta: true });
  replica.held = new Set();
  const whole = { id: 'a', createdAt: iso(1), updatedAt: iso(5), title: 'T', own: { x: 1 } };
  replica.take([{ type: 'book', data: whole }]);
  const missing = replica.take([{ type: 'book', patch: { own: { y: 2 } }, data: { id: 'a', updatedAt: iso(6) } }]);
  assert.deepEqual(missing, []);
  assert.deepEqual(replica.entities.get('book a').data, { ...whole, updatedAt: iso(6), own: { x: 1, y: 2 } });
  assert.deepEqual(record.complaints, []);
  assert.deepEqual(replica.take([{ type: 'book', patch: {}, data: { id: 'b', updatedAt: iso(7) } }]),
    [{ type: 'book', id: 'b' }]);
  assert.match(record.complaints.join(), /a patch for book b, which it does not hold/);
});

// The model

const at = (time, type, data, more) => ({
  kind: 'book', id: 'b', type, data, at: time, stamp: 1e6 + time, place: 0, policy: 'merge', ...more,
});
const cases = [
  ['members of objects are merged, and the later of two values wins',
    [at(2, 'create', { title: 'T', own: { a: 1 } }), at(1, 'update', { title: 'Old', own: { b: 2 } })],
    'live', { title: 'T', own: { a: 1, b: 2 } }],
  ['an older scalar does not remove a newer member of the object that it replaces',
    [at(1, 'create', { title: 'T', own: { a: 1 } }), at(3, 'update', { own: { b: 2 } }), at(2, 'update', { own: 5 })],
    'live', { title: 'T', own: { b: 2 } }],
  ['an empty object removes nothing', [at(1, 'create', { title: 'T', own: { a: 1 } }), at(2, 'update', { own: {} })],
    'live', { title: 'T', own: { a: 1 } }],
  ['a later edit restores a deleted entity', [at(1, 'create', { title: 'T' }), at(2, 'delete'),
    at(3, 'update', { notes: 'n' })], 'live', { title: 'T', notes: 'n' }],
  ['an entity stays deleted after an older create', [at(2, 'delete'), at(1, 'create', { title: 'T' })], 'deleted',
    { title: 'T' }],
  ['a timestamp that is far ahead is lowered', [at(9e9, 'create', { title: 'Ahead' }, { stamp: 1000, adjusted: true }),
    at(2000, 'update', { title: 'Later' })], 'live', { title: 'Later' }],
  ['at equal times the value of the first request stays', [at(1, 'create', { title: 'First' }, { stamp: 10 }),
    at(1, 'update', { title: 'Second' }, { stamp: 11 })], 'live', { title: 'First' }],
  ['within a request the later operation wins', [at(1, 'create', { title: 'First' }, { stamp: 10 }),
    at(1, 'update', { title: 'Second' }, { stamp: 10, place: 1 })], 'live', { title: 'Second' }],
  ['after a loss, an edit that waited wins over a lost one with the same time', [
    at(9e9, 'update', { title: 'Waited' }, { stamp: 10, adjusted: true, waited: true }),
    at(9e9, 'create', { title: 'Lost' }, { stamp: 10, adjusted: true, place: 1 })], 'live', { title: 'Waited' }],
  ['`server` drops a conflicting edit', [at(2, 'create', { title: 'T' }),
    at(1, 'update', { title: 'U' }, { stamp: 2e6, policy: 'server', reason: 'stale' })], 'live', { title: 'T' }],
  ['`local` wins whatever its time is', [at(2, 'create', { title: 'T' }),
    at(1, 'update', { title: 'U' }, { stamp: 2e6, policy: 'local', reason: 'stale' })], 'live', { title: 'U' }],
  ['`local` gets the time of an edit of its own request, and the later one wins', [
    at(undefined, 'create', { title: 'T' }, { stamp: 10 }),
    at(1, 'update', { title: 'U' }, { stamp: 10, place: 1, policy: 'local', reason: 'stale' }),
    at(11, 'update', { title: 'V' }, { stamp: 11 })], 'live', { title: 'V' }],
];
for (const [name, edits, status, data] of cases)
  test(`the model knows a rule: ${name}`, () => {
    const entity = new Model(edits).entities.get('book b');
    assert.deepEqual([entity.status, entity.data], [status, data]);
  });

// Reading logs: their ids, and those that are live.
const log = (id, time, data, more) => at(time, 'create', { bookId: 'b', status: 'read', ...data },
  { kind: 'readingLog', id, ...more });
const day = (n) => new Date(n * 86_400_000).toISOString();
const logCases = [
  ['the finish takes the place of the unfinished log', [log('1', 10, {}), log('2', 20, { startedAt: day(2) }),
    log('3', 30, { finishedAt: day(9) })], ['3']],
  ['a second reading stands beside the first', [log('1', 10, { startedAt: day(2), finishedAt: day(9) }),
    log('2', 20, { startedAt: day(12) })], ['1', '2']],
  ['a deleted log still takes a place', [log('1', 10, { startedAt: day(2) }), log('2', 20, { startedAt: day(2) }),
    at(30, 'delete', undefined, { kind: 'readingLog', id: '2' })], []],
  ['a note is no word', [log('1', 10, { startedAt: day(2) }), log('2', 20, { startedAt: day(2), finishedAt: day(3) }),
    at(30, 'update', { notes: 'n' }, { kind: 'readingLog', id: '1' })], ['2']],
  ['`server` drops a log that would take a place', [log('1', 10, {}),
    log('2', 20, {}, { policy: 'server', reason: 'one_per_book' })], ['1']],
];
for (const [name, edits, live] of logCases)
  test(`the model knows a rule of reading logs: ${name}`, () => {
    const entities = [...new Model(edits).entities.values()];
    assert.deepEqual(entities.filter(({ status }) => status === 'live').map(({ id }) => id).sort(), live);
  });

// The plan

test('the seed determines the edits, their times and the actions of each device', () => {
  const plan = (seed, start) =>
    [...new DevicePlan(seed, { name: '1', mark: 'm', policy: 'mixed', full: true }, 2, start).actions(120_000)];
  const relative = (actions, start) => actions.map(({ edits, ...rest }) => (
    { ...rest, edits: edits.map(({ wire, ...edit }) => ({ ...edit, at: edit.at && edit.at - start })) }));
  assert.ok(plan('7', 0).length > 20);
  assert.deepEqual(relative(plan('7', 1600), 1600), relative(plan('7', 0), 0));
  assert.notDeepEqual(plan('8', 0), plan('7', 0));
});

// The proxy, between a client that commits and a server that answers

const text = (type, body) => {
  const bytes = Buffer.from(`${type}\0\0\0\0${body}`, 'latin1');
  bytes.writeUInt32BE(bytes.length - 1, 1);
  return bytes;
};
const startup = Buffer.from('\0\0\0\x09\0\x03\0\0\0', 'latin1');
const bind = (statement) => text('B', `\0${statement}\0\0\0\0\0\0\0`);

async function commitThrough(how) {
  const folder = mkdtempSync(path.join(tmpdir(), 'torture-'));
  let received = '';
  const server = net.createServer((socket) => socket.on('error', () => {}).on('data', (chunk) => {
    received += chunk.toString('latin1');
    if (received.includes('\0commit\0')) socket.write(text('C', 'COMMIT\0'));
  }));
  await new Promise((resolve) => server.listen(`${folder}/server`, resolve));
  const proxy = new Proxy(`${folder}/proxy`, `${folder}/server`);
  await proxy.listening;
  proxy.arm(how);
  let answer = '';
  await new Promise((resolve) => {
    const client = net.connect(`${folder}/proxy`).on('error', resolve).on('close', resolve);
    client.on('data', (chunk) => (answer += chunk.toString('latin1')) && client.end());
    for (const bytes of [startup, bind('begin'), bind('ledger_write'), bind('commit'), text('S', '')])
      client.write(bytes);
  });
  const cuts = proxy.cuts;
  await proxy.close();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
  return { committed: received.includes('\0commit\0'), wrote: received.includes('ledger_write'),
    answered: answer.includes('COMMIT'), cuts };
}

const passages = [
  [undefined, { committed: true, wrote: true, answered: true, cuts: { before: 0, during: 0, after: 0 } }],
  ['before', { committed: false, wrote: true, answered: false, cuts: { before: 1, during: 0, after: 0 } }],
  ['during', { committed: true, wrote: true, answered: false, cuts: { before: 0, during: 1, after: 0 } }],
  ['after', { committed: true, wrote: true, answered: false, cuts: { before: 0, during: 0, after: 1 } }],
];
for (const [how, expected] of passages)
  test(`the proxy ${how ? `cuts a connection ${how} COMMIT` : 'cuts nothing unless it is armed'}`,
    async () => assert.deepEqual(await commitThrough(how), expected));

test('of a name that more than 26 entities have had, open conflicts may be missing, of others none', () => {
  const tags = (count, name) => Array.from({ length: count }, (_, i) => ({ kind: 'tag', id: `${name}${i}`,
    type: 'create', data: { name }, at: i, stamp: 1000 + i, place: i, policy: 'merge' }));
  for (const [count, unsure] of [[26, 0], [27, 27 * 13]]) {
    const found = new Model([...tags(count, 'SF'), ...tags(3, 'Essay')]).open();
    assert.equal(found.open.length, (count * (count - 1)) / 2 + 3);
    assert.equal(found.unsure.size, unsure);
  }
});
