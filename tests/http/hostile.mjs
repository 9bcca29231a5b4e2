// Shared by the tests of hostile clients: a victim, whose data no other user may see or change, and the checks of
// replies.
//
// Importing this file makes the victim before the tests. After them it checks that the victim's rows are unchanged,
// that no worker was lost, and that no public page holds a secret.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before } from 'node:test';
import { book, checkError, literal, op, request, secret, sql } from './lib.mjs';
import { ownerOfEverything, userTables } from './owner.mjs';

// The errors of docs/api.md that a client can cause.
const documented = {
  400: ['VALIDATION_ERROR'], 401: ['UNAUTHORIZED'], 404: ['NOT_FOUND'], 405: ['METHOD_NOT_ALLOWED'],
  409: ['CONFLICT_DETECTED'],
  410: ['RESYNC_REQUIRED'], 413: ['PAYLOAD_TOO_LARGE'], 414: ['VALIDATION_ERROR'], 415: ['UNSUPPORTED_MEDIA_TYPE'],
  431: ['VALIDATION_ERROR'],
};

// The victim, whose user id and data hold a word that must not reach anybody else.
export const word = `Geheim${randomBytes(6).toString('hex')}`;
export let victim;
export let ids; // ids of the victim that an attacker may have learned
export let untouched;

const digest = (value) => createHash('sha256').update(JSON.stringify(value)).digest('hex');

// A fingerprint of every row of the victim and of its export and digest.
export async function readVictim() {
  const tables = await userTables();
  const rows = await sql(tables.filter((name) => name !== 'rate_windows').map((name) =>
    `SELECT '${name}', count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), ''))
      FROM ${name} AS t WHERE user_id = ${literal(victim.id)}`).join(' UNION ALL '));
  const { exportedAt, ...everything } = await victim.get('/export?snapshots=true');
  return { rows: rows.sort(), everything: digest(everything), digest: await victim.get('/digest') };
}

// The process ids of the workers, and how many were replaced after a crash or a timeout.
async function workers() {
  const { processes } = (await request('/pool?json&full')).json;
  const { text } = await request('/metrics');
  const restarts = [...text.matchAll(/^booky_sync_worker_restarts_total\{reason="(crash|timeout)"\} (\d+)$/gm)]
    .map((match) => match[0]);
  assert.equal(restarts.length, 2, text);
  return { pids: processes.map(({ pid }) => pid).sort(), restarts };
}

let pool;
before(async () => {
  pool = await workers();
  victim = await ownerOfEverything(`u-${word}`);
  await victim.send([book(`b-${word}`, { title: word, notes: word }), op('create', 'tag', 't-1', { name: word })],
    { deviceId: `device-${word}` });
  const { changes, cursor } = await victim.pull('since=0&limit=2');
  const reply = await victim.changes();
  ids = {
    cursor, etag: reply.headers.etag, updatedAt: changes[0].data.updatedAt,
    conflicts: (await victim.conflicts()).map(({ id }) => id),
    conflictCursor: (await victim.get('/conflicts?limit=1')).cursor,
    pendingCursor: (await victim.get('/pending?limit=1')).cursor,
    snapshots: (await victim.snapshots()).map(({ id }) => id), operations: ['waits', 'marked', 'op-r2'],
    entities: reply.json.changes.map(({ type, data }) => [type, data.id]),
  };
  assert.ok(ids.conflicts.length > 2 && ids.snapshots.length > 0 && ids.entities.length > 6);
  untouched = await readVictim();
});

after(async () => {
  assert.deepEqual(await readVictim(), untouched, "the victim's rows are unchanged");
  const now = await workers();
  assert.deepEqual(now, pool, 'no worker was lost');
  await checkPublicPages();
});

// Checks that no page that needs no token holds the key of the tokens or data of the victim.
export async function checkPublicPages() {
  for (const path of ['/api/sync/config', '/api/health', '/metrics', '/pool?full', '/ping'])
    for (const text of [secret, word, victim.id]) assert.ok(!(await request(path)).text.includes(text), path);
}

// Checks that an answer is a success or a documented error, holds no injected header field, and reveals nothing of the
// victim.
export function checkReply(reply, what) {
  const { status, json, headers } = reply;
  assert.ok(status < 300 || status === 304 || documented[status], `${what}: ${status} ${reply.text.slice(0, 500)}`);
  if (status >= 400) checkError(reply, status, documented[status].find((error) => error === json?.error));
  assert.equal(headers['set-cookie'] ?? headers['x-injected'], undefined, what);
  assert.ok(!reply.text.includes(word), `${what}: ${reply.text.slice(0, 500)}`);
  return reply;
}
