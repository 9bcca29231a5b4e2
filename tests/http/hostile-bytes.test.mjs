// A hostile client that sends malformed bytes: odd paths and header fields, smuggled and pipelined requests.
import assert from 'node:assert/strict';
import test from 'node:test';
import tls from 'node:tls';
import { checkReply, readVictim, untouched, victim } from './hostile.mjs';
import { User, book, ca, mint, origin } from './lib.mjs';
import { parseReplies } from '../replies.mjs';

const { hostname, port } = new URL(origin);

// Sends bytes over TLS and resolves to the replies when the server closes, which the last request must ask for.
function raw(bytes) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: hostname, port, ca }, () => socket.write(bytes));
    let text = '';
    socket.setEncoding('latin1').setTimeout(20_000,
      () => socket.destroy(new Error(`kept open after ${text.slice(0, 300)}`)));
    socket.on('data', (chunk) => (text += chunk));
    socket.on('error', (error) => (error.code === 'ECONNRESET' ? resolve(split(text)) : reject(error)));
    socket.on('close', () => resolve(split(text)));
  });
}

const split = (text) => parseReplies(text).map((reply) => {
  assert.ok(reply.headers['content-length'], text.slice(0, 500));
  const body = reply.bytes.toString();
  return { ...reply, text: body, json: JSON.parse(body) };
});

const head = (line, token, ...lines) => [line, 'Host: localhost', `Authorization: Bearer ${token}`, ...lines]
  .map((one) => `${one}\r\n`).join('');
const close = 'Connection: close';

const paths = [
  '/api/sync/../sync/nothing', '/api/sync/%2e%2e/sync/nothing', '/api/sync/..%2fsync/status', '/api/sync/..;/status',
  '/api/sync/status/..;/..;/metrics', '/api/sync/;/status',
  '/api/sync/status;x=1', '/api/sync//status', '//api/sync/status', '/api//sync/status', '/api/sync/./status',
  '/api/sync/%2e/status', '/api/sync/x/../status', '/api/sync/status/',
  '/api/sync/status/.', '/api/sync/status.', '/api/sync/status%20', '/api/sync/status%00', '/api/sync/status%00.json',
  '/api/sync/%c0%ae%c0%ae/status', '/api/sync/%c0%afstatus',
  '/api/sync/%e0%80%af', '/api/sync/%u002e', '/api/sync/%', '/api/sync/%2', '/api/sync/%zz', '/API/SYNC/STATUS',
  '/api/sync/STATUS', '/api/sync/stat\\us', '\\api\\sync\\status',
  '/api/sync/%252e%252e/status', '/api/sync/conflicts/..%2f..%2fstatus/resolve', '/api/sync/snapshots/%2e%2e/restore',
  '/sync/api/sync/status',
  '/api/sync/status%3fx', '/api/sync/\u00ff', '/../../../../etc/passwd', '/.booky-error', '/api/sync/\x7f',
  `/api/sync/${'../'.repeat(100)}etc/passwd`, 'nothing', '*',
];

test('no spelling of a path reaches another path', async () => {
  const { token } = new User();
  for (const path of paths) {
    const [reply, ...more] = await raw(Buffer.from(head(`GET ${path} HTTP/1.1`, token, close) + '\r\n', 'latin1'));
    checkReply(reply, path);
    assert.ok([400, 404, 405].includes(reply.status), `${path}: ${reply.status} ${reply.text}`);
    assert.equal(more.length, 0);
  }
});

test('a percent-encoded path is decoded, and a fragment is ignored', async () => {
  for (const path of ['/%73tat%75s', '%2fstatus', '/status#x'])
    assert.equal((await new User().request(path)).status, 200);
});

const mangled = {
  'a line break in a field': 'X-Request-Id: abcdefgh\rX-Injected: 1',
  'a bare line feed in a field': 'X-Request-Id: abcdefgh\nX-Injected: 1',
  'a folded field': 'X-Request-Id: abcdefgh\r\n X-Injected: 1', 'NUL in a field': 'X-Request-Id: abcd\0efgh',
  'a field without a name': ': abcdefgh',
  'a field of bytes beyond ASCII': 'X-Request-Id: \xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8',
  'a field without a colon': 'X-Request-Id', 'an escape in an id': 'X-Request-Id: \x1b[31mabcdefgh',
  'a second token': `Authorization: Bearer ${mint({ userId: 'u-second' })}`,
  'a second id': 'X-Request-Id: abcdefgh\r\nX-Request-Id: ijklmnop',
  'a hundred fields': Array.from({ length: 100 }, (_, i) => `X-${i}: x`).join('\r\n'),
  'an expectation': 'Expect: the-spanish-inquisition', 'an upgrade': 'Upgrade: h2c\r\nHTTP2-Settings: AAAA',
  'a range': 'Range: bytes=0-0', 'a field that CGI reserves': 'Proxy: http://evil.example',
  'a content length of zero': 'Content-Length: 0',
};

for (const [name, lines] of Object.entries(mangled))
  test(`a malformed or odd header gets at most one documented reply: ${name}`, async () => {
    const replies = await raw(
      Buffer.from(head('GET /api/sync/status HTTP/1.1', new User().token, lines, close) + '\r\n', 'latin1'));
    for (const reply of replies) {
      checkReply(reply, name);
      assert.match(reply.headers['x-request-id'], /^[A-Za-z0-9_-]{8,64}$/);
    }
    assert.ok(replies.length <= 1);
  });

// Two contradictory lengths in one request: there is at most one answer, and the hidden request is never executed.
const hidden = () => head('DELETE /api/sync/account HTTP/1.1', victim.token, close) + '\r\n';
const smuggled = {
  'a length before chunks': (inner) => ['Content-Length: 4', 'Transfer-Encoding: chunked', '', `0\r\n\r\n${inner}`],
  'chunks before a length': (inner) => ['Transfer-Encoding: chunked', `Content-Length: ${inner.length + 5}`, '',
    `0\r\n\r\n${inner}`],
  'two lengths': (inner) => ['Content-Length: 0', `Content-Length: ${inner.length}`, '', inner],
  'chunks with a blank before the colon': (inner) =>
    ['Content-Length: 0', 'Transfer-Encoding : chunked', '', `0\r\n\r\n${inner}`],
  'a folded coding': (inner) => ['Content-Length: 0', 'Transfer-Encoding:\r\n chunked', '', `0\r\n\r\n${inner}`],
  'a coding with a vertical tab': (inner) =>
    ['Content-Length: 0', 'Transfer-Encoding: \vchunked', '', `0\r\n\r\n${inner}`],
  'a chunk size that overflows': (inner) => ['Transfer-Encoding: chunked', '', `10000000000000000\r\n${inner}`],
};
for (const [name, shape] of Object.entries(smuggled))
  test(`a smuggled request is not executed: ${name}`, async () => {
    const { token } = new User();
    const replies = await raw(
      Buffer.from(head('POST /api/sync/operations HTTP/1.1', token) + shape(hidden()).join('\r\n'), 'latin1'));
    assert.ok(replies.length <= 1, `${replies.length} answers: ${replies.map(({ text }) => text)}`);
    for (const reply of replies) assert.ok([400, 501].includes(reply.status), reply.text);
    assert.deepEqual(await readVictim(), untouched);
  });

test('pipelined requests of several users are each answered with their own data', async () => {
  const users = Array.from({ length: 4 }, () => new User());
  await Promise.all(users.map((user) => user.apply(book('b1', { title: user.id }))));
  const order = Array.from({ length: 24 }, (_, i) => users[(i * 7) % users.length]);
  const bytes = order.map((user, i) => head('GET /api/sync/digest HTTP/1.1', user.token, ...(i === 23 ? [close] : []),
    `X-Request-Id: pipelined-${i}`) + '\r\n').join('');
  const expected = new Map(await Promise.all(users.map(async (user) => [user, (await user.request('/digest')).text])));
  const replies = await raw(bytes);
  assert.deepEqual(replies.map(({ headers }) => headers['x-request-id']), order.map((_, i) => `pipelined-${i}`));
  assert.deepEqual(replies.map(({ text }) => text), order.map((user) => expected.get(user)));
});
