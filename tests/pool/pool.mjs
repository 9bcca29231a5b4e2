// Shared by the tests of the pool: a private pool, its log, its metrics, load, tokens and psql.
//
//   BOOKY_BIN             the program
//   BOOKY_TEST_DSN        libpq connection string (keywords and values) of the workers' role, on a migrated database
//   BOOKY_TEST_ADMIN_DSN  libpq connection string of the database's superuser
// A test starts its pools in a temporary folder and talks to their sockets directly; nothing else has to run.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createHmac, randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { request } from './fastcgi.mjs';
import { childrenOf, isAlive } from '../process.mjs';
import { sleep, until } from '../wait.mjs';

export { childrenOf, isAlive, sleep, until };

const required = ['BOOKY_BIN', 'BOOKY_TEST_DSN', 'BOOKY_TEST_ADMIN_DSN'];
const missing = required.filter((name) => !process.env[name]);
if (missing.length > 0) throw new Error(`not set: ${missing.join(', ')}; tests/pool/pool.mjs says what they are`);

export const program = process.env.BOOKY_BIN;
const dsn = process.env.BOOKY_TEST_DSN, adminDsn = process.env.BOOKY_TEST_ADMIN_DSN;
const secret = randomBytes(32).toString('hex');

export const run = promisify(execFile);
export const signal = (pid, name) => process.kill(pid, name);

// Database

export async function sql(text) {
  const { stdout } = await run('psql', ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-c', text, adminDsn]);
  return stdout.trim();
}

// Locks the user's clock row, as a long write of the same user would. Resolves to a function that releases it; until
// then the user's writes wait.
export async function lockClock(user) {
  const psql = spawn('psql', ['-X', '-q', '-A', '-t', adminDsn], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => psql.on('close', resolve));
  const locked = new Promise((resolve) => psql.stdout.once('data', resolve));
  psql.stdin.write(`BEGIN; SELECT 'locked' FROM booky.clocks WHERE user_id = '${user}' FOR UPDATE;\n`);
  assert.match(String(await Promise.race([locked, ended])), /locked/);
  return async () => {
    if (!psql.stdin.writableEnded) psql.stdin.end('ROLLBACK;\n');
    await ended;
  };
}

// Users

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function mint(user) {
  const seconds = Math.floor(Date.now() / 1000);
  const header = { alg: 'HS256', typ: 'JWT', kid: 'test' },
    claims = { userId: user, iat: seconds, exp: seconds + 3600 };
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

export const book = (entityId = randomUUID(), data = {}) => ({
  id: randomUUID(), type: 'create', entity: 'book', entityId, data: { title: `Book ${entityId}`, ...data },
  timestamp: new Date(Date.now() - 60_000).toISOString(),
});

export class User {
  constructor(pool, id = `pool-${randomBytes(8).toString('hex')}`) {
    Object.assign(this, { pool, id, token: mint(id) });
  }

  request(options) {
    const headers = { authorization: `Bearer ${this.token}`, ...options.headers };
    return request(options.socket ?? this.pool.socket, { ...options, headers });
  }

  read(options) {
    return this.request({ uri: '/api/sync/status', ...options });
  }

  write(operations = [book()], options = {}) {
    return this.request(
      { method: 'POST', uri: '/api/sync/operations', body: JSON.stringify({ operations }), ...options });
  }

  // Creates the user's clock row and locks it; resolves to the function that releases it.
  async lock() {
    assert.equal((await this.write()).status, 200);
    const release = await lockClock(this.id);
    this.pool.locks.push(release);
    return release;
  }
}

// Load

// `clients` clients of `pool`, each of which alternates writes and reads until stop(). `failures` holds the failed
// requests, `written` the acknowledged operation ids by user. With `retry` a write that gets a 503 is repeated under
// the same id.
export class Load {
  constructor(pool, { clients = 8, retry = false } = {}) {
    Object.assign(this, { pool, retry, requests: 0, retries: 0, failures: [], written: new Map(), running: true });
    pool.loads.push(this);
    this.users = Array.from({ length: clients }, () => new User(pool));
    this.done = Promise.all(this.users.map((user) => this.client(user)));
  }

  async client(user) {
    this.written.set(user.id, []);
    for (let i = 0; this.running && this.failures.length < 5; i++) {
      try {
        await (i % 2 === 0 ? this.write(user, book(`b${i}`)) : this.read(user));
      } catch (error) {
        this.failures.push(`${i % 2 === 0 ? 'write' : 'read'} ${i}: ${error.code ?? ''} ${error.message}`);
      }
      this.requests++;
    }
  }

  async read(user) {
    const reply = await user.read();
    if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  }

  async write(user, operation) {
    let reply = await user.write([operation]);
    for (let i = 0; this.retry && reply.status === 503 && i < 50; i++) {
      this.retries++;
      await sleep(100);
      reply = await user.write([operation]);
    }
    if (reply.status !== 200 || reply.json.results[0].status !== 'success')
      throw new Error(`${reply.status} ${reply.text}`);
    this.written.get(user.id).push(operation.id);
  }

  async reach(count) {
    const from = this.requests;
    await until(`${count} more requests`, () => this.requests - from >= count || this.failures.length > 0, 60);
  }

  async stop() {
    this.running = false;
    await this.done;
  }

  // Stops, and checks that nothing failed and that the ledger and the books hold each acknowledged operation once.
  async check() {
    await this.stop();
    const events = this.pool.log().filter((row) => row.event !== 'request').slice(-30);
    assert.deepEqual(
      this.failures, [], `${this.failures.join('\n')}\n${events.map((row) => JSON.stringify(row)).join('\n')}`);
    const names = this.users.map((user) => `'${user.id}'`).join(',');
    const ledger = await sql(`SELECT user_id || ' ' || operation_id FROM booky.ledger WHERE user_id IN (${names})`);
    const written = [...this.written].flatMap(([user, ids]) => ids.map((id) => `${user} ${id}`));
    assert.deepEqual(ledger.split('\n').filter(Boolean).sort(), written.sort());
    assert.equal(Number(await sql(`SELECT count(*) FROM booky.entities WHERE user_id IN (${names})`)), written.length);
  }
}

// Pools

// With this lock_timeout, a request that waits for a lock stands for any long request.
const defaults = {
  'pool.workers': 4, 'pool.drain_timeout': 10, 'pool.start_timeout': 20, 'pool.slow_log': 0,
  'database.lock_timeout': 14_000,
};

const sanitizer = /AddressSanitizer|LeakSanitizer|runtime error/;

export class Pool {
  constructor(settings = {}, { binary = program, notify, command } = {}) {
    this.folder = mkdtempSync(path.join(tmpdir(), 'booky-pool-'));
    this.socket = path.join(this.folder, 'pool.sock');
    this.statusSocket = path.join(this.folder, 'status.sock');
    this.conf = path.join(this.folder, 'booky-sync.conf');
    this.keys = path.join(this.folder, 'keys.d');
    this.name = path.basename(this.folder);
    this.output = '';
    this.loads = [];
    this.locks = [];
    this.settings = {
      ...defaults, 'server.socket': this.socket, 'server.status_socket': this.statusSocket, 'auth.keys_dir': this.keys,
      'database.dsn': `${dsn} application_name=${this.name}`, 'database.admin_dsn': adminDsn,
      'erasure.journal': path.join(this.folder, 'erasures'), ...settings,
    };
    mkdirSync(this.keys);
    writeFileSync(path.join(this.keys, 'test.hmac'), secret, { mode: 0o600 });
    this.configure();
    this.binary = binary;
    this.command = command ?? [];
    this.env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(BOOKY_|LISTEN_|NOTIFY_)/.test(name)));
    if (notify) this.env.NOTIFY_SOCKET = notify;
  }

  // Writes the configuration, one setting per line.
  configure(settings = {}) {
    Object.assign(this.settings, settings);
    const lines = [];
    for (const section of new Set(Object.keys(this.settings).map((name) => name.split('.')[0]))) {
      lines.push(`[${section}]`);
      for (const [name, value] of Object.entries(this.settings))
        if (name.startsWith(`${section}.`)) lines.push(`${name.slice(section.length + 1)} = ${value}`);
    }
    this.lines = lines;
    writeFileSync(this.conf, `${lines.join('\n')}\n`);
  }

  lineOf(setting) {
    const [section, key] = setting.split('.');
    return this.lines.findIndex((line, i) => line.startsWith(`${key} =`) && i > this.lines.indexOf(`[${section}]`)) + 1;
  }

  launch() {
    const [file, ...args] = [...this.command, this.binary, 'serve', '--config', this.conf];
    this.child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], env: this.env });
    this.pid = this.child.pid;
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.output += text));
    this.exited = new Promise((resolve) => this.child.on('exit', (code, name) => resolve({ code, signal: name })));
    return this;
  }

  async start() {
    this.launch();
    await this.ready();
    return this;
  }

  // Waits until all workers are ready.
  ready() {
    return until(`the pool answers and its workers are ready: ${this.output}`, async () => {
      if (this.child.exitCode !== null) assert.fail(`the pool ended: ${this.output}`);
      const status = await this.status().catch(() => undefined);
      return status && status['starting processes'] === 0 && status['total processes'] > 0;
    });
  }

  signal(name) {
    signal(this.pid, name);
  }

  // Sends SIGHUP and waits until the counters show its outcome, 'done' or 'failed'.
  async reload(outcome = 'done') {
    const before = await this.reloads();
    this.signal('SIGHUP');
    const after = await until(`the reload ends: ${this.output.slice(-2000)}`, async () => {
      const now = await this.reloads();
      return (now.done + now.failed > before.done + before.failed) && now;
    }, 40);
    assert.equal(after[outcome], before[outcome] + 1, this.output.slice(-2000));
  }

  async reloads() {
    const metrics = await this.metrics();
    const count = (outcome) => metrics.value('booky_sync_reloads_total', { outcome });
    return { done: count('done'), failed: count('failed') };
  }

  async page(uri) {
    const reply = await request(this.statusSocket, { uri, timeout: 10_000 });
    assert.equal(reply.status, 200, reply.text);
    return reply;
  }

  async status() {
    return (await this.page('/pool?json&full')).json;
  }

  async workers(state) {
    const { processes } = await this.status();
    return processes.filter((row) => !state || row.state === state).map((row) => row.pid);
  }

  // Waits until `count` workers are busy; resolves to the first one's row of the status page.
  busy(count = 1) {
    return until(`${count} busy`, async () => {
      const rows = (await this.status()).processes.filter((row) => row.state === 'busy' && row['request id']);
      return rows.length >= count && rows[0];
    });
  }

  // Waits until all workers are idle. A client gets its answer a moment before the worker reports that it is idle.
  idle() {
    return until('all workers are idle',
      async () => (await this.status())['idle processes'] === this.settings['pool.workers']);
  }

  async metrics() {
    return new Metrics((await this.page('/metrics')).text);
  }

  // The records of the log, or those of one event.
  log(event) {
    const lines = this.output.split('\n').slice(0, -1).filter((line) => /^<\d>\{/.test(line));
    return lines.map((line) => JSON.parse(line.slice(3))).filter((row) => !event || row.event === event);
  }

  // Waits for a record of `event` with a matching message; resolves to the last one.
  logged(event, message = /^/) {
    const find = () => this.log(event).filter((row) => message.test(row.message ?? '')).at(-1);
    return until(`a record ${event} with ${message}: ${this.output.slice(-2000)}`, find);
  }

  // Stops the pool and resolves to its exit code and signal.
  async stop(name = 'SIGTERM') {
    if (isAlive(this.pid)) this.signal(name);
    let patience;
    const end = await Promise.race([this.exited, new Promise((resolve) => (patience = setTimeout(resolve, 30_000)))]);
    clearTimeout(patience);
    if (!end) this.signal('SIGKILL');
    this.stopped = true;
    assert.ok(end, 'it did not stop within 30 s');
    return end;
  }

  async close() {
    for (const load of this.loads) load.running = false;
    for (const release of this.locks) await release();
    try {
      if (!this.child) return;
      if (!this.stopped) assert.deepEqual(await this.stop(), { code: 0, signal: null }, this.output.slice(-4000));
      assert.doesNotMatch(this.output, sanitizer);
    } finally {
      rmSync(this.folder, { recursive: true, force: true });
    }
  }
}

// Starts a pool that stops at the end of the test `t`, which fails if the pool does not stop cleanly.
export async function startPool(t, settings, options) {
  const pool = new Pool(settings, options);
  t.after(() => pool.close());
  return pool.start();
}

export class Metrics {
  constructor(text) {
    this.text = text;
    this.samples = [...text.matchAll(/^(\w+)(?:\{(.*)\})? (\S+)$/gm)].map(([, name, labels, value]) => ({
      name, value: Number(value),
      labels: Object.fromEntries([...(labels ?? '').matchAll(/(\w+)="([^"]*)"/g)].map((m) => [m[1], m[2]])),
    }));
  }

  // The sum of the samples with these labels; undefined if there is none.
  value(name, labels = {}) {
    const found = this.samples.filter((s) => s.name === name &&
      Object.entries(labels).every(([k, v]) => s.labels[k] === v));
    return found.length > 0 ? found.reduce((sum, sample) => sum + sample.value, 0) : undefined;
  }
}

export const restarts = async (pool, reason) =>
  (await pool.metrics()).value('booky_sync_worker_restarts_total', { reason });
