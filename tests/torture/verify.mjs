// Compares the server's final state with what it acknowledged. Takes evidence and returns complaints, so that a test
// can plant errors in the evidence (torture.test.mjs).
//
// The evidence about a user:
//   name, policy
//   edits      the edits of its devices (plan.mjs), with `result` (the text of the first acknowledged result),
//              `requests` (the numbers of the requests with it), `sentAt` and `heardAt` (the real time before its first
//              request and after the first answer), `syncedAt`, `queued`, `parked`, or `full` (the stamp of its full
//              sync)
//   ledger     operation id → { stamp, result }, from the database
//   rows       "KIND ID" → { status, updatedAt, data }, from the database, also deleted and incomplete entities
//   conflicts  rows of the conflict log { stamp, kind, id, other, reason, status, operation }
//   fresh      a pull from the beginning: "KIND ID" → { version, data }
//   digest     the reply of GET /digest
//   freshClock the cursor that belongs to `fresh`
//   replicas   { label, writes, live }: the final copies of devices and pollers; `writes`: not only from pulls
import { createHash } from 'node:crypto';
import { isDeepStrictEqual as same } from 'node:util';
import { Model, nameOf } from './model.mjs';
import { remembered } from './record.mjs';

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
  checkUsage(user, complain);
  return complaints;
}

// After a loss of the server's data, when the devices have sent it back. `before` is the evidence from before the loss.
// Everybody sees that state again, with the edits that waited meanwhile. What no pull showed is lost.
export function verifyReturn(user, before) {
  const complaints = [];
  const complain = (what) => complaints.push(`${user.name} (${user.policy}): after a loss, ${what}`);
  user.ledger = new Map([...before.ledger, ...user.ledger]);
  const waited = new Set(user.edits.filter(({ waited }) => waited).map(nameOf));
  const { entities } = modelOf(user);
  const shown = (name) => {
    if (!waited.has(name)) return before.fresh.get(name)?.data;
    const { status, data } = entities.get(name);
    return status === 'live' ? data : undefined;
  };
  for (const name of new Set([...before.fresh.keys(), ...user.fresh.keys(), ...waited])) {
    const is = user.fresh.get(name)?.data, should = shown(name);
    if (!same(is && content(is), should && content(should))) complain(
      `${name} is pulled as ${short(is)} and should be ${short(should)}${history(user, name)}`);
  }
  checkReplicas(user, complain);
  checkDigest(user, complain);
  checkUsage(user, complain);
  return complaints;
}

// Every acknowledged operation is in the ledger with the acknowledged result, and nothing else is.
function checkLedger({ edits, ledger }, complain) {
  const known = new Set();
  for (const edit of edits) {
    if (!edit.result && !edit.parked && !edit.full) complain(`operation ${edit.opId} was never answered`);
    if (edit.full) continue;
    known.add(edit.opId);
    const row = ledger.get(edit.opId);
    if (!row) complain(`operation ${edit.opId} was acknowledged and is not in the ledger`);
    else if (edit.result && remembered(JSON.parse(edit.result)) !== remembered(JSON.parse(row.result))) complain(
      `operation ${edit.opId}: acknowledged ${edit.result}, remembered ${row.result}`);
    else if (edit.syncedAt && ms(edit.syncedAt) !== row.stamp) complain(
      `operation ${edit.opId}: acknowledged at ${edit.syncedAt}, remembered at ${row.stamp}`);
  }
  for (const id of ledger.keys()) if (!known.has(id)) complain(`the ledger knows operation ${id}, which nobody sent`);
}

const SKEW = 5 * 60_000;

// Whether a timestamp was replaced exactly when it was too far ahead of the real time at which the server read it.
function checkTimestamp({ opId, at, queued, sentAt, heardAt }, adjusted, stamp, complain) {
  const wrong = (why) => complain(`operation ${opId} at ${at}, stamp ${stamp}: timestampAdjusted ${adjusted}, ${why}`);
  if (adjusted && (at === undefined || queued)) wrong('without a timestamp ahead');
  if (adjusted && at <= sentAt + SKEW) wrong(`sent at ${sentAt}`);
  if (!adjusted && at > heardAt + SKEW) wrong(`answered at ${heardAt}`);
  if (!adjusted && at > stamp) wrong('but the commit clock is behind it');
}

// Operations with one stamp were in one request, and no timestamp was accepted that is later than the stamp.
function checkRequests({ edits, ledger, rows }, complain) {
  const together = new Map();
  for (const edit of edits) {
    const row = edit.full ? undefined : ledger.get(edit.opId);
    if (!row) continue;
    checkTimestamp(edit, JSON.parse(row.result).timestampAdjusted === true, row.stamp, complain);
    if (edit.queued) continue;
    const requests = together.get(row.stamp) ?? new Set(edit.requests);
    together.set(row.stamp, new Set(edit.requests.filter((number) => requests.has(number))));
  }
  // A version comes from the request that processed an operation, never from a repeat. (Only the last stamp of a
  // repeated full sync is known.)
  const stamps = new Set([...ledger.values()].map(({ stamp }) => stamp));
  if (!edits.some(({ full }) => full))
    for (const [name, { updatedAt }] of rows)
      if (!stamps.has(updatedAt)) complain(`${name} has the version ${updatedAt}, when no operation was processed`);
  for (const [stamp, requests] of together)
    if (requests.size === 0) complain(`operations of several requests have the stamp ${stamp}`);
}

// A conflict is logged once, by the request that applied its operation.
function checkConflictLog({ conflicts, ledger }, complain) {
  const seen = new Set();
  for (const row of conflicts) {
    if (!row.operation) continue;
    const stamp = ledger.get(row.operation)?.stamp;
    if (stamp !== row.stamp) complain(
      `a conflict of operation ${row.operation} was logged at ${row.stamp}, the operation was processed at ${stamp}`);
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
    const { conflict, timestampAdjusted: adjusted } = row.result ? JSON.parse(row.result) : {};
    taken.push(
      { ...edit, stamp: row.stamp, adjusted, reason: conflict?.reason, policy: edit.full ? 'merge' : edit.policy });
  }
  // The edits of a request are in the order in which the device made them, and those of the server's queue in that of
  // their times.
  const rank = (edit) => (edit.queued ? [edit.at, edit.opId] : [edit.number, '']);
  const compare = (x, y) => (x < y ? -1 : x > y ? 1 : 0);
  taken.sort((x, y) => compare(rank(x)[0], rank(y)[0]) || compare(rank(x)[1], rank(y)[1]));
  taken.forEach((edit, i) => (edit.place = i));
  return new Model(taken);
}

function history(user, name) {
  const lines = user.edits.filter((edit) => nameOf(edit) === name).map((edit) => {
    const { opId, type, at, policy, data, full } = edit;
    const { stamp, result } = full ? { stamp: ms(full), result: 'full' } : (user.ledger.get(opId) ?? {});
    return `\n      ${opId} ${type} at ${at} stamp ${stamp} ${policy} ${short(data)} → ${result}`;
  });
  return lines.slice(-12).join('');
}

// The database equals the model, and a pull from the beginning shows exactly the live entities.
function checkState(user, complain) {
  const { rows, fresh, conflicts } = user;
  const model = modelOf(user);
  for (const late of model.late) complain(`operation ${late}`);
  for (const [name, { status: expected, data, tied }] of model.entities) {
    const row = rows.get(name);
    const status = tied && ['live', 'deleted'].includes(row?.status) ? row.status : expected;
    if (!row) complain(`${name} is missing, it should be ${status}${history(user, name)}`);
    else if (row.status !== status || !same(row.data, data))
      complain(
        `${name} is ${row.status} ${short(row.data)} and should be ${status} ${short(data)}${history(user, name)}`);
    const pulled = fresh.get(name);
    if ((status === 'live') !== (pulled !== undefined))
      complain(`${name} is ${status}, and ${pulled ? '' : 'not '}in a pull from the beginning`);
    else if (pulled && !same(content(pulled.data), data)) complain(
      `${name} is pulled as ${short(pulled.data)} and should be ${short(data)}${history(user, name)}`);
    else if (pulled && ms(pulled.version) !== row?.updatedAt) complain(
      `${name} is pulled with ${pulled.version}, the row has ${row?.updatedAt}`);
  }
  for (const name of [...rows.keys(), ...fresh.keys()])
    if (!model.entities.has(name)) complain(`${name} is there, and nobody made it`);
  const open = conflicts.filter(({ status, reason }) => status === 'open' &&
    (reason === 'incomplete' || reason === 'same_name'))
    .map(({ reason, kind, id, other }) =>
      (other === null ? `${reason} ${kind} ${id}` : `${reason} ${kind} ${[id, other].sort().join(' ')}`)).sort();
  const { open: expected, unsure } = model.open();
  const tooMany = open.filter((x) => !expected.includes(x));
  const missing = expected.filter((x) => !open.includes(x) && !unsure.has(x));
  if (tooMany.length + missing.length > 0) complain(`open conflicts ${short({ tooMany, missing })}`);
}

// Every device and poller holds the same as a fresh pull, including versions.
function checkReplicas(user, complain) {
  const { fresh, replicas } = user;
  for (const { label, writes, live } of replicas) {
    // Results do not contain createdAt.
    const view = ({ version, data }) => ({ version, data: writes ? content(data) : data });
    for (const [name, held] of live) {
      const now = fresh.get(name);
      if (!now) complain(`${label} holds ${name}, which is gone: ${short(held)}${history(user, name)}`);
      else if (!same(view(held), view(now))) complain(
        `${label} holds ${name} as ${short(held)}, it is ${short(now)}${history(user, name)}`);
    }
    for (const name of fresh.keys()) if (!live.has(name)) complain(
      `${label} has never heard of ${name}: ${short(fresh.get(name))}${history(user, name)}`);
  }
}

// The counters behind the quota equal the rows.
function checkUsage({ usage: { counted, stored } }, complain) {
  if (counted !== stored) complain(`the clock counts ${counted} (entities, bytes, hidden), the rows are ${stored}`);
}

function checkDigest({ fresh, digest, freshClock }, complain) {
  const lines = {};
  for (const [name, { version, data }] of fresh)
    (lines[name.slice(0, name.indexOf(' '))] ??= []).push(Buffer.from(`${data.id}@${version}`));
  for (const [kind, { count, sha256 }] of Object.entries(digest.kinds)) {
    const own = (lines[kind] ?? []).sort(Buffer.compare).join('\n');
    if (count !== (lines[kind] ?? []).length)
      complain(`digest: ${count} of ${kind}, pulled were ${(lines[kind] ?? []).length}`);
    else if (sha256 !== createHash('sha256').update(own).digest('hex')) complain(`digest: another sum of ${kind}`);
  }
  for (const kind of Object.keys(lines)) if (!digest.kinds[kind]) complain(`digest: nothing of ${kind}`);
  if (digest.cursor !== freshClock) complain('digest: another cursor than the pull');
}
