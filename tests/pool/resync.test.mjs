// `booky-sync resync` gives users a new epoch: entity tags of before are invalid, and cursors of what was lost since
// (restore.test.mjs). Like `booky-sync purge`,
// it handles one user after the other: a user whose clock is locked stops no other.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';

import { User, book, program, run, sql, startPool, until } from './pool.mjs';

const DAY = 86_400_000;

test('a client that revalidates after a resync gets the whole library again', async (t) => {
  const pool = await startPool(t, { 'pool.workers': 1 });
  const user = new User(pool);
  await user.write([book('b1'), book('b2')]);
  const pull = (tag, query = 'since=0') => user.read({
    uri: `/api/sync/changes?${query}`, headers: tag && { 'if-none-match': tag } });
  const before = await pull();
  const { etag } = before.headers;
  assert.equal((await pull(etag)).status, 304);
  await run(program, ['resync', '--user', user.id, '--config', pool.conf], { env: pool.env });
  for (const tag of [undefined, etag, `"other", W/${etag}`]) {
    const after = await pull(tag);
    assert.deepEqual([after.status, after.json.changes], [200, before.json.changes], `If-None-Match: ${tag}`);
    assert.notEqual(after.headers.etag, etag);
    assert.notEqual(after.json.cursor, before.json.cursor);
    assert.equal((await pull(after.headers.etag)).status, 304);
  }
  const { json, status } = await pull(etag, `cursor=${before.json.cursor}`);
  assert.deepEqual([status, json.changes], [200, []], 'both histories are the same up to that cursor');
});

// Resolves to two users, neighbours in the order of their names, who have an operation to purge. The second one's clock
// is locked.
async function usersOf(pool) {
  const name = `pool-${randomBytes(8).toString('hex')}`;
  const [free, locked] = ['a', 'b'].map((letter) => new User(pool, `${name}-${letter}`));
  for (const user of [free, locked]) assert.equal((await user.write([book('b1')])).status, 200);
  await sql(`UPDATE booky.ledger SET processed_at = processed_at - ${400 * DAY} WHERE user_id LIKE '${name}-%'`);
  return { free, locked, release: await locked.lock() };
}

const operations = (user) => sql(`SELECT count(*) FROM booky.ledger WHERE user_id = '${user.id}'
  AND processed_at < ${Date.now() - 300 * DAY}`);
const epoch = (user) => sql(`SELECT epoch FROM booky.clocks WHERE user_id = '${user.id}'`);

// Starts a command; resolves when it waits for a lock, to the promise of its end.
async function waiting(pool, command) {
  const env = { ...pool.env, PGAPPNAME: `${pool.name}-${command}` };
  const ended = run(program, [command, '--config', pool.conf], { env }).catch((failed) => failed)
    .then(({ code = 0, stdout, stderr }) => ({ code, stdout, stderr }));
  await until(`${command} waits for a lock`, async () => await sql(`SELECT count(*) FROM pg_stat_activity
    WHERE application_name = '${env.PGAPPNAME}' AND wait_event_type = 'Lock'`) === '1');
  return { ended };
}

const settings = { 'database.statement_timeout': 1000, 'pool.request_timeout': 60 };

test('a purge stops nobody while it waits for a locked user', async (t) => {
  const pool = await startPool(t, settings);
  const { free, locked, release } = await usersOf(pool);
  const { ended } = await waiting(pool, 'purge');
  const reply = await free.write();
  assert.equal(reply.status, 200, reply.text);
  assert.deepEqual([await operations(free), await operations(locked)], ['0', '1'], 'the other users are done');
  await release();
  const { code, stderr } = await ended;
  assert.deepEqual([code, stderr], [0, '']);
  assert.equal(await operations(locked), '0');
});

test('a resync stops nobody while it waits for a locked user', async (t) => {
  const pool = await startPool(t, settings);
  const { free, locked, release } = await usersOf(pool);
  const before = [await epoch(free), await epoch(locked)];
  const { ended } = await waiting(pool, 'resync');
  const reply = await free.write();
  assert.equal(reply.status, 200, reply.text);
  assert.notEqual(await epoch(free), before[0]);
  assert.equal(await epoch(locked), before[1]);
  await release();
  const { code, stdout, stderr } = await ended;
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^new epochs: \d+ users\n$/);
  assert.notEqual(await epoch(locked), before[1]);
});

for (const command of ['purge', 'resync'])
  test(`${command} fails when a user is locked longer than a request may take, and has done the others`, async (t) => {
    const pool = await startPool(t, { 'pool.request_timeout': 2 });
    const { free, locked, release } = await usersOf(pool);
    const before = [await epoch(free), await epoch(locked)];
    const { ended } = await waiting(pool, command);
    const { code, stderr } = await ended;
    assert.deepEqual([code, stderr], [1, `booky-sync ${command}: 1 users were locked all the time; run it again\n`]);
    await release();
    if (command === 'purge') assert.deepEqual([await operations(free), await operations(locked)], ['0', '1']);
    else assert.deepEqual([await epoch(free) === before[0], await epoch(locked) === before[1]], [false, true]);
  });

// The clock of the host was 400 days ahead for a while: the commit clock of a user who wrote then never goes back.
test('resync --restamp brings a user back to now: new entities are no conflicts, nothing else changes', async (t) => {
  const pool = await startPool(t, { 'pool.workers': 1 }), user = new User(pool), other = new User(pool);
  const command = (...args) => run(program, [...args, '--config', pool.conf], { env: pool.env });
  const pull = (query) => user.read({ uri: `/api/sync/changes?${query}` });
  const edit = (type, entityId, data, days, more) => ({ id: randomBytes(8).toString('hex'), type, entity: 'book',
    entityId, timestamp: new Date(Date.now() + days * DAY).toISOString(), ...(data && { data }), ...more });
  await user.write([book('b1'), book('b2'), book('gone')]);
  await other.write([book('b1')]);
  const early = (await pull('since=0')).json.cursor, own = `WHERE user_id = '${user.id}'`;
  await sql(`UPDATE booky.clocks SET clock = clock + ${400 * DAY} ${own}`);
  // A timestamp that is too late is replaced by the commit clock, so times of edits are ahead as well.
  const first = edit('update', 'b1', { notes: 'earlier', dimensions: { height: '1' } }, 500);
  await user.write([first]);
  await user.write([edit('update', 'b2', { notes: 'ahead' }, 500)]); // lists of changed members hold stamps, too
  await user.write([edit('update', 'b1', { title: 'Ahead' }, 500), edit('delete', 'gone', undefined, 0.01)]);
  const decided = edit('update', 'b1', { title: 'Late' }, -1, { conflictResolution: 'manual' });
  const { conflict } = (await user.write([decided])).json.results[0];
  await sql(`UPDATE booky.clocks SET horizon = clock ${own}`); // as a purge leaves it that ran meanwhile
  const unknown = (await user.write([book('new')])).json.results[0];
  assert.equal(unknown.conflict.reason, 'beyond_horizon', 'the fault');
  const warning = await pool.logged('clock');
  assert.ok(warning.level === 'warn' && warning.aheadSeconds > 399 * 86_400, JSON.stringify(warning));
  assert.ok((await command('user', 'show', user.id)).stdout.includes('clockAheadSeconds  345'));

  const shown = ({ json }) => json.changes.map(({ type, data: { id, title, notes, dimensions } }) =>
    [type, id, title, notes, dimensions]);
  const [before, late] = [await pull('since=0'), (await pull('since=0')).json.cursor];
  const epochs = [await epoch(user), await epoch(other)];
  assert.match((await command('resync', '--restamp')).stdout, /^brought back to now: [1-9]\d* users\n$/);
  const renewed = await epoch(user);
  assert.deepEqual([renewed === epochs[0], await epoch(other) === epochs[1]], [false, true]);
  await command('resync', '--restamp');
  assert.equal(await epoch(user), renewed, 'a user whose clock is right is left alone');
  const now = Date.now() + 5000, columns = { clocks: ['clock', 'started', 'horizon', 'previous'],
    entities: ['updated_at', 'created_at', 'edited_at', 'deleted_at', 'base_at'], ledger: ['processed_at'],
    conflicts: ['stamp', 'local_at', 'server_at'] };
  for (const [table, names] of Object.entries(columns))
    assert.equal(await sql(`SELECT coalesce(max(greatest(${names.join(', ')})), 0) < ${now}
      FROM booky.${table} ${own}`), 't', table);
  const times = (await sql(`SELECT coalesce(marks::text, '') || coalesce(recent::text, '') FROM booky.entities ${own}`))
    .match(/\d{13}/g);
  assert.ok(times.length > 3 && times.every((time) => Number(time) < now), times.join(' '));
  const after = await pull('since=0');
  assert.deepEqual(shown(after), shown(before), 'the same library in the same order');
  const usage = async (...args) => JSON.parse((await command('user', 'show', '--json', ...args, user.id)).stdout)[0];
  const counted = await usage();
  assert.equal(counted.clockAheadSeconds, 0);
  assert.deepEqual((({ bytes, hidden }) => [bytes, hidden])(await usage('--recount')), [counted.bytes, counted.hidden]);

  assert.equal((await pull(`cursor=${early}`)).json.reason, 'deletions_forgotten', 'the horizon is still there');
  await sql(`UPDATE booky.clocks SET horizon = 0 ${own}`);
  assert.equal((await pull(`cursor=${early}`)).status, 200, 'history up to now is the same');
  const refused = await pull(`cursor=${late}`);
  assert.deepEqual([refused.status, refused.json.reason], [410, 'restored']);
  assert.ok(Date.parse(refused.json.until) < now, refused.json.until);
  const repeat = (await user.write([decided])).json.results[0];
  assert.deepEqual([repeat.conflict.reason, repeat.conflict.id === conflict.id], [conflict.reason, false]);
  const [added, won] = (await user.write([edit('create', 'new2', { title: 'New' }, 0.0001),
    edit('update', 'b1', { title: 'Now' }, 0.0001)])).json.results;
  assert.deepEqual([added.status, won.status, added.conflict, won.conflict],
    ['success', 'success', undefined, undefined]);
  const b1 = (await pull('since=0')).json.changes.find(({ data }) => data.id === 'b1').data;
  assert.deepEqual([b1.title, b1.notes, b1.dimensions], ['Now', 'earlier', { height: '1' }]);
});
