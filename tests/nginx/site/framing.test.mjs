// Message framing: a request with contradictory lengths is refused, and the pool gets each request once and complete.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import test, { after, before, beforeEach } from 'node:test';
import { HOST, Site, checkError } from './lib.mjs';

let site;
let begun;
before(async () => {
  site = await Site.start();
  site.pool.answer = () => ({ headers: { 'Content-Length': 2 }, body: '{}' });
});
after(() => site?.stop());
beforeEach(() => {
  site.taken();
  begun = site.pool.begun;
});

const NEXT = `GET /api/sync/smuggled HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`;
const post = (...lines) =>
  ['POST /api/sync/operations HTTP/1.1', `Host: ${HOST}`, 'Authorization: Bearer t', ...lines, '', ''].join('\r\n');
const chunked = (body) => `${post('Transfer-Encoding: chunked')}${body}`;

const refused = {
  'two lengths': post('Content-Length: 2', 'Content-Length: 40') + '{}',
  'the same length twice': post('Content-Length: 2', 'Content-Length: 2') + '{}',
  'a list of lengths': post('Content-Length: 2, 2') + '{}',
  'a negative length': post('Content-Length: -2') + '{}',
  'a length with a sign': post('Content-Length: +2') + '{}',
  'a hexadecimal length': post('Content-Length: 0x2') + '{}',
  'a length with a unit': post('Content-Length: 2b') + '{}',
  'an empty length': post('Content-Length:') + '{}',
  'a length beyond all integers': post('Content-Length: 99999999999999999999') + '{}',
  'a length and chunks': post('Content-Length: 2', 'Transfer-Encoding: chunked') + '0\r\n\r\n',
  'chunks and a length': post('Transfer-Encoding: chunked', 'Content-Length: 2') + '0\r\n\r\n',
  'two transfer codings': post('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked') + '0\r\n\r\n',
  'a blank before the colon': post('Content-Length : 2') + '{}',
  'chunks in HTTP/1.0': chunked('0\r\n\r\n').replace('HTTP/1.1', 'HTTP/1.0'),
  'no host': post('Content-Length: 2').replace(/Host: .*\r\n/, '') + '{}',
  'two hosts': post('Host: other.example', 'Content-Length: 2') + '{}',
  'a chunk size that is not a number': chunked('zz\r\n{}\r\n0\r\n\r\n'),
  'a negative chunk size': chunked('-2\r\n{}\r\n0\r\n\r\n'),
  'a chunk size beyond all integers': chunked('fffffffffffffffff\r\n{}\r\n0\r\n\r\n'),
  'a chunk that is longer than its size': chunked('2\r\n{}{}\r\n0\r\n\r\n'),
  'a chunk without a size': chunked('\r\n{}\r\n0\r\n\r\n'),
  'NUL in a field': post('X-Any: a\0b', 'Content-Length: 2') + '{}',
};
for (const [name, text] of Object.entries(refused)) {
  test(`a malformed request is a 400, and neither it nor the next one reaches the pool: ${name}`, async () => {
    const replies = await site.send(text + NEXT);
    assert.equal(replies.length, 1, 'the next request is not answered');
    checkError(replies[0], 400, 'VALIDATION_ERROR');
    assert.equal(replies[0].headers.connection, 'close');
    assert.equal(site.pool.begun - begun, 0);
  });
}

for (const coding of ['gzip', 'gzip, chunked', 'identity', 'xchunked', 'chunked, identity', '\vchunked',
  'chunked\t;a']) {
  test(`Transfer-Encoding ${JSON.stringify(coding)} is a 501 and does not reach the pool`, async () => {
    const replies = await site.send(post(`Transfer-Encoding: ${coding}`) + '0\r\n\r\n' + NEXT);
    assert.equal(replies.length, 1);
    assert.match(checkError(replies[0], 501, 'VALIDATION_ERROR').message, /Transfer-Encoding/);
    assert.equal(replies[0].headers['retry-after'], undefined);
    assert.equal(site.pool.begun - begun, 0);
  });
}

for (const version of ['2.0', '3.0', '9.9']) {
  test(`HTTP/${version} in a request line is a 505`, async () => {
    const replies = await site.send(`GET /api/sync/status HTTP/${version}\r\nHost: ${HOST}\r\n\r\n`);
    assert.equal(replies.length, 1);
    assert.match(checkError(replies[0], 505, 'VALIDATION_ERROR').message, /version/);
    assert.equal(replies[0].headers['retry-after'], undefined);
    assert.equal(site.pool.begun - begun, 0);
  });
}

test('a request within a body is not executed', async () => {
  for (const [text, body] of [
    [post(`Content-Length: ${NEXT.length}`) + NEXT, NEXT],
    [chunked(`${NEXT.length.toString(16)}\r\n${NEXT}\r\n0\r\n\r\n`), NEXT],
    [chunked('1;x="}"\r\n{\r\n1\r\n}\r\n0\r\nContent-Length: 40\r\nAuthorization: Bearer other\r\n\r\n'), '{}'],
  ]) {
    const replies = await site.send(text.replace('Authorization', 'Connection: close\r\nAuthorization'));
    assert.equal(replies.length, 1);
    const taken = site.taken();
    assert.equal(taken.length, 1);
    assert.equal(String(taken[0].body), body);
    assert.equal(taken[0].params.REQUEST_URI, '/api/sync/operations');
    assert.equal(taken[0].params.CONTENT_LENGTH, String(body.length));
  }
});

test('pipelined requests are separate requests', async () => {
  const replies = await site.send(post('Content-Length: 2') + '{}' + chunked('2\r\n{}\r\n0\r\n\r\n') + NEXT);
  assert.deepEqual(replies.map((reply) => reply.status), [200, 200, 200]);
  assert.deepEqual(site.taken().map(({ params, body }) => [params.REQUEST_METHOD, params.REQUEST_URI, String(body)]), [
    ['POST', '/api/sync/operations', '{}'], ['POST', '/api/sync/operations', '{}'], ['GET', '/api/sync/smuggled', ''],
  ]);
});

test('an HTTP/2 body that is shorter or longer than announced does not reach the pool', async () => {
  for (const length of [1, 40]) {
    const client = site.h2();
    client.on('error', () => {});
    const stream = client.request({ ':method': 'POST', ':path': '/api/sync/operations', 'content-length': length });
    let status;
    stream.on('response', (headers) => (status = headers[':status']));
    stream.on('error', () => {});
    stream.resume();
    stream.end('{"operations":[]}');
    await once(stream, 'close');
    client.destroy();
    assert.ok(status === undefined || status === 400, `${length}: ${status}`);
    assert.equal(site.pool.begun - begun, 0);
  }
});

// Header fields as FastCGI parameters

test('a field with an underscore does not replace another one, and Proxy is dropped', async () => {
  const headers = { Content_Length: '40', X_Request_Id: 'underscore-1', If_Match: '"1"', Proxy: 'http://evil.example' };
  const reply = await site.request('/api/sync/status', { headers });
  assert.equal(reply.status, 200);
  const [{ params }] = site.taken();
  assert.equal(params.CONTENT_LENGTH, '');
  assert.notEqual(params.HTTP_X_REQUEST_ID, 'underscore-1');
  assert.equal(params.HTTP_IF_MATCH, undefined);
  assert.ok(!params.HTTP_PROXY);
});

test('the pool gets the path undecoded', async () => {
  for (const target of ['/api/sync/a%2Fb', '/api/sync/%2e%2e/x', '/api/sync//x?since=%2B1&b=c%20d', '/sync/%C3%BC']) {
    assert.equal((await site.request(target)).status, target.includes('%2e') ? 404 : 200, target);
    const taken = site.taken();
    if (target.includes('%2e')) assert.deepEqual(taken, []); // nginx decodes it, and it is outside of the API
    else assert.equal(taken[0].params.REQUEST_URI, target);
  }
});

test('the pool gets token, conditions, content type and query unchanged', async () => {
  const headers = {
    authorization: `Bearer ${'a.b-c_'.repeat(1000)}`,
    'if-none-match': 'W/"1", "2"',
    'content-encoding': 'gzip',
    'content-type': 'application/json; charset=utf-8',
  };
  await site.request('/api/sync/full?dryRun=true', { method: 'POST', headers, body: 'x' });
  const [{ params }] = site.taken();
  assert.equal(params.HTTP_AUTHORIZATION, headers.authorization);
  assert.equal(params.HTTP_IF_NONE_MATCH, headers['if-none-match']);
  assert.equal(params.HTTP_CONTENT_ENCODING, 'gzip');
  assert.equal(params.CONTENT_TYPE, headers['content-type']);
  assert.equal(params.QUERY_STRING, 'dryRun=true');
});
