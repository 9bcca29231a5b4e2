// What the commands do with a database while no server runs: output and exit codes. tests/pool/pool.mjs says what the
// environment must have.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { Pool } from '../pool/pool.mjs';
import { booky, source } from './cmdline.mjs';

const migrations = fileURLToPath(new URL('../../migrations', import.meta.url));
const host = new Pool(), user = `cmd-${randomUUID()}`;
test.after(() => host.close());

// Runs a command with the settings of the host; fails unless it ends with `status`. Returns what it printed.
function run(args, { status = 0, ...options } = {}) {
  const ended = booky([...args, '--config', host.conf], options);
  assert.equal(ended.status, status, `${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
  return ended;
}
const out = (...args) => run(args).stdout;
const json = (...args) => JSON.parse(out(...args));
const fails = (...args) => run(args, { status: 1 });

test('the version of configure.ac is that of the program, the client, the package and the changelog', () => {
  const [, version] = source('configure.ac').match(/^AC_INIT\(\[booky-sync\], \[(.*)\]\)$/m);
  assert.equal(booky(['--version']).stdout, `booky-sync ${version}\n`);
  for (const file of ['package.json', 'package-lock.json'])
    assert.equal(JSON.parse(source(`client/${file}`)).version, version, file);
  assert.ok(source('debian/changelog').startsWith(`booky-sync (${version}) `), 'debian/changelog');
  assert.equal(source('CHANGELOG.md').match(/^## (.*)$/m)[1], version);
});

// With other settings, for one call.
function withSettings(settings, action) {
  const before = Object.fromEntries(Object.keys(settings).map((name) => [name, host.settings[name]]));
  host.configure(settings);
  try {
    return action();
  } finally {
    for (const [name, value] of Object.entries(before)) if (value === undefined) delete host.settings[name];
    host.configure(Object.fromEntries(Object.entries(before).filter(([, value]) => value !== undefined)));
  }
}

function file(name, lines) {
  const where = path.join(host.folder, name);
  writeFileSync(where, lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''));
  return where;
}

const ago = (minutes) => new Date(Date.now() - minutes * 60_000).toISOString();
const noDatabase = { 'database.dsn': 'host=/nonexistent', 'database.admin_dsn': 'host=/nonexistent' };

test('check-config: settings, keys and database; one plain line for each fault', () => {
  assert.equal(out('check-config'), 'configuration, keys and database: OK\n');
  const lines = (settings, status) => withSettings(settings, () => {
    const { stdout, stderr } = run(['check-config'], { status });
    assert.equal(stdout, '');
    return stderr.trimEnd().split('\n').map((line) => line.match(/^booky-sync check-config: (\S+: .*)$/)?.[1] ?? line);
  });
  const faults = {
    order: [{ 'database.statement_timeout': 30_000, 'pool.request_timeout': 30 },
      /^database\.statement_timeout: 30000 ms must be less than pool\.request_timeout, which is 30000 ms$/],
    lock: [{ 'database.lock_timeout': 30_000 },
      /^database\.lock_timeout: 30000 ms must be less than database\.statement_timeout, which is \d+ ms$/],
    slow: [{ 'pool.slow_log': 3_600_000 },
      /^pool\.slow_log: 3600000 ms must be less than pool\.request_timeout, which is 30000 ms$/],
    body: [{ 'limits.body': 1_073_741_824 },
      /^limits\.body: 1073741824 bytes must be at most limits\.full_body, which is \d+ bytes$/],
    quota: [{ 'quota.bytes': 9000, 'quota.hidden': 8000 },
      /^quota\.bytes: 9000 bytes must be at most quota\.hidden, which is 8000 bytes$/],
    keys: [{ 'auth.keys_dir': '/nonexistent' }, /^auth\.keys_dir: \/nonexistent: /],
    database: [noDatabase, /^database\.dsn: .*\/nonexistent/],
    replica: [{ 'database.replica_dsn': 'host=/nowhere' }, /^database\.replica_dsn: .*\/nowhere/],
  };
  for (const [name, [settings, pattern]] of Object.entries(faults)) {
    const [line, ...others] = lines(settings, ['database', 'replica'].includes(name) ? 1 : 78);
    assert.match(line, pattern, name);
    assert.deepEqual(others, [], name);
  }
  const all = lines(Object.assign({}, ...Object.values(faults).map(([settings]) => settings)), 78);
  assert.equal(all.length, Object.keys(faults).length);
  const expected = [faults.lock, faults.order, faults.slow, faults.body, faults.quota, faults.keys, faults.database,
    faults.replica];
  expected.forEach(([, pattern], i) => assert.match(all[i], pattern));
  const onCluster = lines({ 'database.distributed': 'citus', 'database.replica_dsn': process.env.BOOKY_TEST_DSN }, 78);
  assert.deepEqual(onCluster.slice(0, 2).map((line) => line.split(':')[0]), ['database.replica_dsn', 'push.dsn']);
  assert.match(lines({ 'database.distributed': 'citus', 'push.channel': '' }, 78)[0],
    /^database\.distributed: is citus, but the tables are not distributed/);
  assert.match(lines({ 'pool.workers': 1000 }, 78)[0], /^pool\.workers: 1000 need 2001 connections, .* allows \d+ /);
  assert.deepEqual(withSettings({ 'pool.request_timeout': 0 }, () => out('check-config')),
    'configuration, keys and database: OK\n');
});

test('check-config: all faults of the file are printed at once, one plain line each', () => {
  const where = file('faults.conf', ['[pool]', 'workers = 0', 'nonsense', '[limits]', 'depth = deep', 'width = 4',
    '[auth]', 'keys_dir = /nonexistent', '[database]', 'dsn = host=/nonexistent']);
  const { status, stdout, stderr } = booky(['check-config', '--config', where]);
  assert.deepEqual([status, stdout], [78, '']);
  assert.equal(stderr.replace(/(database\.dsn: ).*/, '$1...'), [
    `${where}:2: pool.workers: 0 is below 1 processes`, `${where}:3: not a section, setting or comment`,
    `${where}:5: limits.depth: "deep" is not a whole number`, `${where}:6: limits.width: no such setting`,
    'auth.keys_dir: /nonexistent: No such file or directory', 'database.dsn: ...',
  ].map((line) => `booky-sync check-config: ${line}\n`).join(''));
});

test('check-config: the limits of nginx, in the files that are shipped and in changed ones', () => {
  const shipped = fileURLToPath(new URL('../../nginx/booky-sync', import.meta.url));
  const dir = path.join(host.folder, 'nginx');
  const ok = (settings) => withSettings(settings, () => out('check-config', '--nginx', shipped));
  for (const settings of [{ 'pool.workers': 4 }, { 'pool.workers': 4, 'pool.request_timeout': 34 }])
    assert.equal(ok(settings), 'configuration, keys and database: OK\n');
  const faults = (where, settings) => withSettings({ 'pool.workers': 4, ...settings },
    () => run(['check-config', '--nginx', where], { status: 78 }).stderr.trimEnd().split('\n')
      .map((line) => line.replace('booky-sync check-config: ', '')));
  assert.deepEqual(faults(shipped, { 'pool.workers': 3, 'pool.request_timeout': 35, 'limits.full_body': 37_748_737 }), [
    `pool.workers: 3 must be more than limit_conn in ${shipped}/burst.conf, which is 3: one token could occupy ` +
      'all workers',
    `pool.request_timeout: 35 s and 5 s more must be less than fastcgi_read_timeout in ${shipped}/fastcgi.conf, ` +
      'which is 40 s',
    `limits.full_body: 37748737 bytes must be at most client_max_body_size in ${shipped}/server.conf, which is ` +
      '37748736']);
  cpSync(shipped, dir, { recursive: true });
  const burst = '# limit_conn booky_conn 9;\nlimit_conn booky_conn\n    4 ;limit_conn x y;';
  writeFileSync(path.join(dir, 'burst.conf'), burst);
  assert.match(faults(dir)[0], /^pool\.workers: 4 must be more than limit_conn .* which is 4:/);
  rmSync(path.join(dir, 'burst.conf'));
  assert.match(faults(dir)[0], /burst\.conf: No such file or directory$/);
});

test('migrate: lists the migrations and applies none twice', () => {
  assert.match(out('migrate', '--status', '--dir', migrations), /^(\d{4}_\S+\.sql +\d{4}-\d\d-\d\dT\S+Z\n)+$/);
  assert.equal(out('migrate', '--dir', migrations), 'the database was already up to date\n');
  const empty = path.join(host.folder, 'empty');
  mkdirSync(empty);
  assert.equal(fails('migrate', '--dir', empty).stderr, `booky-sync migrate: ${empty}: contains no migrations\n`);
  const { stderr } = withSettings(noDatabase, () => fails('migrate', '--dir', migrations));
  assert.match(stderr, /^booky-sync migrate: database\.admin_dsn: /);
});

test('token: what mint prints, inspect accepts; it names the reason otherwise', () => {
  const token = out('token', 'mint', '--user', user, '--ttl', '60').trim();
  const shown = json('token', 'inspect', token);
  assert.deepEqual([shown.accepted, shown.user, shown.header.kid], [true, user, 'test']);
  assert.deepEqual(JSON.parse(run(['token', 'inspect', '-'], { input: `${token}\n` }).stdout), shown);
  const refused = JSON.parse(fails('token', 'inspect', `${token}x`).stdout);
  assert.deepEqual([refused.accepted, refused.claims], [false, shown.claims]);
  assert.match(refused.reason, /\w/);
  assert.match(fails('token', 'mint', '--user', user, '--ttl', '0').stderr, /^booky-sync token mint: /);
  assert.match(fails('token', 'mint', '--user', user, '--kid', 'none').stderr, /^booky-sync token mint: .*none/);
});

test('status: the totals of the database, and 1 because no pool answers', () => {
  const { stdout } = fails('status');
  const lines = ['pool      does not answer', 'push      does not answer',
    'database  schema \\d+; \\d+ users, \\d+ entities; queue: \\d+ wait, \\d+ of them for review; \\d+ open conflicts'];
  assert.match(stdout, new RegExp(`^${lines.join('\n')}\n$`));
  const shown = JSON.parse(fails('status', '--json').stdout);
  assert.deepEqual([shown.pool, shown.push], [null, null]);
  assert.deepEqual(Object.keys(shown.database[0]), ['schema', 'users', 'entities', 'queued', 'review', 'conflicts']);
  const { stdout: none } = withSettings(noDatabase, () => fails('status', '--json'));
  assert.deepEqual(JSON.parse(none), { pool: null, push: null, database: null });
  assert.match(withSettings(noDatabase, () => fails('status')).stdout, /\ndatabase  does not answer\n$/);
  assert.equal(run(['status', '--watch', '--json'], { status: 64 }).stdout, '');
});

// The life of a user's data, one step after the other.

const summary = (text) => text.match(/^(.*); [\d.]+ s, \d+ lines\/s\n$/)[1];

test('replay: imports entities, recognises a repeat, reports the lines that fail', () => {
  const books = file('books.ndjson', [{ id: 'b1', title: 'One' }, '', { id: 'b2', title: 'Two' }]);
  const args = ['replay', '--user', user, '--as', 'book', '--batch', '1', books];
  assert.equal(summary(out(...args)), '3 lines: 2 applied, 0 already known, 0 in conflict, 0 failed');
  assert.equal(summary(out(...args)), '3 lines: 0 applied, 2 already known, 0 in conflict, 0 failed');
  const faulty = file('faulty.ndjson', [{ title: 'no id' }, '{', { id: 'b3', title: 3 }, { id: 'b3', title: 'Three' }]);
  const { stdout, stderr } = fails('replay', '--user', user, '--as', 'book', faulty);
  assert.equal(summary(stdout), '4 lines: 1 applied, 0 already known, 0 in conflict, 3 failed');
  assert.deepEqual(stderr.split('\n').map((line) => line.match(/^\S+:(\d+): \S/)?.[1]), ['1', '2', '3', undefined]);
});

test('replay: applies operations from standard input', () => {
  const edit = { type: 'update', entity: 'book', entityId: 'b1', data: { title: 'Uno' }, conflictResolution: 'manual' };
  const input = `${JSON.stringify({ id: `${user}-edit`, timestamp: ago(60), ...edit })}\n`;
  const { stdout } = run(['replay', '--user', user, '--device', 'phone', '-'], { input });
  assert.equal(summary(stdout), '1 lines: 0 applied, 0 already known, 1 in conflict, 0 failed');
});

test('replay: fails when the database is away or the file is missing', { timeout: 60_000 }, () => {
  const books = file('more.ndjson', [{ id: 'b9', title: 'Nine' }]);
  withSettings(noDatabase, () => fails('replay', '--user', user, '--as', 'book', books));
  const { stderr } = fails('replay', '--user', user, '/nonexistent');
  assert.equal(stderr, 'booky-sync replay: /nonexistent: No such file or directory\n');
});

test('conflicts: list picks by user and state, resolve decides', () => {
  const listed = (...args) => json('conflicts', 'list', '--json', '--user', user, ...args);
  const [{ reason, createdAt, ...conflict }, ...others] = listed(), { id } = conflict;
  assert.equal(others.length, 0);
  assert.deepEqual(conflict, { user, id, entity: 'book', entityId: 'b1', status: 'open', resolution: '' });
  const [columns] = out('conflicts', 'list', '--user', user).split('\n');
  assert.deepEqual(columns.trim().split(/ +/), Object.keys(listed()[0]));
  assert.ok(json('conflicts', 'list', '--json').some((row) => row.id === id && row.user === user));
  assert.deepEqual(listed('--status', 'resolved'), []);
  const refused = (...args) => fails('conflicts', 'resolve', user, ...args).stderr;
  assert.match(refused('1-0', 'keep_local'), /^booky-sync conflicts resolve: NOT_FOUND: /);
  assert.match(refused(id, 'merge'), /^booky-sync conflicts resolve: VALIDATION_ERROR: mergedData: /);
  const { updatedAt } = json('user', 'export', user).books.find((book) => book.id === 'b1');
  const merge = ['merge', '--data', '{"title":"One / Uno"}', '--base', updatedAt];
  assert.equal(json('conflicts', 'resolve', user, id, ...merge).success, true);
  assert.deepEqual(listed('--status', 'open'), []);
  assert.equal(listed('--status', 'resolved').length, 1);
});

test('user: list and export show the data', () => {
  assert.match(out('user', 'list'), /^user +live +deleted +lastSync *\n/);
  const { live, deleted, lastSync } = json('user', '--json', 'list').find((row) => row.user === user);
  assert.deepEqual([live, deleted], [3, 0]);
  assert.match(lastSync, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const exported = json('user', 'export', user);
  assert.deepEqual(exported.books.map(({ title }) => title).sort(), ['One / Uno', 'Three', 'Two']);
  assert.equal(exported.snapshots, undefined);
  assert.deepEqual(json('user', 'export', '--snapshots', user).snapshots, []);
});

// A host that verifies tokens and cannot make one.
function withPublicKeys(action) {
  const keys = path.join(host.folder, 'public.d'), { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  mkdirSync(keys, { recursive: true });
  writeFileSync(path.join(keys, 'es.pem'), publicKey.export({ type: 'spki', format: 'pem' }));
  return withSettings({ 'auth.keys_dir': keys }, action);
}

test('one user, without a key that could sign: show, queue, snapshots', () => withPublicKeys(() => {
  fails('token', 'mint', '--user', user);
  const [first] = json('user', 'show', '--json', user);
  const { kinds, devices, queue, openConflicts, snapshots, ...rest } = first;
  assert.deepEqual([rest.user, rest.entities, rest.streams, rest.clockAheadSeconds], [user, 3, null, 0]);
  assert.match(rest.epoch, /^[1-9]\d*$/);
  assert.deepEqual(kinds.map(({ kind, live, deleted, incomplete }) => [kind, live, deleted, incomplete]),
    [['book', 3, 0, 0]]);
  assert.equal(kinds[0].bytes, rest.bytes);
  assert.deepEqual([queue, openConflicts, snapshots], [[], [], []]);
  assert.deepEqual(devices.map(({ device }) => device).sort(), ['', 'phone', 'replay'].filter((name) =>
    devices.some(({ device }) => device === name)));
  assert.ok(devices.some(({ device }) => device === 'replay'));
  for (const { lastWrite } of devices) assert.ok(lastWrite <= rest.lastSync);
  const text = out('user', 'show', user);
  assert.match(text, new RegExp(`^user +${user}\n(.*\n)*streams +the push process does not answer\n\nkinds\n`));
  for (const none of ['queue', 'openConflicts', 'snapshots']) assert.ok(text.includes(`\n${none}: none\n`), none);
  assert.deepEqual(json('queue', 'list', '--json', '--user', user), []);
  assert.deepEqual(json('snapshots', 'list', '--json', '--user', user), []);
  assert.match(fails('snapshots', 'restore', user, '1').stderr, /^booky-sync snapshots restore: NOT_FOUND: /);
}));

test('a user who does not exist is an error, not an empty document or a receipt', () => {
  const nobody = `${user}-not`;
  for (const args of [['user', 'show', nobody], ['user', 'export', nobody], ['user', 'erase', nobody, '--yes'],
    ['snapshots', 'restore', nobody, '1']]) {
    const { stdout, stderr } = fails(...args);
    assert.deepEqual([stdout, stderr], ['', `booky-sync ${args[0]} ${args[1]}: ${nobody}: no such user\n`]);
  }
});

test('resync: one user, and only one who exists', () => {
  assert.equal(out('resync', '--user', user), 'new epochs: 1 users\n');
  assert.equal(fails('resync', '--user', `${user}-not`).stderr, `booky-sync resync: ${user}-not: no such user\n`);
});

test('purge: --dry-run counts, as text and as JSON', () => {
  const names = ['tombstones', 'conflicts', 'operations', 'queued', 'snapshots'];
  const expected = `would purge ${names.map((name) => `${name} N`).join(', ')}\n`;
  assert.equal(out('purge', '--dry-run').replace(/\d+/g, 'N'), expected);
  assert.deepEqual(Object.keys(json('purge', '-n', '-j')), names);
});

test('user: erase prints a receipt and leaves nothing', () => {
  assert.equal(json('user', 'erase', user, '--yes').success, true);
  assert.equal(fails('user', 'export', user).stderr, `booky-sync user export: ${user}: no such user\n`);
  assert.equal(fails('user', 'erase', user, '--yes').stdout, '', 'there is one receipt');
  assert.ok(!json('user', 'list', '-j').some((row) => row.user === user));
});

test('a command that needs the owner says so when the database is away', () => {
  for (const name of ['user list', 'queue list', 'snapshots list', 'conflicts list', 'purge', 'resync']) {
    const { stderr } = withSettings(noDatabase, () => fails(...name.split(' ')));
    assert.ok(stderr.startsWith(`booky-sync ${name}: database.admin_dsn: `), stderr);
  }
});
