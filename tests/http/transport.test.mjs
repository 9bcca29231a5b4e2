// The transport between client and application: nginx's own refusals, compression, HTTP/2, chunked bodies.
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import test from 'node:test';
import tls from 'node:tls';
import { User, book, ca, checkError, op, origin, request } from './lib.mjs';

const { hostname, port } = new URL(origin);

// Sends bytes unchanged over TLS and resolves to { status, top, json } of the reply; `top` is its header.
async function raw(bytes) {
  const socket = tls.connect({ host: hostname, port, ca });
  socket.write(bytes);
  let text = '';
  for await (const chunk of socket) {
    text += chunk;
    const end = text.indexOf('\r\n\r\n') + 4;
    const length = Number(text.match(/^content-length: (\d+)/im)?.[1]);
    if (end > 3 && text.length >= end + length) break; // nginx keeps waiting for the body that it has refused
  }
  const [top, body] = text.split('\r\n\r\n');
  return { status: Number(top.split(' ')[1]), top, json: JSON.parse(body) };
}

// Sends a request over HTTP/2 and resolves to { status, headers, json }. A body that is null is announced but never
// sent.
function ask(client, headers, body) {
  return new Promise((resolve, reject) => {
    const stream = client.request(headers);
    let received;
    let text = '';
    stream.on('response', (response) => (received = response));
    stream.on('data', (chunk) => (text += chunk));
    stream.on('end', () => {
      stream.close();
      resolve({ status: received[':status'], headers: received, json: JSON.parse(text) });
    });
    stream.on('error', reject);
    if (body !== null) stream.end(body);
  });
}

async function withHttp2(work) {
  const client = http2.connect(origin, { ca });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

const refused = {
  'a path outside of the API': [404, 'NOT_FOUND', 'GET /api/elsewhere HTTP/1.1', ''],
  'a path with the prefix of ours': [404, 'NOT_FOUND', 'GET /api/synchronize HTTP/1.1', ''],
  'a request line that cannot be read': [400, 'VALIDATION_ERROR', 'GET /api/sync/status HTTP/x.y', ''],
  'a path with broken percent-encoding': [400, 'VALIDATION_ERROR', 'GET /api/sync/%zz HTTP/1.1', ''],
  'a path that leaves the root': [400, 'VALIDATION_ERROR', 'GET /../../etc/passwd HTTP/1.1', ''],
  'two lengths': [400, 'VALIDATION_ERROR', 'POST /api/sync/operations HTTP/1.1',
    'Content-Length: 2\r\nContent-Length: 3\r\n'],
  "a body over nginx's limit": [413, 'PAYLOAD_TOO_LARGE', 'POST /api/sync/operations HTTP/1.1',
    'Content-Length: 99999999\r\n'],
  'a path that is too long': [414, 'VALIDATION_ERROR', `GET /api/sync/${'x'.repeat(20_000)} HTTP/1.1`, ''],
  'a header that is too long': [431, 'VALIDATION_ERROR', 'GET /api/sync/status HTTP/1.1',
    `X-Long: ${'x'.repeat(20_000)}\r\n`],
};

for (const [name, [status, error, line, headers]] of Object.entries(refused))
  test(`nginx refuses a request with ${status}: ${name}`, async () => {
    const reply = await raw(`${line}\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n`);
    assert.equal(reply.status, status, reply.top);
    assert.match(reply.top, /^content-type: application\/json/im);
    assert.equal(reply.json.success, false);
    assert.equal(reply.json.error, error);
    assert.equal(reply.top.match(/^x-request-id: (.*)$/im)?.[1].trim(), reply.json.requestId);
  });

test('both base paths give the same replies', async () => {
  const user = new User();
  const write = await request('/sync/operations',
    { method: 'POST', token: user.token, body: JSON.stringify({ operations: [book('b1')] }) });
  assert.equal(write.status, 200, write.text);
  for (const path of ['/changes?since=0', '/status']) {
    const replies = await Promise.all(
      ['/api/sync', '/sync'].map((base) => request(base + path, { token: user.token })));
    assert.deepEqual(replies.map((reply) => reply.status), [200, 200]);
    assert.equal(replies[0].text, replies[1].text);
  }
});

test('a reply is compressed when the client asks for it and has the same content', async () => {
  const user = new User();
  await user.send(Array.from({ length: 50 }, (_, i) => book(`b${i}`)));
  const plain = await user.changes();
  const zipped = await user.changes(undefined, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(plain.headers['content-encoding'], undefined);
  assert.equal(zipped.headers['content-encoding'], 'gzip');
  assert.match(zipped.headers.vary, /accept-encoding/i);
  assert.equal(zipped.text, plain.text);
  assert.ok(zipped.bytes.length < plain.bytes.length / 2);
});

test('a chunked body without a length is read completely', async () => {
  const user = new User();
  const body = JSON.stringify({ operations: [op('create', 'book', 'b1', { title: 'T', notes: 'x'.repeat(300_000) })] });
  const reply = await user.post(body, { headers: { 'transfer-encoding': 'chunked' } });
  assert.equal(reply.status, 200, reply.text);
  assert.equal((await user.read('book', 'b1')).notes.length, 300_000);
});

test('simultaneous requests over one HTTP/2 connection are all served', async () => {
  const user = new User();
  const authorization = `Bearer ${user.token}`;
  await withHttp2(async (client) => {
    const post = { authorization, ':method': 'POST', ':path': '/api/sync/operations' };
    const writes = await Promise.all(
      Array.from({ length: 12 }, (_, i) => ask(client, post, JSON.stringify({ operations: [book(`b${i}`)] }))));
    assert.deepEqual(writes.map((reply) => reply.json.results[0].status), Array(12).fill('success'));
    const { json } = await ask(client, { authorization, ':path': '/api/sync/changes?since=0' });
    assert.equal(json.changes.length, 12);
  });
});

test('refusals over HTTP/2 have the shape of every error, from nginx and from the application', async () => {
  const post = { ':method': 'POST', ':path': '/api/sync/operations' };
  await withHttp2(async (client) => {
    const replies = [
      [404, 'NOT_FOUND', await ask(client, { ':path': '/elsewhere' })],
      [404, 'NOT_FOUND', await ask(client, { ':path': '/api/sync/none' })],
      [401, 'UNAUTHORIZED', await ask(client, { ':path': '/api/sync/status' })],
      [413, 'PAYLOAD_TOO_LARGE', await ask(client, { ...post, 'content-length': 13 << 20 }, null)],
    ];
    for (const [status, error, reply] of replies) {
      assert.equal(reply.status, status);
      assert.equal(reply.json.error, error);
      assert.equal(reply.json.requestId, reply.headers['x-request-id']);
    }
  });
});

test('simultaneous connections are all served', async () => {
  const users = Array.from({ length: 40 }, () => new User());
  const replies = await Promise.all(users.map((user) => user.post({ operations: [book('b1')] })));
  assert.deepEqual([...new Set(replies.map((reply) => reply.status))], [200]);
  checkError(await request('/api/sync/status'), 401, 'UNAUTHORIZED');
});
