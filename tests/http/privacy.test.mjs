// What is known of a person: all of it is in the export, none of it is left after erasure, and none of it is in a log or a
// metric. The tables are taken from the catalogue, so that a new one cannot be forgotten.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createReadStream, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'node:test';
import { ago, book, literal, op, origin, patch, request, sleep, sql, state } from './lib.mjs';
import { checkOk, ownerOfEverything } from './owner.mjs';

const tables = async (where) =>
  sql(`SELECT relname FROM pg_class AS c WHERE relnamespace = 'booky'::regnamespace AND relkind IN ('r', 'p') ${where} ORDER BY relname`);
const ofUsers = `AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'user_id' AND NOT attisdropped)`;
const rowsOf = async (table, user) => Number((await sql(`SELECT count(*) FROM ${table} WHERE user_id = ${literal(user.id)}`))[0]);

// A person of whom everything holds this word: the name, ids, texts, devices.
async function person() {
  const word = `person${randomBytes(8).toString('hex')}`;
  const owner = await ownerOfEverything(`${word}@example.org`);
  const mail = `${word}@example.org`;
  await owner.send([
    book(mail, { title: word, [word]: word }, { id: mail }), patch(mail, { title: `${word} old` }, { timestamp: ago(30) }), // in conflict
    patch(mail, { title: 'x' }, { timestamp: ago(40), conflictResolution: 'manual' }), op('create', 'tag', `${mail}1`, { name: word }),
    op('create', 'tag', `${mail}2`, { name: word }), op('create', 'rating', mail, { bookId: mail, stars: 77 }), book(`${mail}3`, { title: 7 }), // the last two are refused
  ], { deviceId: mail });
  await owner.parked(book(mail, { title: word }, { id: `${mail} parked` }));
  await owner.replace({ mode: 'merge', books: [{ id: `${mail}4`, title: word }] });
  await owner.replace({ collections: [{ id: mail, name: word }] });
  await owner.replace({ collections: [] });
  await sql(`INSERT INTO rate_windows VALUES (${literal(owner.id)}, 1, 1) ON CONFLICT DO NOTHING`);
  return { word, owner };
}

// Where a table's rows are in the export.
const shown = {
  clocks: ({ cursor }) => (cursor ? 1 : 0),
  entities: (all) => [all.books, all.ratings, all.tags, all.collections, all.readings, all.deleted, all.incomplete].flat().length + (all.settings ? 1 : 0),
  ledger: ({ processedOperations }) => processedOperations.length,
  queue: ({ queue }) => queue.length,
  conflicts: ({ conflicts }) => conflicts.length,
  snapshots: ({ snapshots }) => new Set(snapshots.map(({ snapshot }) => snapshot)).size,
  snapshot_entities: ({ snapshots }) => snapshots.length,
};
// Not in it: how many requests there were in the last minutes, for rate.requests.
const notShown = { rate_windows: ['user_id', 'started', 'n'] };

test('an export shows the rows of every table that holds something of users', async () => {
  const { owner } = await person();
  const names = await tables(ofUsers);
  assert.deepEqual(names, [...Object.keys(shown), ...Object.keys(notShown)].sort(), 'a new table must be in the export too, and in this list');
  const everything = await owner.get('/export');
  for (const [table, count] of Object.entries(shown)) {
    const rows = await rowsOf(table, owner);
    assert.ok(rows > 0, `${table} is tried`);
    assert.equal(count(everything), rows, table);
  }
  for (const [table, columns] of Object.entries(notShown))
    assert.deepEqual(await sql(`SELECT attname FROM pg_attribute WHERE attrelid = 'booky.${table}'::regclass AND attnum > 0 ORDER BY attnum`), columns);
});

test('erasure leaves the person in no table', async () => {
  const { owner, word } = await person();
  const names = await tables(ofUsers);
  for (const table of names) assert.ok((await rowsOf(table, owner)) > 0, `${table} is tried`);
  checkOk(await owner.call('DELETE', '/account'));
  for (const table of names) assert.equal(await rowsOf(table, owner), 0, table);
  for (const table of (await tables('')).filter((name) => !names.includes(name)))
    assert.deepEqual(await sql(`SELECT t FROM ${table} AS t WHERE t::text LIKE '%${word}%'`), [], table);
});

// The logs of the stack from now on, by name, with what nginx and the workers still collect.
function logs() {
  const folder = path.join(state, 'log');
  const sizes = Object.fromEntries(readdirSync(folder).map((name) => [name, statSync(path.join(folder, name)).size]));
  return async () => {
    await sleep(1500);
    const read = async ([name, start]) => [name, await text(createReadStream(path.join(folder, name), { start }))];
    return Object.fromEntries(await Promise.all(Object.entries(sizes).map(read)));
  };
}

test('no log and no metric tells of a person, whatever happens to a request', async () => {
  const written = logs();
  const { owner, word } = await person();
  const { id } = (await owner.conflicts())[0];
  await owner.resolve(id, { resolution: 'merge', mergedData: { title: word } });
  for (const target of [`/changes?since=${word}`, `/changes?since=0&x=${word}`, `/pending?cursor=${word}`])
    await owner.request(target, { headers: { referer: `${origin}/${word}`, 'user-agent': word, 'x-request-id': word } });
  await owner.post(`{"operations":[{"${word}"`);
  await owner.post(`{"operations":[{"type":"create","entity":"book","entityId":"b","data":{"title":"T","${word}":1,"${word}":2}}]}`);
  await owner.post(`{"operations":[],"${word}":1,"${word}":2}`);
  await owner.full({ books: [{ id: word, title: [word] }] });
  await owner.call('DELETE', '/account');
  const places = await written();
  assert.match(places['pool.log'], /"event":"operation"[^]*"event":"conflict"/);
  assert.match(places['nginx-access.log'], /\/api\/sync\/operations/);
  assert.ok('postgres.log' in places && 'nginx-error.log' in places);
  for (const page of ['/metrics', '/pool?full']) places[page] = (await request(page)).text;
  for (const [place, told] of Object.entries(places)) {
    const at = told.search(new RegExp(`(?<!"requestId":"|request id: +)${word}`)); // an id of a request is the client's own choice
    assert.ok(at < 0, `${place}: ${told.slice(Math.max(0, at - 300), at + 100)}`);
    assert.ok(!told.includes(owner.token.split('.')[2]), place);
  }
});
