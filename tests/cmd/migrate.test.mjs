// migrate on databases that are not up to date. tests/pool/pool.mjs says what the environment must have.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { env } from 'node:process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { withSession } from '../http/lib.mjs';
import { Pool, User, run as execute, sql, until } from '../pool/pool.mjs';
import { booky } from './cmdline.mjs';

const migrations = fileURLToPath(new URL('../../migrations', import.meta.url));
const names = readdirSync(migrations).filter((name) => name.endsWith('.sql')).sort();

// A host with an empty database of its own; at the end of the test both are removed.
async function hostOf(t) {
  const name = `booky_migrate_${randomBytes(6).toString('hex')}`;
  await sql(`CREATE DATABASE ${name}`);
  const at = (dsn) => `${dsn} dbname=${name}`;
  const host = new Pool({
    'database.dsn': at(process.env.BOOKY_TEST_DSN), 'database.admin_dsn': at(process.env.BOOKY_TEST_ADMIN_DSN) });
  t.after(async () => {
    await host.close();
    await sql(`DROP DATABASE ${name}`);
  });
  const query = async (text) =>
    (await execute('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', text, host.settings['database.admin_dsn']]))
      .stdout.trim();
  return { host, query, migrate: (...args) => booky(['migrate', ...args, '--config', host.conf]) };
}

test('migrate --status writes nothing to an empty database', async (t) => {
  const { query, migrate } = await hostOf(t);
  const listed = migrate('--status', '--dir', migrations);
  assert.deepEqual([listed.status, listed.stderr], [1, '']);
  assert.deepEqual(listed.stdout.trim().split('\n').map((line) => line.split(/ {1,}(?=not)/)),
    names.map((name) => [name, 'not applied']));
  assert.equal(await query(`SELECT count(*) FROM pg_namespace WHERE nspname = 'booky'`), '0');
  assert.equal(migrate('--dir', migrations).status, 0);
  assert.equal(migrate('--status', '--dir', migrations).status, 0);
});

// pg_dump prints a random key.
const schemaOf = async (database) => (await execute('pg_dump', ['--schema-only', '--no-owner', database])).stdout
  .replace(/^\\(un)?restrict .*$/gm, '');

test('the migrations, split into statements, give the same schema as whole', async (t) => {
  const { host, migrate } = await hostOf(t), whole = await hostOf(t);
  assert.equal(migrate('--dir', migrations).status, 0);
  await whole.query(`CREATE SCHEMA booky; CREATE TABLE booky.migrations (version integer PRIMARY KEY,
    name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
  for (const name of names) await whole.query(readFileSync(path.join(migrations, name), 'utf8'));
  assert.equal(await schemaOf(host.settings['database.admin_dsn']),
    await schemaOf(whole.host.settings['database.admin_dsn']));
});

test('a migration is split at semicolons that are not in strings, names and comments', async (t) => {
  const { host, query, migrate } = await hostOf(t);
  const dir = path.join(host.folder, 'tricky');
  mkdirSync(dir);
  writeFileSync(path.join(dir, '0001_tricky.sql'), `;-- a; comment
    CREATE TABLE booky.t (n serial, "a;""b" text); /* c; /* nested; */ ; */
    INSERT INTO booky.t ("a;""b") VALUES ('x;''y'), (E'\\';'), ('\\'), ($$d;'$$), ($a$e;$b$;$$;$a$), ('i$$;');
    DO $do$ BEGIN PERFORM 1; INSERT INTO booky.t ("a;""b") VALUES ('z'); END $do$;;
    SELECT 1 AS u$$v; INSERT INTO booky.t ("a;""b") SELECT 'no end' -- ;`);
  const { status, stderr } = migrate('--dir', dir);
  assert.deepEqual([status, stderr], [0, '']);
  assert.deepEqual((await query('SELECT "a;""b" FROM booky.t ORDER BY n')).split('\n'),
    ["x;'y", "';", '\\', "d;'", 'e;$b$;$$;', 'i$$;', 'z', 'no end']);
});

test('--shards is refused for a database that is not distributed', async (t) => {
  const { migrate } = await hostOf(t);
  const { status, stderr } = migrate('--shards', '4');
  assert.equal(status, 64);
  assert.match(stderr, /--shards is for a database that is distributed/);
});

test('a pool that takes a cluster for one PostgreSQL does not connect', async (t) => {
  const { host, query, migrate } = await hostOf(t);
  const exported = () => booky(['user', 'export', 'nobody', '--config', host.conf]).stderr;
  assert.equal(migrate('--dir', migrations).status, 0);
  assert.match(exported(), /no such user/);
  await query(`INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    SELECT 1, 'citus', extowner, extnamespace, false, '13' FROM pg_extension LIMIT 1`);
  assert.match(exported(), /the database is a Citus cluster, but database\.distributed is none/);
});

test('a database of the first version with parked operations is brought up to date and keeps them', async (t) => {
  const { host, query, migrate } = await hostOf(t);
  const first = path.join(host.folder, 'first');
  mkdirSync(first);
  copyFileSync(path.join(migrations, names[0]), path.join(first, names[0]));
  assert.equal(migrate('--dir', first).status, 0);
  const user = new User(host);
  const operation = { id: 'parked', type: 'create', entity: 'book', entityId: 'b1', data: { title: 'T' } };
  await query(`INSERT INTO booky.clocks (user_id, clock, started) VALUES ('${user.id}', 1, 1);
    INSERT INTO booky.queue (user_id, operation_id, queued_at, made_at, synced_at, attempts, type, kind, entity_id,
      last_error, data)
    VALUES ('${user.id}', 'parked', 1, 2, NULL, 3, 'create', 'book', 'b1', 'why', '{"title":"T"}'),
      ('${user.id}', 'synced', 1, 2, 4, 0, 'delete', 'book', 'b2', NULL, NULL)`);
  const rows = () => query(`SELECT operation_id, queued_at, made_at, synced_at, attempts, type, kind, entity_id,
    last_error, data FROM booky.queue ORDER BY 1`);
  const before = await rows();
  const { status, stderr } = migrate('--dir', migrations);
  assert.deepEqual([status, stderr], [0, '']);
  assert.equal(await rows(), before);
  assert.equal(await query(`SELECT count(*) FROM pg_class WHERE relname LIKE 'queue_before%'`), '0');
  await host.start();
  const post = (uri, body) =>
    user.request({ method: 'POST', uri: `/api/sync${uri}`, body: body ? JSON.stringify(body) : '{}' });
  const parked = await post('/queue', operation);
  assert.equal(parked.status, 200, `a repeat is recognised: ${parked.text}`);
  const applied = await post('/pending/apply');
  assert.deepEqual([applied.status, applied.json.results[0].status], [200, 'success'], applied.text);
});

test('a migration that waits for a long transaction lets the others pass', async (t) => {
  const { host, query, migrate } = await hostOf(t);
  const some = path.join(host.folder, 'some');
  mkdirSync(some);
  for (const name of names.slice(0, 7)) copyFileSync(path.join(migrations, name), path.join(some, name));
  assert.equal(migrate('--dir', some).status, 0);
  await withSession(async (session) => {
    await session.query('BEGIN');
    await session.query('SELECT count(*) FROM booky.entities'); // as a backup does
    const program = spawn(env.BOOKY_BIN, ['migrate', '--dir', migrations, '--config', host.conf]);
    let said = '';
    program.stderr.setEncoding('utf8').on('data', (text) => (said += text));
    await until('it waits', async () => said.includes('waits until no transaction holds a lock'));
    assert.equal(await query(`SET statement_timeout = '10s'; SELECT count(*) FROM booky.entities`), '0');
    await session.query('COMMIT');
    assert.deepEqual(await once(program, 'exit'), [0, null]);
  }, host.settings['database.admin_dsn']);
  assert.equal(migrate('--status', '--dir', migrations).status, 0);
});
