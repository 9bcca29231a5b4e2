// The review list: open conflicts, and the effects of decisions about them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { ago, book, checkError, content, forget, gone, ms, op, patch } from './lib.mjs';
import { Owner, checkInvalid, checkOk } from './owner.mjs';

// Situations that leave one open conflict about book b1 or tag t2.

const manual = { conflictResolution: 'manual' };
const localEdit = () => patch('b1', { title: 'local', notes: 'local', weight: 'local' },
  { ...manual, timestamp: ago(7) });
const serverBook = (minutes) => book('b1', { title: 'server', notes: 'server', genre: 'server' },
  { timestamp: ago(minutes) });
const old = ago(200 * 24 * 60); // from before a deletion that may be forgotten

const situations = {
  'an edit under manual': async (owner) => {
    await owner.apply(serverBook(5));
    const result = await owner.apply(localEdit(), { deviceId: 'phone' });
    assert.deepEqual([result.status, result.error, result.retryable], ['conflict', 'CONFLICT_DETECTED', false]);
  },
  'a deletion under manual': async (owner) => {
    await owner.apply(serverBook(5));
    assert.equal((await owner.apply(gone('book', 'b1', { ...manual, timestamp: ago(7) }))).status, 'conflict');
  },
  'an edit under manual of a deleted book': async (owner) => {
    await owner.send([serverBook(9), gone('book', 'b1')]);
    assert.equal((await owner.apply(localEdit())).status, 'conflict');
  },
  'an incomplete book': async (owner) => {
    assert.equal((await owner.apply(patch('b1', { notes: 'local', weight: 'local' }))).incomplete, true);
  },
  'a book from beyond the horizon': async (owner) => {
    await forget(owner, 190 * 24 * 60);
    assert.equal((await owner.apply(
      book('b1', { title: 'local', notes: 'local', weight: 'local' }, { timestamp: old }))).status, 'success');
  },
  'two tags of one name': async (owner) => {
    await owner.send([op('create', 'tag', 't1', { name: 'Sea', color: 'server' }, { timestamp: ago(12) })]);
    assert.equal((await owner.apply(op('create', 'tag', 't2', { name: 'Sea', color: 'local' }))).status, 'success');
  },
};

async function meet(situation, owner = new Owner()) {
  await situations[situation](owner);
  const [conflict, ...others] = await owner.conflicts('?status=open');
  assert.deepEqual(others, []);
  assert.equal((await owner.status()).conflicts, 1);
  return { owner, conflict };
}

const both = { title: 'local', notes: 'local', genre: 'server', weight: 'local' };
const server = { title: 'server', notes: 'server', genre: 'server' };
const merged = { title: 'merged', notes: null };

// Situation: its reason, and the live library after each decision (a merge sends `data`). A decision without an entry
// is refused, because it would leave the book incomplete.
const decisions = {
  'an edit under manual': {
    reason: 'stale', data: merged,
    keep_local: { 'book b1': both }, keep_server: { 'book b1': server }, merge: { 'book b1': { ...server, ...merged } },
  },
  'a deletion under manual': {
    reason: 'edited', data: merged, keep_local: {}, keep_server: { 'book b1': server },
    merge: { 'book b1': { ...server, ...merged } },
  },
  'an edit under manual of a deleted book': {
    reason: 'deleted', data: merged, keep_local: { 'book b1': both }, keep_server: {},
    merge: { 'book b1': { ...server, ...merged } },
  },
  'an incomplete book': {
    reason: 'incomplete', data: merged, keep_server: {}, merge: { 'book b1': { ...merged, weight: 'local' } },
  },
  'a book from beyond the horizon': {
    reason: 'beyond_horizon', data: merged,
    keep_local: { 'book b1': { title: 'local', notes: 'local', weight: 'local' } },
    keep_server: {}, merge: { 'book b1': { ...merged, weight: 'local' } },
  },
  'two tags of one name': {
    reason: 'same_name', data: { name: 'Ocean' },
    keep_local: { 'tag t2': { name: 'Sea', color: 'local' } },
    keep_server: { 'tag t1': { name: 'Sea', color: 'server' } },
    merge: { 'tag t1': { name: 'Sea', color: 'server' }, 'tag t2': { name: 'Ocean', color: 'local' } },
  },
};

const outcomes = { keep_local: 'client', keep_server: 'server', merge: 'merged' };

for (const [situation, expected] of Object.entries(decisions))
  for (const [resolution, outcome] of Object.entries(outcomes))
    test(`a decision has its effect, is pulled and is idempotent: ${resolution} after ${situation}`, async () => {
      const { owner, conflict } = await meet(situation);
      assert.deepEqual([conflict.reason, conflict.status, conflict.resolution], [expected.reason, 'open', null]);
      const { cursor } = await owner.pull();
      const body = { resolution, mergedData: resolution === 'merge' ? expected.data : undefined };
      if (!expected[resolution]) {
        checkInvalid(await owner.unchanged(() => owner.resolve(conflict.id, body)), 'resolution');
        return;
      }
      const reply = checkOk(await owner.resolve(conflict.id, body));
      assert.deepEqual([reply.conflict.id, reply.conflict.status, reply.conflict.resolution],
        [conflict.id, 'resolved', outcome]);
      assert.deepEqual(await owner.contents(), expected[resolution]);
      assert.equal((await owner.status()).conflicts, 0);

      const { changes } = await owner.pull(`cursor=${cursor}`);
      const kind = conflict.entity;
      const shown = changes.find(({ type, data }) => type === kind && data.id === conflict.entityId);
      assert.ok(shown, 'other devices pull the decision');
      assert.equal(shown.data.updatedAt, reply.updatedAt);
      assert.deepEqual(shown.data, reply.data);
      assert.equal(shown.deleted, reply.deleted);
      assert.equal(shown.deleted ?? false, !(`${kind} ${conflict.entityId}` in expected[resolution]));

      const again = await owner.unchanged(async () => checkOk(await owner.resolve(conflict.id, body)));
      assert.deepEqual([again.conflict, again.updatedAt, again.data], [reply.conflict, reply.updatedAt, reply.data],
        'idempotent');
      for (const other of Object.keys(outcomes).filter((one) => one !== resolution)) {
        const refused = await owner.unchanged(
          () => owner.resolve(conflict.id, { resolution: other, mergedData: expected.data }));
        assert.match(checkError(refused, 409, 'CONFLICT_DETECTED').message, /resolved already/);
      }
    });

test('a decision wins over older edits and loses to later ones', async () => {
  const { owner, conflict } = await meet('an edit under manual');
  checkOk(await owner.resolve(conflict.id, { resolution: 'keep_local' }));
  assert.equal((await owner.apply(patch('b1', { title: 'older' }, { timestamp: ago(1) }))).resolution, 'server');
  assert.equal((await owner.read('book', 'b1')).title, 'local');
  await owner.apply(patch('b1', { title: 'later' }, { timestamp: ago(-1) }));
  assert.equal((await owner.read('book', 'b1')).title, 'later');
});

// Changes before a decision

const changes = {
  'an edit': patch('b1', { genre: 'moved' }, { timestamp: ago(4) }),
  'a deletion': gone('book', 'b1', { timestamp: ago(4) }),
};

for (const [name, change] of Object.entries(changes))
  test(`a decision about a changed entity is a 409 unless baseVersion names its version: ${name}`, async () => {
    const { owner, conflict } = await meet('an edit under manual');
    const { updatedAt } = await owner.apply(change);
    for (const resolution of Object.keys(outcomes)) {
      const body = { resolution, mergedData: merged };
      const { message } = checkError(await owner.unchanged(() => owner.resolve(conflict.id, body)), 409,
        'CONFLICT_DETECTED');
      assert.ok(message.includes(updatedAt), message);
      const stale = { ...body, baseVersion: new Date(ms(updatedAt) - 1).toISOString() };
      checkError(await owner.unchanged(() => owner.resolve(conflict.id, stale)), 409, 'CONFLICT_DETECTED');
    }
    checkOk(await owner.resolve(conflict.id, { resolution: 'keep_local', baseVersion: updatedAt }));
    assert.equal((await owner.read('book', 'b1')).title, 'local');
    assert.equal((await owner.status()).conflicts, 0);
  });

test('a decision about two tags is a 409 if the other tag was changed since', async () => {
  const { owner, conflict } = await meet('two tags of one name');
  await owner.apply(op('update', 'tag', 't1', { color: 'moved' }, { timestamp: ago(4) }));
  checkError(await owner.unchanged(() => owner.resolve(conflict.id, { resolution: 'keep_local' })), 409,
    'CONFLICT_DETECTED');
});

test('of simultaneous decisions one is taken and the others are answered with 409', async () => {
  const { owner, conflict } = await meet('an edit under manual');
  const choices = ['keep_local', 'keep_server', 'keep_local', 'keep_server'];
  const replies = await Promise.all(choices.map((resolution) => owner.resolve(conflict.id, { resolution })));
  assert.deepEqual(replies.map(({ status }) => status).sort(), [200, 200, 409, 409]);
  const won = replies.find(({ status }) => status === 200).json.conflict.resolution;
  assert.equal((await owner.read('book', 'b1')).title, won === 'client' ? 'local' : 'server');
});

test('the same merge again is a repeat, and a merge of other data is a 409', async () => {
  const { owner, conflict } = await meet('an edit under manual');
  const merge = (title) => owner.resolve(conflict.id, { resolution: 'merge', mergedData: { title } });
  checkOk(await merge('one'));
  checkOk(await owner.unchanged(() => merge('one')));
  checkError(await owner.unchanged(() => merge('two')), 409, 'CONFLICT_DETECTED');
});

test('a conflict closes by itself when its cause is gone', async () => {
  const settled = [
    ['an incomplete book', book('b1', { title: 'T' }, { timestamp: ago(12) })],
    ['an incomplete book', gone('book', 'b1')],
    ['two tags of one name', op('update', 'tag', 't1', { name: 'Ocean' }, { timestamp: ago(3) })],
    ['two tags of one name', op('update', 'tag', 't2', { name: 'Ocean' }, { timestamp: ago(3) })],
    ['two tags of one name', gone('tag', 't1')],
    ['two tags of one name', gone('tag', 't2')],
  ];
  for (const [situation, operation] of settled) {
    const { owner, conflict } = await meet(situation);
    await owner.apply(operation);
    assert.equal((await owner.status()).conflicts, 0, `${situation} ${operation.type}`);
    const [entry] = await owner.conflicts('?status=resolved');
    assert.deepEqual([entry.id, entry.status, entry.resolution], [conflict.id, 'resolved', 'client']);
    const before = await owner.contents();
    checkOk(await owner.resolve(conflict.id, { resolution: 'keep_local' }));
    checkError(await owner.resolve(conflict.id, { resolution: 'keep_server' }), 409, 'CONFLICT_DETECTED');
    assert.deepEqual(await owner.contents(), before);
  }
});

// Refusals

const invalid = {
  'no resolution': [{}, 'resolution'],
  'an unknown resolution': [{ resolution: 'mine' }, 'resolution'],
  'a resolution that is no text': [{ resolution: ['merge'] }, 'resolution'],
  'a merge without data': [{ resolution: 'merge' }, 'mergedData'],
  'a merge with a list': [{ resolution: 'merge', mergedData: [] }, 'mergedData'],
  'a merge with null': [{ resolution: 'merge', mergedData: null }, 'mergedData'],
  'merged data of the wrong type': [{ resolution: 'merge', mergedData: { pageCount: 'many' } }, 'mergedData.pageCount'],
  'merged data without a required member': [{ resolution: 'merge', mergedData: { title: null } }, 'mergedData.title'],
  'merged data of another entity': [{ resolution: 'merge', mergedData: { id: 'b2', title: 'T' } }, 'mergedData.id'],
  'merged data that cannot be stored': ['{"resolution":"merge","mergedData":{"title":"T","x":[1e400]}}',
    'mergedData.x[0]'],
  'merged data nested too deep': [`{"resolution":"merge","mergedData":{"x":${'['.repeat(64)}${']'.repeat(64)}}}`, null],
  'a baseVersion that is no instant': [{ resolution: 'keep_local', baseVersion: 'now' }, 'baseVersion'],
  'an empty deviceId': [{ resolution: 'keep_local', deviceId: '' }, 'deviceId'],
  'no body': ['', null],
  'a list': ['[]', null],
};

const waiting = await meet('an edit under manual');

for (const [name, [body, path]] of Object.entries(invalid))
  test(`a decision is refused with 400 and changes nothing: ${name}`, async () => {
    checkInvalid(await waiting.owner.unchanged(() => waiting.owner.resolve(waiting.conflict.id, body)), path);
  });

test('a merge that leaves an incomplete book incomplete is refused with 400', async () => {
  const { owner, conflict } = await meet('an incomplete book');
  const reply = await owner.unchanged(
    () => owner.resolve(conflict.id, { resolution: 'merge', mergedData: { genre: 'g' } }));
  assert.match(checkInvalid(reply, 'mergedData').message, /title/);
});

test('a decision that makes the entity larger than limits.entity is refused with 413', async () => {
  const half = 'x'.repeat(600_000);
  const owner = new Owner();
  await owner.send([book('b1', { notes: 'server' }, { timestamp: ago(5) })]);
  await owner.apply(patch('b1', { notes: 'local', description: half }, { ...manual, timestamp: ago(7) }));
  const [conflict] = await owner.conflicts('?status=open');
  const decide = (body) => owner.unchanged(() => owner.resolve(conflict.id, body));
  const check = (reply) => assert.match(checkError(reply, 413, 'PAYLOAD_TOO_LARGE').message,
    /limits\.entity\b.*\b1048576\b/);
  check(await decide({ resolution: 'merge', mergedData: { notes: half + half } }));
  const { updatedAt } = await owner.apply(patch('b1', { publisher: half }, { timestamp: ago(4) }));
  check(await decide({ resolution: 'keep_local', baseVersion: updatedAt }));
  check(await decide({ resolution: 'merge', mergedData: { notes: half }, baseVersion: updatedAt }));
  const fits = { resolution: 'merge', mergedData: { publisher: null, description: half }, baseVersion: updatedAt };
  checkOk(await owner.resolve(conflict.id, fits));
});

test("a decision about an unknown conflict, or another user's, is a 404", async () => {
  const other = await meet('an incomplete book');
  const { id: own } = waiting.conflict;
  const ids = ['1-0', 'abc', '0', `${own}x`, own.replace(/-\d+$/, '-7'), '-1--1', '99999999999999999999-0',
    other.conflict.id];
  for (const id of ids) {
    const reply = await waiting.owner.unchanged(() => waiting.owner.resolve(id, { resolution: 'keep_server' }));
    checkError(reply, 404, 'NOT_FOUND');
  }
  assert.equal((await other.owner.status()).conflicts, 1);
});

// The list

test('an entry of the list holds both sides, the device, the times and the reason', async () => {
  const { owner, conflict } = await meet('an edit under manual');
  const { id, createdAt, operationId, ...rest } = conflict;
  assert.match(id, /^\S+$/);
  assert.match(operationId, /^[0-9a-f-]{36}$/);
  assert.equal(createdAt, (await owner.status()).lastSync);
  const { createdAt: born, updatedAt, ...serverData } = rest.serverData;
  assert.deepEqual({ ...rest, serverData }, {
    entity: 'book', entityId: 'b1', reason: 'stale', status: 'open', resolution: null, deviceId: 'phone',
    localData: { title: 'local', notes: 'local', weight: 'local' }, localTimestamp: ago(7),
    serverData: { id: 'b1', ...server }, serverTimestamp: ago(5),
  });
  const [asOneOfAll] = await owner.conflicts();
  assert.deepEqual(asOneOfAll, conflict);
});

test('the list shows open conflicts, resolved ones or both, newest first, in pages', async () => {
  const owner = new Owner();
  for (let i = 0; i < 4; i++) {
    await owner.send([book(`m${i}`, { notes: 'server' }, { timestamp: ago(5) }),
      book(`n${i}`, { notes: 'server' }, { timestamp: ago(5) })]);
    // One open, one resolved.
    await owner.send([patch(`m${i}`, { notes: 'local' }, manual), patch(`n${i}`, { notes: 'local' })]);
  }
  const names = (list) => list.map(({ entityId }) => entityId);
  assert.deepEqual(names(await owner.conflicts('?status=open')), ['m3', 'm2', 'm1', 'm0']);
  assert.deepEqual(names(await owner.conflicts('?status=resolved')), ['n3', 'n2', 'n1', 'n0']);
  const all = await owner.conflicts();
  assert.deepEqual(names(all), ['n3', 'm3', 'n2', 'm2', 'n1', 'm1', 'n0', 'm0']);
  assert.ok(all.every((entry, i) => i === 0 || entry.createdAt <= all[i - 1].createdAt));
  for (const [status, expected] of [['', names(all)], ['status=open&', ['m3', 'm2', 'm1', 'm0']]])
    for (const limit of [1, 3, 4, 9]) {
      const pages = await owner.pages('/conflicts', 'conflicts', limit, status);
      assert.deepEqual(pages.flatMap(({ conflicts }) => names(conflicts)), expected);
    }
  const page = await owner.get('/conflicts?limit=2');
  checkOk(await owner.resolve((await owner.conflicts('?status=open'))[3].id, { resolution: 'keep_server' }));
  const rest = await owner.conflicts(`?cursor=${page.cursor}`);
  assert.deepEqual(names(rest), names(all).slice(2), 'a decision between two pages does not shift them');
});

test('the list of a new user is empty', async () => {
  const list = await new Owner().get('/conflicts?status=open');
  assert.deepEqual([list.success, list.conflicts, list.hasMore], [true, [], false]);
});

test('an invalid status, limit or cursor is refused with 400', async () => {
  const { owner } = waiting;
  for (const status of ['closed', '', 'Open'])
    checkInvalid(await owner.request(`/conflicts?status=${status}`), 'status');
  for (const limit of ['0', '-1', 'x']) checkInvalid(await owner.request(`/conflicts?limit=${limit}`), 'limit');
  for (const cursor of ['', 'x', 'MTIz', (await owner.pull()).cursor])
    checkInvalid(await owner.request(`/conflicts?cursor=${cursor}`), 'cursor');
});

test('collections of one name are in conflict, but tags of one name of two users are not', async () => {
  const owner = new Owner();
  const named = (kind, id) => op('create', kind, id, { name: 'X' });
  await owner.send([named('collection', 'c1'), named('collection', 'c2'), named('tag', 't1')]);
  const [{ entity, reason, otherId }, ...more] = await owner.conflicts();
  assert.deepEqual([entity, reason, otherId, more], ['collection', 'same_name', 'c1', []]);
  const other = new Owner();
  await other.apply(named('tag', 't1'));
  assert.deepEqual(await other.conflicts(), []);
});

test('a merge that gives a tag the name of a third one opens a new conflict', async () => {
  const owner = new Owner();
  await owner.apply(op('create', 'tag', 't3', { name: 'Ocean' }));
  const { conflict } = await meet('two tags of one name', owner);
  checkOk(await owner.resolve(conflict.id, { resolution: 'merge', mergedData: { name: 'Ocean' } }));
  const open = await owner.conflicts('?status=open');
  assert.deepEqual(open.map(({ entityId, otherId }) => [entityId, otherId]), [['t2', 't3']]);
});

test('the next edit by the device that decided is no conflict, and one by another device is', async () => {
  const { owner, conflict } = await meet('an edit under manual');
  const { updatedAt } = await owner.read('book', 'b1');
  checkOk(await owner.resolve(conflict.id, { resolution: 'keep_local', deviceId: 'laptop' }));
  const edit = (title, minutes) => patch('b1', { title }, { baseVersion: updatedAt, timestamp: ago(minutes) });
  assert.equal((await owner.apply(edit('mine', -1), { deviceId: 'laptop' })).resolution, undefined);
  assert.equal((await owner.apply(edit('theirs', -2), { deviceId: 'phone' })).resolution, 'client');
});

test('a decision that restores a rating supersedes the other rating of the book', async () => {
  const owner = new Owner();
  await owner.apply(op('create', 'rating', 'r1', { bookId: 'b1', stars: 1 }, { timestamp: ago(5) }));
  await owner.apply(op('update', 'rating', 'r1', { stars: 5 }, { ...manual, timestamp: ago(7) }));
  const [conflict] = await owner.conflicts('?status=open');
  await owner.apply(op('create', 'rating', 'r2', { bookId: 'b1', stars: 3 }, { id: randomUUID(), timestamp: ago(3) }));
  const { data } = (await owner.pull()).changes.at(-1);
  assert.equal(data.id, 'r2');
  const moved = checkError(await owner.resolve(conflict.id, { resolution: 'keep_local' }), 409, 'CONFLICT_DETECTED');
  const [baseVersion] = moved.message.match(/\d{4}-\S+?Z/);
  checkOk(await owner.resolve(conflict.id, { resolution: 'keep_local', baseVersion }));
  assert.deepEqual(await owner.contents(), { 'rating r1': { bookId: 'b1', stars: 5 } });
  assert.deepEqual(content(await owner.read('rating', 'r2')), undefined);
});
