// The access log and the request id.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { readFileSync } from 'node:fs';
import test, { after, before } from 'node:test';
import { HOST, Site, checkError, until, values } from './lib.mjs';

let site;
before(async () => {
  site = await Site.start(
    { changes: { 'server.conf': [['client_header_timeout      30s;', 'client_header_timeout 1s;']] } });
});
after(() => site?.stop());

const random = /^[0-9a-f]{32}$/;
let number = 0;
const fresh = () => `log-test-${++number}`;

// Checks that the header, the body of an error and the parameters of the worker have the same id; returns it.
async function checkId(reply, expected) {
  const ids = values(reply, 'x-request-id');
  assert.equal(ids.length, 1, String(ids));
  if (expected instanceof RegExp) assert.match(ids[0], expected);
  else assert.equal(ids[0], expected);
  if (reply.json?.requestId) assert.equal(reply.json.requestId, ids[0]);
  for (const { params } of site.taken()) assert.equal(params.HTTP_X_REQUEST_ID, ids[0]);
  return ids[0];
}

test('a well-formed id of the client is kept and appears once', async () => {
  for (const target of ['/api/sync/status', '/sync/full', '/nowhere']) {
    for (const id of [fresh(), `8chars-${number % 10}`, `${'x'.repeat(62)}_${number % 10}`]) {
      const reply = await site.request(target, { headers: { 'x-request-id': id } });
      await checkId(reply, id);
      assert.equal((await site.logged(id)).status, reply.status);
    }
  }
  await checkId(await site.request('/api/health', { headers: { 'x-request-id': 'health-123' } }), 'health-123');
});

test('a malformed id is replaced by a random one', async () => {
  const odd = ['', 'short', 'x'.repeat(65), 'with blank', 'quote"12345', 'back\\slash', 'dots.12345', '{"json":1}',
    'umlaut-\u00fc\u00fc\u00fc'];
  for (const id of [undefined, ...odd]) {
    const headers = id === undefined ? {} : { 'x-request-id': id };
    const kept = await checkId(await site.request('/api/sync/status', { headers }), random);
    await site.logged(kept);
    await checkId(await site.request('/nowhere', { headers }), random);
  }
});

test('of two ids at most one is passed on', async () => {
  const reply = await site.request('/api/sync/status',
    { headers: { 'X-Request-Id': ['first-12345', 'second-12345'] } });
  const [id] = values(reply, 'x-request-id');
  assert.equal(values(reply, 'x-request-id').length, 1);
  const [{ params }] = site.taken();
  assert.equal(params.HTTP_X_REQUEST_ID, id);
  assert.ok(id === 'first-12345' || random.test(id), id);
});

test('a line of the log has address, request, status, size and times', async () => {
  const id = fresh();
  const reply = await site.request('/api/sync/changes?since=2020-01-01T00:00:00Z',
    { token: 'anyone', headers: { 'x-request-id': id } });
  const line = await site.logged(id);
  assert.deepEqual(Object.keys(line),
    ['ts', 'requestId', 'ip', 'method', 'path', 'status', 'bytes', 'seconds', 'upstreamSeconds', 'limit']);
  assert.ok(Math.abs(Date.parse(line.ts) - Date.now()) < 60_000);
  assert.equal(line.ip, '127.0.0.1');
  assert.equal(line.method, 'GET');
  assert.equal(line.path, '/api/sync/changes');
  assert.equal(line.status, 200);
  assert.ok(line.bytes >= reply.bytes.length); // with the framing of chunks
  assert.equal(typeof line.seconds, 'number');
  assert.match(line.upstreamSeconds, /^\d+\.\d{3}$/);
});

test('a line of the log has the method of the client, also for replies of nginx itself', async () => {
  const cases = [
    ['POST', '/api/sync/operations', 200], ['DELETE', '/nowhere', 404], ['POST', '/api/sync/operations', 413],
    ['POST', '/api/sync/full', 502], ['TRACE', '/', 405],
  ];
  for (const [method, target, status] of cases) {
    const headers = { 'x-request-id': fresh(), ...(status === 413 ? { 'content-length': 13 << 20 } : {}) };
    site.pool.answer = () => (status === 502 ? 'die' : { body: '{}' });
    assert.equal((await site.request(target, { method, headers, body: status === 200 ? '{}' : undefined })).status,
      status);
    const line = await site.logged(headers['x-request-id']);
    assert.deepEqual([line.method, line.path, line.status], [method, target, status]);
  }
  const client = site.h2();
  const stream = client.request({ ':method': 'PUT', ':path': '/nowhere?x', 'x-request-id': 'put-h2-404' });
  stream.resume().end();
  const line = await site.logged('put-h2-404');
  client.close();
  assert.deepEqual([line.method, line.path, line.status], ['PUT', '/nowhere', 404]);
});

test('neither tokens nor queries nor bodies are logged, however a request ends', async () => {
  const secret = 'do-not-log-me';
  const headers = { authorization: `Bearer ${secret}`, cookie: secret, referer: `https://${secret}`,
    'user-agent': secret };
  const ask = (target, options = {}) => site.request(target,
    { ...options, headers: { ...headers, ...options.headers } });
  await ask(`/api/sync/changes?since=${secret}`);
  await ask(`/api/sync/events?access_token=${secret}`);
  await ask(`/nowhere?token=${secret}`);
  await ask(`/api/sync/operations?${secret}`, { method: 'POST', body: secret });
  await ask(`/api/sync/operations?${secret}`, { method: 'POST', headers: { 'content-length': 13 << 20 } });
  await ask(`/api/sync/status?${secret}`, { headers: { 'x-long': 'x'.repeat(20000) } });
  await ask(`/api/sync/status?${secret}${'x'.repeat(20000)}`);
  site.pool.answer = () => 'die';
  await ask(`/api/sync/status?${secret}`);
  site.pool.answer = () => ({ body: '{}' });
  await site.send(`GET /api/sync/status?${secret} HTTP/1.1\r\nAuthorization: Bearer ${secret}\r\n\r\n`); // no Host
  await site.send(`GE<T /api/sync/status?${secret} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
  const id = fresh();
  await site.request('/nowhere', { headers: { 'x-request-id': id } });
  await site.logged(id);
  site.log();
  assert.doesNotMatch(readFileSync(`${site.folder}/access.log`, 'utf8'), new RegExp(secret));
});

test('an odd path cannot break a line of the log', async () => {
  const odd = [`/api/sync/"quote`, `/api/sync/back\\slash`, `/api/sync/%0A%22`, `/api/sync/{"a":1}`,
    '/api/sync/\u00fc\u00ff', '/api/sync/\x7f', '/api/sync/%'];
  for (const target of odd) await site.send(`GET ${target} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`);
  const id = fresh();
  await site.request('/nowhere', { headers: { 'x-request-id': id } });
  await site.logged(id);
  for (const raw of ['/api/sync/\xe9', '/\xff\xfe"', '/api/sync/ok\u00c3\u00bc?x=\xe9']) {
    const socket = await site.connect();
    socket.resume().end(Buffer.from(`GET ${raw} HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`, 'latin1'));
    await new Promise((resolve) => socket.on('close', resolve));
  }
  await until('they are logged', () => site.log().filter(({ path }) => /\(not ASCII\)$/.test(path)).length >= 4);
  const paths = new Set(site.log().map((line) => line.path));
  for (const target of odd.slice(0, 4)) assert.ok(paths.has(target), target);
});

test('every line of the log is JSON, also for an incomplete request', async () => {
  // A request that is not HTTP, one of HTTP/0.9, and one that ends within its header.
  await site.send('\x16\x03\x01 nonsense\r\n\r\n');
  await site.send('GET /api/sync/status\r\n').catch(() => {}); // HTTP/0.9 has no header, so the reply cannot be read
  await site.send('GET /api/sync/status HTTP/1.1\r\nHost: x');
  const early = await site.connect();
  early.end(`POST /api/sync/operations HTTP/1.1\r\nHost: ${HOST}\r\nContent-Len`);
  early.resume();

  // HTTP/2: streams that are reset before or during the body, and a connection that vanishes.
  // nginx waits for the pool's answers all the same.
  const answers = [];
  site.pool.answer = () => new Promise((resolve) => answers.push(resolve));
  const client = site.h2();
  client.on('error', () => {});
  for (const part of [undefined, '{"half":']) {
    for (const code of [http2.constants.NGHTTP2_CANCEL, http2.constants.NGHTTP2_PROTOCOL_ERROR]) {
      const stream = client.request(
        { ':method': 'POST', ':path': '/api/sync/operations', 'x-request-id': 'h2-is-reset' });
      stream.on('error', () => {});
      if (part) stream.write(part);
      if (stream.pending) await new Promise((resolve) => stream.once('ready', resolve));
      await new Promise((resolve) => setTimeout(resolve, 50));
      stream.close(code);
    }
  }
  const last = client.request({ ':path': '/api/sync/status', 'x-request-id': 'h2-vanishes' });
  last.on('error', () => {});
  await until('the pool has the last one',
    () => site.taken().some(({ params }) => params.HTTP_X_REQUEST_ID === 'h2-vanishes'));
  client.destroy();
  for (const answer of answers) answer('die');
  await site.logged('h2-vanishes');
  await until(
    'all resets are logged', () => site.log().filter((line) => line.requestId === 'h2-is-reset').length === 4);
  site.pool.answer = () => ({ body: '{}' });
  for (const line of site.log()) assert.ok(Number.isInteger(line.status) && line.requestId, JSON.stringify(line));
});

test('health, metrics and pool are not logged', async () => {
  const id = fresh();
  for (const target of ['/api/health', '/api/sync/health', '/sync/health', '/metrics', '/pool', '/ping'])
    await site.request(target, { headers: { 'x-request-id': 'not-logged' } });
  checkError(await site.request('/nowhere', { headers: { 'x-request-id': id } }), 404, 'NOT_FOUND');
  await site.logged(id);
  assert.ok(!site.log().some((line) => line.requestId === 'not-logged'));
});
