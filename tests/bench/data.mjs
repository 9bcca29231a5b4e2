// Users and their libraries. A library is sent through the API once and then copied to the other users by SQL, so that what
// is stored is always what the server stores.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mint, User } from '../http/lib.mjs';
import { scratch, sql } from './stack.mjs';

export const FIRST_BOOK = 100000; // numbers of one width, so that they can be told from other numbers
const SEED = 500;
const subjects = ['history', 'travel', 'short stories', 'gardens', 'the sea', 'winter', 'letters', 'cities'];

// A book as an app would hold it, about 600 bytes.
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
  description: `What number ${n} is about, in the sentence or two that fit on a list: ${subjects[(n + 5) % subjects.length]}, and more.`,
  readingStatus: ['to-read', 'reading', 'finished'][n % 3],
  format: ['physical', 'kindle', 'audiobook'][n % 3],
  addedAt: '2024-01-15T10:30:00.000Z',
  isEbook: n % 3 === 1,
});

// A library of SEED books through the API, kept beside the tables as what the others are copied from.
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

export const STAMP = 1_700_000_000_000; // the stamp of a library's first book; the next one's is one later

// Names the users, and writes their tokens.
// `everyone`: the users between the steps exist too, but make no requests.
export function population({ users, books, victims = 0, step = 1, first = 1_000_001, everyone = false }) {
  const tokens = `${scratch}/tokens-${first}-${users}-${step}`;
  const ids = Array.from({ length: users }, (_, i) => String(first + i * step));
  writeFileSync(tokens, ids.map((id) => `${mint({ userId: id, exp: Math.floor(Date.now() / 1000) + 86400 })}\n`).join(''));
  return { users, books, victims, step, first, everyone, tokens, clock: STAMP + books - 1 };
}

// Makes these users and libraries the only ones.
export async function fill(p) {
  const step = p.everyone ? 1 : p.step, last = p.first + p.users * p.step - 1;
  const copy = (name, count, stamp) => `
    INSERT INTO booky.entities (user_id, kind, entity_id, updated_at, created_at, edited_at, base_at, status, key, device, marks, data)
      SELECT u::text, s.kind, '${name}-' || (${FIRST_BOOK} + i), ${stamp} + i, ${stamp} + i, s.edited_at, s.base_at, s.status, s.key,
        s.device, s.marks, s.data
      FROM generate_series(${p.first}, ${last}, ${step}) AS u, generate_series(0, ${count} - 1) AS i
      JOIN public.bench_seed AS s ON s.n = i % ${SEED};`;
  await sql(`
    TRUNCATE booky.entities, booky.clocks, booky.ledger, booky.queue, booky.conflicts, booky.snapshots, booky.snapshot_entities;
    INSERT INTO booky.clocks (user_id, clock, started, previous, epoch)
      SELECT u::text, ${p.clock}, ${STAMP} - 1000000, ${p.clock} - 1, 1 FROM generate_series(${p.first}, ${last}, ${step}) AS u;
    ${copy('gone', p.victims, STAMP - p.victims)}
    ${copy('book', p.books, STAMP)}
    VACUUM ANALYZE booky.entities, booky.clocks, booky.ledger, booky.queue, booky.conflicts, booky.snapshots, booky.snapshot_entities;
    CHECKPOINT;`);
}

// The same for the peer, out of what `fill` has made.
export async function fillPeer() {
  await sql(`
    TRUNCATE peer.entities, peer.queue;
    INSERT INTO peer.entities (user_id, type, entity_id, data, edited_at, created_at, updated_at)
      SELECT user_id, kind, entity_id, data::jsonb, booky.instant(edited_at), booky.instant(created_at), booky.instant(updated_at)
      FROM booky.entities;
    VACUUM ANALYZE peer.entities, peer.queue;
    CHECKPOINT;`);
}
