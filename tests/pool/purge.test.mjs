// `booky-sync purge` deletes rows past their retention, and nothing else.
import assert from 'node:assert/strict';
import test from 'node:test';

import { User, book, program, run, sql, startPool } from './pool.mjs';

const DAY = 86_400_000;
const days = { 'retention.tombstones': 20, 'retention.ledger': 100, 'retention.snapshots': 10 };
const settings = { ...days, 'rate.requests': 100_000, 'rate.window': 60 };

// Retention setting: the rows that it governs, and the column that dates them.
const governed = {
  'retention.tombstones': [
    { table: 'entities', rows: "status = 'deleted'", column: 'updated_at' },
    { table: 'conflicts', rows: "status = 'resolved'", column: 'stamp' },
  ],
  'retention.ledger': [{ table: 'ledger', rows: 'true', column: 'processed_at' },
    { table: 'queue', rows: 'synced_at IS NOT NULL', column: 'synced_at' }],
  'retention.snapshots': [{ table: 'snapshots', rows: 'true', column: 'stamp' },
    { table: 'snapshot_entities', rows: 'true', column: 'stamp' }],
};
const forEver = [
  { table: 'entities', rows: "status = 'live'", column: 'updated_at' },
  { table: 'conflicts', rows: "status = 'open'", column: 'stamp' },
  { table: 'queue', rows: 'synced_at IS NULL', column: 'queued_at' },
];
const all = [...Object.values(governed).flat(), ...forEver];

const post = (user, uri, body) => user.request({ method: 'POST', uri: `/api/sync${uri}`, body: JSON.stringify(body) });

// Resolves to a user with rows of each kind, all `age` days old.
async function userOfAge(pool, age) {
  const user = new User(pool);
  const at = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  const edit = (type, data, minutes, more) => (
    { id: `${Math.random()}`, type, entity: 'book', entityId: 'b1', data, timestamp: at(minutes), ...more });
  const replies = [
    await user.write([book('b1'), book('gone')]), await user.write([edit('update', { title: 'old' }, 90)]),
      await user.write([edit('update', { title: 'x' }, 95, { conflictResolution: 'manual' })]),
    await post(user, '/full', { tags: [{ id: 't1', name: 'T' }] }),
    await post(user, '/full', { mode: 'replace', tags: [] }),
    await user.write([{ id: 'd', type: 'delete', entity: 'book', entityId: 'gone' }]),
    await post(user, '/queue', { ...book('q1'), id: 'synced' }), await post(user, '/queue',
      { ...book('q2'), id: 'waits' }), await post(user, '/mark-synced', { operationIds: ['synced'] }),
  ];
  for (const reply of replies) assert.ok([200, 201].includes(reply.status), reply.text);
  for (const { table, rows, column } of all) // one statement each, so that the order of a user's stamps is kept
    await sql(
      `UPDATE booky.${table} SET ${column} = ${column} - ${age * DAY} WHERE user_id = '${user.id}' AND (${rows})`);
  const cursor = (await user.read({ uri: '/api/sync/changes?since=0' })).json.cursor;
  return { user, cursor };
}

const count = async (user, { table, rows }) =>
  Number(await sql(`SELECT count(*) FROM booky.${table} WHERE user_id = '${user.id}' AND (${rows})`));
const counts = (user) => Promise.all(all.map((what) => count(user, what)));

const purge = async (pool, ...args) => (
  await run(program, ['purge', '--json', ...args, '--config', pool.conf], { env: pool.env })).stdout;

test('each retention setting deletes the rows that it governs when they are older, and nothing else', async (t) => {
  const pool = await startPool(t, settings);
  for (const [setting, most] of Object.entries(days)) {
    const [old, young] = [await userOfAge(pool, most + 1), await userOfAge(pool, most - 1)];
    const [before, youngBefore] = [await counts(old.user), await counts(young.user)];
    assert.ok(before.every((n) => n > 0) && youngBefore.every((n) => n > 0), `${before} ${youngBefore}`);
    JSON.parse(await purge(pool, '--dry-run'));
    assert.deepEqual(await counts(old.user), before, 'a dry run only counts');
    assert.ok(Object.values(JSON.parse(await purge(pool))).some((n) => n > 0));
    for (const [other, list] of Object.entries(governed))
      for (const what of list) {
        const name = `${setting}: ${what.table}, ${what.rows}`;
        if (days[other] <= most) assert.equal(await count(old.user, what), 0, name);
        else assert.equal(await count(old.user, what), before[all.indexOf(what)], name);
        if (days[other] > most - 1) assert.equal(await count(young.user, what), youngBefore[all.indexOf(what)], name);
      }
    for (const what of forEver)
      assert.equal(await count(old.user, what), before[all.indexOf(what)], `${setting}: ${what.table}, ${what.rows}`);
  }
});

test('purge deletes rate counters when their window is over, also of users who only read', async (t) => {
  const pool = await startPool(t, settings);
  const [gone, here] = [new User(pool), new User(pool)];
  for (const user of [gone, here]) assert.equal((await user.read()).status, 200);
  await sql(`UPDATE booky.rate_windows SET started = started - 61000 WHERE user_id = '${gone.id}'`);
  const windows = (user) => sql(`SELECT count(*) FROM booky.rate_windows WHERE user_id = '${user.id}'`);
  await purge(pool, '--dry-run');
  assert.deepEqual([await windows(gone), await windows(here)], ['1', '1']);
  await purge(pool);
  assert.deepEqual([await windows(gone), await windows(here)], ['0', '1']);
});

test('a resolved conflict stays while it holds the server\'s side of an open one', async (t) => {
  const pool = await startPool(t, settings), user = new User(pool);
  const open = async () => (await user.read({ uri: '/api/sync/conflicts?status=open' })).json.conflicts;
  const late = (id, conflictResolution) => ({
    id, type: 'update', entity: 'book', entityId: 'b1', data: { title: id }, timestamp: '2024-01-01T00:00:00Z',
    conflictResolution,
  });
  await user.write([book('b1')]);
  await user.write([late('merged'), late('asked', 'manual')]);
  const [{ serverData }] = await open();
  assert.equal(serverData.title, 'Book b1');
  await sql(`UPDATE booky.conflicts SET stamp = stamp - ${21 * DAY} WHERE user_id = '${user.id}'`);
  await purge(pool);
  assert.deepEqual((await open()).map((conflict) => conflict.serverData), [serverData]);
  await sql(`UPDATE booky.conflicts SET status = 'resolved', resolution = 'server' WHERE user_id = '${user.id}'`);
  await purge(pool);
  assert.equal(await count(user, { table: 'conflicts', rows: 'true' }), 0);
});

// A log that was displaced, and then the other one was deleted: at first only the deletion is old enough.
const perBook = {
  rating: [{ stars: 2 }, { stars: 4 }],
  readingLog: [{ status: 'want_to_read' }, { status: 'currently_reading' }],
};
for (const [kind, [first, second]] of Object.entries(perBook))
  test(`a deleted ${kind} is purged only together with those that it displaces`, async (t) => {
    const pool = await startPool(t, settings), user = new User(pool);
    const at = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
    const edit = (type, entityId, minutes, data) => (
      { id: `${Math.random()}`, type, entity: kind, entityId, data, timestamp: at(minutes) });
    const make = (id, minutes, data) => edit('create', id, minutes, { bookId: 'b', ...data });
    const age = (id, by) => sql(`UPDATE booky.entities SET updated_at = updated_at - ${by * DAY}
      WHERE user_id = '${user.id}' AND entity_id = '${id}'`);
    const ids = () => sql(
      `SELECT string_agg(entity_id, ' ' ORDER BY entity_id) FROM booky.entities WHERE user_id = '${user.id}'`);
    const live = async () => (await user.read({ uri: '/api/sync/changes?since=0&initial=true' })).json.changes.length;
    await user.write([make('1', 9, first), make('2', 8, second), edit('delete', '2', 7)]);
    await age('2', 21);
    await purge(pool);
    assert.equal(await ids(), '1 2');
    await user.write([make('0', 60, first)]); // meets them
    assert.equal(await live(), 0);
    for (const id of ['0', '1']) await age(id, 21);
    await purge(pool);
    assert.equal(await ids(), '');
  });
