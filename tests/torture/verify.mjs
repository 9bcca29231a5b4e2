// Holds what the server has at the end against what it acknowledged. Takes evidence and returns complaints, so that a test
// can plant errors in the evidence (torture.test.mjs).
//
// The evidence about a user:
//   name, policy
//   edits      what its devices made (plan.mjs), with `result` (the text of the first that was acknowledged), `requests` (the
//              numbers of those it was sent in), `syncedAt`, `queued`, `parked`, or `full` (the stamp of the full sync that took it)
//   ledger     operation id → { stamp, result }, from the database
//   rows       "KIND ID" → { status, updatedAt, data }, from the database: also what is deleted or incomplete
//   conflicts  rows of the conflict log { stamp, kind, id, other, reason, status, operation }
//   fresh      a pull from the beginning: "KIND ID" → { version, data }
//   digest     the reply of GET /digest;  freshCursor  the clock that belongs to `fresh`
//   replicas   { label, writes, live }: what devices and pollers hold in the end; `writes`: not from pulls alone
import { createHash } from 'node:crypto';
import { isDeepStrictEqual as same } from 'node:util';
import { Model, isAdjusted } from './model.mjs';

const ms = (instant) => new Date(instant).getTime();
const content = ({ id, createdAt, updatedAt, ...rest }) => rest;
const short = (value) => JSON.stringify(value)?.slice(0, 400);

export function verify(user) {
  const complaints = [];
  const complain = (what) => complaints.push(`${user.name} (${user.policy}): ${what}`);
  checkLedger(user, complain);
  checkRequests(user, complain);
  checkConflictLog(user, complain);
  checkState(user, complain);
  checkReplicas(user, complain);
  checkDigest(user, complain);
  return complaints;
}

// Every acknowledged operation is remembered with the result that was acknowledged, and nothing else is.
function checkLedger({ edits, ledger }, complain) {
  const known = new Set();
  for (const edit of edits) {
    if (!edit.result && !edit.parked && !edit.full) complain(`operation ${edit.opId} was never answered`);
    if (edit.full) continue;
    known.add(edit.opId);
    const row = ledger.get(edit.opId);
    if (!row) complain(`operation ${edit.opId} was acknowledged and is not in the ledger`);
    else if (edit.result && edit.result !== row.result) complain(`operation ${edit.opId}: acknowledged ${edit.result}, remembered ${row.result}`);
    else if (edit.syncedAt && ms(edit.syncedAt) !== row.stamp) complain(`operation ${edit.opId}: acknowledged at ${edit.syncedAt}, remembered at ${row.stamp}`);
  }
  for (const id of ledger.keys()) if (!known.has(id)) complain(`the ledger knows operation ${id}, which nobody sent`);
}

// What has one stamp was in one request, and a time is brought down exactly when it is too far ahead of it.
function checkRequests({ edits, ledger, rows }, complain) {
  const together = new Map();
  for (const edit of edits) {
    const row = edit.full ? undefined : ledger.get(edit.opId);
    if (!row) continue;
    const adjusted = JSON.parse(row.result).timestampAdjusted === true;
    if (adjusted !== isAdjusted({ at: edit.at, stamp: row.stamp })) complain(`operation ${edit.opId} at ${edit.at}, stamp ${row.stamp}: timestampAdjusted ${adjusted}`);
    if (edit.queued) continue;
    const requests = together.get(row.stamp) ?? new Set(edit.requests);
    together.set(row.stamp, new Set(edit.requests.filter((number) => requests.has(number))));
  }
  // A version comes from the request that processed an operation, never from a repeat. (Of a full sync that was repeated only
  // the last stamp is known.)
  const stamps = new Set([...ledger.values()].map(({ stamp }) => stamp));
  if (!edits.some(({ full }) => full))
    for (const [name, { updatedAt }] of rows) if (!stamps.has(updatedAt)) complain(`${name} has the version ${updatedAt}, when no operation was processed`);
  for (const [stamp, requests] of together) if (requests.size === 0) complain(`operations of several requests have the stamp ${stamp}`);
}

// A conflict is logged once, by the request that applied its operation.
function checkConflictLog({ conflicts, ledger }, complain) {
  const seen = new Set();
  for (const row of conflicts) {
    if (!row.operation) continue;
    const stamp = ledger.get(row.operation)?.stamp;
    if (stamp !== row.stamp) complain(`a conflict of operation ${row.operation} was logged at ${row.stamp}, the operation was processed at ${stamp}`);
    const what = [row.operation, row.kind, row.id, row.other, row.reason].join(' ');
    if (seen.has(what)) complain(`a conflict was logged twice: ${what}`);
    seen.add(what);
  }
}

function modelOf({ edits, ledger }) {
  const taken = [];
  for (const edit of edits) {
    const row = edit.full ? { stamp: ms(edit.full) } : ledger.get(edit.opId);
    if (!row) continue;
    const reason = row.result ? JSON.parse(row.result).conflict?.reason : undefined;
    taken.push({ ...edit, stamp: row.stamp, reason, policy: edit.full ? 'merge' : edit.policy });
  }
  // In a request they are in the order in which their device made them; from the server's queue, of their times.
  const rank = (edit) => (edit.queued ? [edit.at, edit.opId] : [edit.number, '']);
  const compare = (x, y) => (x < y ? -1 : x > y ? 1 : 0);
  taken.sort((x, y) => compare(rank(x)[0], rank(y)[0]) || compare(rank(x)[1], rank(y)[1]));
  taken.forEach((edit, i) => (edit.place = i));
  return new Model(taken);
}

function history(user, name) {
  const id = (edit) => (edit.kind === 'userSettings' ? 'settings' : edit.id);
  const lines = user.edits.filter((edit) => `${edit.kind} ${id(edit)}` === name).map((edit) =>
    `\n      ${edit.opId} ${edit.type} at ${edit.at} stamp ${edit.full ? ms(edit.full) : user.ledger.get(edit.opId)?.stamp} ${edit.policy} ${short(edit.data)} → ${edit.full ? 'full' : user.ledger.get(edit.opId)?.result}`);
  return lines.slice(-12).join('');
}

// The database is as the model says, and a pull from the beginning shows just what is live in it.
function checkState(user, complain) {
  const { rows, fresh, conflicts } = user;
  const model = modelOf(user);
  for (const [name, { status, data }] of model.entities) {
    const row = rows.get(name);
    if (!row) complain(`${name} is missing, it should be ${status}${history(user, name)}`);
    else if (row.status !== status || !same(row.data, data))
      complain(`${name} is ${row.status} ${short(row.data)} and should be ${status} ${short(data)}${history(user, name)}`);
    const pulled = fresh.get(name);
    if ((status === 'live') !== (pulled !== undefined)) complain(`${name} is ${status}, and ${pulled ? '' : 'not '}in a pull from the beginning`);
    else if (pulled && !same(content(pulled.data), data)) complain(`${name} is pulled as ${short(pulled.data)} and should be ${short(data)}${history(user, name)}`);
    else if (pulled && ms(pulled.version) !== row?.updatedAt) complain(`${name} is pulled with ${pulled.version}, the row has ${row?.updatedAt}`);
  }
  for (const name of [...rows.keys(), ...fresh.keys()]) if (!model.entities.has(name)) complain(`${name} is there, and nobody made it`);
  const open = conflicts.filter(({ status, reason }) => status === 'open' && (reason === 'incomplete' || reason === 'same_name'))
    .map(({ reason, kind, id, other }) => (other === null ? `${reason} ${kind} ${id}` : `${reason} ${kind} ${[id, other].sort().join(' ')}`)).sort();
  if (!same([...new Set(open)], model.open())) complain(`open conflicts ${short(differences(open, model.open()))}`);
}

const differences = (is, should) => ({ tooMany: is.filter((x) => !should.includes(x)), missing: should.filter((x) => !is.includes(x)) });

// Whoever pulled all along holds the same as whoever pulls now, versions included.
function checkReplicas(user, complain) {
  const { fresh, replicas } = user;
  for (const { label, writes, live } of replicas) {
    const view = ({ version, data }) => ({ version, data: writes ? content(data) : data }); // it does not know createdAt
    for (const [name, held] of live) {
      const now = fresh.get(name);
      if (!now) complain(`${label} holds ${name}, which is gone: ${short(held)}${history(user, name)}`);
      else if (!same(view(held), view(now))) complain(`${label} holds ${name} as ${short(held)}, it is ${short(now)}${history(user, name)}`);
    }
    for (const name of fresh.keys()) if (!live.has(name)) complain(`${label} has never heard of ${name}: ${short(fresh.get(name))}${history(user, name)}`);
  }
}

function checkDigest({ fresh, digest, freshClock }, complain) {
  const lines = {};
  for (const [name, { version, data }] of fresh) (lines[name.slice(0, name.indexOf(' '))] ??= []).push(Buffer.from(`${data.id}@${version}`));
  for (const [kind, { count, sha256 }] of Object.entries(digest.kinds)) {
    const own = (lines[kind] ?? []).sort(Buffer.compare).join('\n');
    if (count !== (lines[kind] ?? []).length) complain(`digest: ${count} of ${kind}, pulled were ${(lines[kind] ?? []).length}`);
    else if (sha256 !== createHash('sha256').update(own).digest('hex')) complain(`digest: another sum of ${kind}`);
  }
  for (const kind of Object.keys(lines)) if (!digest.kinds[kind]) complain(`digest: nothing of ${kind}`);
  if (digest.cursor !== freshClock) complain('digest: another cursor than the pull');
}
