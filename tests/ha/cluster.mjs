// The deployment of docs/scale.md with the configuration files in docs/examples/scale: a front, two application hosts
// and two database hosts. app1 connects to PostgreSQL directly, app2 through the PgBouncer on each database host.
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';

import { request } from '../pool/fastcgi.mjs';
import { Host, folder, makeNetworks, run, until } from './hosts.mjs';

const state = process.env.BOOKY_TEST_STATE, root = process.env.srcdir;
export const program = process.env.BOOKY_BIN;
export const bin = `/usr/lib/postgresql/${readFileSync(`${state}/pg/PG_VERSION`, 'utf8').trim()}/bin`;

// Writes a file that the account can read; returns its path.
export function write(name, text) {
  const file = `${folder}/${name}`;
  writeFileSync(file, text);
  chmodSync(file, 0o644);
  return file;
}

// The text of an example with each [from, to] replaced; each must occur.
export function example(name, replacements) {
  let text = readFileSync(`${root}/docs/examples/scale/${name}`, 'utf8');
  for (const [from, to] of replacements) {
    assert.ok(text.includes(from), `docs/examples/scale/${name} has no "${from}"`);
    text = text.replaceAll(from, to);
  }
  return text;
}

export class Database {
  constructor(name, address) {
    Object.assign(this, { name, address, data: `${folder}/${name}`, sockets: `${folder}/${name}.sock` });
    this.other = name === 'db1' ? 'db2' : 'db1';
    this.host = new Host(name, { back: address });
  }

  // Writes the configuration files. The test's own settings make PostgreSQL small and fast.
  configure() {
    run('mkdir', this.sockets);
    const settings = example('postgresql.conf', [
      ["'*'", `'${this.address}'`], ["= 'db2'", `= '${this.other}'`],
      ["cluster_name = 'db1'", `cluster_name = '${this.name}'`],
    ]);
    const access = example('pg_hba.conf', [['hostssl', 'host   '], ['scram-sha-256', 'trust']]);
    const accessFile = write('pg_hba.conf', `local all,replication all trust\n${access}`);
    this.config = write(`${this.name}.conf`, `${settings}
unix_socket_directories = '${this.sockets}'
hba_file = '${accessFile}'
fsync = off
shared_buffers = 32MB
max_connections = 60
client_connection_check_interval = 200ms
`);
    this.configurePooler();
  }

  configurePooler() {
    const pooler = example('pgbouncer.ini', [
      ['10.0.2.31', this.address], ['/var/run/postgresql', this.sockets], ['scram-sha-256', 'any'],
      ['auth_file', ';auth_file'], ['dbname=booky', 'dbname=booky user=booky'],
    ]);
    this.poolerConfig = write(`${this.name}.ini`, `${pooler}\nunix_socket_dir = ${this.sockets}\n`);
  }

  create() {
    run(`${bin}/initdb`, '-D', this.data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8',
      '--no-sync');
  }

  // Makes this a copy of the primary that follows it as a standby, with the steps of docs/scale.md.
  copy(primary) {
    run(`${bin}/pg_basebackup`, '-D', this.data, '-X', 'stream', '-c', 'fast', '--no-sync', '-d',
      `host=${primary.sockets} user=replicator`);
    this.follow(primary);
  }

  async start() {
    this.process = this.host.start(this.name, `${bin}/postgres`, '-D', this.data, '-c', `config_file=${this.config}`);
    await until(`${this.name} answers`, () => {
      assert.ok(!this.process.gone, `${this.name} ended, see its log`);
      try {
        return this.sql('SELECT 1', 'postgres');
      } catch {
        return undefined;
      }
    });
  }

  // Kills the whole host, as a power failure does; resolves when no process of the database is left.
  async kill() {
    this.process.signal('SIGKILL');
    this.pooler.signal('SIGKILL');
    await until(`all of ${this.name} is gone`, () => !readdirSync('/proc').some((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === this.data;
      } catch {
        return false;
      }
    }));
  }

  // Promotes the standby with the steps of docs/scale.md. It has no standby of its own yet, so no commit may wait for
  // one.
  async promote() {
    this.set('synchronous_standby_names', '');
    run(`${bin}/pg_ctl`, 'promote', '-D', this.data, '-w');
    await this.restartPooler();
  }

  // Makes a former primary a standby of `primary`. Changes that `primary` does not have are undone.
  rejoin(primary) {
    primary.sql('CHECKPOINT'); // otherwise pg_rewind does not see the promotion and rewinds nothing
    run(`${bin}/pg_rewind`, '-D', this.data, '--no-sync', '--source-server',
      `host=${primary.sockets} user=rewinder dbname=postgres`);
    this.follow(primary);
  }

  follow(primary) {
    const line = `primary_conninfo = 'host=${primary.address} user=replicator application_name=${this.name}'`;
    run('sh', '-c', `echo "${line}" >>'${this.data}/postgresql.auto.conf'`);
    this.fence();
  }

  // With this file the database starts as a standby, whatever it was.
  fence() {
    run('touch', `${this.data}/standby.signal`);
  }

  set(name, value) {
    run('psql', '-Xq', '-c', `ALTER SYSTEM SET ${name} = '${value}'`, '-c', 'SELECT pg_reload_conf()', '-o',
      '/dev/null', this.dsn('postgres', 'postgres'));
  }

  dsn(user = 'postgres', dbname = 'booky') {
    return `host=${this.sockets} user=${user} dbname=${dbname}`;
  }

  sql(text, dbname) {
    return run('psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', text, this.dsn('postgres', dbname)).trim();
  }

  // Whether the other database streams from this one, as a synchronous or asynchronous standby.
  followed(kind = 'sync') {
    return this.sql(`SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '${kind}'`) === '1';
  }

  // PgBouncer keeps the parameters that its database reported at the first connection, so it must restart after a
  // promotion.
  async restartPooler() {
    await this.pooler?.stop('SIGTERM');
    this.pooler = this.host.start(`${this.name}-pgbouncer`, 'pgbouncer', this.poolerConfig);
  }
}

export class Application {
  constructor(name, number, options) {
    Object.assign(this, { name, address: `10.0.1.2${number}`, options });
    this.host = new Host(name, { front: this.address, back: `10.0.2.2${number}` });
  }

  configure() {
    let text = example('booky-sync.conf', [['10.0.1.21', this.address], ['workers = 16', 'workers = 6'],
      ['statement_timeout = 5000', 'statement_timeout = 2000'],
      ['tcp_user_timeout=5000', 'tcp_user_timeout=2000'], ['password_file', ';password_file'],
      ['10.0.2.31,10.0.2.32', this.options.databases ?? '10.0.2.31,10.0.2.32']]);
    if (this.options.pooler) {
      const [pool, push] = text.split('[push]');
      text = `${pool.replaceAll('dbname=booky', 'port=6432 dbname=booky').replace(';pooler', 'pooler')}[push]${push}`;
    }
    this.status = `${folder}/${this.name}.sock`;
    this.config = write(`${this.name}.conf`, `${text}
[server]
status_socket = ${this.status}
[push]
pokes_socket = ${folder}/${this.name}-pokes.sock
[auth]
keys_dir = ${state}/keys.d
`);
  }

  async start() {
    if (!this.push || this.push.gone)
      this.push = this.host.start(`${this.name}-push`, program, 'push', '--config', this.config);
    this.process = this.host.start(this.name, program, 'serve', '--config', this.config);
    await until(`${this.name} is ready`, async () => {
      assert.ok(!this.process.gone, `${this.name} ended, see its log`);
      return (await this.metrics().catch(() => '')).includes('booky_sync_db_up 1');
    });
  }

  async kill() {
    const all = [this.process, this.push];
    for (const one of all) one.signal('SIGKILL', { group: true });
    await until(`all of ${this.name} is gone`, () => all.every((one) => one.gone && !one.groupLives()));
  }

  async metrics() {
    return (await request(this.status, { uri: '/metrics' })).text;
  }

  async metric(name) {
    return Number((await this.metrics()).split('\n').find((line) => line.startsWith(`${name} `))?.split(' ')[1] ?? 0);
  }
}

export class Front {
  constructor() {
    this.host = new Host('front', { front: '10.0.1.10' });
    this.url = 'https://10.0.1.10:8443';
  }

  // `down`: addresses of hosts that get no requests.
  configure(down = []) {
    run('mkdir', '-p', `${folder}/nginx`);
    run('ln', '-sfn', `${state}/inst/share/booky-sync/nginx/booky-sync`, `${folder}/nginx/booky-sync`);
    const site = example('nginx-front.conf', [
      ['listen 443', 'listen 10.0.1.10:8443'], ['/etc/ssl/private/booky-sync.crt', `${state}/tls/cert.pem`],
      ['/etc/ssl/private/booky-sync.key', `${state}/tls/key.pem`], ['rate.conf;  ', 'rate-off.conf;  '],
      ['/var/log/nginx', `${folder}/nginx`],
      ...down.map((address) => [`${address}:9000`, `${address}:9000 down`]),
    ]);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((kind) => `${kind}_temp_path ${folder}/nginx/${kind};`).join('\n');
    this.config = write('nginx/nginx.conf', `daemon off;
pid ${folder}/nginx/pid;
error_log ${folder}/nginx/error.log warn;
events {}
http {
${temporary}
${site}}
`);
  }

  async start() {
    this.process = this.host.start('front', 'nginx', '-p', `${folder}/nginx/`, '-e', `${folder}/nginx/error.log`, '-c',
      this.config);
    await until('the front listens', () => new Promise((resolve) => {
      const connection = net.connect(8443, '10.0.1.10', () => resolve(true));
      connection.on('error', () => resolve(false));
      connection.on('close', () => resolve(false));
      setTimeout(() => connection.destroy(), 100);
    }));
  }

  // Resolves when the workers with the former configuration have finished their requests.
  async reload(down) {
    const former = this.process.children();
    this.configure(down);
    this.process.signal('SIGHUP');
    await until('nginx works with its new configuration', () => {
      const now = this.process.children();
      return now.length > 0 && !now.some((pid) => former.includes(pid));
    });
  }
}

// Starts the whole deployment with synchronous replication.
export async function makeCluster() {
  run('rm', '-rf', folder);
  run('mkdir', '-p', '-m', '755', folder);
  makeNetworks({ front: '10.0.1.1', back: '10.0.2.1' });
  const db1 = new Database('db1', '10.0.2.31'), db2 = new Database('db2', '10.0.2.32');
  const app1 = new Application('app1', 1, {}), app2 = new Application('app2', 2, { pooler: true });
  const front = new Front(), parts = [front, app1, app2, db2, db1];
  await Promise.all(parts.map(({ host }) => host.ready));
  for (const part of parts) part.configure();

  db1.create();
  await db1.start();
  db1.set('synchronous_standby_names', '');
  for (const statement of ['CREATE ROLE replicator LOGIN REPLICATION', 'CREATE ROLE rewinder LOGIN SUPERUSER',
    'CREATE ROLE booky_owner LOGIN CREATEROLE',
    'CREATE DATABASE booky OWNER booky_owner'])
    db1.sql(statement, 'postgres');
  run('env', `BOOKY_DATABASE_ADMIN_DSN=${db1.dsn('booky_owner')}`, program, 'migrate', '--config', app1.config);
  db1.sql('CREATE ROLE booky LOGIN IN ROLE booky_worker', 'postgres');
  db2.copy(db1);
  await db2.start();
  db1.set('synchronous_standby_names', 'db2');
  await until('db2 follows', () => db1.followed());

  for (const db of [db1, db2]) await db.restartPooler();
  await Promise.all([app1.start(), app2.start()]);
  await front.start();
  return { front, app1, app2, db1, db2, parts };
}
