// Shared by the HTTP tests: requests over TLS, tokens, users, operations, psql.
//
// The environment names the stack under test:
//   BOOKY_URL             https://HOST:PORT/api
//   BOOKY_TEST_CA         PEM of the certificate
//   BOOKY_TEST_KEY        the HS256 key file; its name without .hmac is the key id
//   BOOKY_TEST_ADMIN_DSN  libpq connection string of the database's superuser
//   BOOKY_TEST_DSN        libpq connection string of the workers' role
//   BOOKY_TEST_STATE      optional: the folder of the stack; private/KID.pem holds the private key of keys.d/KID.pem
// Every test creates its own users with random names, so tests and runs do not disturb each other.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac, createPrivateKey, randomBytes, randomUUID, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import zlib from 'node:zlib';
import { sleep, until } from '../wait.mjs';

export { sleep, until };

export const origin = new URL(process.env.BOOKY_URL).origin;
export const ca = readFileSync(process.env.BOOKY_TEST_CA);
export const state = process.env.BOOKY_TEST_STATE;

// Requests

const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 16 });

// Resolves to { status, headers, raw, bytes, text, json }. `raw` lists header names and values as received, `text` is
// the decompressed body, and `json` is undefined when the body is not JSON.
export function request(target, { method = 'GET', headers = {}, body, token } = {}) {
  if (token) headers = { authorization: `Bearer ${token}`, ...headers };
  return new Promise((resolve, reject) => {
    const req = https.request(origin + target, { method, headers, agent, timeout: 60_000 }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const gzip = bytes.length > 0 && res.headers['content-encoding'] === 'gzip';
        const text = (gzip ? zlib.gunzipSync(bytes) : bytes).toString();
        let json;
        try {
          json = JSON.parse(text);
        } catch {}
        resolve({ status: res.statusCode, headers: res.headers, raw: res.rawHeaders, bytes, text, json });
      });
    });
    req.on('timeout', () => req.destroy(new Error(`no answer from ${target} within a minute`)));
    req.on('error', reject);
    req.end(body);
  });
}

// Words and paths of the implementation that no message may contain.
const internals = [/\b(select|insert|update \w+ set|clocks|pg_|postgres|sqlstate|relation|libpq|jansson)\b/i,
  /\/(tmp|usr|var|etc|home)\/|\.c:\d|\n/i];

// Checks that the reply has the shape of every error and reveals no internals. Returns the reply's body.
export function checkError(reply, status, error) {
  assert.equal(reply.status, status, reply.text);
  assert.match(reply.headers['content-type'] ?? '', /^application\/json/);
  assert.equal(reply.headers['cache-control'], 'no-store');
  assert.equal(reply.json?.success, false, reply.text);
  assert.equal(reply.json.error, error, reply.text);
  assert.ok(reply.json.message.length > 0);
  for (const pattern of internals) assert.doesNotMatch(reply.json.message, pattern);
  const ids = reply.raw.filter((_, i) => i % 2 === 1 && /^x-request-id$/i.test(reply.raw[i - 1]));
  assert.deepEqual(ids, [reply.json.requestId], 'one X-Request-Id, the same as in the body');
  const more = status === 410 ? ['reason', 'until', 'erasedAt'] : [];
  for (const name of Object.keys(reply.json))
    assert.ok(['success', 'error', 'message', 'details', 'requestId', ...more].includes(name), `unknown: ${name}`);
  return reply.json;
}

// Tokens

const keyFile = process.env.BOOKY_TEST_KEY;
export const kid = path.basename(keyFile, '.hmac');
export const secret = readFileSync(keyFile, 'latin1').replace(/\n$/, '');

const encode = (value) => Buffer.from(typeof value === 'string' || Buffer.isBuffer(value) ? value
  : JSON.stringify(value)).toString('base64url');

export const signers = {
  HS256: (text, key) => createHmac('sha256', Buffer.from(key, 'latin1')).update(text).digest(),
  HS512: (text, key) => createHmac('sha512', Buffer.from(key, 'latin1')).update(text).digest(),
  RS256: (text, key) => sign('sha256', text, createPrivateKey(key)),
  ES256: (text, key) => sign('sha256', text, { key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' }),
  none: () => Buffer.alloc(0),
};

export const seconds = (offset = 0) => Math.floor(Date.now() / 1000) + offset;

// Mints a token. A claim or header member that is undefined is left out. Text or bytes in place of either object are
// used unchanged.
export function mint(claims, { alg = 'HS256', key = secret, header = {}, signer = signers[alg] } = {}) {
  const raw = (value) => typeof value === 'string' || Buffer.isBuffer(value);
  const head = raw(header) ? header : { alg, typ: 'JWT', kid, ...header };
  const signed = `${encode(head)}.${encode(raw(claims) ? claims : { iat: seconds(), exp: seconds(3600), ...claims })}`;
  return `${signed}.${signer(Buffer.from(signed), key).toString('base64url')}`;
}

// Time. Timestamps of operations are relative to one instant, so that their order is known.

const start = Date.now();
export const ago = (minutes) => new Date(start - minutes * 60_000).toISOString();
export const ms = (instant) => new Date(instant).getTime();

// Operations

// op('create', 'book', 'b1', { title: 'T' }, { timestamp }): a member that is undefined is not sent. Without a
// timestamp edits are ten minutes old and deletions five.
export const op = (type, entity, entityId, data, more = {}) => ({
  id: randomUUID(), type, entity, entityId, data, timestamp: ago(10), ...more,
});
export const book = (entityId, data = {}, more) =>
  op('create', 'book', entityId, { title: `Book ${entityId}`, ...data }, more);
export const patch = (entityId, data, more) => op('update', 'book', entityId, data, more);
export const gone = (entity, entityId, more) =>
  op('delete', entity, entityId, undefined, { timestamp: ago(5), ...more });

// Users

export class User {
  constructor(id = `u-${randomBytes(8).toString('hex')}`) {
    this.id = id;
    this.token = mint({ userId: id });
  }

  request(target, options) {
    return request(`/api/sync${target}`, { token: this.token, ...options });
  }

  // Sends operations and resolves to the whole reply. `body` may be text, for JSON that JavaScript cannot express.
  post(body, options = {}) {
    const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    return this.request('/operations', {
      method: 'POST', body: text, ...options, headers: { 'content-type': 'application/json', ...options.headers },
    });
  }

  // Sends operations and expects a 200; resolves to the reply's body.
  async send(operations, envelope = {}) {
    const reply = await this.post({ operations, ...envelope });
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.json.results.length, operations.length);
    return reply.json;
  }

  // Sends one operation and resolves to its result.
  async apply(operation, envelope) {
    return (await this.send([operation], envelope)).results[0];
  }

  async get(target, options) {
    const reply = await this.request(target, options);
    assert.equal(reply.status, 200, reply.text);
    return reply.json;
  }

  changes(query = 'since=1970-01-01T00:00:00Z', options) {
    return this.request(`/changes?${query}`, options);
  }

  // Resolves to the body of GET /changes: { cursor, changes, ... }. Without a query, what a new device pulls.
  pull(query = 'since=1970-01-01T00:00:00Z&initial=true') {
    return this.get(`/changes?${query}`);
  }

  // The data of one entity as a first pull shows it, or undefined.
  async read(type, id) {
    const { changes } = await this.pull();
    return changes.find((change) => change.type === type && change.data.id === id)?.data;
  }

  status() {
    return this.get('/status');
  }
}

// The members that a client wrote, without those that the server adds.
export function content(data) {
  if (!data) return data;
  const { id, createdAt, updatedAt, ...rest } = data;
  return rest;
}

// Id → title of the entities of a pull.
export const titles = ({ changes }) => Object.fromEntries(changes.map(({ data }) => [data.id, data.title]));

// psql

export const literal = (text) => `'${text.replaceAll("'", "''")}'`;

// A psql session. query() runs a statement and resolves to the rows as text.
export class Session {
  constructor(dsn = process.env.BOOKY_TEST_ADMIN_DSN) {
    this.psql = spawn('psql', ['-XqAt', dsn],
      { stdio: 'pipe', env: { ...process.env, PGOPTIONS: '-c search_path=booky -c client_min_messages=warning' } });
    this.psql.stdin.on('error', () => {}); // if psql has ended, the next query reports it
    this.out = '';
    this.failed = '';
    this.psql.stdout.on('data', (text) => (this.out += text) && this.notify?.());
    this.psql.stderr.on('data', (text) => (this.failed += text) && this.notify?.());
    this.psql.on('error', (error) => (this.ended = error) && this.notify?.());
    this.psql.on('exit', () => (this.ended ??= new Error(`psql has ended: ${this.failed}`)) && this.notify?.());
  }

  async query(sql) {
    const mark = `mark-${randomUUID()}\n`; // printed on both streams, so that an error message is complete
    this.psql.stdin.write(`${sql};\n\\echo ${mark}\\warn ${mark}`);
    while (!this.ended && !(this.out.includes(mark) && this.failed.includes(mark)))
      await new Promise((resolve) => (this.notify = resolve));
    if (this.ended) throw this.ended;
    const rows = this.out.slice(0, this.out.indexOf(mark)).split('\n').slice(0, -1);
    const failed = this.failed.slice(0, this.failed.indexOf(mark));
    this.out = this.failed = '';
    if (failed) throw new Error(failed);
    return rows;
  }

  end() {
    return new Promise((resolve) => {
      if (this.ended) return resolve();
      this.psql.on('exit', resolve);
      this.psql.stdin.end();
    });
  }
}

// Runs `work` with a new session, which ends whatever happens.
export async function withSession(work, dsn) {
  const session = new Session(dsn);
  try {
    return await work(session);
  } finally {
    await session.end();
  }
}

export const sql = (text) => withSession((session) => session.query(text));

// As `booky-sync purge` does: the deletions of the user up to that time may be forgotten.
export const forget = (user, minutes) => sql(`INSERT INTO clocks (user_id, clock, started, horizon)
  VALUES (${literal(user.id)}, 1, 1, ${ms(ago(minutes))})
  ON CONFLICT (user_id) DO UPDATE SET horizon = excluded.horizon`);

// The number of rows for an operation id in the user's ledger.
export const ledgerRows = async (user, id) => Number((await sql(
  `SELECT count(*) FROM ledger WHERE user_id = ${literal(user.id)} AND operation_id = ${literal(id)}`))[0]);

// Locks the user's commit clock as a slow write transaction would, with the server's own statements for a cluster, as
// every database takes them. Resolves to the stamp; the transaction ends with the session's COMMIT or ROLLBACK.
export async function holdClock(session, user) {
  const next = 'greatest(clock + 1, floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint)';
  await session.query('BEGIN');
  await session.query(`INSERT INTO clocks AS c (user_id, clock, started)
    VALUES (${literal(user.id)}, 0, 9223372036854775807) ON CONFLICT (user_id) DO UPDATE SET clock = c.clock`);
  const rows = await session.query(`UPDATE clocks SET clock = ${next}, started = least(started, ${next})
    WHERE user_id = ${literal(user.id)} RETURNING clock`);
  return Number(rows[0]);
}

// Whether the database is a Citus cluster.
export const cluster = process.env.BOOKY_DATABASE_DISTRIBUTED === 'citus';

// The process ids of the database sessions that wait for a lock of `session`. Those of a cluster wait on a shard.
export async function waiters(session) {
  const [pid] = await session.query('SELECT pg_backend_pid()');
  if (!cluster)
    return sql(`SELECT pid FROM pg_stat_activity WHERE ${pid} = ANY (pg_blocking_pids(pid))`);
  const sessions = 'citus_stat_activity s WHERE NOT s.is_worker_query';
  return sql(`SELECT pid FROM ${sessions} AND global_pid IN (SELECT waiting_gpid FROM citus_lock_waits
    WHERE blocking_gpid IN (SELECT global_pid FROM ${sessions} AND pid = ${pid}))`);
}
