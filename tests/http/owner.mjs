// What the tests of whole libraries share: a user with the calls beyond /operations, and books made up for the purpose.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { User, ago, book, checkError, content, gone, op, patch } from './lib.mjs';

const json = { 'content-type': 'application/json' };

// A body may be a value, or text to say what JavaScript cannot.
export const encode = (body) => (body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body));

export function checkOk(reply, status = 200) {
  assert.equal(reply.status, status, reply.text);
  assert.equal(reply.json.success, true);
  return reply.json;
}

// A refusal that names one member, in `details` and at the beginning of the message.
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

  // These resolve to the whole reply …
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

  // … and these to the body of a reply that must be a success.
  async replace(body, query) {
    return checkOk(await this.full(body, query));
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

  // What is live: "book b1" → its data, as it is pulled.
  async library() {
    const { changes } = await this.pull();
    return Object.fromEntries(changes.filter(({ deleted }) => !deleted).map(({ type, data }) => [`${type} ${data.id}`, data]));
  }

  // The same without what the server adds.
  async contents() {
    return Object.fromEntries(Object.entries(await this.library()).map(([name, data]) => [name, content(data)]));
  }

  // Runs `work`, after which nothing may have changed: no entity, no stamp, no snapshot.
  async unchanged(work) {
    const look = async () => ({ status: await this.status(), library: await this.library(), snapshots: await this.snapshots() });
    const before = await look();
    const result = await work();
    const after = await look();
    const short = (value) => JSON.stringify(value).slice(0, 1000);
    assert.ok(isDeepStrictEqual(after, before), `was ${short(before)}, is ${short(after)}`);
    return result;
  }
}

// A user who has something of everything.
export async function ownerOfEverything(id) {
  const owner = new Owner(id);
  const x = { big: 2 ** 53 - 1, real: 4.1, text: 'é🦊\u0001' };
  const b1 = { id: 'b1', title: 'One', createdAt: '2020-01-02T03:04:05.006Z', x };
  await owner.replace({
    books: [b1, { id: 'b2', title: 'Two' }],
    tags: [{ id: 't1', name: 'Sea' }, { id: 't2', name: 'Sea' }], collections: [{ id: 'c1', name: 'C', smartRules: [] }],
    ratings: [{ id: 'r1', bookId: 'b1', stars: 4.5 }], readings: [{ id: 'l1', bookId: 'b1', status: 'read' }], settings: { theme: 'dark' },
  });
  await owner.replace({ books: [b1] });
  await owner.send([
    op('create', 'rating', 'r2', { bookId: 'b1', stars: 1 }, { timestamp: undefined, id: 'op-r2' }), patch('incomplete', { notes: 'n' }),
    gone('collection', 'never there'), patch('b1', { title: 'old' }, { timestamp: ago(30), conflictResolution: 'manual' }),
  ], { deviceId: 'phone' });
  await owner.parked(book('parked', {}, { id: 'waits' }));
  await owner.parked(gone('book', 'parked', { id: 'marked' }));
  await owner.markSynced(['marked']);
  return owner;
}

// Members as they are stored: of an item of a full sync without its id.
export const members = ({ id, ...rest }) => rest;

const words = 'sea of glass the winter king a short history salt été Straße 夜 война 🦊 and rain house long letter'.split(' ');

// A book with members of every type, about `size` bytes; the same for the same number.
export function syntheticBook(n, size = 500) {
  let state = (n + 1) * 2654435761;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const text = (count) => Array.from({ length: count }, () => words[random(words.length)]).join(' ');
  const book = {
    id: `import_${n}`, title: `${text(4)} (${text(1)}, #${n})`, authors: [text(2), text(2)].slice(random(2)), isbn13: '',
    publishedYear: n % 50 === 0 ? null : random(2400) - 400, averageRating: random(500) / 100, pageCount: random(1500),
    externalIds: { isbn10: `${random(1e9)}`, work: random(2 ** 31) * 2 ** 20 }, format: 'physical', needsSync: n % 2 === 0,
    ratings: { count: random(1e6), histogram: Array.from({ length: 5 }, () => random(1e5)) }, subjects: n % 7 ? [] : [null, { a: {} }],
    languageCode: 'languages/eng', coverUrl: `https://covers.example.org/${n}/${random(1e9)}.jpg`, description: '',
  };
  const missing = size - Buffer.byteLength(JSON.stringify(book));
  if (missing > 0) book.description = [...text(Math.ceil(missing / 5))].slice(0, missing).join(''); // no half characters
  return book;
}

export const syntheticBooks = (count, size) => Array.from({ length: count }, (_, n) => syntheticBook(n, size));
