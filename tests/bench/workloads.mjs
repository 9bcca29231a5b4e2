// The workloads, one per row. docs/performance.md explains the purpose of each.
//
// A recipe is one kind of request (recipe.h). The members of a row:
//   trips          the number of round trips to the database that a request may take
//   reads          the number of entities that it finds (in libraries of that size), so that a limit that finds none
//                  is noticed
//   seconds, warm  how long a measurement takes, if not 2, and the requests before the first one, if not 1
//   changes        the requests change the libraries
//   reset          they change so much that the libraries are restored before each measurement
//   limit, socket, peer    false: not measured on that path
//   long           not measured with --quick
//   group          the name for --only, if it is not the id
import { mint, request } from '../http/lib.mjs';
import { book, FIRST_BOOK } from './data.mjs';

const recipe = (
  method, target, { weight = 1, status = 200, count = 1, expected = '"success":true', header = '', body = '' }) =>
  ({ method, target: `/api/sync${target}`, weight, status, count, expected, header, body });

// Ten operations: five new books, four edits of a few members, one deletion.
const operation = (i, type, entityId, data) =>
  ({ id: `op-@N@-${i}`, type, entity: 'book', entityId, timestamp: '@T@', ...(data && { data }) });
const batch = [
  ...[0, 1, 2, 3, 4].map((i) => operation(i, 'create', `new-@N@-${i}`, book(i * 83))),
  ...[5, 6, 7, 8].map((i) => operation(i, 'update', `book-@${i - 4}@`,
    { notes: 'Read on the train, and again by the sea; @N@.', readingStatus: 'finished', averageRating: 4.1,
      pageCount: 300 + i })),
  operation(9, 'delete', 'gone-@V@'),
];
const write = (more) => recipe('POST', '/operations', {
  body: JSON.stringify({ deviceId: 'bench', operations: batch }).replaceAll('"@T@"', '@T@'), count: 10,
  expected: '"status":"success"', ...more,
});

// The last `changes` of a library.
const pull = (changes, clock, more) =>
  recipe('GET', `/changes?since=${clock - changes}`, { count: changes, expected: '"type":"book"', ...more });
const status = (more) => recipe('GET', '/status', { expected: '"status":"ready"', ...more });

const full = (notes, books = 500) => recipe('POST', '/full', {
  body: JSON.stringify(
    { books: Array.from({ length: books }, (_, n) => ({ id: `book-${FIRST_BOOK + n}`, ...book(n), ...notes })) }),
});

// A pull of a client that is up to date; the tag is the server's own.
async function unchanged(p) {
  const target = `/changes?since=${p.clock - 10}`;
  const { headers } = await request(`/api/sync${target}`, { token: mint({ userId: String(p.first) }) });
  return recipe('GET', target, { status: 304, count: -1, header: `If-None-Match: ${headers.etag}` });
}

const all = [1, 2, 4, 8, 16];
const many = { users: 200, books: 500 };
const million = { users: 20_000, step: 50, everyone: true, books: 1 }; // the users, of a million, that make requests
const ten_million = { users: 20_000, books: 500 };

const writes = { title: 'batch of 10 operations', trips: 2, reads: 4, changes: true, recipes: () => [write()] };
const pulls = { title: 'pull of 10 changes', trips: 1, reads: 10,
  recipes: (p) => [pull(Math.min(10, p.books), p.clock)] };

export const workloads = [
  { id: 'W1', ...writes, population: { users: 200, books: 200, victims: 100 }, connections: all, reset: true },
  { id: 'W1 5,000', long: true, group: 'W1', ...writes, population: { users: 20, books: 5_000, victims: 100 },
    connections: [1] },
  { id: 'W1 50,000', long: true, group: 'W1', ...writes, population: { users: 4, books: 50_000, victims: 1_000 },
    connections: [1] },
  { id: 'W1 one user', long: true, group: 'hot', ...writes, population: { users: 1, books: 200, victims: 1_000 },
    connections: [16], reset: true },
  { id: 'W4 changed', group: 'W4', title: 'full sync of 500 changed books', population: { users: 50, books: 500 },
    connections: [4], trips: 2,
    reads: 500, changes: true, reset: true, recipes: () => [full({ notes: 'Read on the train; @N@.' })] },
  { id: 'W4 same', group: 'W4', title: 'full sync of 500 as they are', population: many, connections: [4], trips: 2,
    reads: 500,
    changes: true, recipes: () => [full()] }, // the peer writes in any case
  { id: 'W2', ...pulls, population: many, connections: all },
  { id: 'W3', title: 'status', population: many, connections: [1, 4, 16], trips: 1, recipes: () => [status()] },
  { id: 'W5', title: 'first pull of 500 books', population: many, connections: [4], trips: 1, reads: 500, size: true,
    recipes: () => [recipe('GET', '/changes?since=0', { count: 500, expected: '"type":"book"' })] },
  { id: 'W6', title: 'pull, nothing new: 304', population: many, connections: [4], trips: 1, peer: false,
    recipes: async (p) => [await unchanged(p)] },
  { id: 'pipe', title: 'GET /config, no database', population: many, connections: [1, 4], trips: 0, limit: false,
    peer: false,
    recipes: () => [recipe('GET', '/config', {})] },
  { id: 'W2 5,000', long: true, group: 'W2', ...pulls, population: { users: 20, books: 5_000 }, connections: [1, 4] },
  { id: 'W2 50,000', group: 'W2', ...pulls, population: { users: 4, books: 50_000 }, connections: [1, 4] },
  { id: 'W8', title: 'first pull of 10,000, gzip', population: { users: 4, books: 10_000 }, connections: [4], trips: 1,
    reads: 10_000, socket: false, limit: false, peer: false,
    recipes: () => [recipe('GET', '/changes?since=0', { count: -1, header: 'Accept-Encoding: gzip' })] },
  { id: 'W9', title: 'full sync of 10,000 changed books', long: true, population: { users: 4, books: 10_000 },
    connections: [2], trips: 50, changes: true, reset: true, seconds: 10, warm: 5, limit: false, peer: false,
    recipes: () => [full({ notes: 'Read on the train; @N@.' }, 10_000)] },
  { id: 'W7', title: '20 reads to a batch', population: { users: 2_000, books: 60, victims: 20 }, connections: [8],
    trips: 1.2, changes: true,
    reset: true, rounds: 1, seconds: 60, recipes: (p) => [write(), status({ weight: 10 }),
      recipe('GET', '/changes?since=@S@', { weight: 10, expected: '"hasMore":false' })] },
  { id: 'W2 1M users', long: true, group: 'million', ...pulls, population: million, connections: [4] },
  { id: 'W3 1M users', long: true, group: 'million', title: 'status', population: million, connections: [4], trips: 1,
    recipes: () => [status()] },
  { id: 'W1 1M users', long: true, group: 'million', ...writes, population: million, connections: [4] },
  { id: 'W2 10M', peer: false, group: 'growth', ...pulls, population: ten_million, connections: [4] },
  { id: 'W1 10M', peer: false, group: 'growth', ...writes, population: ten_million, connections: [4] },
];

export const recipeLine = (r) => [r.weight, r.status, r.count, r.expected, r.method, r.target, r.header, r.body]
  .join('\t');
