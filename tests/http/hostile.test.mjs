// A client that means harm: another user's ids in every place that takes one, text made for other interpreters, paths and
// bodies made to confuse. Each gets a documented answer; nobody else's rows change, and no worker is lost.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import test, { after, before } from 'node:test';
import tls from 'node:tls';
import zlib from 'node:zlib';
import { User, ago, book, ca, checkError, literal, mint, op, origin, patch, request, secret, sql } from './lib.mjs';
import { Owner, encode, ownerOfEverything } from './owner.mjs';

const { hostname, port } = new URL(origin);

// The errors of docs/api.md that a client can bring about.
const documented = {
  400: ['VALIDATION_ERROR'], 401: ['UNAUTHORIZED'], 404: ['NOT_FOUND'], 405: ['METHOD_NOT_ALLOWED'], 409: ['CONFLICT_DETECTED'],
  410: ['RESYNC_REQUIRED'], 413: ['PAYLOAD_TOO_LARGE'], 414: ['VALIDATION_ERROR'], 415: ['UNSUPPORTED_MEDIA_TYPE'], 431: ['VALIDATION_ERROR'],
};

// The victim, whose name and data hold a word that nobody else may see.
const word = `Geheim${randomBytes(6).toString('hex')}`;
let victim;
let ids; // what an attacker might have learned of the victim
let untouched;

const digest = (value) => createHash('sha256').update(JSON.stringify(value)).digest('hex');

// Every row of the victim, and what the API says.
async function look() {
  const tables = await sql(`SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'booky' AND column_name = 'user_id' ORDER BY 1`);
  const rows = await sql(tables.filter((name) => name !== 'rate_windows').map((name) =>
    `SELECT '${name}', count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM ${name} AS t WHERE user_id = ${literal(victim.id)}`).join(' UNION ALL '));
  const { exportedAt, ...everything } = await victim.get('/export');
  return { rows: rows.sort(), everything: digest(everything), digest: await victim.get('/digest') };
}

// The workers, by process id, and how many were replaced because something went wrong.
async function workers() {
  const { processes } = (await request('/pool?json&full')).json;
  const { text } = await request('/metrics');
  const restarts = [...text.matchAll(/^booky_sync_worker_restarts_total\{reason="(crash|timeout)"\} (\d+)$/gm)].map((match) => match[0]);
  assert.equal(restarts.length, 2, text);
  return { pids: processes.map(({ pid }) => pid).sort(), restarts };
}

let pool;
before(async () => {
  pool = await workers();
  victim = await ownerOfEverything(`u-${word}`);
  await victim.send([book(`b-${word}`, { title: word, notes: word }), op('create', 'tag', 't-1', { name: word })], { deviceId: `device-${word}` });
  const { changes, cursor } = await victim.pull('since=0&limit=2');
  const reply = await victim.changes();
  ids = {
    cursor, etag: reply.headers.etag, updatedAt: changes[0].data.updatedAt, conflicts: (await victim.conflicts()).map(({ id }) => id),
    conflictCursor: (await victim.get('/conflicts?limit=1')).cursor, pendingCursor: (await victim.get('/pending?limit=1')).cursor,
    snapshots: (await victim.snapshots()).map(({ id }) => id), operations: ['waits', 'marked', 'op-r2'],
    entities: reply.json.changes.map(({ type, data }) => [type, data.id]),
  };
  assert.ok(ids.conflicts.length > 2 && ids.snapshots.length > 0 && ids.entities.length > 6);
  untouched = await look();
});

after(async () => {
  assert.deepEqual(await look(), untouched, "the victim's rows are what they were");
  const now = await workers();
  assert.deepEqual(now, pool, 'no worker was lost');
});

// An answer is a success or a documented error, sets nothing that was smuggled in, and shows nothing of the victim.
function checkReply(reply, what) {
  const { status, json, headers } = reply;
  assert.ok(status < 300 || status === 304 || documented[status], `${what}: ${status} ${reply.text.slice(0, 500)}`);
  if (status >= 400) checkError(reply, status, documented[status].find((error) => error === json?.error));
  assert.equal(headers['set-cookie'] ?? headers['x-injected'], undefined, what);
  assert.ok(!reply.text.includes(word), `${what}: ${reply.text.slice(0, 500)}`);
  return reply;
}

// Another user's ids

const places = {
  'entities, in every type of operation': async (attacker) => {
    const data = { title: 'x', name: 'x', bookId: 'b1', stars: 1, status: 'read' };
    for (const type of ['create', 'update', 'delete'])
      for (const conflictResolution of ['merge', 'local', 'server', 'manual']) {
        const operations = ids.entities.filter(([, id]) => !id.includes(word)).map(([entity, id]) => op(type, entity, id, data, { conflictResolution, timestamp: undefined }));
        checkReply(await attacker.post({ operations }), type);
      }
  },
  'operation ids': async (attacker) => {
    for (const id of ids.operations) checkReply(await attacker.post({ operations: [book('b1', {}, { id })] }), id);
    const { json } = checkReply(await attacker.call('POST', '/mark-synced', { operationIds: ids.operations }), 'mark-synced');
    assert.deepEqual([json.marked, json.unknown.sort()], [0, [...ids.operations].sort()]);
  },
  'operation ids in the queue, applied and cleared': async (attacker) => {
    for (const id of ids.operations) assert.equal(checkReply(await attacker.park(book('b1', {}, { id })), id).status, 201);
    checkReply(await attacker.call('POST', '/pending/apply'), 'apply');
    checkReply(await attacker.call('DELETE', '/clear'), 'clear');
  },
  'versions and devices': async (attacker) => {
    for (const envelope of [{ lastSync: ids.updatedAt }, { deviceId: 'phone' }, { atomic: true, deviceId: 'phone', lastSync: ids.updatedAt }])
      checkReply(await attacker.post({ operations: [patch('b1', { title: 'x' }, { baseVersion: ids.updatedAt })], ...envelope }), 'envelope');
  },
  conflicts: async (attacker) => {
    for (const id of ids.conflicts)
      for (const decision of [{ resolution: 'keep_local' }, { resolution: 'keep_server' }, { resolution: 'merge', mergedData: { title: 'x' } },
        { resolution: 'keep_local', baseVersion: ids.updatedAt }])
        checkError(await attacker.resolve(id, decision), 404, 'NOT_FOUND');
  },
  snapshots: async (attacker) => {
    for (const id of ids.snapshots) checkError(await attacker.restore(id), 404, 'NOT_FOUND');
  },
  cursors: async (attacker) => {
    checkError(await attacker.changes(`cursor=${ids.cursor}`), 410, 'RESYNC_REQUIRED');
    for (const path of ['/changes', '/pending', '/conflicts'])
      for (const cursor of [ids.cursor, ids.conflictCursor, ids.pendingCursor])
        checkReply(await attacker.request(`${path}?cursor=${encodeURIComponent(cursor)}`), `${path} ${cursor}`);
  },
  'preconditions': async (attacker) => {
    checkError(await attacker.full({ books: [] }, '', { 'if-match': `"${ids.cursor}"` }), 409, 'CONFLICT_DETECTED');
    const reply = checkReply(await attacker.changes(undefined, { headers: { 'if-none-match': ids.etag } }), 'If-None-Match');
    assert.equal(reply.status, 200);
  },
  'a full sync of the same ids, of nothing, and erasure': async (attacker) => {
    const books = ids.entities.filter(([type, id]) => type === 'book' && !id.includes(word)).map(([, id]) => ({ id, title: 'x' }));
    for (const body of [{ books }, { mode: 'merge', books }, { books: [], tags: [], collections: [], ratings: [], readings: [], settings: {} }])
      assert.equal(checkReply(await attacker.full(body), 'full').status, 200);
    assert.equal(checkReply(await attacker.call('DELETE', '/account'), 'account').status, 200);
  },
  'the user itself, in query, fields, cookies and bodies': async (attacker) => {
    const name = encodeURIComponent(victim.id);
    const headers = { 'x-user-id': victim.id, 'x-forwarded-user': victim.id, 'remote-user': victim.id, 'x-original-url': '/api/sync/export', cookie: `userId=${name}` };
    for (const path of ['/changes?since=0&', '/export?', '/status?', '/digest?', '/conflicts?', '/pending?', '/snapshots?'])
      checkReply(await attacker.request(`${path}userId=${name}&user_id=${name}&sub=${name}`, { headers }), path);
    const operations = [{ ...book('u1', { userId: 'v', user_id: 'v' }), userId: victim.id, user_id: victim.id }];
    checkReply(await attacker.post({ operations, userId: victim.id, user: { id: victim.id } }, { headers }), 'body');
  },
};

for (const [name, work] of Object.entries(places))
  test(`another user's ids: ${name}`, async () => {
    const attacker = new Owner();
    await attacker.send([book('b1', { title: 'Own' }), op('create', 'tag', 't1', { name: 'Own' })]);
    await work(attacker);
    assert.deepEqual(await look(), untouched);
  });

// Text for other interpreters

const evil = [
  "'; DROP TABLE booky.entities; --", "' OR '1'='1", "x') ; DELETE FROM booky.clocks WHERE (user_id <> '", '$1', '{"a":1}', '{b1,b2}', '\\', "\\'; --", "E'\\x00'",
  '%s%s%n%p', '%00', '%0d%0aX-Injected: 1', '"}],"operations":[{"', '</script><script>alert(1)</script>', '${jndi:ldap://127.0.0.1/x}', '{{7*7}}', '`id`', '$(id)',
  '; id', '| id', '../../../../etc/passwd', 'file:///etc/passwd', '\u202e\u0001\u001b[31m', '\u2028\u2029', '\r\nX-Injected: 1\r\n\r\n', '\n{"success":true}', '<6>{"event":"forged"}',
  'NULL', 'null', 'NaN', '-1', '1e309', '__proto__', 'constructor', 'ÿ\u0100\ud83e\udd8a', 'x'.repeat(300),
];

// Where a text can stand: a request for it. What stands in a URL is encoded there, so it arrives as it is.
const url = encodeURIComponent;
const slots = {
  'operation id': (text) => ['POST', '/operations', { operations: [book('b', {}, { id: text })] }],
  type: (text) => ['POST', '/operations', { operations: [op(text, 'book', 'b', { title: 'T' })] }],
  entity: (text) => ['POST', '/operations', { operations: [op('create', text, 'b', { title: 'T' })] }],
  entityId: (text) => ['POST', '/operations', { operations: [book(text)] }],
  timestamp: (text) => ['POST', '/operations', { operations: [book('b', {}, { timestamp: text })] }],
  baseVersion: (text) => ['POST', '/operations', { operations: [book('b', {}, { baseVersion: text })] }],
  conflictResolution: (text) => ['POST', '/operations', { operations: [book('b', {}, { conflictResolution: text })] }],
  lastSync: (text) => ['POST', '/operations', { operations: [book('b')], lastSync: text }],
  deviceId: (text) => ['POST', '/operations', { operations: [book('b')], deviceId: text }],
  'a member of the envelope': (text) => ['POST', '/operations', { operations: [], [text]: text }],
  'a member of data': (text) => ['POST', '/operations', { operations: [book('m', { [text]: text })] }],
  'a tag, and one of its name': (text) => ['POST', '/operations', { operations: [op('create', 'tag', text, { name: text.slice(0, 100) }), op('create', 'tag', `${text}2`, { name: text.slice(0, 100) })] }],
  'a rating of a book': (text) => ['POST', '/operations', { operations: [op('create', 'rating', text, { bookId: text, stars: 1 })] }],
  queue: (text) => ['POST', '/queue', op('create', 'book', text, { title: text }, { id: text })],
  'mark-synced': (text) => ['POST', '/mark-synced', { operationIds: [text, text] }],
  full: (text) => ['POST', '/full', { mode: 'merge', books: [{ id: text, title: 'T', [text]: text }], deviceId: text }],
  'full: mode': (text) => ['POST', '/full', { mode: text }],
  'full: dryRun': (text) => ['POST', `/full?dryRun=${url(text)}`, { tags: [] }],
  since: (text) => ['GET', `/changes?since=${url(text)}`],
  cursor: (text) => ['GET', `/changes?cursor=${url(text)}`],
  entities: (text) => ['GET', `/changes?since=0&entities=${url(text)}`],
  limit: (text) => ['GET', `/changes?since=0&limit=${url(text)}`],
  'a parameter': (text) => ['GET', `/changes?since=0&${url(text)}=${url(text)}`],
  'cursor of pending': (text) => ['GET', `/pending?cursor=${url(text)}&limit=${url(text)}`],
  'cursor of conflicts': (text) => ['GET', `/conflicts?cursor=${url(text)}`],
  'status of conflicts': (text) => ['GET', `/conflicts?status=${url(text)}`],
  'a conflict': (text) => ['POST', `/conflicts/${url(text)}/resolve`, { resolution: 'keep_local' }],
  'a resolution': (text) => ['POST', '/conflicts/1-0/resolve', { resolution: text, baseVersion: text, deviceId: text }],
  'merged data': (text) => ['POST', '/conflicts/1-0/resolve', { resolution: 'merge', mergedData: { [text]: text } }],
  'a snapshot': (text) => ['POST', `/snapshots/${url(text)}/restore`],
  'a path': (text) => ['GET', `/${url(text)}`],
};
const fields = ['x-request-id', 'if-match', 'if-none-match', 'content-type', 'content-encoding', 'accept', 'accept-encoding', 'user-agent', 'origin', 'cookie',
  'x-forwarded-for', 'x-forwarded-host', 'forwarded', 'range', 'x-http-method-override', 'access-control-request-method'];

for (const [name, slot] of Object.entries(slots))
  test(`text for other interpreters: ${name}`, async () => {
    const attacker = new Owner();
    for (const text of evil) checkReply(await attacker.call(...slot(text)), `${name}: ${text}`);
    const { changes } = await attacker.pull();
    for (const { data } of changes) // what was taken is what was sent
      for (const text of evil.filter((one) => Object.hasOwn(data, one) && one !== '__proto__')) assert.equal(data[text], text);
  });

for (const name of fields)
  test(`text for other interpreters: the field ${name}`, async () => {
    const attacker = new Owner();
    for (const text of evil) {
      const value = text.replace(/[^\x20-\x7e]/g, '?'); // node refuses the others; they are sent by hand below
      for (const [method, path, body] of [['GET', '/changes?since=0'], ['POST', '/full', '{"force":true}']])
        checkReply(await attacker.request(path, { method, body, headers: { [name]: value } }), `${name}: ${text}`);
    }
  });

// Bytes by hand

// Sends bytes over TLS; resolves to the replies until the server closes, which the last request must ask for.
function raw(bytes) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: hostname, port, ca }, () => socket.write(bytes));
    let text = '';
    socket.setEncoding('latin1').setTimeout(20_000, () => socket.destroy(new Error(`kept open after ${text.slice(0, 300)}`)));
    socket.on('data', (chunk) => (text += chunk));
    socket.on('error', (error) => (error.code === 'ECONNRESET' ? resolve(split(text)) : reject(error)));
    socket.on('close', () => resolve(split(text)));
  });
}

function split(text) {
  const replies = [];
  while (text) {
    const end = text.indexOf('\r\n\r\n');
    const [line, ...lines] = text.slice(0, end).split('\r\n');
    const pairs = lines.flatMap((one) => [one.slice(0, one.indexOf(':')), one.slice(one.indexOf(':') + 1).trim()]);
    const headers = Object.fromEntries(lines.map((_, i) => [pairs[2 * i].toLowerCase(), pairs[2 * i + 1]]));
    assert.ok(headers['content-length'], text.slice(0, 500));
    const body = text.slice(end + 4, end + 4 + Number(headers['content-length']));
    replies.push({ status: Number(line.split(' ')[1]), headers, raw: pairs, text: body, json: JSON.parse(body) });
    text = text.slice(end + 4 + body.length);
  }
  return replies;
}

const head = (line, token, ...lines) => [line, 'Host: localhost', `Authorization: Bearer ${token}`, ...lines].map((one) => `${one}\r\n`).join('');
const close = 'Connection: close';

const paths = [
  '/api/sync/../sync/nothing', '/api/sync/%2e%2e/sync/nothing', '/api/sync/..%2fsync/status', '/api/sync/..;/status', '/api/sync/status/..;/..;/metrics', '/api/sync/;/status',
  '/api/sync/status;x=1', '/api/sync//status', '//api/sync/status', '/api//sync/status', '/api/sync/./status', '/api/sync/%2e/status', '/api/sync/x/../status', '/api/sync/status/',
  '/api/sync/status/.', '/api/sync/status.', '/api/sync/status%20', '/api/sync/status%00', '/api/sync/status%00.json', '/api/sync/%c0%ae%c0%ae/status', '/api/sync/%c0%afstatus',
  '/api/sync/%e0%80%af', '/api/sync/%u002e', '/api/sync/%', '/api/sync/%2', '/api/sync/%zz', '/API/SYNC/STATUS', '/api/sync/STATUS', '/api/sync/stat\\us', '\\api\\sync\\status',
  '/api/sync/%252e%252e/status', '/api/sync/conflicts/..%2f..%2fstatus/resolve', '/api/sync/snapshots/%2e%2e/restore', '/sync/api/sync/status',
  '/api/sync/status%3fx', '/api/sync/\u00ff', '/../../../../etc/passwd', '/.booky-error', '/api/sync/\x7f', `/api/sync/${'../'.repeat(100)}etc/passwd`, 'nothing', '*',
];

test('no spelling of a path opens another one', async () => {
  const { token } = new User();
  for (const path of paths) {
    const [reply, ...more] = await raw(Buffer.from(head(`GET ${path} HTTP/1.1`, token, close) + '\r\n', 'latin1'));
    checkReply(reply, path);
    assert.ok([400, 404, 405].includes(reply.status), `${path}: ${reply.status} ${reply.text}`);
    assert.equal(more.length, 0);
  }
});

test('a path in percent-encoding is the path, and a fragment is none of it', async () => {
  for (const path of ['/%73tat%75s', '%2fstatus', '/status#x']) assert.equal((await new User().request(path)).status, 200);
});

const mangled = {
  'a line break in a field': 'X-Request-Id: abcdefgh\rX-Injected: 1', 'a bare line feed in a field': 'X-Request-Id: abcdefgh\nX-Injected: 1',
  'a folded field': 'X-Request-Id: abcdefgh\r\n X-Injected: 1', 'NUL in a field': 'X-Request-Id: abcd\0efgh', 'a field without a name': ': abcdefgh',
  'a field of bytes': 'X-Request-Id: \xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8', 'a field that is no field': 'X-Request-Id', 'an escape in an id': 'X-Request-Id: \x1b[31mabcdefgh',
  'a second token': `Authorization: Bearer ${mint({ userId: 'u-second' })}`, 'a second id': 'X-Request-Id: abcdefgh\r\nX-Request-Id: ijklmnop', 'a hundred fields': Array.from({ length: 100 }, (_, i) => `X-${i}: x`).join('\r\n'),
  'an expectation': 'Expect: the-spanish-inquisition', 'an upgrade': 'Upgrade: h2c\r\nHTTP2-Settings: AAAA', 'a range': 'Range: bytes=0-0', 'a name that FastCGI knows': 'Proxy: http://evil.example', 'a content length for nothing': 'Content-Length: 0',
};

for (const [name, lines] of Object.entries(mangled))
  test(`by hand: ${name}`, async () => {
    const replies = await raw(Buffer.from(head('GET /api/sync/status HTTP/1.1', new User().token, lines, close) + '\r\n', 'latin1'));
    for (const reply of replies) {
      checkReply(reply, name);
      assert.match(reply.headers['x-request-id'], /^[A-Za-z0-9_-]{8,64}$/);
    }
    assert.ok(replies.length <= 1);
  });

// Two ends in one request: at most one answer, and what hides behind is nobody's.
const hidden = () => head('DELETE /api/sync/account HTTP/1.1', victim.token, close) + '\r\n';
const smuggled = {
  'a length before chunks': (inner) => ['Content-Length: 4', 'Transfer-Encoding: chunked', '', `0\r\n\r\n${inner}`],
  'chunks before a length': (inner) => ['Transfer-Encoding: chunked', `Content-Length: ${inner.length + 5}`, '', `0\r\n\r\n${inner}`],
  'two lengths': (inner) => ['Content-Length: 0', `Content-Length: ${inner.length}`, '', inner],
  'chunks of another case and a blank': (inner) => ['Content-Length: 0', 'Transfer-Encoding : chunked', '', `0\r\n\r\n${inner}`],
  'a folded coding': (inner) => ['Content-Length: 0', 'Transfer-Encoding:\r\n chunked', '', `0\r\n\r\n${inner}`],
  'a coding with a vertical tab': (inner) => ['Content-Length: 0', 'Transfer-Encoding: \vchunked', '', `0\r\n\r\n${inner}`],
  'a chunk size that overflows': (inner) => ['Transfer-Encoding: chunked', '', `10000000000000000\r\n${inner}`],
};
for (const [name, shape] of Object.entries(smuggled))
  test(`smuggled: ${name}`, async () => {
    const { token } = new User();
    const replies = await raw(Buffer.from(head('POST /api/sync/operations HTTP/1.1', token) + shape(hidden()).join('\r\n'), 'latin1'));
    assert.ok(replies.length <= 1, `${replies.length} answers: ${replies.map(({ text }) => text)}`);
    for (const reply of replies) assert.ok([400, 501].includes(reply.status), reply.text);
    assert.deepEqual(await look(), untouched);
  });

test('requests of several users in one connection are each answered with their own', async () => {
  const users = Array.from({ length: 4 }, () => new User());
  await Promise.all(users.map((user) => user.apply(book('b1', { title: user.id }))));
  const order = Array.from({ length: 24 }, (_, i) => users[(i * 7) % users.length]);
  const bytes = order.map((user, i) => head('GET /api/sync/digest HTTP/1.1', user.token, ...(i === 23 ? [close] : []), `X-Request-Id: pipelined-${i}`) + '\r\n').join('');
  const expected = new Map(await Promise.all(users.map(async (user) => [user, (await user.request('/digest')).text])));
  const replies = await raw(bytes);
  assert.deepEqual(replies.map(({ headers }) => headers['x-request-id']), order.map((_, i) => `pipelined-${i}`));
  assert.deepEqual(replies.map(({ text }) => text), order.map((user) => expected.get(user)));
});

// Bodies

const endpoints = ['/operations', '/queue', '/full', '/mark-synced', '/conflicts/1-0/resolve'];
const nested = (open, closed, depth, inside = '') => open.repeat(depth) + inside + closed.repeat(depth);
const around = { // what may stand where a value may, in the envelope of each endpoint
  'a million levels of lists': '['.repeat(1_000_000), 'closed levels of lists': nested('[', ']', 100_000), 'levels of objects': nested('{"a":', '}', 50_000, '1'),
  'a number beyond all': '1e400', 'a number with a million digits': '1'.repeat(1_000_000), 'an exponent of a million digits': `1e${'9'.repeat(1_000_000)}`, 'a negative zero': '-0', 'a number with a leading zero': '01',
  'a number in hexadecimal': '0x10', 'NaN': 'NaN', 'half a character': '"\\ud800"', 'halves in the wrong order': '"\\udc00\\ud800"', NUL: '"\\u0000"', 'a bare control character': '"\n"',
  'a name twice': '{"a":1,"a":2}', 'a name twice in escapes': '{"a":1,"\\u0061":2}', 'a text that does not end': '"', 'a comment': '1/* */', 'single quotes': "'a'", 'a trailing comma': '[1,]',
};
const bytes = {
  'overlong UTF-8': Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]), 'UTF-8 of a half character': Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]),
  'UTF-8 beyond Unicode': Buffer.from([0x7b, 0x22, 0xf4, 0x90, 0x80, 0x80, 0x22, 0x3a, 0x31, 0x7d]), 'UTF-16': Buffer.from('{"operations":[]}', 'utf16le'), 'a byte order mark': Buffer.from('\ufeff{"operations":[]}'),
  'two documents': Buffer.from('{"operations":[]}{"operations":[]}'), 'NUL behind': Buffer.from('{"operations":[]}\0'), nothing: Buffer.alloc(0), blanks: Buffer.alloc(1000, ' '), zeros: Buffer.alloc(1000),
};

for (const path of endpoints)
  test(`${path}: JSON made to break parsers is refused or taken, never an error of the server`, async () => {
    const attacker = new Owner();
    for (const [name, value] of Object.entries(around)) {
      const bodies = [`{"operations":[],"operationIds":[],"resolution":"keep_local","x":${value}}`, `{"operations":${value},"type":${value},"books":${value},"operationIds":${value},"resolution":${value}}`, value,
        `{"operations":[{"type":"create","entity":"book","entityId":"b","data":{"title":"T","x":${value}}}],"books":[{"id":"b","title":"T","x":${value}}],"type":"create","entity":"book","entityId":"b","data":{"title":"T","x":${value}}}`];
      for (const body of bodies) checkReply(await attacker.call('POST', path, body), name);
    }
    for (const [name, body] of Object.entries(bytes)) checkReply(await attacker.call('POST', path, body), name);
  });

test('wide JSON: as many members and operations as a body can hold', async () => {
  const attacker = new Owner();
  const members = (count) => Array.from({ length: count }, (_, i) => `"${i}":0`).join();
  const wide = [`{"operations":[],${members(500_000)}}`, `{"operations":[${'0,'.repeat(3_000_000)}0]}`, `{"operations":[{"type":"create","entity":"book","entityId":"b","data":{"title":"T",${members(70_000)}}}]}`];
  for (const body of wide) checkReply(await attacker.post(body), body.slice(0, 30));
  const many = Array.from({ length: 10_000 }, (_, i) => book(`b${i}`));
  checkError(await attacker.post({ operations: many }), 413, 'PAYLOAD_TOO_LARGE');
  checkError(await attacker.call('POST', '/mark-synced', { operationIds: many.map(({ id }) => id) }), 413, 'PAYLOAD_TOO_LARGE');
});

// One compressed megabyte of blanks again and again.
function bomb(size, { name } = {}) {
  const block = zlib.deflateRawSync(Buffer.alloc(1 << 20, ' '), { level: 9, finishFlush: zlib.constants.Z_FULL_FLUSH });
  const start = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, name ? 8 : 0, 0, 0, 0, 0, 0, 3]), name ? Buffer.from(`${name}\0`) : Buffer.alloc(0)]);
  return Buffer.concat([start, ...Array(Math.floor((size - start.length) / block.length)).fill(block)]);
}
const small = zlib.gzipSync('{"operations":[]}');
const bombs = {
  'gigabytes in a megabyte': bomb(1 << 20), 'the same under a name of a hundred kilobytes': bomb(1 << 20, { name: 'x'.repeat(100_000) }), 'a name without an end': Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(1 << 20, 'x')]),
  'a bomb behind a whole member': Buffer.concat([small, bomb(1 << 20)]), 'a hundred thousand members': Buffer.concat(Array(100_000).fill(zlib.gzipSync(''))), 'a bomb in a bomb': zlib.gzipSync(bomb(5 << 20)),
};
for (const [name, body] of Object.entries(bombs))
  test(`gzip: ${name}`, async () => {
    const attacker = new Owner();
    for (const path of ['/operations', '/full']) {
      const reply = checkReply(await attacker.call('POST', path, body, { 'content-encoding': 'gzip' }), path);
      assert.ok([400, 413].includes(reply.status), reply.text);
    }
  });

// Small requests that would cost much

test('a thousand small edits of one large entity: what their conflicts and results may hold is bounded', async () => {
  const attacker = new Owner();
  await attacker.send([book('w', { notes: 'x'.repeat(900_000) })]);
  const operations = Array.from({ length: 1000 }, (_, i) => patch('w', { title: `old ${i}` }, { timestamp: ago(30) }));
  const error = await attacker.unchanged(async () => checkError(await attacker.post({ operations }), 413, 'PAYLOAD_TOO_LARGE'));
  const [, fit] = error.message.match(/first (\d+) are over limits\.full_body/);
  assert.ok(fit > 5 && fit < 100, fit);
  const { results } = await attacker.send(operations.slice(0, 10));
  assert.ok(results.every(({ status, resolution }) => status === 'success' && resolution === 'server'));
});

test('fifty of them from the queue are applied in several parts', async () => {
  const owner = new Owner();
  await owner.send([book('w', { notes: 'x'.repeat(900_000) })]);
  for (let i = 0; i < 50; i++) await owner.parked(patch('w', { title: `old ${i}` }, { timestamp: ago(30) }));
  let parts = 0;
  for (let more = true; more; parts++) {
    const { applied, failed, hasMore, results } = await owner.applyPending();
    assert.deepEqual([failed, results.length], [0, applied]);
    assert.ok(applied > 5 && applied <= 50, applied);
    more = hasMore;
  }
  assert.ok(parts > 1 && parts < 10, `${parts} parts`);
  assert.deepEqual(await owner.pending(), []);
});

test('many tags of one name: a person is asked about some of them, not about each pair', async () => {
  const attacker = new Owner();
  const tags = (from) => Array.from({ length: 1000 }, (_, i) => op('create', 'tag', `t${from + i}`, { name: 'Same' }));
  for (const from of [0, 1000]) assert.ok((await attacker.send(tags(from))).results.every(({ status }) => status === 'success'));
  assert.equal((await attacker.replace({ mode: 'merge', tags: tags(2000).map(({ entityId, data }) => ({ id: entityId, ...data })) })).created, 1000);
  const { conflicts } = await attacker.status();
  assert.ok(conflicts > 2000 && conflicts <= 75_000, `${conflicts} questions`);
});

test('no secret was ever in a reply', async () => {
  for (const path of ['/api/sync/config', '/api/health', '/metrics', '/pool?full', '/ping'])
    for (const text of [secret, word, victim.id]) assert.ok(!(await request(path)).text.includes(text), path);
});
