// What a history must end with: every device holds what the server holds, and the server holds the latest edit of each
// leaf. An engine may lose an edit only by one of its own rules, which `engine.rules` names:
//
// together    the edits of a row that wait are sent as one, with the time of the latest, also again if the row was
//             edited while they were sent
// no return   an edit that is taken back before it was sent is not sent
// late delete a deletion counts from when it was sent
// with row    an edit that waited when its row was deleted is not sent
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { kinds } from './devices.mjs';

const content = ({ id, version, editedAt, createdAt, updatedAt, ...members }) => Object.fromEntries(
  Object.entries(members).filter(([name, value]) => !name.startsWith('$') && value !== null && value !== undefined));

const byId = (rows) => Object.fromEntries(rows.map((row) => [row.id, content(row)]));

export async function judge(history) {
  const { changes } = await history.user.pull();
  const server = Object.fromEntries(kinds.map((kind) =>
    [kind, byId(changes.filter(({ type }) => type === kind).map(({ data }) => data))]));
  for (const { name, rows } of history.devices)
    for (const kind of kinds)
      assert.deepEqual(byId(await rows(kind)), server[kind], `${name} does not hold the server's ${kind} rows`);
  assert.deepEqual(history.refusals, [], 'the server refused edits');
  const lost = Object.fromEntries(history.engine.rules.map((name) => [name, 0]));
  for (const key of new Set(history.edits.map((edit) => edit.key))) {
    const [kind, id] = key.split('/'), edits = history.edits.filter((edit) => edit.key === key);
    judgeRow({ key, edits, row: server[kind][id], rules: history.engine.rules, lost });
  }
  return lost;
}

function judgeRow({ key, edits, row, rules, lost }) {
  const names = row ? new Set(edits.flatMap(({ leaves }) => Object.keys(leaves))) : ['alive'];
  for (const leaf of names) {
    const writes = edits.filter(({ leaves }) => leaf in leaves), latest = writes.at(-1);
    const [member, element] = leaf.split('/');
    const value = leaf === 'alive' ? row !== undefined : element ? row[member]?.includes(element) : row[member];
    if (isDeepStrictEqual(value, latest.leaves[leaf])) continue;
    const rule = rules.find((name) => excuses[name]({ leaf, value, writes, latest, edits }));
    assert.ok(rule, `${key}: ${leaf} is ${JSON.stringify(value)}, and not as in the latest edit:\n${
      edits.map((edit) => JSON.stringify(edit)).join('\n')}`);
    lost[rule]++;
  }
}

const waitedAt = (edit, number) => !(edit.acknowledged < number);

// The same for an engine that does not store an answer if the row was edited meanwhile.
const rowWaitedAt = (edit, edits, number) => !(edits.reduce((until, other) =>
  other.device === edit.device && other.number > edit.number && other.number <= until
    ? Math.max(until, other.acknowledged ?? Infinity) : until, edit.acknowledged ?? Infinity) < number);

const excuses = {
  // The value is of an edit that waited still when its device made a further edit of the row, later than the latest.
  together: ({ leaf, value, writes, latest, edits }) => writes.some((one) =>
    isDeepStrictEqual(one.leaves[leaf], value) && edits.some((further) => further.device === one.device &&
      further.number > latest.number && rowWaitedAt(one, edits, further.number))),
  'no return': ({ leaf, writes, latest }) => writes.some((one) => one.device === latest.device && one !== latest &&
    waitedAt(one, latest.number) && !isDeepStrictEqual(one.leaves[leaf], latest.leaves[leaf])),
  'late delete': ({ leaf, value, writes, latest }) => leaf === 'alive' && value === false &&
    writes.some((one) => one.leaves.alive === false && waitedAt(one, latest.number)),
  'with row': ({ latest, edits }) => edits.some((one) => one.device === latest.device &&
    one.leaves.alive === false && one.number > latest.number && waitedAt(latest, one.number)),
};
