// Errors of the application itself: every refusal has the one shape and the status that docs/api.md lists.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import zlib from 'node:zlib';
import { User, ago, book, checkError, holdClock, literal, request, sql, until, waiters, withSession } from './lib.mjs';
import { checkInvalid } from './owner.mjs';

const endpoints = [['POST', '/operations'], ['GET', '/changes'], ['GET', '/status']];

// Case: the body, and the path that `details` and the message name.
const bodies = {
  'an empty body': ['', null],
  'text that is not JSON': ['operations', null],
  'half an object': ['{"operations":[', null],
  'text after the object': ['{"operations":[]} true', null],
  'a list': ['[]', null],
  'a NUL in the text': ['{"operations":[]\0}', null],
  'no operations': ['{}', 'operations'],
  'operations that are null': ['{"operations":null}', 'operations'],
  'operations that are an object': ['{"operations":{}}', 'operations'],
  'operations twice': ['{"operations":[],"operations":[]}', 'operations'],
  'an operation that is not JSON': ['{"operations":[{"id":"a"},{"id":"b",}]}', 'operations[1]'],
  'a number that is not JSON': ['{"operations":[{"id":"a","data":{"pageCount":01}}]}', 'operations[0].data.pageCount'],
  'lastSync that is no instant': ['{"operations":[],"lastSync":"yesterday"}', 'lastSync'],
  'atomic that is not true or false': ['{"operations":[],"atomic":"yes"}', 'atomic'],
  'deviceId that is a number': ['{"operations":[],"deviceId":5}', 'deviceId'],
  'deviceId that is empty': ['{"operations":[],"deviceId":""}', 'deviceId'],
  'deviceId that is too long': [`{"operations":[],"deviceId":"${'x'.repeat(256)}"}`, 'deviceId'],
  'an envelope member that cannot be stored': ['{"operations":[],"note":"\\u0000"}', 'note'],
};

const user = new User();

for (const [name, [body, path]] of Object.entries(bodies))
  test(`a body is refused with 400: ${name}`, async () => {
    const error = checkInvalid(await user.post(body), path);
    if (path) assert.equal(error.message, `${path}: ${error.details[0].message}`);
  });

test('a body that is not valid UTF-8 is refused with 400', async () => {
  checkError(await user.post(Buffer.from('{"operations":[],"deviceId":"\xff"}', 'latin1')), 400, 'VALIDATION_ERROR');
});

const queries = {
  'no since': ['', 'since'],
  'an empty since': ['since=', 'since'],
  'since in words': ['since=yesterday', 'since'],
  'since on a day that does not exist': ['since=2023-02-29T00:00:00Z', 'since'],
  'since without an offset': ['since=2024-01-15T10:30:00', 'since'],
  'since with a fraction of a millisecond': ['since=1705314600000.5', 'since'],
  'since beyond the calendar': ['since=99999999999999999', 'since'],
  'a limit of zero': ['since=0&limit=0', 'limit'],
  'a negative limit': ['since=0&limit=-1', 'limit'],
  'a limit with a fraction': ['since=0&limit=1.5', 'limit'],
  'a limit in words': ['since=0&limit=all', 'limit'],
  'an invented cursor': ['cursor=bm9uc2Vuc2U', 'cursor'],
  'an empty cursor': ['cursor=', 'cursor'],
  'a cursor of other characters': ['cursor=%22%27', 'cursor'],
  'an unknown kind': ['since=0&entities=book,shelf', 'entities'],
  'a list of kinds with an empty entry': ['since=0&entities=book,,tag', 'entities'],
  'since twice': ['since=0&since=1', null],
  'broken percent-encoding': ['since=%2', null],
  'an encoded NUL': ['since=0%00', null],
  'a value that is not UTF-8': ['cursor=OK&since=%ff%fe', null],
  'a value with half of a character': ['since=0&entities=book%c3', null],
  'a value with a surrogate': ['since=0&cursor=%ed%a0%80', null],
  'a name that is not UTF-8': ['since=0&%e9=1', null],
};

for (const [name, [query, path]] of Object.entries(queries))
  test(`a query is refused with 400: ${name}`, async () => {
    checkInvalid(await user.changes(query), path);
  });

test('a path that is not UTF-8 is a 404', async () => {
  for (const path of ['/conflicts/%ff/resolve', '/snapshots/1%c3/restore'])
    checkError(await user.request(path, { method: 'POST', body: '{}' }), 404, 'NOT_FOUND');
});

// Mistakes of people who begin: the message says what was found and what to send.
const OPERATION = { id: 'o', type: 'create', entity: 'book', entityId: 'b', data: { title: 'T' } };
const mistakes = {
  'a byte order mark': ['/operations', '\ufeff{"operations":[]}', /byte order mark; send UTF-8 without it/],
  'a form': ['/operations', 'id=1&type=create', /is a form; send a JSON object, with Content-Type: application\/json/],
  'a list': ['/operations', JSON.stringify([OPERATION]), /is an array; send an object, such as {"operations":\[/],
  'nothing': ['/operations', '', /the body is empty; send a JSON object/],
  'white space': ['/full', ' \n', /the body is empty; send a JSON object/],
  'one operation': ['/operations', JSON.stringify(OPERATION), /^operations: is required; a single operation stands in/],
  'no ids': ['/mark-synced', '{"ids":["o"]}', /^operationIds: is required: an array of ids/],
};

for (const [name, [path, body, message]] of Object.entries(mistakes))
  test(`a common mistake is explained: ${name} as the body`, async () => {
    const reply = await user.request(path, { method: 'POST', body });
    checkError(reply, 400, 'VALIDATION_ERROR');
    assert.match(reply.json.message, message);
  });

test('a common mistake is explained: an unknown path, and a token that is no JWT', async () => {
  assert.match((await user.request('/operation')).json.message, /below \/api\/sync there are \/operations, \/status, /);
  assert.match((await request('/api/sync/status', { token: 'hello' })).json.message, /token is no JWT/);
});

test('an unknown parameter is ignored', async () => {
  assert.equal((await user.changes('since=0&_=1705314600000&verbose')).status, 200);
});

test('an unknown path is a 404 below both base paths, with or without a token', async () => {
  for (const path of ['/api/sync', '/api/sync/', '/api/sync/nothing', '/api/sync/status/', '/sync/Status',
    '/sync/operations/1'])
    for (const token of [undefined, user.token]) checkError(await request(path, { token }), 404, 'NOT_FOUND');
});

test('a wrong method is refused with 405, and Allow names the right one', async () => {
  for (const [method, path] of endpoints)
    for (const wrong of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((name) => name !== method)) {
      const reply = await user.request(path, { method: wrong });
      checkError(reply, 405, 'METHOD_NOT_ALLOWED');
      assert.ok(reply.headers.allow.split(', ').includes(method), reply.headers.allow);
    }
});

test('HEAD is answered like GET, without a body', async () => {
  for (const path of ['/api/health', '/api/sync/status', '/api/sync/changes?since=0']) {
    const reply = await request(path, { method: 'HEAD', token: user.token });
    assert.equal(reply.status, 200, path);
    assert.equal(reply.bytes.length, 0);
  }
});

// 410

async function cursorOf(one) {
  await one.apply(book('b1'));
  await one.apply(book('b2'));
  return (await one.pull()).cursor;
}

const lost = {
  'a backup was restored that does not know the epoch': ['epoch = epoch + 1', { reason: 'restored' }],
  'a backup was restored, so the cursor is from the future':
    ['clock = clock - 1, started = started - 1', { reason: 'restored' }],
  'the deletions since are no longer known': ['horizon = clock + 1', { reason: 'deletions_forgotten' }],
};

const whyOf = ({ reason, until, erasedAt }) => JSON.parse(JSON.stringify({ reason, until, erasedAt }));

for (const [name, [change, why]] of Object.entries(lost))
  test(`a cursor is refused with 410: ${name}`, async () => {
    const one = new User();
    const cursor = await cursorOf(one);
    assert.equal((await one.changes(`cursor=${cursor}`)).status, 200);
    await sql(`UPDATE clocks SET ${change} WHERE user_id = ${literal(one.id)}`);
    const error = checkError(await one.changes(`cursor=${cursor}`), 410, 'RESYNC_REQUIRED');
    assert.match(error.message, /pull from the beginning/);
    assert.deepEqual(whyOf(error), why);
    assert.equal((await one.pull()).changes.length, 2, 'a pull from the beginning succeeds');
  });

test('after an erasure every cursor of before gets 410 erased, also while the account is empty', async () => {
  const one = new User();
  const cursors = [await cursorOf(one), (await one.pull('since=0&limit=1')).cursor];
  const { receipt } = (await one.request('/account', { method: 'DELETE' })).json;
  for (const write of [undefined, () => one.apply(book('b9'))]) {
    await write?.();
    for (const cursor of cursors) {
      const error = checkError(await one.changes(`cursor=${cursor}`), 410, 'RESYNC_REQUIRED');
      assert.deepEqual(whyOf(error), { reason: 'erased', erasedAt: receipt.erasedAt });
    }
  }
  assert.equal((await one.request('/account', { method: 'DELETE' })).status, 200);
  const before = await sql('SELECT count(*) FROM erased_epochs');
  for (let i = 0; i < 3; i++) assert.equal((await one.request('/account', { method: 'DELETE' })).status, 200);
  assert.deepEqual(await sql('SELECT count(*) FROM erased_epochs'), before, 'an empty account is not recorded');
});

// A cursor of the first edition has the same text without the installation.
const first = (cursor) =>
  Buffer.from(Buffer.from(cursor, 'base64url').toString().replace(/\x1f.*$/s, '')).toString('base64url');

test('a cursor of the first edition is accepted, at the end of a pull, on a page and of an empty account', async () => {
  const one = new User();
  const empty = first((await one.pull()).cursor);
  const end = first(await cursorOf(one));
  const page = first((await one.pull('since=0&limit=1')).cursor);
  await one.apply(book('b3'));
  const ids = async (cursor) => (await one.pull(`cursor=${cursor}`)).changes.map(({ data }) => data.id);
  assert.deepEqual([await ids(end), await ids(page)], [['b3'], ['b2', 'b3']]);
  // An empty account has no epoch, and the first edition knew no generation but the first.
  if ((await sql('SELECT generation FROM installation'))[0] === '1')
    assert.deepEqual(await ids(empty), ['b1', 'b2', 'b3']);
  else
    assert.equal(checkError(await one.changes(`cursor=${empty}`), 410, 'RESYNC_REQUIRED').reason, 'restored');
});

test('a cursor of another installation is refused with 410 other_server, also one of an empty account', async () => {
  const one = new User();
  const moved = (cursor) => Buffer.from(Buffer.from(cursor, 'base64url').toString().replace(/\x1f\d+/, '\x1f77'))
    .toString('base64url');
  for (const cursor of [(await one.pull()).cursor, await cursorOf(one), (await one.pull('since=0&limit=1')).cursor]) {
    const error = checkError(await one.changes(`cursor=${moved(cursor)}`), 410, 'RESYNC_REQUIRED');
    assert.deepEqual(whyOf(error), { reason: 'other_server' });
  }
});

test('an instant before the horizon is refused with 410, but one before the first write is not', async () => {
  const one = new User();
  const { updatedAt } = await one.apply(book('b1'));
  await one.apply(book('b2'));
  await sql(`UPDATE clocks SET horizon = clock + 1 WHERE user_id = ${literal(one.id)}`);
  checkError(await one.changes(`since=${updatedAt}`), 410, 'RESYNC_REQUIRED');
  assert.equal((await one.pull(`since=${ago(60)}`)).changes.length, 2);
});

// 413

test('a body over the limit is refused with 413, and the message names the limit and its value', async () => {
  const reply = await user.post(`{"operations":[],"padding":"${'x'.repeat(10 << 20)}"}`);
  assert.match(checkError(reply, 413, 'PAYLOAD_TOO_LARGE').message, /limits\.body\b.*\b10485760\b/);
});

test('a body over the limit after decompression is refused with 413', async () => {
  const bomb = zlib.gzipSync(`{"operations":[],"padding":"${'x'.repeat(64 << 20)}"}`);
  const reply = await user.post(bomb, { headers: { 'content-encoding': 'gzip' } });
  assert.match(checkError(reply, 413, 'PAYLOAD_TOO_LARGE').message, /limits\.body\b.*\b10485760\b/);
});

test('the maximum number of operations is accepted, and one more is refused with 413', async () => {
  const operations = Array.from({ length: 1001 }, (_, i) => ({ type: 'delete', entity: 'tag', entityId: `t${i}` }));
  const error = checkError(await user.post({ operations }), 413, 'PAYLOAD_TOO_LARGE');
  assert.match(error.message, /limits\.operations\b.*\b1000\b/);
  await new User().send(operations.slice(1));
});

test('an operation that creates an entity over the limit, or makes one grow over it, fails alone', async () => {
  const one = new User();
  const half = 'x'.repeat(600 << 10);
  const { results } = await one.send([
    book('big', { notes: half + half }), book('grows', { notes: half }), book('grows', { description: half }),
    book('small'),
  ]);
  assert.deepEqual(results.map((result) => result.status), ['failed', 'success', 'failed', 'success']);
  for (const i of [0, 2]) {
    assert.equal(results[i].error, 'PAYLOAD_TOO_LARGE');
    assert.match(results[i].message, new RegExp(`^operations\\[${i}\\]\\.data: .*limits\\.entity\\b.*\\b1048576\\b`));
    assert.equal(results[i].retryable, false);
  }
  const { lastSync } = await one.status();
  await one.apply(book('grows', { description: half }));
  assert.equal((await one.status()).lastSync, lastSync, 'a refusal is no write');
});

// 415

const types = {
  'application/json': 200, 'Application/JSON; charset=utf-8': 200, 'application/vnd.booky+json': 200, '': 200,
  'application/x-www-form-urlencoded': 200,
  'text/plain': 415, 'text/json': 415, 'application/xml': 415, 'multipart/form-data; boundary=x': 415,
  'application/jsonp': 415,
};

for (const [type, status] of Object.entries(types))
  test(`a body of type "${type}" is answered with ${status}`, async () => {
    const headers = type ? { 'content-type': type } : {};
    const reply = await user.request('/operations', { method: 'POST', headers, body: '{"operations":[]}' });
    if (status === 200) assert.equal(reply.status, 200, reply.text);
    else checkError(reply, 415, 'UNSUPPORTED_MEDIA_TYPE');
  });

test('a gzip body is accepted, any other coding is a 415, and invalid gzip is a 400', async () => {
  const text = JSON.stringify({ operations: [book('zipped')] });
  const send = (coding, body) => user.post(body, { headers: { 'content-encoding': coding } });
  for (const coding of ['gzip', 'GZIP', 'x-gzip']) assert.equal((await send(coding, zlib.gzipSync(text))).status, 200);
  assert.equal((await send('identity', text)).status, 200);
  checkError(await send('br', zlib.brotliCompressSync(text)), 415, 'UNSUPPORTED_MEDIA_TYPE');
  checkError(await send('deflate', zlib.deflateSync(text)), 415, 'UNSUPPORTED_MEDIA_TYPE');
  checkError(await send('gzip, gzip', zlib.gzipSync(zlib.gzipSync(text))), 415, 'UNSUPPORTED_MEDIA_TYPE');
  checkError(await send('gzip', text), 400, 'VALIDATION_ERROR');
  checkError(await send('gzip', zlib.gzipSync(text).subarray(0, -9)), 400, 'VALIDATION_ERROR');
  checkError(await send('gzip', Buffer.concat([zlib.gzipSync(text), Buffer.from('more')])), 400, 'VALIDATION_ERROR');
});

// 503

test('a write that waits too long is cancelled with 503 and not applied, and the retry succeeds', async () => {
  const one = new User();
  const operations = [book('b1'), book('b2')];
  await withSession(async (session) => {
    await holdClock(session, one);
    const write = one.post({ operations });
    const [pid] = await until('the write waits for the clock', async () => {
      const pids = await waiters(session);
      return pids.length && pids;
    });
    await sql(`SELECT pg_cancel_backend(${pid})`); // as statement_timeout does, without waiting for it
    const reply = await write;
    assert.match(checkError(reply, 503, 'SYNC_FAILED').message, /nothing was applied/);
    assert.match(reply.headers['retry-after'], /^\d+$/);
    await session.query('ROLLBACK');
  });
  assert.deepEqual((await one.pull()).changes, []);
  assert.equal((await one.status()).lastSync, null);
  const { results } = await one.send(operations);
  assert.deepEqual(results.map((result) => [result.status, result.duplicate]),
    [['success', undefined], ['success', undefined]]);
});

test('a database connection that breaks before the commit is reopened, and the client sees no error', async () => {
  const one = new User();
  await withSession(async (session) => {
    await holdClock(session, one);
    const write = one.post({ operations: [book('b1')] });
    const next = (not) => until('the write waits for the clock',
      async () => (await waiters(session)).find((pid) => pid !== not));
    const pid = await next();
    await sql(`SELECT pg_terminate_backend(${pid})`);
    await next(pid);
    await session.query('ROLLBACK');
    assert.equal((await write).status, 200);
  });
  assert.equal((await one.pull()).changes.length, 1);
});

// The request id

test("the client's X-Request-Id comes back on every kind of reply, and a malformed one is replaced", async () => {
  const id = randomUUID();
  const headers = { 'x-request-id': id };
  const { headers: { etag } } = await user.changes('since=0');
  const replies = [
    await user.request('/status', { headers }),
    await user.changes('since=0', { headers }),
    await user.changes('since=0', { headers: { ...headers, 'if-none-match': etag } }),
    await user.changes('', { headers }),
    await request('/api/sync/status', { headers }),
    await request('/api/health', { headers }),
    await user.request('/nothing', { headers }),
  ];
  assert.deepEqual(replies.map((reply) => reply.status), [200, 200, 304, 400, 401, 200, 404]);
  for (const reply of replies) assert.equal(reply.headers['x-request-id'], id);
  for (const bad of ['short', 'x'.repeat(65), 'a"b\\c{}<script>', '12345678 12345678'])
    assert.match((await user.request('/status', { headers: { 'x-request-id': bad } })).headers['x-request-id'],
      /^[0-9a-f]{32}$/);
});
