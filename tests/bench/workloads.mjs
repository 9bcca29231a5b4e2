// What is measured: a row a workload. See docs/performance.md for what each is there for.
//
// A recipe is one kind of request (recipe.h). `trips` is the number of round trips to the database that a request may take.
// `reset`: the libraries are made anew before each measurement, because the requests change them.
import { book, FIRST_BOOK } from './data.mjs';

const recipe = (method, target, { weight = 1, status = 200, count = 1, expected = '"success":true', header = '', body = '' }) =>
  ({ method, target: `/api/sync${target}`, weight, status, count, expected, header, body });

// Ten operations: five new books, four edits of a few members, one deletion.
const operation = (i, type, entityId, data) =>
  ({ id: `op-@N@-${i}`, type, entity: 'book', entityId, timestamp: '@T@', ...(data && { data }) });
const batch = [
  ...[0, 1, 2, 3, 4].map((i) => operation(i, 'create', `new-@N@-${i}`, book(i * 83))),
  ...[5, 6, 7, 8].map((i) => operation(i, 'update', `book-@${i - 4}@`,
    { notes: 'Read on the train, and again by the sea; @N@.', readingStatus: 'finished', averageRating: 4.1, pageCount: 300 + i })),
  operation(9, 'delete', 'gone-@V@'),
];
const write = (more) => recipe('POST', '/operations', {
  body: JSON.stringify({ deviceId: 'bench', operations: batch }).replaceAll('"@T@"', '@T@'), count: 10, expected: '"status":"success"', ...more,
});

// The last `changes` of a library.
const pull = (changes, clock, more) =>
  recipe('GET', `/changes?since=${clock - changes}`, { count: changes, expected: '"type":"book"', ...more });
const status = (more) => recipe('GET', '/status', { expected: '"status":"ready"', ...more });

const full = (notes) => recipe('POST', '/full', {
  body: JSON.stringify({ books: Array.from({ length: 500 }, (_, n) => ({ id: `book-${FIRST_BOOK + n}`, ...book(n), ...notes })) }),
});

const all = [1, 2, 4, 8, 16];

export const workloads = [
  { id: 'W1', group: 'W1', title: 'batch of 10 operations', population: { users: 200, books: 200, victims: 100 }, connections: all, trips: 2,
    reset: true, recipes: () => [write()], curve: true },
  { id: 'W2', group: 'W2', title: 'pull of 10 among 500', population: { users: 200, books: 500 }, connections: all, trips: 1,
    recipes: (p) => [pull(10, p.clock)], curve: true },
];

export const recipeLine = (r) => [r.weight, r.status, r.count, r.expected, r.method, r.target, r.header, r.body].join('\t');
