// A backup is restored, or an account erased, and devices come back with what they hold (docs/api.md, Why a resync). A
// device of these tests does what the document says. The restore of one user's rows stands for that of a database.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { Pool, User, book, program, run, sql, startPool } from './pool.mjs';

const tables = ['clocks', 'entities', 'ledger', 'queue', 'conflicts', 'snapshots', 'snapshot_entities', 'epochs'];
const ms = (instant) => new Date(instant).getTime();

// The rows of a user; resolves to a function that puts them back.
async function backup(user) {
  const name = `backup_${randomBytes(6).toString('hex')}`, own = `WHERE user_id = '${user.id}'`;
  await sql(`CREATE SCHEMA ${name};
    ${tables.map((table) => `CREATE TABLE ${name}.${table} AS SELECT * FROM booky.${table} ${own};`).join('\n')}`);
  return () => sql(tables.map((table) => `DELETE FROM booky.${table} ${own};
    INSERT INTO booky.${table} SELECT * FROM ${name}.${table};`).join('\n') + `DROP SCHEMA ${name} CASCADE;`);
}

async function stack(t) {
  const pool = await startPool(t, { 'pool.workers': 2 });
  const command = (...args) => run(program, [...args, '--config', pool.conf], { env: pool.env });
  const user = new User(pool);
  return { pool, user, command, resync: () => command('resync', '--user', user.id) };
}

class Device {
  constructor(user, { times = true } = {}) {
    Object.assign(this, { user, times, rows: new Map(), queue: [], reasons: [], cursor: undefined });
  }

  get(query) {
    return this.user.read({ uri: `/api/sync/changes?times=${this.times}&${query}` });
  }

  async pull(query = this.cursor ? `cursor=${this.cursor}` : 'since=0') {
    const reply = await this.get(query);
    assert.equal(reply.status, 200, reply.text);
    for (const change of reply.json.changes) this.rows.set(`${change.type} ${change.data.id}`, change);
    this.cursor = reply.json.cursor;
    return new Set(reply.json.changes.map(({ type, data }) => `${type} ${data.id}`));
  }

  async push() {
    const { status, text, json } = await this.user.write(this.queue);
    assert.equal(status, 200, text);
    assert.deepEqual(json.results.filter((result) => result.status !== 'success'), []);
    this.queue = [];
  }

  async upload(until) {
    const changes = [...this.rows.values()].filter(({ data }) => !until || ms(data.updatedAt) > ms(until));
    const body = JSON.stringify({ mode: 'merge', changes });
    for (let part = 0; part < 2; part++) { // a repetition changes nothing
      const { status, text, json } = await this.user.request({ method: 'POST', uri: '/api/sync/full', body });
      assert.deepEqual([status, json.failed], [200, []], text);
      if (part > 0) assert.equal(json.unchanged, changes.length, text);
    }
  }

  async sync() {
    const { status, json, text } = await this.get(`cursor=${this.cursor}`);
    if (status === 200) {
      await this.push();
      return this.pull();
    }
    assert.equal(status, 410, text);
    this.reasons.push(json.reason);
    if (json.reason === 'erased') this.rows.clear();
    if (['restored', 'other_server'].includes(json.reason)) await this.upload(json.until);
    await this.push();
    const seen = await this.pull('since=0');
    for (const name of this.rows.keys()) if (!seen.has(name)) this.rows.delete(name);
  }

  shown() {
    const live = [...this.rows.values()].filter(({ deleted }) => !deleted).map(({ data }) => {
      const { id, createdAt, updatedAt, ...rest } = data;
      return [id, rest];
    });
    return Object.fromEntries(live.sort());
  }
}

const age = (days) => new Date(Date.now() - (1020 - days) * 86_400_000).toISOString();
const at = (type, entityId, days, data) => ({ id: randomBytes(8).toString('hex'), type, entity: 'book', entityId,
  timestamp: age(days), ...(data && { data }) });
const names = (count) => Array.from({ length: count }, (_, n) => `b${n}`);

for (const times of [true, false])
  for (const lost of [0, 3])
    test(`after a restore a device sends what was lost: 20 books, ${lost} deleted, ${times ? 'with' : 'without'} times`,
      async (t) => {
        const { user, resync } = await stack(t);
        const [phone, laptop, late] = [0, 1, 2].map(() => new Device(user, { times }));
        await user.write([book('old')]);
        for (const device of [phone, laptop, late]) await device.pull();
        const restore = await backup(user);
        await user.write(names(20).map((id) => book(id)));
        await laptop.pull();
        await user.write(names(lost).map((id) => at('delete', id, 1020)));
        await phone.pull();
        await restore();
        await resync();
        for (const device of [laptop, phone, late, laptop]) await device.sync();
        const left = ['old', ...names(20).slice(lost)].sort();
        for (const device of [phone, laptop, late]) assert.deepEqual(Object.keys(device.shown()).sort(), left);
        assert.deepEqual([phone.reasons, laptop.reasons, late.reasons], [['restored'], ['restored'], []]);
        assert.equal(await sql(`SELECT count(*) FROM booky.conflicts WHERE user_id = '${user.id}'`), '0');
      });

// world() of the model that the rules were checked with. A day is a version of the server.
const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
for (const order of orders)
  test(`seven books of three devices end as without the restore, devices ${order.join(', ')}`, async (t) => {
    const { user, resync } = await stack(t);
    const devices = [0, 1, 2].map(() => new Device(user)), [a, b, c] = devices;
    const seven = ['b1', 'b3', 'b4', 'b5', 'b6', 'b7'];
    await user.write(seven.map((id) => at('create', id, 300, { title: id, notes: '-' })));
    for (const device of devices) await device.pull();
    await user.write([at('delete', 'b4', 700)]);
    for (const device of [a, b]) await device.pull();
    await sql(`UPDATE booky.clocks SET horizon = clock WHERE user_id = '${user.id}';
      DELETE FROM booky.entities WHERE user_id = '${user.id}' AND entity_id = 'b4'`);
    c.queue = [...['b5', 'b6'].map((id) => at('update', id, 800, { title: 'C' })),
      at('update', 'b7', 800, { notes: 'C' })];
    await user.write([at('update', 'b6', 950, { notes: 'A' })]);
    for (const device of [a, b]) await device.pull();
    const restore = await backup(user);
    await user.write([at('update', 'b1', 1003, { title: 'A' }), at('create', 'b2', 1003, { title: 'new' }),
      at('update', 'b7', 1004, { title: 'A' })]);
    await a.pull();
    await user.write([at('delete', 'b3', 1006)]);
    await b.pull();
    await restore();
    await resync();
    for (const n of [...order, ...order]) await devices[n].sync();
    const expected = { b1: { title: 'A', notes: '-' }, b2: { title: 'new' }, b5: { title: 'C', notes: '-' },
      b6: { title: 'C', notes: 'A' }, b7: { title: 'A', notes: 'C' } };
    for (const device of devices) assert.deepEqual(device.shown(), expected);
    assert.deepEqual(devices.map(({ reasons }) => reasons), [['restored'], ['restored'], ['deletions_forgotten']]);
  });

test('an account that was erased after the backup is erased again, and its devices are told', async (t) => {
  const { pool, user, command } = await stack(t);
  const device = new Device(user), early = new Device(user);
  await user.write([book('b1')]);
  await early.pull();
  await command('resync', '--user', user.id); // the account has an earlier epoch
  await device.pull();
  const restore = await backup(user);
  await user.write([book('b2')]);
  await device.pull();
  const erased = await user.request({ method: 'DELETE', uri: '/api/sync/account' });
  assert.equal(erased.status, 200, erased.text);
  const { erasedAt } = erased.json.receipt;
  const journal = path.join(pool.folder, 'erasures');
  assert.match(readFileSync(journal, 'utf8'), new RegExp(`^${erasedAt} [0-9a-f]{16} [0-9a-f]{16}\n$`));
  await restore();
  await sql(`DELETE FROM booky.erased_epochs WHERE erased_at = ${ms(erasedAt)}`); // it is younger than the backup, too
  const { stdout } = await command('resync', '--erased', journal);
  assert.match(stdout, /^erased again: 1 users\nnew epochs: \d+ users\n$/);
  assert.equal(await sql(`SELECT count(*) FROM booky.entities WHERE user_id = '${user.id}'`), '0');
  for (const one of [device, early]) {
    const { status, json } = await one.get(`cursor=${one.cursor}`);
    assert.deepEqual([status, json.reason, json.erasedAt], [410, 'erased', erasedAt]);
    await one.sync();
    assert.deepEqual([one.reasons, one.shown()], [['erased'], {}]);
  }
  assert.equal((await user.read()).json.lastSync, null, 'nothing has come back');
  assert.match((await command('resync', '--erased', journal)).stdout, /^erased again: 0 users\n/, 'it may be repeated');
});

test('an erasure that was not committed, and lines that are no erasures, are reported and erase nothing', async (t) => {
  const { pool, user, command } = await stack(t);
  await user.write([book('b1')]);
  const epoch = BigInt(await sql(`SELECT epoch FROM booky.clocks WHERE user_id = '${user.id}'`));
  const hex = epoch.toString(16).padStart(16, '0'), file = path.join(pool.folder, 'journal');
  writeFileSync(file, `${age(1000)} ${hex}\n`);
  const { stdout, stderr } = await command('resync', '--erased', file);
  assert.match(stdout, /^erased again: 0 users\n/);
  assert.match(stderr, new RegExp(`^booky-sync resync: ${user.id}: has been written since`));
  assert.equal((await user.read({ uri: '/api/sync/changes?since=0' })).json.changes.length, 1);
  for (const line of ['', `${age(1000)}`, `yesterday ${hex}`, `${age(1000)} ${hex.slice(1)}`, `${age(1000)} ${hex} `]) {
    writeFileSync(file, `${line}\n`);
    const failed = await command('resync', '--erased', file).catch((error) => error);
    assert.equal(failed.code, 1, line);
    assert.match(failed.stderr, /journal:1: not an erasure/);
    assert.doesNotMatch(failed.stdout, /new epochs/);
  }
  const both = await command('resync', '--erased', file, '--user', user.id).catch((error) => error);
  assert.equal(both.code, 64);
});

test('an erasure is refused while its journal cannot be written', async (t) => {
  const pool = await startPool(t, { 'pool.workers': 1, 'erasure.journal': '/nowhere/erasures' });
  const user = new User(pool);
  await user.write([book('b1')]);
  const { status, json } = await user.request({ method: 'DELETE', uri: '/api/sync/account' });
  assert.deepEqual([status, json.error], [503, 'SYNC_FAILED']);
  assert.match(json.message, /nothing was erased/);
  assert.equal((await user.read({ uri: '/api/sync/changes?since=0' })).json.changes.length, 1);
  assert.ok(pool.log().some(({ event, message }) => event === 'erasure' && /No such file/.test(message)));
});

test('a device of an empty account is told of a lost volume and of a resync of all users', async (t) => {
  const { user, command } = await stack(t);
  const device = new Device(user);
  await device.pull();
  await user.write([book('b1')]);
  assert.equal((await device.get(`cursor=${device.cursor}`)).status, 200);
  await command('resync');
  const { status, json } = await device.get(`cursor=${device.cursor}`);
  assert.deepEqual([status, json.reason, json.until], [410, 'restored', undefined]);
});

// A pool with a database of its own: another installation.
async function otherServer(t) {
  const name = `booky_moved_${randomBytes(6).toString('hex')}`;
  await sql(`CREATE DATABASE ${name}`);
  const pool = new Pool({ 'pool.workers': 1, 'database.dsn': `${process.env.BOOKY_TEST_DSN} dbname=${name}`,
    'database.admin_dsn': `${process.env.BOOKY_TEST_ADMIN_DSN} dbname=${name}` });
  t.after(async () => {
    await pool.close();
    await sql(`DROP DATABASE ${name}`);
  });
  const command = (...args) => run(program, [...args, '--config', pool.conf], { env: pool.env });
  await command('migrate', '--dir', fileURLToPath(new URL('../../migrations', import.meta.url)));
  await pool.start();
  return { pool, command };
}

const rated = (id, stars, days) => ({ ...at('create', id, days, { bookId: 'b1', stars }), entity: 'rating' });
const exported = async (command, id) => JSON.parse((await command('user', 'export', id)).stdout);
const content = ({ exportedAt, cursor, epochs, queue, conflicts, processedOperations, snapshots, ...rest }) =>
  JSON.parse(JSON.stringify(rest, (name, value) => (name === 'updatedAt' ? undefined : value)));

test('a user who moves to another server loses nothing, and the devices are told', async (t) => {
  const here = await stack(t), there = await otherServer(t);
  const { user } = here, moved = new User(there.pool, user.id), device = new Device(user);
  const file = path.join(here.pool.folder, 'export.json');
  await user.write([at('create', 'b1', 900, { title: 'T', notes: 'n' }), at('update', 'b1', 910, { notes: 'N' }),
    book('b2'), book('b3'), at('delete', 'b3', 1020), at('update', 'half', 950, { notes: 'no title yet' }),
    rated('r1', 2, 900), rated('r2', 3, 901),
    { ...at('update', 's', 900, { theme: 'dark' }), entity: 'userSettings' }]);
  await here.resync(); // so that there is an earlier epoch
  const early = new Device(user);
  await early.pull();
  writeFileSync(file, JSON.stringify(await exported(here.command, user.id)));
  const { until } = JSON.parse(readFileSync(file)).epochs[0];
  await user.write([book('b4')]); // too late for the export, but the device has it
  await device.pull();
  const imported = JSON.parse((await there.command('user', 'import', user.id, file)).stdout);
  assert.deepEqual([imported.created, imported.conflicts, imported.failed], [5, 1, []], 'the conflict: no title yet');
  assert.deepEqual(content(await exported(there.command, user.id)), content(JSON.parse(readFileSync(file))));
  Object.assign(device, { user: moved });
  Object.assign(early, { user: moved });
  const { json } = await device.get(`cursor=${device.cursor}`);
  assert.deepEqual([json.reason, json.until], ['other_server', until]);
  for (const one of [early, device, early]) await one.sync();
  const held = ['b1', 'b2', 'b4', 'r2', 'settings'];
  for (const one of [early, device]) assert.deepEqual(Object.keys(one.shown()).sort(), held);
  await moved.write([at('update', 'b1', 905, { title: 'later', notes: 'too early' })]);
  await device.sync();
  assert.deepEqual(device.shown().b1, { title: 'later', notes: 'N' }, 'the times have moved, too');
  const again = await there.command('user', 'import', user.id, file);
  assert.deepEqual(JSON.parse(again.stdout).created, 0, 'it may be repeated');
  await device.sync();
  assert.deepEqual(device.reasons, ['other_server'], 'an import refuses no cursor of before');
});

test('an import stores what it can and lists the rest; what is no export is refused', async (t) => {
  const { pool, user, command } = await stack(t);
  const file = path.join(pool.folder, 'export.json');
  const imported = async (document) => {
    writeFileSync(file, document);
    return command('user', 'import', user.id, file).catch((error) => error);
  };
  const some = await imported(JSON.stringify({ books: [{ id: 'b1', title: 'T', updatedAt: age(900) },
    { id: 'b2', title: 7, updatedAt: age(900) }, { id: 'b3', title: 'no time' }] }));
  assert.equal(some.code, 1);
  assert.deepEqual(JSON.parse(some.stdout).failed.map(({ message }) => message.replace(/:.*/, '')).sort(),
    ['books[1].data.title', 'books[2].data.updatedAt']);
  assert.match(some.stderr, /^booky-sync user import: 2 entities could not be stored/);
  for (const [text, message] of [['7', /VALIDATION_ERROR: the body/], ['{"books":7}', /books/], ['{"books":[', /JSON/],
    ['{"epochs":[{"epoch":"x"}]}', /epochs: must be/], ['{"times":[7]}', /times/]]) {
    const { code, stderr } = await imported(text);
    assert.equal(code, 1, text);
    assert.match(stderr, message);
  }
  assert.match((await command('user', 'import', user.id, '/nowhere').catch((error) => error)).stderr, /No such file/);
});
