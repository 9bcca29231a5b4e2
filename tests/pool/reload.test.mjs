// Reloads and replacements of the program: no request fails, and a bad configuration changes nothing.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdtempSync, readlinkSync, renameSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';

import { request } from './fastcgi.mjs';
import { Load, program, signal, startPool, until, User } from './pool.mjs';

const config = async (pool) => (await request(pool.socket, { uri: '/api/sync/config' })).json;
const requestsTotal = async (pool) => (await pool.metrics()).value('booky_sync_http_requests_total');

test('ten reloads under load fail no request, apply each operation once, and keep the counters', async (t) => {
  const pool = await startPool(t), load = new Load(pool);
  await load.reach(100);
  for (let i = 1; i <= 10; i++) {
    pool.configure({ 'limits.operations': 500 + i });
    await pool.reload();
    await load.reach(100);
  }
  await load.check();
  assert.ok(load.requests >= 1000, `${load.requests} requests`);
  const metrics = await pool.metrics();
  assert.equal(metrics.value('booky_sync_http_requests_total'), load.requests);
  assert.equal(metrics.value('booky_sync_worker_restarts_total', { reason: 'reload' }), 40);
  assert.equal(metrics.value('booky_sync_worker_restarts_total', { reason: 'crash' }), 0);
  assert.match(JSON.stringify(await config(pool)), /\b510\b/);
  assert.equal((await pool.workers()).length, 4);
  t.diagnostic(`${load.requests} requests`);
});

test('signals that arrive faster than reloads finish fail no request, and the last configuration wins', async (t) => {
  const pool = await startPool(t), load = new Load(pool);
  await load.reach(50);
  for (let i = 1; i <= 10; i++) {
    pool.configure({ 'limits.operations': 600 + i });
    pool.signal('SIGHUP');
    await load.reach(5);
  }
  await until('the last configuration', async () => /\b610\b/.test(JSON.stringify(await config(pool))));
  await load.check();
});

test('a reload succeeds when a worker reaches pool.max_requests while the reload waits for the others', async (t) => {
  const pool = await startPool(t, { 'pool.max_requests': 10, 'pool.start_timeout': 10 }), load = new Load(pool);
  for (let i = 0; i < 5; i++) await pool.reload();
  await load.check();
});

test('a reload succeeds when a worker is added during it', async (t) => {
  const pool = await startPool(t, { 'pool.start_timeout': 5 }), before = await pool.reloads();
  pool.signal('SIGHUP');
  pool.signal('SIGTTIN');
  await until('the end of the reload', async () => (await pool.reloads()).done === before.done + 1);
  await until('five workers', async () => (await pool.workers('idle')).length === 5);
  assert.equal((await pool.reloads()).failed, before.failed);
});

test('a reload with an invalid value fails, the log says where and why, and the next valid one succeeds', async (t) => {
  const pool = await startPool(t), before = await pool.workers();
  pool.configure({ 'limits.operations': 700, 'pool.workers': 5000 });
  await pool.reload('failed');
  const refused = await pool.logged('reload');
  assert.equal(refused.level, 'error');
  const place = `${pool.conf}:${pool.lineOf('pool.workers')}`;
  assert.ok(refused.message.includes(`${place}: pool.workers: 5000 is above 1024 processes`), refused.message);
  assert.deepEqual(await pool.workers(), before);
  assert.match(JSON.stringify(await config(pool)), /\b1000\b/);
  pool.configure({ 'pool.workers': 3 });
  await pool.reload();
  assert.match(JSON.stringify(await config(pool)), /\b700\b/);
  await until('three workers', async () => (await pool.workers()).length === 3);
});

test('a reload with a missing key folder fails, and no request does', async (t) => {
  const pool = await startPool(t), load = new Load(pool, { clients: 4 }), before = await pool.workers();
  pool.configure({ 'auth.keys_dir': `${pool.folder}/nowhere` });
  await pool.reload('failed');
  assert.ok((await pool.logged('reload')).message.includes(`${pool.folder}/nowhere`), pool.output);
  assert.deepEqual(await pool.workers(), before);
  await load.check();
  pool.configure({ 'auth.keys_dir': pool.keys });
  await pool.reload();
  assert.equal((await new User(pool).write()).status, 200);
});

// Configures a database server that accepts connections but never answers, so that new workers do not become ready.
async function useSilentDatabase(t, pool) {
  const silent = net.createServer(() => {});
  await new Promise((resolve) => silent.listen(`${pool.folder}/.s.PGSQL.5432`, resolve));
  t.after(() => silent.close());
  pool.configure({ 'database.dsn': `host=${pool.folder} user=nobody dbname=none` });
}

test('a reload fails when its workers are not ready within pool.start_timeout', async (t) => {
  const pool = await startPool(t), load = new Load(pool, { clients: 4 });
  const before = await pool.workers(), good = pool.settings['database.dsn'];
  pool.configure({ 'pool.start_timeout': 1 });
  await useSilentDatabase(t, pool);
  await pool.reload('failed');
  await pool.logged('reload', /pool\.start_timeout/);
  await load.check();
  assert.deepEqual((await pool.workers()).sort(), before.sort());
  pool.configure({ 'database.dsn': good, 'pool.start_timeout': 20 });
  await pool.reload();
  assert.equal((await new User(pool).write()).status, 200);
});

test('a reload fails when a new worker dies, and the old workers stay', async (t) => {
  const pool = await startPool(t), before = await pool.workers();
  await useSilentDatabase(t, pool);
  pool.signal('SIGHUP');
  const [fresh] = await until('new workers', async () => {
    const found = await pool.workers('starting');
    return found.length === 4 && found;
  });
  signal(fresh, 'SIGKILL');
  await until('the reload has failed', async () => (await pool.reloads()).failed === 1);
  await pool.logged('reload', /new worker died/);
  await until('the new ones are gone', async () => (await pool.workers()).length === 4);
  assert.deepEqual((await pool.workers()).sort(), before.sort());
  assert.equal((await new User(pool).write()).status, 200);
});

test('SIGTERM during a reload stops both generations with exit code 0', async (t) => {
  const pool = await startPool(t, { 'pool.drain_timeout': 1 });
  await useSilentDatabase(t, pool);
  pool.signal('SIGHUP');
  await until('new workers', async () => (await pool.workers('starting')).length === 4);
  assert.deepEqual(await pool.stop(), { code: 0, signal: null });
});

test('SIGUSR2 changes nothing when the configuration or the program cannot start', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'booky-pool-bin-')), binary = path.join(folder, 'booky-sync');
  t.after(() => rmSync(folder, { recursive: true }));
  copyFileSync(program, binary);
  const pool = await startPool(t, {}, { binary }), before = await pool.workers();
  pool.configure({ 'pool.workers': 0 });
  pool.signal('SIGUSR2');
  await pool.logged('pool', /cannot restart.*pool\.workers: 0 is below 1/);
  pool.configure({ 'pool.workers': 4 });
  renameSync(binary, `${binary}.away`);
  pool.signal('SIGUSR2');
  await pool.logged('pool', /cannot restart.*No such file/);
  assert.deepEqual(await pool.workers(), before);
  assert.equal((await new User(pool).write()).status, 200);
});

async function checkReplacement(t, pool, load, act) {
  await load.reach(100);
  for (let i = 0; i < 3; i++) {
    const started = (await pool.page('/pool?json')).json['start time'], old = await pool.workers();
    await act(i);
    pool.signal('SIGUSR2');
    await until('a new master', async () => {
      const status = await pool.status().catch(() => undefined);
      return status && status['start time'] !== started && status['idle processes'] > 0;
    });
    await load.reach(100);
    assert.equal((await pool.workers()).filter((pid) => old.includes(pid)).length, 0);
  }
  await load.check();
  assert.ok(await requestsTotal(pool) > 0);
}

test('SIGUSR2 under load replaces the program, keeps its sockets and fails no request', async (t) => {
  const pool = await startPool(t);
  await checkReplacement(t, pool, new Load(pool), () => {});
});

test('SIGUSR2 runs the new file after an upgrade of the program, and fails no request', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'booky-pool-bin-')), binary = path.join(folder, 'booky-sync');
  t.after(() => rmSync(folder, { recursive: true }));
  const install = () => {
    copyFileSync(program, `${binary}.new`);
    chmodSync(`${binary}.new`, 0o755);
    renameSync(`${binary}.new`, binary);
  };
  install();
  const pool = await startPool(t, {}, { binary });
  await checkReplacement(t, pool, new Load(pool), install);
  assert.equal(readlinkSync(`/proc/${pool.pid}/exe`), binary, 'the new file runs, not the deleted one');
});
