// Users and their libraries. A library is sent through the API once and then copied to the other users by SQL, so that
// the rows are those that the server stores.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mint, User } from '../http/lib.mjs';
import { scratch, sql } from './stack.mjs';

export const FIRST_BOOK = 100000; // numbers of one width, so that they can be distinguished from other numbers
const SEED = 500;
const subjects = ['history', 'travel', 'short stories', 'gardens', 'the sea', 'winter', 'letters', 'cities'];

// A book as an app would store it, about 600 bytes.
export const book = (n) => ({
  title: `A Book of ${subjects[n % subjects.length]}, number ${n}`,
  authors: [`Author ${n % 97}`, `Editor ${n % 31}`],
  publisher: `Publisher ${n % 53}`,
  publishedDate: `${1950 + (n % 70)}-0${1 + (n % 9)}-15`,
  publishedYear: 1950 + (n % 70),
  pageCount: 120 + ((n * 37) % 700),
  isbn13: `978${String(1000000000 + n * 7919).slice(-10)}`,
  language: 'en',
  averageRating: 3 + (n % 20) / 10,
  categories: [subjects[(n + 3) % subjects.length], 'books'],
  coverUrl: `https://covers.example.org/large/${1000000 + n}.jpg`,
  description: `What number ${n} is about, in the sentence or two that fit on a list: ` +
    `${subjects[(n + 5) % subjects.length]}, and more.`,
  readingStatus: ['to-read', 'reading', 'finished'][n % 3],
  format: ['physical', 'kindle', 'audiobook'][n % 3],
  addedAt: '2024-01-15T10:30:00.000Z',
  isEbook: n % 3 === 1,
});

// Sends a library of SEED books through the API and keeps its rows in a table, from which the libraries are copied.
// Resolves to the average size of a book in bytes.
export async function seed() {
  const user = new User('seed');
  const books = Array.from({ length: SEED }, (_, n) => ({ id: `book-${FIRST_BOOK + n}`, ...book(n) }));
  const reply = await user.request('/full', { method: 'POST', body: JSON.stringify({ books }) });
  assert.equal(reply.status, 200, reply.text);
  await sql(`DROP TABLE IF EXISTS public.bench_seed;
    CREATE UNLOGGED TABLE public.bench_seed AS
      SELECT *, row_number() OVER (ORDER BY entity_id) - 1 AS n FROM booky.entities WHERE user_id = 'seed';
    ALTER TABLE public.bench_seed ADD PRIMARY KEY (n)`);
  const [[count, bytes]] = await sql('SELECT count(*), round(avg(octet_length(data::text))) FROM public.bench_seed');
  assert.equal(Number(count), SEED);
  return Number(bytes);
}

export const STAMP = 1_700_000_000_000; // the stamp of the first book of a library; that of each next book is one later

// Makes the ids of the users and writes their tokens to a file. `everyone`: the users between the steps exist, too, but
// make no requests.
export function population({ users, books, victims = 0, step = 1, first = 1_000_001, everyone = false }) {
  const tokens = `${scratch}/tokens-${first}-${users}-${step}`;
  const ids = Array.from({ length: users }, (_, i) => String(first + i * step));
  writeFileSync(
    tokens, ids.map((id) => `${mint({ userId: id, exp: Math.floor(Date.now() / 1000) + 86400 })}\n`).join(''));
  return { users, books, victims, step, first, everyone, tokens, clock: STAMP + books - 1 };
}

const TABLES = ['entities', 'clocks', 'ledger', 'queue', 'conflicts', 'snapshots', 'snapshot_entities']
  .map((name) => `booky.${name}`).join(', ');

// What the server would have counted; else the first write of each user would count it. A revision to compare with may
// not know it.
const isCounted = async () => (await sql(`SELECT 1 FROM pg_attribute
  WHERE attrelid = 'booky.clocks'::regclass AND attname = 'used_entities'`)).length > 0;
const COUNTERS = `
    UPDATE booky.clocks AS c SET used_entities = coalesce(number, 0), used_bytes = coalesce(bytes, 0),
      hidden_bytes = coalesce(hidden, 0)
    FROM (SELECT user_id, count(entity_id) AS number, sum(octet_length(data::text)) AS bytes,
        sum(coalesce(octet_length(marks::text), 0)) AS hidden
      FROM booky.clocks LEFT JOIN booky.entities USING (user_id) GROUP BY user_id) AS e
    WHERE e.user_id = c.user_id;`;

// Replaces all data by these users and libraries.
export async function fill(p) {
  const step = p.everyone ? 1 : p.step, last = p.first + p.users * p.step - 1;
  const copy = (name, count, stamp) => `
    INSERT INTO booky.entities (user_id, kind, entity_id, updated_at, created_at,
        edited_at, base_at, status, key, device, marks, data)
      SELECT u::text, s.kind, '${name}-' || (${FIRST_BOOK} + i), ${stamp} + i, ${stamp} + i,
        s.edited_at, s.base_at, s.status, s.key, s.device, s.marks, s.data
      FROM generate_series(${p.first}, ${last}, ${step}) AS u, generate_series(0, ${count} - 1) AS i
      JOIN public.bench_seed AS s ON s.n = i % ${SEED};`;
  await sql(`
    TRUNCATE ${TABLES};
    ${copy('gone', p.victims, STAMP - p.victims)}
    ${copy('book', p.books, STAMP)}
    INSERT INTO booky.clocks (user_id, clock, started, previous, epoch)
      SELECT u::text, ${p.clock}, ${STAMP} - 1000000, ${p.clock} - 1, 1
      FROM generate_series(${p.first}, ${last}, ${step}) AS u;
    ${await isCounted() ? COUNTERS : ''}
    VACUUM ANALYZE ${TABLES};
    CHECKPOINT;`);
}

// Copies the rows that `fill` made to the peer's tables.
export async function fillPeer() {
  await sql(`
    TRUNCATE peer.entities, peer.queue;
    INSERT INTO peer.entities (user_id, type, entity_id, data, edited_at, created_at, updated_at)
      SELECT user_id, kind, entity_id, data::jsonb,
        booky.instant(edited_at), booky.instant(created_at), booky.instant(updated_at)
      FROM booky.entities;
    VACUUM ANALYZE peer.entities, peer.queue;
    CHECKPOINT;`);
}
