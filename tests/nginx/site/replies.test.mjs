// Replies of the application: nginx compresses them and otherwise passes them on unchanged.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import zlib from 'node:zlib';
import { Site, values } from './lib.mjs';

let site;
before(async () => (site = await Site.start()));
after(() => site?.stop());

const text = JSON.stringify(
  { books: Array.from({ length: 100 }, (_, i) => ({ id: `b${i}`, title: 'The Dispossessed' })) });
const gzip = { 'accept-encoding': 'gzip, br' };
const answer = (headers, body = text, status = 200) => (site.pool.answer = () => ({ status, headers, body }));

test('JSON is compressed for a client that accepts gzip, and a strong ETag becomes a weak one', async () => {
  answer({ ETag: '"abc"', 'Content-Length': text.length });
  const reply = await site.request('/api/sync/changes', { headers: gzip });
  assert.deepEqual(values(reply, 'content-encoding'), ['gzip']);
  assert.ok(reply.bytes.length < text.length / 5);
  assert.equal(zlib.gunzipSync(reply.bytes).toString(), text);
  assert.deepEqual(values(reply, 'etag'), ['W/"abc"']);
  assert.deepEqual(values(reply, 'content-length'), []);
  assert.deepEqual(values(reply, 'vary').sort(), ['Accept-Encoding', 'Origin']);
});

test('a client that does not accept gzip gets the reply unchanged, with Vary for caches', async () => {
  answer({ ETag: '"abc"', 'Content-Length': text.length });
  for (const headers of [{}, { 'accept-encoding': 'identity' }, { 'accept-encoding': 'gzip;q=0' },
    { 'accept-encoding': 'br' }]) {
    const reply = await site.request('/api/sync/changes', { headers });
    assert.deepEqual(values(reply, 'content-encoding'), []);
    assert.equal(reply.text, text);
    assert.deepEqual(values(reply, 'etag'), ['"abc"']);
    assert.deepEqual(values(reply, 'content-length'), [String(text.length)]);
    assert.deepEqual(values(reply, 'vary').sort(), ['Accept-Encoding', 'Origin']);
  }
});

test('replies are compressed for a proxy, too', async () => {
  answer({});
  const reply = await site.request('/api/sync/changes', { headers: { ...gzip, via: '1.1 cdn.example' } });
  assert.deepEqual(values(reply, 'content-encoding'), ['gzip']);
});

test('short replies, other types and compressed replies are not compressed', async () => {
  answer({ 'Content-Length': 511 }, '{"success":true}'.padEnd(511));
  assert.deepEqual(values(await site.request('/api/sync/status', { headers: gzip }), 'content-encoding'), []);
  answer({ 'Content-Type': 'text/csv' });
  assert.deepEqual(values(await site.request('/api/sync/export', { headers: gzip }), 'content-encoding'), []);
  const packed = zlib.gzipSync(text);
  site.pool.answer = () => (
    { headers: { 'Content-Encoding': 'gzip', ETag: '"abc"' }, body: packed.toString('latin1') });
  const reply = await site.request('/api/sync/export', { headers: gzip });
  assert.deepEqual(values(reply, 'content-encoding'), ['gzip']);
  assert.deepEqual(values(reply, 'etag'), ['"abc"']);
});

test('a 304 has no body and keeps its fields', async () => {
  answer({ ETag: '"abc"', 'Cache-Control': 'private, no-cache' }, '', 304);
  for (const tag of ['"abc"', 'W/"abc"', '*']) {
    const reply = await site.request('/api/sync/status',
      { headers: { ...gzip, 'if-none-match': tag, 'x-request-id': 'not-modified' } });
    assert.equal(reply.status, 304);
    assert.equal(reply.bytes.length, 0);
    assert.deepEqual(values(reply, 'etag'), ['"abc"']);
    assert.deepEqual(values(reply, 'cache-control'), ['private, no-cache']);
    assert.deepEqual(values(reply, 'x-request-id'), ['not-modified']);
    assert.ok(values(reply, 'vary').includes('Origin'));
    assert.equal(site.taken().at(-1).params.HTTP_IF_NONE_MATCH, tag, 'the application compares');
  }
});

test('nginx does not evaluate conditions and ranges', async () => {
  answer({ ETag: '"abc"' });
  const reply = await site.request('/api/sync/changes', { headers: { 'if-none-match': '"abc"' } });
  assert.equal(reply.status, 200);
  assert.equal((await site.request('/api/sync/changes', { headers: { 'if-match': '"other"' } })).status, 200);
  assert.equal((await site.request('/api/sync/changes', { headers: { range: 'bytes=0-1' } })).status, 200);
});

for (const status of [200, 201, 207, 400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 429, 500, 502, 503, 504]) {
  test(`a ${status} of the application is passed on unchanged`, async () => {
    const body = '{"success":false,"error":"OWN","message":"its own","requestId":"passes-12345"}';
    answer({ 'Retry-After': '61', 'Cache-Control': 'no-store', 'WWW-Authenticate': 'Bearer',
      RateLimit: '"default";r=1;t=2' }, body, status);
    const reply = await site.request('/api/sync/status', { headers: { 'x-request-id': 'passes-12345' } });
    assert.equal(reply.status, status);
    assert.equal(reply.text, body);
    assert.deepEqual(values(reply, 'x-request-id'), ['passes-12345']);
    assert.deepEqual(values(reply, 'retry-after'), ['61']);
    assert.deepEqual(values(reply, 'cache-control'), ['no-store']);
    assert.deepEqual(values(reply, 'www-authenticate'), ['Bearer']);
    assert.deepEqual(values(reply, 'ratelimit'), ['"default";r=1;t=2']);
    assert.deepEqual(values(reply, 'content-type'), ['application/json']);
  });
}

test('the reply to HEAD has the header fields and no body', async () => {
  answer({ ETag: '"abc"', 'Content-Length': text.length });
  const reply = await site.request('/api/sync/status', { method: 'HEAD' });
  assert.equal(reply.status, 200);
  assert.equal(reply.bytes.length, 0);
  assert.deepEqual(values(reply, 'etag'), ['"abc"']);
});
