// Collects what verify.mjs judges: the user's tables, a fresh pull, the digest, and the answers to a repeat of everything.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { literal } from '../http/lib.mjs';
import { Replica } from './replica.mjs';

const run = promisify(execFile);

// Rows as lists of values, whatever their size.
async function query(text) {
  const { stdout } = await run('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', '-c', `SELECT to_json(r) FROM (${text}) AS r`, process.env.BOOKY_TEST_ADMIN_DSN], { maxBuffer: 2 ** 30 });
  return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
}

const plain = ({ duplicate, ...result }) => JSON.stringify(result);

export async function collect(user) {
  const id = literal(user.name);
  const ledger = await query(`SELECT operation_id AS id, processed_at AS stamp, result FROM booky.ledger WHERE user_id = ${id}`);
  const rows = await query(`SELECT kind, entity_id AS id, status, updated_at AS at, data FROM booky.entities WHERE user_id = ${id}`);
  const conflicts = await query(`SELECT stamp, kind, entity_id AS id, other_id AS other, reason, status, operation_id AS operation FROM booky.conflicts WHERE user_id = ${id}`);
  const fresh = new Replica(`${user.name} a fresh pull`, user.client, { by: 'since' });
  const paged = new Replica(`${user.name} a fresh pull in pages`, user.client, { by: 'cursor', limit: () => 7 });
  for (const replica of [fresh, paged]) await insist(() => replica.pull({ whole: true }));
  const [now, digest, status] = [await get(user, `/changes?since=${Date.now()}`), await get(user, '/digest'), await get(user, '/status')];
  if (status.json.pendingOperations !== 0) user.client.record.complain(`${user.name}: ${status.json.pendingOperations} operations wait in the queue`);
  return {
    name: user.name, policy: user.policy, edits: user.edits,
    ledger: new Map(ledger.map(({ id, stamp, result }) => [id, { stamp, result: JSON.stringify(result) }])),
    rows: new Map(rows.map(({ kind, id, status, at, data }) => [`${kind} ${id}`, { status, updatedAt: at, data }])),
    conflicts, fresh: fresh.live(), freshClock: now.json.cursor, digest: digest.json,
    replicas: [...user.replicas, paged].map((replica) => ({ label: replica.label, writes: replica.writes === true, live: replica.live() })),
  };
}

// Sends everything once more: each is answered as a duplicate with the same result, and nothing moves, not even the clock.
export async function repeat(user, evidence) {
  const { record } = user.client;
  const edits = evidence.edits.filter(({ full }) => !full);
  for (let i = 0; i < edits.length; i += 500) {
    const some = edits.slice(i, i + 500);
    const reply = await get(user, '/operations', { method: 'POST', body: { operations: some.map(({ wire }) => wire) } });
    some.forEach((edit, n) => {
      const result = reply.json.results[n];
      record.count('repeats at the end');
      if (result.duplicate !== true || plain(result) !== evidence.ledger.get(edit.opId)?.result)
        record.complain(`${user.name} ${edit.opId}: a repeat is answered ${JSON.stringify(result)}, remembered is ${evidence.ledger.get(edit.opId)?.result}`);
    });
  }
  const digest = await get(user, '/digest');
  if (JSON.stringify(digest.json) !== JSON.stringify(evidence.digest)) record.complain(`${user.name}: the repeats have changed something`);
}

const get = (user, target, options) => insist(async () => {
  const reply = await user.client.call(target, { whole: true, ...options });
  return !reply.lost && reply;
});

// Until `work` gives something; nothing breaks any more, but what has just been restarted may need a moment.
export async function insist(work) {
  for (let i = 0; i < 50; i++) {
    const result = await work();
    if (result) return result;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('no answer, though nothing breaks any more');
}
