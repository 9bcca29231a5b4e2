// The deployment of docs/scale.md with automatic failover: three database hosts, each with etcd, PostgreSQL under
// Patroni, and PgBouncer. The files are those in docs/examples/scale; PostgreSQL's folders are laid out as in Debian.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import https from 'node:https';

import { Application, Database, Front, bin, example, program, write } from './cluster.mjs';
import { folder, makeNetworks, run, sleep, until } from './hosts.mjs';

const version = readFileSync(`${process.env.BOOKY_TEST_STATE}/pg/PG_VERSION`, 'utf8').trim();
const guide = readFileSync(`${process.env.srcdir}/docs/scale.md`, 'utf8');

// The blocks of commands of the section "Automatic failover" of docs/scale.md.
const section = guide.split('\n## ').find((text) => text.startsWith('Automatic failover')) ?? '';
const blocks = [...section.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block);

// The block that contains `text`.
export function documented(text) {
  const found = blocks.filter((block) => block.includes(text));
  assert.equal(found.length, 1, `docs/scale.md: blocks with "${text}": ${found.length}`);
  return found[0];
}

export class Member extends Database {
  constructor(number) {
    super(`db${number}`, `10.0.2.3${number}`);
    Object.assign(this, { etc: `${folder}/${this.name}.etc`, tls: `${folder}/${this.name}.tls` });
    this.paths = [
      ['/etc/postgresql/15/main', `${this.etc}/${version}/main`], ['/etc/ssl/certs', this.tls],
      ['/etc/ssl/private', this.tls], ['/var/lib/postgresql/15/main', this.data],
      ['/var/run/postgresql', this.sockets],
    ];
  }

  // Creates PostgreSQL's cluster as the Debian package does. The cluster of a replica is removed when Patroni starts
  // there, so a replica gets only the configuration, which is a copy of that of `primary`.
  create(primary) {
    run('mkdir', '-p', this.sockets, this.tls);
    if (primary) run('cp', '-r', primary.etc, this.etc);
    else
      run('env', `PG_CLUSTER_CONF_ROOT=${this.etc}`, 'pg_createcluster', version, 'main', '-d', this.data, '-s',
        this.sockets, '-p', '5432', '-l', `${folder}/${this.name}-first.log`, '--', '--no-sync', '-U', 'postgres',
        '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8');
    if (primary) run('sed', '-i', `s|/${primary.name}|/${this.name}|`, `${this.etc}/${version}/main/postgresql.conf`);
  }

  // Writes the configuration files. The test's own settings make PostgreSQL small and fast.
  configure() {
    const small = write(`${this.name}.small.conf`, `fsync = off
shared_buffers = 32MB
ssl = on
ssl_cert_file = '${this.tls}/cluster.crt'
ssl_key_file = '${this.tls}/cluster.key'
`);
    const access = write('pg_hba.conf', example('pg_hba.conf', [
      ['booky        10.0.2.0/24    scram-sha-256', 'booky        10.0.2.0/24    trust']]));
    const main = `${this.etc}/${version}/main`;
    run('cp', small, `${main}/conf.d/test.conf`);
    run('sh', '-c', `cat '${access}' >>'${main}/pg_hba.conf'`);
    this.configurePooler();

    this.etcd = example('etcd.env', [['=db1\n', `=${this.name}\n`],
      ['_URLS=https://10.0.2.31:', `_URLS=https://${this.address}:`],
      ['/var/lib/etcd/default', `${folder}/${this.name}.etcd`], ...this.paths.slice(1, 3)])
      .split('\n').filter((line) => /^[A-Z]/.test(line));
    this.patroniConfig = write(`${this.name}.yml`, example('patroni.yml', [['name: db1', `name: ${this.name}`],
      [': 10.0.2.31:', `: ${this.address}:`], ['127.0.0.1,10.0.2.31:', `127.0.0.1,${this.address}:`],
      ["'…'", "'secret'"], ['mode: automatic', "mode: 'off'"],
      ['/var/lib/postgresql/patroni.pgpass', `${this.etc}/pgpass`],
      ['/usr/lib/postgresql/15/bin', bin], ...this.paths]));
  }

  startEtcd() {
    this.etcdProcess = this.host.start(`${this.name}-etcd`, 'env', ...this.etcd, 'etcd');
  }

  startPatroni() {
    this.patroni = this.host.start(`${this.name}-patroni`, 'patroni', this.patroniConfig);
  }

  // Starts what systemd starts on the host.
  async start() {
    this.startEtcd();
    this.startPatroni();
    this.startPooler();
  }

  startPooler() {
    this.pooler = this.host.start(`${this.name}-pgbouncer`, 'pgbouncer', this.poolerConfig);
  }

  async kill() {
    await this.host.kill();
  }

  // Runs the block of docs/scale.md that contains `text` on this host, with replacements.
  execute(text, replacements = []) {
    let block = documented(text);
    for (const [from, to] of [['/etc/patroni/15-main.yml', this.patroniConfig], ...this.paths, ...replacements])
      block = block.replaceAll(from, to);
    return this.host.run('sh', '-euc', block);
  }

  // What Patroni says of all members: { db1: { role, state, timeline, … }, … }
  async list() {
    const file = (name) => readFileSync(`${this.tls}/${name}`);
    const options = { ca: file('cluster-ca.crt'), cert: file('cluster.crt'), key: file('cluster.key'), agent: false };
    const text = await new Promise((resolve, reject) => {
      const req = https.get(`https://${this.address}:8008/cluster`, { ...options, timeout: 1000 }, (res) => {
        let body = '';
        res.on('data', (chunk) => (body += chunk)).on('end', () => resolve(body)).on('error', reject);
      });
      req.on('error', reject).on('timeout', () => req.destroy(new Error('timeout')));
    });
    return Object.fromEntries(JSON.parse(text).members.map((member) => [member.name, member]));
  }

  log() {
    return readFileSync(`${folder}/${this.name}-patroni.log`, 'utf8');
  }

  // Whether it accepts writes; undefined if it does not answer.
  async isPrimary() {
    const answer = await this.ask('SELECT pg_is_in_recovery()').catch(() => undefined);
    return answer && answer === 'f';
  }

  // As sql(), while the load goes on.
  async ask(text) {
    return (await this.host.run('psql', '-XqAt', '-c', text, this.dsn('postgres', 'postgres'))).trim();
  }
}

// Starts the whole deployment. db1 has the data of an installation without Patroni; db2 and db3 become its replicas.
export async function makeCluster() {
  run('rm', '-rf', folder);
  run('mkdir', '-p', '-m', '755', folder);
  makeNetworks({ front: '10.0.1.1', back: '10.0.2.1' });
  const members = [1, 2, 3].map((number) => new Member(number)), [db1] = members;
  const databases = members.map(({ address }) => address).join();
  const app1 = new Application('app1', 1, { databases });
  const app2 = new Application('app2', 2, { databases, pooler: true });
  const front = new Front(), parts = [front, app1, app2, ...members];
  await Promise.all(parts.map(({ host }) => host.ready));
  for (const member of members) member.create(member === db1 ? undefined : db1);
  for (const part of parts) part.configure();
  certify(members);
  for (const member of members) member.startEtcd();

  // The installation.
  const main = `${db1.etc}/${version}/main/postgresql.conf`;
  const alone = db1.host.start('db1-alone', `${bin}/postgres`, '-D', db1.data, '-c', `config_file=${main}`);
  await until('db1 answers', () => db1.isPrimary(), 60);
  for (const statement of ['CREATE ROLE booky_owner LOGIN CREATEROLE', 'CREATE DATABASE booky OWNER booky_owner'])
    db1.sql(statement, 'postgres');
  run('env', `BOOKY_DATABASE_ADMIN_DSN=${db1.dsn('booky_owner')}`, program, 'migrate', '--config', app1.config);
  db1.sql('CREATE ROLE booky LOGIN IN ROLE booky_worker', 'postgres');
  await db1.execute('CREATE ROLE replicator');
  await alone.stop('SIGINT');

  db1.startPatroni();
  await until('db1 is the leader', () => db1.isPrimary(), 120);
  for (const member of members.slice(1)) member.startPatroni();
  for (const member of members) member.startPooler();
  await settled(members);
  await Promise.all([app1.start(), app2.start()]);
  await front.start();
  return { front, app1, app2, members, parts };
}

// The certificates of docs/scale.md, distributed.
function certify(members) {
  const made = `${folder}/certificates`;
  run('mkdir', made);
  run('sh', '-euc', `cd '${made}' && ${documented('openssl req')}`);
  for (const { name, tls } of members) {
    run('cp', `${made}/cluster-ca.crt`, tls);
    run('cp', `${made}/${name}.crt`, `${tls}/cluster.crt`);
    run('cp', `${made}/${name}.key`, `${tls}/cluster.key`);
  }
}

// Waits until one member is the leader, one its synchronous standby, and the third streams from it; returns them.
export async function settled(members, seconds = 180) {
  let list;
  return until('all members have their roles', async () => {
    await sleep(300);
    try {
      list = await members.find((member) => member.patroni && !member.patroni.gone).list();
      const find = (role) => members.find(({ name }) => list[name].role === role && list[name].state !== 'starting');
      const leader = find('leader'), standby = find('sync_standby'), other = find('replica');
      const timelines = new Set(Object.values(list).map(({ timeline }) => timeline));
      return timelines.size === 1 && standby && other &&
        (await leader.ask("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")) === '2' &&
        { leader, standby, other };
    } catch {
      return undefined;
    }
  }, seconds).catch((error) => {
    error.message += `; members: ${JSON.stringify(list)}`;
    throw error;
  });
}
