// Every limit that GET /config states is enforced at exactly its value and named in the refusal. Also gzip bodies.
import assert from 'node:assert/strict';
import test from 'node:test';
import zlib from 'node:zlib';
import { ago, book, checkError, content, op, patch, request } from './lib.mjs';
import { gzipBomb } from './bomb.mjs';
import { Owner, checkInvalid, checkOk } from './owner.mjs';

const { json: config } = await request('/api/sync/config');
const { limits } = config;

const named = (reply, name, value) =>
  assert.match(checkError(reply, 413, 'PAYLOAD_TOO_LARGE').message, new RegExp(`limits\\.${name}\\b.*\\b${value}\\b`));

// A JSON object of exactly `size` bytes.
const sized = (body, size) => {
  const text = JSON.stringify(body);
  return text + ' '.repeat(size - text.length);
};

const gzip = { 'content-encoding': 'gzip' };
const owner = new Owner();

// Endpoint: a small body, its limit and the status of success.
const endpoints = {
  '/operations': [{ operations: [] }, 'body', limits.bodyBytes],
  '/queue': [{ type: 'delete', entity: 'tag', entityId: 't', id: 'parked' }, 'body', limits.bodyBytes],
  '/mark-synced': [{ operationIds: [] }, 'body', limits.bodyBytes],
  '/conflicts/1-0/resolve': [{ resolution: 'keep_local' }, 'body', limits.bodyBytes],
  '/full': [{ force: true }, 'full_body', limits.fullBodyBytes],
};

for (const [path, [body, name, limit]] of Object.entries(endpoints)) {
  test(`${path} accepts a body of exactly limits.${name} and refuses one byte more, plain or gzip`, async () => {
    const send = (size, coding) => {
      const text = sized(body, size);
      return owner.call('POST', path, coding ? zlib.gzipSync(text, { level: 1 }) : text, coding ? gzip : {});
    };
    const small = (await owner.call('POST', path, body)).status;
    assert.notEqual(small, 413);
    for (const coding of [false, true]) {
      assert.notEqual((await send(limit, coding)).status, 413);
      named(await send(limit + 1, coding), name, limit);
    }
  });

  test(`${path} accepts gzip of any level and header`, async () => {
    const text = JSON.stringify(body);
    const expected = (await owner.call('POST', path, text)).status;
    const again = expected === 201 ? 200 : expected;
    const head = Buffer.from('\x1f\x8b\x08\x08\0\0\0\0\0\x03body.json\0', 'latin1');
    const withName = Buffer.concat([head, zlib.gzipSync(text).subarray(10)]);
    for (const packed of [zlib.gzipSync(text), zlib.gzipSync(text, { level: 0 }), zlib.gzipSync(text, { level: 9 }),
      withName])
      assert.equal((await owner.call('POST', path, packed, gzip)).status, again);
  });

  test(`${path} refuses invalid gzip with 400`, async () => {
    const packed = zlib.gzipSync(sized(body, 5000));
    const changed = (at) => Buffer.from(
      packed.map((byte, i) => (i === (at < 0 ? packed.length + at : at) ? byte ^ 0xff : byte)));
    const broken = {
      'plain JSON': Buffer.from(JSON.stringify(body)), empty: Buffer.alloc(0),
      'only the header': packed.subarray(0, 10),
      'cut in the middle': packed.subarray(0, packed.length >> 1), 'cut in the trailer': packed.subarray(0, -1),
      'without the trailer': packed.subarray(0, -8),
      'a changed method': changed(2), 'changed data': changed(14), 'a changed checksum': changed(-6),
      'a changed length': changed(-1),
      'trailing garbage': Buffer.concat([packed, Buffer.from('garbage')]),
      'a trailing zero': Buffer.concat([packed, Buffer.alloc(1)]),
      'zlib format': zlib.deflateSync(sized(body, 5000)), 'raw deflate': zlib.deflateRawSync(sized(body, 5000)),
      'gzip within gzip': zlib.gzipSync(packed), 'gzip of text that is not JSON': zlib.gzipSync('operations'),
    };
    for (const [what, bytes] of Object.entries(broken)) {
      const reply = await owner.call('POST', path, bytes, gzip);
      assert.equal(reply.status, 400, `${what}: ${reply.text}`);
      checkError(reply, 400, 'VALIDATION_ERROR');
    }
  });
}

for (const path of ['/operations', '/full'])
  test(`${path} refuses ten gigabytes in ten megabytes of gzip without inflating them`, async () => {
    const [, name, limit] = endpoints[path];
    const timed = async (body, judge) => {
      const start = performance.now();
      judge(await owner.call('POST', path, body, gzip));
      return performance.now() - start;
    };
    // As many bytes, of which none can be inflated: what the upload alone takes.
    const upload = await timed(Buffer.alloc(10 << 20), (reply) => checkError(reply, 400, 'VALIDATION_ERROR'));
    const bomb = await timed(gzipBomb(10 << 20), (reply) => named(reply, name, limit));
    assert.ok(bomb < 20 * upload, `the upload: ${upload} ms, the bomb: ${bomb} ms`);
  });

test('a small gzip body that decompresses to one byte over the limit is refused', async () => {
  named(await owner.call('POST', '/operations', zlib.gzipSync(Buffer.alloc(limits.bodyBytes + 1)), gzip), 'body',
    limits.bodyBytes);
  checkError(await owner.call('POST', '/operations', zlib.gzipSync(Buffer.alloc(limits.bodyBytes)), gzip), 400,
    'VALIDATION_ERROR');
  assert.equal((await owner.status()).success, true);
});

test('a content coding other than gzip is refused with 415', async () => {
  for (const coding of ['br', 'deflate', 'zstd', 'gzip, gzip', 'compress', 'x'])
    checkError(await owner.call('POST', '/full', '{"force":true}', { 'content-encoding': coding }), 415,
      'UNSUPPORTED_MEDIA_TYPE');
});

// Counts

test('limits.operations operations in a request are accepted, and one more is refused', async () => {
  const one = new Owner();
  const operations = Array.from({ length: limits.operations + 1 },
    (_, n) => ({ type: 'delete', entity: 'tag', entityId: `t${n}` }));
  named(await one.post({ operations }), 'operations', limits.operations);
  assert.equal((await one.status()).lastSync, null);
  assert.equal((await one.send(operations.slice(1))).results.length, limits.operations);
});

test('limits.full_items items of a kind are accepted, and one more is refused', async () => {
  const one = new Owner();
  const items = (count) => `{"id":"t","name":"T"},`.repeat(count).slice(0, -1);
  named(await one.full(`{"tags":[${items(limits.fullItems + 1)}]}`), 'full_items', limits.fullItems);
  const error = checkInvalid(await one.full(`{"tags":[${items(limits.fullItems)}]}`), 'tags[1].id');
  assert.match(error.message, new RegExp(`${limits.fullItems - 1} items`), 'all items were read: each repeats the id');
});

// One entity

const overhead = JSON.stringify({ title: 'T', notes: '' }).length;
const heavy = (size) => ({ title: 'T', notes: 'x'.repeat(size - overhead) });

test('an entity of exactly limits.entity is accepted by every endpoint, and one byte more by none', async () => {
  const one = new Owner();
  const [fits, over] = [heavy(limits.entityBytes), heavy(limits.entityBytes + 1)];
  const name = new RegExp(`limits\\.entity\\b.*\\b${limits.entityBytes}\\b`);
  const { results } = await one.send([op('create', 'book', 'b1', fits), op('create', 'book', 'b2', over)]);
  assert.deepEqual(results.map(({ status }) => status), ['success', 'failed']);
  assert.match(results[1].message, name);
  named(await one.park(op('create', 'book', 'b3', over)), 'entity', limits.entityBytes);
  await one.parked(op('create', 'book', 'b3', fits));
  assert.equal((await one.applyPending()).failed, 0);
  named(await one.full({ books: [{ id: 'b4', ...over }] }), 'entity', limits.entityBytes);
  named(await one.full({ mode: 'merge', books: [{ id: 'b4', ...over }] }), 'entity', limits.entityBytes);
  await one.replace({ mode: 'merge', books: [{ id: 'b4', ...fits }] });
  const grown = await one.apply(patch('b4', { x: 0 }, { timestamp: undefined }));
  assert.deepEqual([grown.status, grown.error], ['failed', 'PAYLOAD_TOO_LARGE']);
  named(await one.full({ mode: 'merge', books: [{ id: 'b4', title: 'TT' }] }), 'entity', limits.entityBytes);
  assert.deepEqual(Object.keys(await one.library()), ['book b1', 'book b3', 'book b4']);
});

test('limits.entity counts bytes of JSON, not characters', async () => {
  const one = new Owner();
  const count = Math.floor(limits.entityBytes / 4);
  const notes = ['🦊'.repeat(count), '🦊'.repeat(count - 20), '\u0001'.repeat(limits.entityBytes / 6)];
  const { results } = await one.send(notes.map((text, n) => book(`b${n}`, { notes: text })));
  assert.deepEqual(results.map(({ status }) => status), ['failed', 'success', 'failed']);
});

test('data of exactly limits.depth levels are accepted by every endpoint, and one level more by none', async () => {
  const one = new Owner();
  const nested = (levels) => JSON.parse('{"a":'.repeat(levels - 1) + '[]' + '}'.repeat(levels - 1));
  const [fits, over] = [{ title: 'T', x: nested(limits.depth - 1) }, { title: 'T', x: nested(limits.depth) }];
  const reason = new RegExp(`deeper than ${limits.depth} levels`);
  const { results } = await one.send([op('create', 'book', 'b1', fits), op('create', 'book', 'b2', over)]);
  assert.deepEqual(results.map(({ status }) => status), ['success', 'failed']);
  assert.match(results[1].message, reason);
  assert.match(checkInvalid(await one.park(op('create', 'book', 'b3', over)), 'data').message, reason);
  await one.parked(op('create', 'book', 'b3', fits));
  assert.equal((await one.applyPending()).failed, 0);
  for (const mode of ['merge', 'replace']) {
    assert.match(checkInvalid(await one.full({ mode, books: [{ id: 'b4', ...over }] }), 'books[0]').message, reason);
    await one.replace({ mode, books: [{ id: 'b4', ...fits }] });
  }
  assert.deepEqual(content(await one.read('book', 'b4')), fits);
});

// Time

test('a timestamp ahead by less than clockSkewSeconds is kept, and one further ahead is lowered to now', async () => {
  const one = new Owner();
  const ahead = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();
  const { clockSkewSeconds: skew } = config;
  const far = await one.apply(book('b2', {}, { timestamp: ahead(skew + 10) }));
  const near = await one.apply(book('b1', {}, { timestamp: ahead(skew - 10) }));
  assert.deepEqual([near.timestampAdjusted, far.timestampAdjusted], [undefined, true]);
  const later = await one.send([patch('b1', { title: 'later' }, { timestamp: ahead(2) }),
    patch('b2', { title: 'later' }, { timestamp: ahead(2) })]);
  assert.deepEqual(later.results.map(({ resolution }) => resolution), ['server', undefined]);
});

test('the default conflictResolution is that of /config', async () => {
  assert.equal(config.conflictResolution, 'merge');
  const one = new Owner();
  await one.send([book('b1', { notes: 'n' }), patch('b1', { notes: 'later' }, { timestamp: ago(5) })]);
  const { resolution } = await one.apply(patch('b1', { notes: 'x', genre: 'g' }, { timestamp: ago(7) }));
  assert.equal(resolution, 'merged');
});

test('exactly the kinds that /config names are accepted', async () => {
  const data = { title: 'T', name: 'N', bookId: 'b', stars: 3, status: 'read' };
  const { results } = await new Owner().send(
    [...config.entities, 'shelf'].map((kind) => op('create', kind, 'x', data)));
  assert.deepEqual(results.map(({ status }) => status), [...config.entities.map(() => 'success'), 'failed']);
});

test('a full sync with faults in several kinds is refused with all of their paths', async () => {
  const reply = await owner.full({ books: [{ id: 'b', title: '', pageCount: 'x' }], tags: [{}] });
  const error = checkInvalid(reply, 'books[0].title');
  assert.deepEqual(error.details.map(({ path }) => path), ['books[0].title', 'tags[0].id']);
  checkOk(await owner.full({ force: true }));
});
