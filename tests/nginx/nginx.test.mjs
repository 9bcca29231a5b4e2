// The replies of nginx itself, with the shipped files and the published rate limit.
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import test from 'node:test';
import tls from 'node:tls';
import { ca, checkError, origin, request } from '../http/lib.mjs';

const { hostname, port } = new URL(origin);

test('an unknown path outside of the API is a JSON 404', async () => {
  checkError(await request('/'), 404, 'NOT_FOUND');
  checkError(await request('/api/other'), 404, 'NOT_FOUND');
  checkError(await request('/syncthing'), 404, 'NOT_FOUND');
});

test("the client's request id is kept if it is well-formed and replaced otherwise", async () => {
  const kept = await request('/', { headers: { 'x-request-id': 'abc-DEF_12345' } });
  assert.equal(kept.headers['x-request-id'], 'abc-DEF_12345');
  for (const id of ['short', 'x'.repeat(65), 'abcdefgh"quote', 'abcdefgh blank']) {
    const replaced = await request('/', { headers: { 'x-request-id': id } });
    assert.match(replaced.headers['x-request-id'], /^[0-9a-f]{32}$/);
    checkError(replaced, 404, 'NOT_FOUND');
  }
});

test("the application's replies have one X-Request-Id, the client's", async () => {
  const reply = await request('/api/health', { headers: { 'x-request-id': 'health-12345' } });
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.headers['x-request-id'], 'health-12345');
  assert.equal(reply.raw.filter((name, i) => i % 2 === 0 && /^x-request-id$/i.test(name)).length, 1);
});

// These bodies are only announced: nginx refuses before it reads.
for (const [path, mebibytes, message] of [
  ['/api/sync/operations', 12, /larger than the 12 MiB .* only a full sync may be larger/],
  ['/sync/queue', 12, /larger than the 12 MiB /],
  ['/api/sync/full', 36, /larger than the 36 MiB .* of a full sync/],
  ['/sync/full?dryRun=true', 36, /larger than the 36 MiB .* of a full sync/],
  ['/api/sync/full/more', 12, /larger than the 12 MiB /],
]) {
  test(`a body over ${mebibytes} MiB for ${path} is a JSON 413 that names the limit`, async () => {
    const length = (mebibytes << 20) + 1;
    const reply = await request(path, { method: 'POST', headers: { 'content-length': length } });
    assert.match(checkError(reply, 413, 'PAYLOAD_TOO_LARGE').message, message);
  });
}

test('a header that is too long is a JSON 431', async () => {
  checkError(await request('/', { headers: { 'x-long': 'x'.repeat(20000) } }), 431, 'VALIDATION_ERROR');
});

test('a request line that is too long is a JSON 414', async () => {
  checkError(await request(`/api/sync/${'x'.repeat(20000)}`), 414, 'VALIDATION_ERROR');
});

test('a request that is not HTTP is a JSON 400', async () => {
  const socket = tls.connect({ host: hostname, port, ca });
  socket.end('GE<T / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.equal(JSON.parse(text.slice(text.indexOf('\r\n\r\n'))).error, 'VALIDATION_ERROR');
});

test('an Authorization header of 8 KiB is accepted', async () => {
  const reply = await request('/', { headers: { authorization: `Bearer ${'x'.repeat(8192)}` } });
  assert.equal(reply.status, 404);
});

test('plain HTTP on the TLS port is a JSON 400', async () => {
  const body = await new Promise((resolve, reject) => {
    http.get({ host: hostname, port, path: '/api/health' }, (res) => {
      let text = '';
      res.on('data', (chunk) => (text += chunk));
      res.on('end', () => resolve({ status: res.statusCode, json: JSON.parse(text) }));
    }).on('error', reject);
  });
  assert.equal(body.status, 400);
  assert.equal(body.json.error, 'VALIDATION_ERROR');
});

test('TRACE is a JSON 405', async () => {
  checkError(await request('/', { method: 'TRACE' }), 405, 'METHOD_NOT_ALLOWED');
});

test('errors over HTTP/2 are JSON, too', async () => {
  const client = http2.connect(origin, { ca });
  const reply = await new Promise((resolve, reject) => {
    client.on('error', reject);
    const stream = client.request({ ':path': '/nowhere' });
    let status;
    let text = '';
    stream.on('response', (headers) => (status = headers[':status']));
    stream.on('data', (chunk) => (text += chunk));
    stream.on('end', () => resolve({ status, json: JSON.parse(text) }));
    stream.on('error', reject);
    stream.end();
  });
  client.close();
  assert.equal(reply.status, 404);
  assert.equal(reply.json.error, 'NOT_FOUND');
});

test('nginx hides its version and forbids browsers to guess the content type', async () => {
  const reply = await request('/');
  assert.equal(reply.headers.server, 'nginx');
  assert.equal(reply.headers['x-content-type-options'], 'nosniff');
});

test('the 101st request of one token is a 429 with Retry-After, and others are not affected', async () => {
  const ask = (token) => request('/api/sync/status', { headers: { authorization: `Bearer ${token}` } });
  // The application refuses these tokens, and nginx counts their requests.
  const tokens = [0, 1].map(() => `e30.limited-${process.pid}-${String(Math.random()).slice(2)}.s`);
  const replies = []; // two at a time, fewer than may be in flight
  for (let i = 0; i < 55; i++) replies.push(...await Promise.all([ask(tokens[0]), ask(tokens[0])]));
  const limited = replies.filter((reply) => reply.status === 429);
  assert.equal(replies.filter((reply) => reply.status === 401).length, 100);
  assert.equal(limited.length, 10);
  for (const reply of limited) {
    checkError(reply, 429, 'RATE_LIMITED');
    assert.equal(reply.headers['retry-after'], '9');
  }
  assert.equal((await ask(tokens[1])).status, 401);
  for (const path of ['/api/health', '/api/sync/health', '/sync/health']) {
    const replies = []; // with the token that is over its limit
    for (let i = 0; i < 10; i++)
      replies.push(await request(path, { headers: { authorization: `Bearer ${tokens[0]}` } }));
    assert.deepEqual([...new Set(replies.map(({ status }) => status))], [200], path);
  }
});
