// The quota of a user: what it refuses, what it drops, who tells about it. tests/db/test_usage.c checks the counters.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { program, run, sql, startPool, User } from './pool.mjs';

class Member extends User {
  async call(method, uri, body, status = 200) {
    const reply = await this.request({ method, uri: `/api/sync${uri}`, ...(body && { body: JSON.stringify(body) }) });
    assert.equal(reply.status, status, reply.text);
    return reply.json;
  }

  send = async (...operations) => (await this.call('POST', '/operations', { operations })).results;
  usage = async () => (await this.call('GET', '/status')).usage;
  pulled = async () => (await this.call('GET', '/changes?since=0')).changes.filter(({ deleted }) => !deleted)
    .map(({ data }) => data.id).sort();

  // Refused as a whole.
  async refused(method, uri, body, pattern) {
    const { error, message } = await this.call(method, uri, body, 413);
    assert.equal(error, 'QUOTA_EXCEEDED');
    assert.match(message, pattern);
  }
}

const op = (type, entityId, data, more) => ({
  id: `${Math.random()}`, type, entity: 'book', entityId, data, ...more });
const create = (entityId, data) => op('create', entityId, { title: entityId, ...data });
const remove = (entityId) => op('delete', entityId);

const show = async (pool, user, ...args) => JSON.parse((await run(program,
  ['user', 'show', '--json', ...args, '--config', pool.conf, user.id], { env: pool.env })).stdout)[0];

// The counters of the user's clock equal the rows, and `user show` tells what GET /status tells.
async function checkCounters(pool, user) {
  const { quota, ...usage } = await user.usage(), shown = await show(pool, user);
  const { entities, bytes, hidden } = shown;
  assert.deepEqual({ entities, bytes, hidden }, usage);
  assert.deepEqual([shown.quotaEntities, shown.quotaBytes, shown.quotaHidden],
    [quota.entities, quota.bytes, quota.hidden]);
  assert.deepEqual(await show(pool, user, '--recount'), shown, 'counted anew');
  return usage;
}

test('an operation beyond the quota fails alone; deletions and smaller edits are accepted', async (t) => {
  const pool = await startPool(t, { 'quota.entities': 2, 'quota.bytes': 300 }), user = new Member(pool);
  assert.deepEqual(await user.usage(),
    { entities: 0, bytes: 0, hidden: 0, quota: { entities: 2, bytes: 300, hidden: null } });
  const third = create('b3');
  const results = await user.send(create('b1'), create('b2'), third);
  assert.deepEqual(results.map(({ status }) => status), ['success', 'success', 'failed']);
  const { error, message, retryable } = results[2];
  assert.deepEqual([error, retryable], ['QUOTA_EXCEEDED', false]);
  assert.equal(message, 'operations[2]: the library would have 3 entities, quota.entities is 2');
  assert.deepEqual(await user.pulled(), ['b1', 'b2']);
  assert.equal((await pool.metrics()).value('booky_sync_quota_refused_total'), 1);

  const grown = await user.send(op('update', 'b1', { notes: 'x'.repeat(400) }), op('update', 'b2', { notes: 'y' }));
  assert.deepEqual(grown.map(({ error }) => error), ['QUOTA_EXCEEDED', undefined]);
  assert.match(grown[0].message, /^operations\[0\]: the library would have \d+ bytes, quota\.bytes is 300$/);

  // Within one request the end counts: something is deleted, so the third book fits, under its first id.
  const both = await user.send(third, remove('b1'));
  assert.deepEqual(both.map(({ status }) => status), ['success', 'success']);
  assert.deepEqual(await user.pulled(), ['b2', 'b3']);
  assert.equal((await user.send(third))[0].duplicate, true);
  await checkCounters(pool, user);
});

test('a user who is over a new quota can shrink step by step, and not grow', async (t) => {
  const user = new Member(await startPool(t));
  await user.send(...['b1', 'b2', 'b3', 'b4'].map((id) => create(id, { notes: 'n'.repeat(100) })));
  user.pool = await startPool(t, { 'quota.entities': 2, 'quota.bytes': 100 });
  const [shrunk, grown, deleted] = await user.send(op('update', 'b1', { notes: '' }),
    op('update', 'b2', { notes: 'n'.repeat(101) }), remove('b4'));
  assert.deepEqual([shrunk.status, grown.status, deleted.status], ['success', 'success', 'success'],
    'the end of the request is lower');
  assert.equal((await user.send(op('update', 'b2', { notes: 'n'.repeat(102) })))[0].error, 'QUOTA_EXCEEDED');
  assert.equal((await user.send(op('update', 'b2', { notes: 'n' })))[0].status, 'success');
  assert.equal((await user.send(create('b5')))[0].error, 'QUOTA_EXCEEDED');
  assert.deepEqual(await user.pulled(), ['b1', 'b2', 'b3']);
  await checkCounters(user.pool, user);
});

test('a rating takes the place of another one, and so does not exceed the number of entities', async (t) => {
  const pool = await startPool(t, { 'quota.entities': 1 }), user = new Member(pool);
  const rate = (entityId, stars) => ({ ...op('create', entityId, { bookId: 'b', stars }), entity: 'rating' });
  for (const [id, stars] of [['r1', 3], ['r2', 4], ['r3', 5]])
    assert.equal((await user.send(rate(id, stars)))[0].status, 'success');
  assert.deepEqual(await user.pulled(), ['r3']);
  await checkCounters(pool, user);
});

test('of an upload each item is judged by itself, and so of an import', async (t) => {
  const pool = await startPool(t, { 'quota.entities': 2 }), user = new Member(pool);
  const item = (id) => ({ type: 'book', data: { id, title: id, updatedAt: '2024-01-15T10:20:00Z' } });
  const gone = (id) => ({ type: 'book', deleted: true, data: { id, deletedAt: '2024-01-16T10:20:00Z' } });
  await user.call('POST', '/full', { mode: 'merge', changes: [item('b1'), item('b2')] });
  const changes = [item('b3'), gone('b1'), item('b4')];
  for (const uri of ['/full?dryRun=true', '/full']) {
    const { created, failed } = await user.call('POST', uri, { mode: 'merge', changes });
    assert.deepEqual([created, ...failed.map(({ index, id, error }) => [index, id, error])],
      [1, [0, 'b3', 'QUOTA_EXCEEDED']]);
    assert.equal(failed[0].message, 'changes[0]: the library would have 3 entities, quota.entities is 2');
  }
  assert.deepEqual(await user.pulled(), ['b2', 'b4']);
  await checkCounters(pool, user);

  // The lists beside them are judged as a whole.
  await user.refused('POST', '/full', { mode: 'merge', books: [{ id: 'b5', title: 'b5' }], changes: [gone('b9')] },
    /3 entities/);
  const both = await user.call('POST', '/full', { mode: 'merge', books: [{ id: 'b5', title: 'b5' }],
    changes: [item('b6'), gone('b2')] });
  assert.deepEqual(both.failed.map(({ id }) => id), ['b6'], 'the end of the request is within the quota');
  assert.deepEqual(await user.pulled(), ['b4', 'b5']);

  const file = path.join(pool.folder, 'export.json');
  writeFileSync(file, JSON.stringify({ books: ['b4', 'b5', 'b7'].map((id) => item(id).data) }));
  const { stdout } = await run(program, ['user', 'import', '--config', pool.conf, user.id, file],
    { env: pool.env }).catch((failure) => failure); // it ends with 1 if an entity could not be stored
  assert.deepEqual(JSON.parse(stdout).failed.map(({ id, error }) => [id, error]), [['b7', 'QUOTA_EXCEEDED']]);
  await checkCounters(pool, user);
});

test('an atomic request, a full sync, a restore and a decision are judged as a whole', async (t) => {
  const pool = await startPool(t, { 'quota.entities': 2 }), user = new Member(pool);
  const books = (...ids) => ({ mode: 'replace', books: ids.map((id) => ({ id, title: id })) });
  await user.refused('POST', '/operations', { atomic: true, operations: [create('a'), create('b'), create('c')] },
    /^atomic: none of the operations was applied: the library would have 3 entities, quota\.entities is 2$/);
  assert.deepEqual(await user.pulled(), []);
  await user.call('POST', '/operations', { atomic: true, operations: [create('a'), create('b')] });
  for (const body of [books('a', 'b', 'c'), { ...books('c'), mode: 'merge' }]) {
    await user.refused('POST', '/full', body, /^nothing was changed: the library would have 3 entities/);
    await user.refused('POST', '/full?dryRun=true', body, /3 entities/);
  }
  const { snapshot } = await user.call('POST', '/full', books('c', 'd'));
  assert.deepEqual(await user.pulled(), ['c', 'd']);
  await user.call('POST', `/snapshots/${snapshot}/restore`);
  assert.deepEqual(await user.pulled(), ['a', 'b']);
  await user.call('POST', '/full', books());
  await user.send({ ...create('t1'), entity: 'tag', data: { name: 't1' } });
  await user.refused('POST', `/snapshots/${snapshot}/restore`, undefined, /3 entities/);

  // A book that was edited before it was created waits for a person: it counts until the decision deletes it.
  const [{ conflict }] = await user.send(op('update', 'e', { notes: 'n' }));
  assert.equal((await user.send(create('f')))[0].error, 'QUOTA_EXCEEDED');
  await user.call('POST', `/conflicts/${conflict.id}/resolve`, { resolution: 'keep_server' });
  assert.equal((await user.send(create('f')))[0].status, 'success');
  await checkCounters(pool, user);
});

test('a decision that would exceed the quota leaves the conflict open', async (t) => {
  const user = new Member(await startPool(t)), large = 'x'.repeat(2000);
  await user.send(create('a', { notes: 'server' }));
  const [{ conflict }] = await user.send(op('update', 'a', { notes: large },
    { timestamp: Date.now() - 60_000, conflictResolution: 'manual' }));
  user.pool = await startPool(t, { 'quota.bytes': 1000 });
  const merged = { resolution: 'merge', mergedData: { title: 'a', notes: large + large } };
  await user.refused('POST', `/conflicts/${conflict.id}/resolve`, merged, /^the conflict stays open: /);
  assert.equal((await user.call('GET', '/status')).conflicts, 1);
  await user.call('POST', `/conflicts/${conflict.id}/resolve`, { resolution: 'keep_server' });
  await checkCounters(user.pool, user);
});

test('the queue counts while it waits, and its operations are judged one by one', async (t) => {
  const pool = await startPool(t, { 'quota.bytes': 1000 }), user = new Member(pool);
  await user.call('POST', '/queue', create('a', { notes: 'n'.repeat(400) }), 201);
  await user.refused('POST', '/queue', create('b', { notes: 'n'.repeat(400) }), /^the operation is not queued: /);
  await user.call('POST', '/queue', remove('c'), 201);
  assert.equal((await user.call('POST', '/pending/apply')).applied, 2, 'what leaves the queue makes room');
  await user.call('DELETE', '/clear');
  await checkCounters(pool, user);
  const processed = create('small');
  await user.send(processed);
  assert.equal((await user.call('POST', '/queue', processed, 201)).operation.synced, true);
  assert.deepEqual(await sql(`SELECT data FROM booky.queue WHERE user_id = '${user.id}'`), '', 'without content');
  await checkCounters(pool, user);
  await user.send(remove('small'));
  for (const id of ['d', 'e']) await user.call('POST', '/queue', create(id), 201);
  const tight = await startPool(t, { 'quota.entities': 2 });
  user.pool = tight;
  const { applied, failed, results } = await user.call('POST', '/pending/apply');
  assert.deepEqual([applied, failed], [1, 1]);
  assert.deepEqual(results.map(({ error }) => error), [undefined, 'QUOTA_EXCEEDED']);
  const { operations } = await user.call('GET', '/pending');
  assert.deepEqual(operations.map(({ entityId, attempts }) => [entityId, attempts]), [['e', 1]], 'it waits');
  await checkCounters(tight, user);
});

test('what is hidden is dropped, and nothing is refused; an old cursor gets 410', async (t) => {
  const pool = await startPool(t, { 'quota.hidden': 40_000 }), user = new Member(pool);
  const { cursor } = await user.call('GET', '/changes?since=0');
  await user.send(create('stays'));
  for (let i = 0; i < 30; i++) {
    await user.send(create(`b${i}`, { notes: 'n'.repeat(1000) }));
    assert.equal((await user.send(remove(`b${i}`)))[0].status, 'success');
  }
  const { hidden } = await checkCounters(pool, user);
  assert.ok(hidden < 41_000, `${hidden}`);
  const kept = async () => Number(await sql('SELECT count(*) FROM booky.entities'
    + ` WHERE user_id = '${user.id}' AND status = 'deleted'`));
  assert.equal(await kept(), 30, 'the content was dropped, not the deletions');
  const deletions = (await user.call('GET', '/changes?since=0')).cursor;
  user.pool = await startPool(t, { 'quota.hidden': 12_000 });
  for (let i = 0; i < 3; i++) await user.send(op('update', 'stays', { notes: `${i}` }));
  assert.ok(await kept() < 30);
  const early = await user.call('GET', `/changes?cursor=${cursor}`, undefined, 410);
  assert.equal(early.error, 'RESYNC_REQUIRED');
  const { changes } = await user.call('GET', `/changes?cursor=${deletions}`);
  assert.deepEqual(changes.map(({ data }) => data.id), ['stays']);
  await checkCounters(user.pool, user);
});

test('purge and erasure keep the counters right, and purge counts users from before', async (t) => {
  const pool = await startPool(t, { 'retention.tombstones': 20, 'retention.ledger': 100 });
  const [user, old, gone] = [new Member(pool), new Member(pool), new Member(pool)];
  for (const one of [user, old, gone]) {
    await one.send(create('a'), create('b', { notes: 'n'.repeat(300) }));
    await one.send(remove('b'), op('update', 'a', { title: 'late' }, { timestamp: Date.now() - 60_000 }));
    await one.call('POST', '/full', { mode: 'replace', tags: [{ id: 't', name: 'T' }] });
    await one.call('POST', '/full', { mode: 'replace', tags: [] });
  }
  const days = (n) => n * 86_400_000;
  await sql(`UPDATE booky.entities SET updated_at = updated_at - ${days(30)} WHERE user_id = '${user.id}';
    UPDATE booky.conflicts SET stamp = stamp - ${days(30)} WHERE user_id = '${user.id}';
    UPDATE booky.snapshots SET stamp = stamp - ${days(40)} WHERE user_id = '${user.id}';
    UPDATE booky.snapshot_entities SET stamp = stamp - ${days(40)} WHERE user_id = '${user.id}';
    UPDATE booky.ledger SET processed_at = processed_at - ${days(110)} WHERE user_id = '${user.id}';
    UPDATE booky.clocks SET used_entities = NULL, used_bytes = NULL, hidden_bytes = NULL WHERE user_id = '${old.id}'`);
  assert.deepEqual((({ entities, bytes, hidden }) => [entities, bytes, hidden])(await old.usage()), [null, null, null]);
  const before = await user.usage();
  await run(program, ['purge', '--config', pool.conf], { env: pool.env });
  const after = await checkCounters(pool, user);
  assert.deepEqual([after.entities, after.bytes], [before.entities, before.bytes]);
  assert.ok(after.hidden < 100, `${after.hidden}`);
  const counted = await checkCounters(pool, old);
  assert.equal(counted.entities, 1);
  await gone.call('DELETE', '/account');
  assert.deepEqual((({ entities, bytes, hidden }) => [entities, bytes, hidden])(await gone.usage()), [0, 0, 0]);
  await gone.send(create('a'));
  await checkCounters(pool, gone);
});

test('user show of nobody fails', async (t) => {
  const pool = await startPool(t);
  await assert.rejects(run(program, ['user', 'show', 'nobody', '--config', pool.conf], { env: pool.env }),
    { code: 1, stderr: 'booky-sync user show: nobody: no such user\n' });
});
