// Shared by the tests of whole libraries: a user with the calls beyond /operations, and synthetic books.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { User, ago, book, checkError, content, gone, op, patch, sql } from './lib.mjs';

const json = { 'content-type': 'application/json' };

// A body is a value, or text for JSON that JavaScript cannot express.
export const encode = (body) => (body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body
  : JSON.stringify(body));

export function checkOk(reply, status = 200) {
  assert.equal(reply.status, status, reply.text);
  assert.equal(reply.json.success, true);
  return reply.json;
}

// Checks a 400 that names one member, in `details` and at the beginning of the message. `path` null: any member or
// none.
export function checkInvalid(reply, path) {
  const error = checkError(reply, 400, 'VALIDATION_ERROR');
  if (path === null) return error;
  assert.equal(error.details?.[0].path, path, JSON.stringify(error));
  assert.ok(error.message.startsWith(`${path}: `), error.message);
  return error;
}

export class Owner extends User {
  call(method, target, body, headers = {}) {
    return this.request(target, { method, headers: { ...json, ...headers }, body: encode(body) });
  }

  // These resolve to the whole reply.
  full(body, query = '', headers) {
    return this.call('POST', `/full${query}`, body, headers);
  }

  park(operation) {
    return this.call('POST', '/queue', operation);
  }

  resolve(id, decision) {
    return this.call('POST', `/conflicts/${id}/resolve`, decision);
  }

  restore(id) {
    return this.call('POST', `/snapshots/${id}/restore`);
  }

  // These expect a success and resolve to the reply's body.

  // Says that it replaces, unless the body says its mode.
  async replace(body, query = '') {
    return checkOk(await this.full(body, body?.mode ? query : `${query || '?'}${query && '&'}mode=replace`));
  }

  async parked(operation) {
    return checkOk(await this.park(operation), 201).operation;
  }

  async pending(query = '') {
    return (await this.get(`/pending${query}`)).operations;
  }

  async applyPending() {
    return checkOk(await this.call('POST', '/pending/apply'));
  }

  async markSynced(operationIds) {
    return checkOk(await this.call('POST', '/mark-synced', { operationIds }));
  }

  async clear() {
    return checkOk(await this.call('DELETE', '/clear'));
  }

  async conflicts(query = '') {
    return (await this.get(`/conflicts${query}`)).conflicts;
  }

  async snapshots() {
    return (await this.get('/snapshots')).snapshots;
  }

  // All pages of a list, each with one to `limit` entries. `query` ends with & or is empty.
  async pages(path, list, limit, query = '') {
    const all = [];
    do {
      const cursor = all.length > 0 ? `&cursor=${all.at(-1).cursor}` : '';
      all.push(await this.get(`${path}?${query}limit=${limit}${cursor}`));
      assert.ok(all.at(-1)[list].length > 0 && all.at(-1)[list].length <= limit);
    } while (all.at(-1).hasMore);
    return all;
  }

  // The live entities: "book b1" → its data, as it is pulled.
  async library() {
    const { changes } = await this.pull();
    return Object.fromEntries(
      changes.filter(({ deleted }) => !deleted).map(({ type, data }) => [`${type} ${data.id}`, data]));
  }

  // The same without the members that the server adds.
  async contents() {
    return Object.fromEntries(Object.entries(await this.library()).map(([name, data]) => [name, content(data)]));
  }

  // Runs `work` and checks that it changed nothing: no entity, no stamp, no snapshot. Resolves to the result of `work`.
  async unchanged(work) {
    const readAll = async () => (
      { status: await this.status(), library: await this.library(), snapshots: await this.snapshots() });
    const before = await readAll();
    const result = await work();
    const after = await readAll();
    const short = (value) => JSON.stringify(value).slice(0, 1000);
    assert.ok(isDeepStrictEqual(after, before), `was ${short(before)}, is ${short(after)}`);
    return result;
  }
}

// Resolves to a user who has entities of every kind, tombstones, conflicts, a queue and a snapshot.
export async function ownerOfEverything(id) {
  const owner = new Owner(id);
  const x = { big: 2 ** 53 - 1, real: 4.1, text: 'é🦊\u0001' };
  const b1 = { id: 'b1', title: 'One', createdAt: '2020-01-02T03:04:05.006Z', x };
  await owner.replace({
    books: [b1, { id: 'b2', title: 'Two' }],
    tags: [{ id: 't1', name: 'Sea' }, { id: 't2', name: 'Sea' }],
    collections: [{ id: 'c1', name: 'C', smartRules: [] }],
    ratings: [{ id: 'r1', bookId: 'b1', stars: 4.5 }], readings: [{ id: 'l1', bookId: 'b1', status: 'read' }],
    settings: { theme: 'dark' },
  });
  await owner.replace({ books: [b1] });
  await owner.send([
    op('create', 'rating', 'r2', { bookId: 'b1', stars: 1 }, { timestamp: undefined, id: 'op-r2' }),
    patch('incomplete', { notes: 'n' }),
    gone('collection', 'never there'),
    patch('b1', { title: 'old' }, { timestamp: ago(30), conflictResolution: 'manual' }),
  ], { deviceId: 'phone' });
  await owner.parked(book('parked', {}, { id: 'waits' }));
  await owner.parked(gone('book', 'parked', { id: 'marked' }));
  await owner.markSynced(['marked']);
  return owner;
}

// A library without the versions of its entities.
export const withoutVersions = (library) =>
  Object.fromEntries(Object.entries(library).map(([name, { updatedAt, ...data }]) => [name, data]));

// The tables and views with user data.
export const userTables = () => sql(`SELECT DISTINCT table_name FROM information_schema.columns
  WHERE table_schema = 'booky' AND column_name = 'user_id' ORDER BY 1`);

// An operation whose id and timestamp the server must make.
export const withoutIdAndTime = ({ id, timestamp, ...rest }) => rest;

// The members of an item of a full sync as they are stored, without its id.
export const members = ({ id, ...rest }) => rest;

const words = 'sea of glass the winter king a short history salt été Straße 夜 война 🦊 and rain house long letter'
  .split(' ');

// A book with members of every type, of about `size` bytes; the same number gives the same book.
export function syntheticBook(n, size = 500) {
  let state = (n + 1) * 2654435761;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const text = (count) => Array.from({ length: count }, () => words[random(words.length)]).join(' ');
  const book = {
    id: `import_${n}`, title: `${text(4)} (${text(1)}, #${n})`, authors: [text(2), text(2)].slice(random(2)),
    isbn13: '',
    publishedYear: n % 50 === 0 ? null : random(2400) - 400, averageRating: random(500) / 100, pageCount: random(1500),
    externalIds: { isbn10: `${random(1e9)}`, work: random(2 ** 31) * 2 ** 20 }, format: 'physical',
    needsSync: n % 2 === 0,
    ratings: { count: random(1e6), histogram: Array.from({ length: 5 }, () => random(1e5)) }, subjects: n % 7 ? []
      : [null, { a: {} }],
    languageCode: 'languages/eng', coverUrl: `https://covers.example.org/${n}/${random(1e9)}.jpg`, description: '',
  };
  const missing = size - Buffer.byteLength(JSON.stringify(book));
  // No half characters.
  if (missing > 0) book.description = [...text(Math.ceil(missing / 5))].slice(0, missing).join('');
  return book;
}

export const syntheticBooks = (count, size) => Array.from({ length: count }, (_, n) => syntheticBook(n, size));
