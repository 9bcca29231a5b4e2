// Shared by the tests of overload: a private PostgreSQL cluster that can be stopped, run out of connections or disk,
// and the shipped nginx in front of a private pool. Environment: as for tests/pool/pool.mjs, and
//   BOOKY_TEST_STATE   the folder of the stack, whose owner may run PostgreSQL
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkError, sql, withSession } from '../http/lib.mjs';
import { Site } from '../nginx/site/lib.mjs';
import { Pool, book, childrenOf, mint, program, run, until } from '../pool/pool.mjs';

const source = fileURLToPath(new URL('./full_disk.c', import.meta.url));

export class Cluster {
  static async start() {
    const cluster = new Cluster();
    await cluster.#start();
    return cluster;
  }

  async #start() {
    const folder = (this.folder = mkdtempSync(path.join(tmpdir(), 'booky-overload-')));
    this.flag = path.join(folder, 'full'); // see full_disk.c
    const { uid, gid } = statSync(process.env.BOOKY_TEST_STATE);
    const owner = process.getuid() === 0 ? { uid, gid } : {};
    const [version] = await sql('SHOW server_version_num');
    const bin = `/usr/lib/postgresql/${Math.floor(version / 10000)}/bin`;
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', `${folder}/full_disk.so`, source, '-ldl'], { stdio: 'pipe' });
    chownSync(folder, owner.uid ?? process.getuid(), owner.gid ?? process.getgid());
    const options = { ...owner, cwd: folder, stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' } };
    execFileSync(`${bin}/initdb`, ['-D', `${folder}/data`, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8',
      '--locale=C.UTF-8', '--no-sync'], options);
    const settings = { listen_addresses: '', unix_socket_directories: folder, fsync: 'off', max_connections: 40,
      shared_buffers: '16MB', autovacuum: 'off' };
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    options.env = { ...options.env, LD_PRELOAD: `${folder}/full_disk.so`, FULL_DISK: this.flag };
    this.log = '';
    this.postmaster = spawn(`${bin}/postgres`, ['-D', `${folder}/data`, ...args], options);
    this.postmaster.stderr.on('data', (text) => (this.log += text));
    this.ended = new Promise((resolve) => this.postmaster.on('close', resolve));
    process.on('exit', () => this.#remove());
    this.admin = `host=${folder} user=postgres dbname=postgres`;
    this.dsn = `host=${folder} user=booky dbname=postgres`;
    await until(`PostgreSQL starts: ${this.log}`, () => this.sql('SELECT 1').catch(() => false));
    writeFileSync(`${folder}/migrate.conf`, `[database]\nadmin_dsn = ${this.admin}\n`);
    await run(program, ['migrate', '--config', `${folder}/migrate.conf`],
      { env: { ...process.env, BOOKY_DATABASE_ADMIN_DSN: this.admin } });
    await this.sql('CREATE ROLE booky LOGIN IN ROLE booky_worker');
  }

  sql(text) {
    return withSession((session) => session.query(text), this.admin);
  }

  // Sends a signal to every process of the cluster; SIGSTOP simulates a machine that hangs.
  signal(name) {
    const { pid } = this.postmaster;
    for (const each of [pid, ...childrenOf(pid)]) {
      try {
        process.kill(each, name);
      } catch {} // it has ended
    }
  }

  fill(where) {
    writeFileSync(this.flag, where);
  }

  empty() {
    rmSync(this.flag, { force: true });
  }

  #remove() {
    this.postmaster?.kill('SIGQUIT');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async stop() {
    this.signal('SIGCONT');
    this.postmaster.kill('SIGINT');
    await this.ended;
    this.#remove();
  }
}

// Starts a pool on the cluster behind the shipped nginx; both stop at the end of the test `t`. The locks that requests
// wait for are those of other requests here, so lock_timeout is as shipped. `rate` and `changes`: see Site.
export async function startStack(t, cluster, settings = {}, { rate, changes } = {}) {
  const pool = new Pool({ 'database.dsn': cluster.dsn, 'database.admin_dsn': cluster.admin,
    'database.lock_timeout': 3000, ...settings });
  t.after(() => pool.close());
  await pool.start();
  const site = await Site.start({ served: pool.socket, rate, changes });
  t.after(() => site.stop());
  return { pool, site };
}

let made = 0;

// A user whose requests go through nginx. Every error must be documented and have the shape of every error.
export class User {
  constructor(site, id = `overload-${process.pid}-${++made}`) {
    Object.assign(this, { site, id, token: mint(id) });
  }

  async request(target, options) {
    const begun = performance.now();
    const reply = await this.site.request(`/api/sync${target}`, { token: this.token, ...options });
    reply.ms = performance.now() - begun;
    if (reply.status >= 400) checkError(reply, reply.status,
      { 401: 'UNAUTHORIZED', 429: 'RATE_LIMITED', 500: 'SYNC_FAILED', 503: 'SYNC_FAILED' }[reply.status]);
    if ([429, 503].includes(reply.status)) assert.match(reply.headers['retry-after'], /^[1-9]\d*$/);
    return reply;
  }

  write(operations = [book()]) {
    return this.request('/operations', { method: 'POST', body: JSON.stringify({ operations }) });
  }

  // Repeats a write until it gets a 200, as a client does, but with shorter pauses.
  async writeAgain(operations) {
    for (let i = 0; i < 200; i++) {
      const reply = await this.write(operations);
      if (reply.status === 200) return reply;
      assert.equal(reply.status, 503, reply.text);
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 50));
    }
    return assert.fail('200 attempts failed');
  }

  async entities() {
    const reply = await this.request('/changes?since=0');
    assert.equal(reply.status, 200, reply.text);
    return reply.json.changes.map(({ data }) => data.id).sort();
  }
}

export function percentiles(times) {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (part) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]);
  return `${sorted.length} times, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
}

export const count = (replies, status) => replies.filter((reply) => reply.status === status).length;
