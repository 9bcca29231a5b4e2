// Personal data: the export holds all of it, erasure leaves none of it, and no log or metric holds any of it. The
// tables are taken from the catalogue, so that a new one cannot be forgotten.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { ago, book, cluster, literal, op, origin, patch, request, sleep, sql, state } from './lib.mjs';
import { checkOk, ownerOfEverything } from './owner.mjs';

const tables = async (where) =>
  sql(`SELECT relname FROM pg_class AS c
    WHERE relnamespace = 'booky'::regnamespace AND relkind IN ('r', 'p') ${where} ORDER BY relname`);
const ofUsers =
  `AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'user_id' AND NOT attisdropped)`;
const rowsOf = async (table, user) => Number(
  (await sql(`SELECT count(*) FROM ${table} WHERE user_id = ${literal(user.id)}`))[0]);

// Resolves to a user with a unique word in everything: user id, ids, texts, devices.
async function person() {
  const word = `person${randomBytes(8).toString('hex')}`;
  const owner = await ownerOfEverything(`${word}@example.org`);
  const mail = `${word}@example.org`;
  await owner.send([
    // A conflict.
    book(mail, { title: word, [word]: word }, { id: mail }),
    patch(mail, { title: `${word} old` }, { timestamp: ago(30) }),
    patch(mail, { title: 'x' }, { timestamp: ago(40), conflictResolution: 'manual' }),
    op('create', 'tag', `${mail}1`, { name: word }),
    // Invalid.
    op('create', 'tag', `${mail}2`, { name: word }), op('create', 'rating', mail, { bookId: mail, stars: 77 }),
    book(`${mail}3`, { title: 7 }),
  ], { deviceId: mail });
  await owner.parked(book(mail, { title: word }, { id: `${mail} parked` }));
  await owner.replace({ mode: 'merge', books: [{ id: `${mail}4`, title: word }] });
  await owner.replace({ collections: [{ id: mail, name: word }] });
  await owner.replace({ collections: [] });
  await sql(`INSERT INTO rate_windows VALUES (${literal(owner.id)}, 1, 1) ON CONFLICT DO NOTHING`);
  await sql(`INSERT INTO epochs VALUES (${literal(owner.id)}, ${Date.now()}, 1, 1)`);
  return { word, owner };
}

// Table: the number of its rows that an export shows.
const shown = {
  clocks: ({ cursor }) => (cursor ? 1 : 0),
  entities: (all) => [all.books, all.ratings, all.tags, all.collections, all.readings, all.deleted, all.incomplete]
    .flat().length + (all.settings ? 1 : 0),
  ledger: ({ processedOperations }) => processedOperations.length,
  queue: ({ queue }) => queue.length,
  conflicts: ({ conflicts }) => conflicts.length,
  snapshots: ({ snapshots }) => new Set(snapshots.map(({ snapshot }) => snapshot)).size,
  snapshot_entities: ({ snapshots }) => snapshots.length,
  epochs: ({ epochs }) => epochs.length - 1, // the present one is that of the clock
};
// Not in the export: the number of recent requests, for rate.requests.
const notShown = { rate_windows: ['user_id', 'started', 'n'] };

test('an export holds the rows of every table with user data', async () => {
  const { owner } = await person();
  const names = await tables(ofUsers);
  assert.deepEqual(names, [...Object.keys(shown), ...Object.keys(notShown)].sort(),
    'a new table must be in the export and in this list');
  const everything = await owner.get('/export?snapshots=true');
  for (const [table, count] of Object.entries(shown)) {
    const rows = await rowsOf(table, owner);
    assert.ok(rows > 0, `${table} has rows`);
    assert.equal(count(everything), rows, table);
  }
  for (const [table, columns] of Object.entries(notShown))
    assert.deepEqual(
      await sql(
      `SELECT attname FROM pg_attribute WHERE attrelid = 'booky.${table}'::regclass AND attnum > 0 ORDER BY attnum`),
      columns);
});

test('erasure leaves no personal data in any table', async () => {
  const { owner, word } = await person();
  const names = await tables(ofUsers);
  for (const table of names) assert.ok((await rowsOf(table, owner)) > 0, `${table} has rows before`);
  checkOk(await owner.call('DELETE', '/account'));
  for (const table of names) assert.equal(await rowsOf(table, owner), 0, table);
  for (const table of (await tables('')).filter((name) => !names.includes(name)))
    assert.deepEqual(await sql(`SELECT t FROM ${table} AS t WHERE t::text LIKE '%${word}%'`), [], table);
});

// Returns a function that resolves to the lines that the stack has logged since this call, by file. It waits until
// nginx and the workers have written their buffers.
function logs() {
  const folder = path.join(state, 'log');
  const sizes = Object.fromEntries(readdirSync(folder).map((name) => [name, statSync(path.join(folder, name)).size]));
  return async () => {
    await sleep(1500);
    const read = async ([name, start]) => [name, await text(createReadStream(path.join(folder, name), { start }))];
    return Object.fromEntries(await Promise.all(Object.entries(sizes).map(read)));
  };
}

test('no log and no metric holds personal data, whatever happens to a request', async () => {
  const logged = logs();
  const { owner, word } = await person();
  const { id } = (await owner.conflicts())[0];
  await owner.resolve(id, { resolution: 'merge', mergedData: { title: word } });
  for (const target of [`/changes?since=${word}`, `/changes?since=0&x=${word}`, `/pending?cursor=${word}`])
    await owner.request(
      target, { headers: { referer: `${origin}/${word}`, 'user-agent': word, 'x-request-id': word } });
  await owner.post(`{"operations":[{"${word}"`);
  await owner.post(
    `{"operations":[{"type":"create","entity":"book","entityId":"b","data":{"title":"T","${word}":1,"${word}":2}}]}`);
  await owner.post(`{"operations":[],"${word}":1,"${word}":2}`);
  await owner.full({ books: [{ id: word, title: [word] }] });
  await owner.call('DELETE', '/account');
  const places = await logged();
  assert.match(places['pool.log'], /"event":"operation"[^]*"event":"conflict"/);
  assert.match(places['nginx-access.log'], /\/api\/sync\/operations/);
  assert.ok('nginx-error.log' in places && (cluster || 'postgres.log' in places)); // a cluster has logs of its own
  for (const page of ['/metrics', '/pool?full']) places[page] = (await request(page)).text;
  for (const [place, written] of Object.entries(places)) {
    // The client chooses its request ids.
    const at = written.search(new RegExp(`(?<!"requestId":"|request id: +)${word}`));
    assert.ok(at < 0, `${place}: ${written.slice(Math.max(0, at - 300), at + 100)}`);
    assert.ok(!written.includes(owner.token.split('.')[2]), place);
  }
});
