// Collects the evidence for verify.mjs: the user's tables, a fresh pull, the digest, and the answers to a repeat of
// everything.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { literal } from '../http/lib.mjs';
import { remembered } from './record.mjs';
import { Replica } from './replica.mjs';

const run = promisify(execFile);

// Runs a query; resolves to the rows as objects.
async function query(text) {
  const { stdout } = await run('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', `SELECT to_json(r) FROM (${text}) AS r`,
    process.env.BOOKY_TEST_ADMIN_DSN], { maxBuffer: 2 ** 30 });
  return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

// What the user's clock says that is stored, and what the rows amount to (lib/store/sql_usage.h). A user without a
// clock, who has not written since an erasure, has nothing stored.
const usageOf = async (id) => (await query(`
  WITH size AS (
    SELECT 1 AS number, octet_length(data::text) AS bytes,
      coalesce(octet_length(marks::text), 0) + coalesce(octet_length(recent::text), 0) AS hidden
      FROM booky.entities WHERE user_id = ${id} AND status <> 'deleted'
    UNION ALL SELECT 0, 0, 128 + octet_length(entity_id) + octet_length(data::text)
      + coalesce(octet_length(marks::text), 0) + coalesce(octet_length(recent::text), 0)
      FROM booky.entities WHERE user_id = ${id} AND status = 'deleted'
    UNION ALL SELECT 0, CASE WHEN status = 'open' THEN own ELSE 0 END, CASE WHEN status = 'open' THEN 0 ELSE own END
      FROM (SELECT status, 512 + coalesce(octet_length(local_data::text), 0)
        + coalesce(octet_length(server_data::text), 0) AS own FROM booky.conflicts WHERE user_id = ${id}) AS c
    UNION ALL SELECT 0, CASE WHEN synced_at IS NULL THEN own ELSE 0 END, CASE WHEN synced_at IS NULL THEN 0 ELSE own END
      FROM (SELECT synced_at, 256 + coalesce(octet_length(data::text), 0) AS own FROM booky.queue
        WHERE user_id = ${id}) AS q
    UNION ALL SELECT 0, 0, 128 + octet_length(operation_id) + coalesce(octet_length(result::text), 0)
      FROM booky.ledger WHERE user_id = ${id}
    UNION ALL SELECT 0, 0, 64 + octet_length(entity_id) + octet_length(data::text)
      FROM booky.snapshot_entities WHERE user_id = ${id})
  SELECT concat_ws(' ', coalesce(sum(number), 0), coalesce(sum(bytes), 0), coalesce(sum(hidden), 0)) AS stored,
    coalesce((SELECT concat_ws(' ', used_entities, used_bytes, hidden_bytes) FROM booky.clocks WHERE user_id = ${id}),
      '0 0 0') AS counted
  FROM size`))[0];

// The result of a plain success, which the ledger does not keep.
const plain = (wire, id, stamp) => ({ id, status: 'success', entity: wire?.entity, entityId: wire?.entityId,
  updatedAt: new Date(stamp).toISOString() });

export async function collect(user) {
  const id = literal(user.name);
  const ledger = await query(
    `SELECT operation_id AS id, processed_at AS stamp, result FROM booky.ledger WHERE user_id = ${id}`);
  const wires = new Map(user.edits.map(({ opId, wire }) => [opId, wire]));
  const rows = await query(
    `SELECT kind, entity_id AS id, status, updated_at AS at, data FROM booky.entities WHERE user_id = ${id}`);
  const conflicts = await query(`SELECT stamp, kind, entity_id AS id, other_id AS other, reason, status,
    operation_id AS operation FROM booky.conflicts WHERE user_id = ${id}`);
  const fresh = new Replica(`${user.name} a fresh pull`, user.client, { by: 'since' });
  const paged = new Replica(`${user.name} a fresh pull in pages`, user.client, { by: 'cursor', limit: () => 7 });
  for (const replica of [fresh, paged]) await insist(() => replica.pull({ whole: true }));
  const [now, digest, status] = [await get(user, `/changes?since=${Date.now()}`), await get(user, '/digest'),
    await get(user, '/status')];
  if (status.json.pendingOperations !== 0)
    user.client.record.complain(`${user.name}: ${status.json.pendingOperations} operations wait in the queue`);
  return {
    name: user.name, policy: user.policy, edits: user.edits,
    ledger: new Map(ledger.map(
      ({ id, stamp, result }) => [id, { stamp, result: JSON.stringify(result ?? plain(wires.get(id), id, stamp)) }])),
    rows: new Map(rows.map(({ kind, id, status, at, data }) => [`${kind} ${id}`, { status, updatedAt: at, data }])),
    usage: await usageOf(id),
    conflicts, fresh: fresh.live(), freshClock: now.json.cursor, digest: digest.json,
    replicas: [...user.replicas.filter(({ away }) => !away), paged].map(
      (replica) => ({ label: replica.label, writes: replica.writes === true, live: replica.live() })),
  };
}

// Repeats every operation: each must be answered as a duplicate with the same result, and nothing may change, not even
// the clock.
export async function repeat(user, evidence) {
  const { record } = user.client;
  const edits = evidence.edits.filter(({ full }) => !full);
  for (let i = 0; i < edits.length; i += 500) {
    const some = edits.slice(i, i + 500);
    const reply = await get(user, '/operations',
      { method: 'POST', body: { operations: some.map(({ wire }) => wire) } });
    some.forEach((edit, n) => {
      const result = reply.json.results[n], stored = evidence.ledger.get(edit.opId)?.result;
      record.count('repeats at the end');
      if (result.duplicate !== true || remembered(result) !== remembered(JSON.parse(stored ?? '{}')))
        record.complain(
          `${user.name} ${edit.opId}: a repeat is answered ${JSON.stringify(result)}, stored is ${stored}`);
    });
  }
  const digest = await get(user, '/digest');
  if (JSON.stringify(digest.json) !== JSON.stringify(evidence.digest))
    record.complain(`${user.name}: the repeats changed something`);
}

const get = (user, target, options) => insist(async () => {
  const reply = await user.client.call(target, { whole: true, ...options });
  return !reply.lost && reply;
});

// Repeats `work` until its result is truthy. The faults are over, but a restarted process may need a moment.
export async function insist(work) {
  for (let i = 0; i < 50; i++) {
    const result = await work();
    if (result) return result;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('no answer although the faults are over');
}
