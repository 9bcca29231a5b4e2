// What is past its retention is deleted by `booky-sync purge`, each setting for what it is about, and nothing else is.
import assert from 'node:assert/strict';
import test from 'node:test';

import { User, book, program, run, sql, startPool } from './pool.mjs';

const DAY = 86_400_000;
const days = { 'retention.tombstones': 20, 'retention.ledger': 100, 'retention.snapshots': 10 };
const settings = { ...days, 'rate.requests': 100_000, 'rate.window': 60 };

// What a table holds of a user: the conditions by which rows are told apart, and the column that says how old they are.
const kept = {
  'retention.tombstones': [
    { table: 'entities', rows: "status = 'deleted'", column: 'updated_at' }, { table: 'conflicts', rows: "status = 'resolved'", column: 'stamp' },
  ],
  'retention.ledger': [{ table: 'ledger', rows: 'true', column: 'processed_at' }, { table: 'queue', rows: 'synced_at IS NOT NULL', column: 'synced_at' }],
  'retention.snapshots': [{ table: 'snapshots', rows: 'true', column: 'stamp' }, { table: 'snapshot_entities', rows: 'true', column: 'stamp' }],
};
const forEver = [
  { table: 'entities', rows: "status = 'live'", column: 'updated_at' }, { table: 'conflicts', rows: "status = 'open'", column: 'stamp' },
  { table: 'queue', rows: 'synced_at IS NULL', column: 'queued_at' },
];
const all = [...Object.values(kept).flat(), ...forEver];

const post = (user, uri, body) => user.request({ method: 'POST', uri: `/api/sync${uri}`, body: JSON.stringify(body) });

// A user with rows of each kind, all of an age in days.
async function userOfAge(pool, age) {
  const user = new User(pool);
  const at = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
  const edit = (type, data, minutes, more) => ({ id: `${Math.random()}`, type, entity: 'book', entityId: 'b1', data, timestamp: at(minutes), ...more });
  const replies = [
    await user.write([book('b1'), book('gone')]), await user.write([edit('update', { title: 'old' }, 90)]), await user.write([edit('update', { title: 'x' }, 95, { conflictResolution: 'manual' })]),
    await post(user, '/full', { tags: [{ id: 't1', name: 'T' }] }), await post(user, '/full', { tags: [] }),
    await user.write([{ id: 'd', type: 'delete', entity: 'book', entityId: 'gone' }]),
    await post(user, '/queue', { ...book('q1'), id: 'synced' }), await post(user, '/queue', { ...book('q2'), id: 'waits' }), await post(user, '/mark-synced', { operationIds: ['synced'] }),
  ];
  for (const reply of replies) assert.ok([200, 201].includes(reply.status), reply.text);
  for (const { table, rows, column } of all) // one statement each; an order of stamps within a user stays what it was
    await sql(`UPDATE booky.${table} SET ${column} = ${column} - ${age * DAY} WHERE user_id = '${user.id}' AND (${rows})`);
  const cursor = (await user.read({ uri: '/api/sync/changes?since=0' })).json.cursor;
  return { user, cursor };
}

const count = async (user, { table, rows }) => Number(await sql(`SELECT count(*) FROM booky.${table} WHERE user_id = '${user.id}' AND (${rows})`));
const counts = (user) => Promise.all(all.map((what) => count(user, what)));

const purge = async (pool, ...args) => (await run(program, ['purge', '--json', ...args, '--config', pool.conf], { env: pool.env })).stdout;

test('each retention setting deletes what is older than it, and nothing younger and nothing else', async (t) => {
  const pool = await startPool(t, settings);
  for (const [setting, most] of Object.entries(days)) {
    const [old, young] = [await userOfAge(pool, most + 1), await userOfAge(pool, most - 1)];
    const [before, youngBefore] = [await counts(old.user), await counts(young.user)];
    assert.ok(before.every((n) => n > 0) && youngBefore.every((n) => n > 0), `${before} ${youngBefore}`);
    JSON.parse(await purge(pool, '--dry-run'));
    assert.deepEqual(await counts(old.user), before, 'a dry run only counts');
    assert.ok(Object.values(JSON.parse(await purge(pool))).some((n) => n > 0));
    for (const [other, list] of Object.entries(kept))
      for (const what of list) {
        const name = `${setting}: ${what.table}, ${what.rows}`;
        if (days[other] <= most) assert.equal(await count(old.user, what), 0, name);
        else assert.equal(await count(old.user, what), before[all.indexOf(what)], name);
        if (days[other] > most - 1) assert.equal(await count(young.user, what), youngBefore[all.indexOf(what)], name);
      }
    for (const what of forEver) assert.equal(await count(old.user, what), before[all.indexOf(what)], `${setting}: ${what.table}, ${what.rows}`);
  }
});

test('the counters of the rate limit go when their window is over, also of users who only read', async (t) => {
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
