// Large bodies and slow clients, which nginx keeps away from the workers. Needs no rate limit; the pool has 4 workers.
import assert from 'node:assert/strict';
import https from 'node:https';
import test, { before } from 'node:test';
import { User, ca, checkError, content, op, origin, sleep } from '../../http/lib.mjs';

const MIB = 1 << 20;
const CLIENTS = 6; // more than there are workers
const START = '1970-01-01T00:00:00Z';
const timeout = 120_000;

// Books of a little less than a megabyte, the limit of an entity.
const text = 'It was a bright cold day in April. '.repeat(28_000);
const large = (id) => ({ id, title: `Book ${id}`, longText: text });
const ids = (prefix, count) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

const user = new User();

before(async () => {
  const full = await user.request('/full',
    { method: 'POST', body: JSON.stringify({ books: ids('full', 32).map(large) }) });
  assert.equal(full.status, 200, full.text.slice(0, 500));
  for (const part of ['a', 'b', 'c'])
    await user.send(ids(part, 9).map((id) => op('create', 'book', id, { ...large(id), id: undefined })));
});

// Starts a request and resolves when the header of the reply has arrived; the body is not read before resume().
function open(path, { method = 'GET', headers = {} } = {}, write = (req) => req.end()) {
  return new Promise((resolve, reject) => {
    // Each request has its own agent, because a connection that is not read must not be shared.
    const agent = new https.Agent({ ca });
    const req = https.request(origin + path,
      { method, agent, headers: { authorization: `Bearer ${user.token}`, ...headers } }, resolve);
    req.on('error', reject);
    write(req);
  });
}

async function read(reply) {
  const chunks = [];
  for await (const chunk of reply) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks));
}

// Requests the status ten times, which needs a worker; resolves to the longest time in milliseconds.
async function slowest() {
  let longest = 0;
  for (let i = 0; i < 10; i++) {
    const begun = performance.now();
    assert.equal((await new User().request('/status')).status, 200);
    longest = Math.max(longest, performance.now() - begun);
  }
  return longest;
}

test('a full sync of 30 MiB is accepted, and a pull of 56 MiB is complete', async () => {
  const reply = await user.changes(`since=${START}`);
  assert.equal(reply.status, 200);
  assert.ok(reply.bytes.length > 50 * MIB, `${reply.bytes.length} bytes`);
  assert.equal(reply.json.changes.length, 32 + 3 * 9);
  for (const change of reply.json.changes) assert.equal(content(change.data).longText, text);
});

test('gzip compresses such a pull', async () => {
  const reply = await user.changes(`since=${START}`, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(reply.headers['content-encoding'], 'gzip');
  assert.ok(reply.bytes.length < 5 * MIB, `${reply.bytes.length} bytes`);
  assert.equal(reply.json.changes.length, 32 + 3 * 9);
});

for (const [path, list] of [[`/changes?since=${START}`, 'changes'], ['/export', 'books']]) {
  test(`${CLIENTS} clients that stall in ${path} occupy no worker and get the rest later`, { timeout }, async () => {
    const replies = await Promise.all(Array.from({ length: CLIENTS }, () => open(`/api/sync${path}`)));
    for (const reply of replies) assert.equal(reply.statusCode, 200);
    await sleep(5000); // until the workers have written their replies
    const longest = await slowest();
    assert.ok(longest < 2000, `a status took ${longest} ms meanwhile`);
    for (const reply of replies) assert.equal((await read(reply))[list].length, 32 + 3 * 9);
  });
}

test(`${CLIENTS} uploads that stall half-way occupy no worker`, { timeout: 60_000 }, async () => {
  const half = '{"operations":[' + ' '.repeat(2 * MIB);
  const held = [];
  const replies = Array.from({ length: CLIENTS }, () =>
    open('/api/sync/operations', { method: 'POST', headers: { 'content-length': half.length + 2 } }, (req) => {
      req.write(half);
      held.push(req);
    }));
  await sleep(500);
  const longest = await slowest();
  assert.ok(longest < 2000, `a status took ${longest} ms meanwhile`);
  for (const req of held) req.end(']}');
  for (const reply of await Promise.all(replies)) assert.deepEqual((await read(reply)).results, []);
});

test("a body between the application's limit and nginx's is refused by the application with its limit", async () => {
  for (const [path, mebibytes, setting] of [['/operations', 11, 'limits.body'], ['/full', 34, 'limits.full_body']]) {
    const reply = await user.request(path, { method: 'POST', body: ' '.repeat(mebibytes * MIB) });
    assert.match(checkError(reply, 413, 'PAYLOAD_TOO_LARGE').message, new RegExp(setting));
  }
});
