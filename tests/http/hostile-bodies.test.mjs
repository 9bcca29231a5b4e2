// A hostile client that sends bodies made to break parsers, gzip bombs, and small requests with large costs.
import assert from 'node:assert/strict';
import test from 'node:test';
import zlib from 'node:zlib';
import { gzipBomb } from './bomb.mjs';
import { checkReply } from './hostile.mjs';
import { ago, book, checkError, op, patch } from './lib.mjs';
import { Owner } from './owner.mjs';

// JSON

const endpoints = ['/operations', '/queue', '/full', '/mark-synced', '/conflicts/1-0/resolve'];
const nested = (open, closed, depth, inside = '') => open.repeat(depth) + inside + closed.repeat(depth);
const values = { // put in place of a value in the envelope of each endpoint
  'a million levels of lists': '['.repeat(1_000_000), 'a hundred thousand closed levels of lists': nested('[', ']',
    100_000), 'fifty thousand levels of objects': nested('{"a":', '}', 50_000, '1'),
  'a number beyond all doubles': '1e400', 'a number with a million digits': '1'.repeat(1_000_000),
  'an exponent of a million digits': `1e${'9'.repeat(1_000_000)}`, 'a negative zero': '-0',
  'a number with a leading zero': '01',
  'a number in hexadecimal': '0x10', 'NaN': 'NaN', 'a lone surrogate': '"\\ud800"',
  'surrogates in the wrong order': '"\\udc00\\ud800"', NUL: '"\\u0000"', 'a bare control character': '"\n"',
  'a name twice': '{"a":1,"a":2}', 'a name twice in escapes': '{"a":1,"\\u0061":2}', 'an unterminated string': '"',
  'a comment': '1/* */', 'single quotes': "'a'", 'a trailing comma': '[1,]',
};
const invalidBytes = {
  'overlong UTF-8': Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]),
  'UTF-8 of a surrogate': Buffer.from([0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]),
  'UTF-8 beyond Unicode': Buffer.from([0x7b, 0x22, 0xf4, 0x90, 0x80, 0x80, 0x22, 0x3a, 0x31, 0x7d]),
  'UTF-16': Buffer.from('{"operations":[]}', 'utf16le'), 'a byte order mark': Buffer.from('\ufeff{"operations":[]}'),
  'two documents': Buffer.from('{"operations":[]}{"operations":[]}'), 'a NUL at the end': Buffer.from(
    '{"operations":[]}\0'), nothing: Buffer.alloc(0), blanks: Buffer.alloc(1000, ' '), zeros: Buffer.alloc(1000),
};

for (const path of endpoints)
  test(`${path} accepts or refuses JSON that is made to break parsers and never fails`, async () => {
    const attacker = new Owner();
    for (const [name, value] of Object.entries(values)) {
      const operation = `"type":"create","entity":"book","entityId":"b","data":{"title":"T","x":${value}}`;
      const bodies = [
        value,
        `{"operations":[],"operationIds":[],"resolution":"keep_local","x":${value}}`,
        `{"operations":${value},"type":${value},"books":${value},"operationIds":${value},"resolution":${value}}`,
        `{"operations":[{${operation}}],"books":[{"id":"b","title":"T","x":${value}}],${operation}}`,
      ];
      for (const body of bodies) checkReply(await attacker.call('POST', path, body), name);
    }
    for (const [name, body] of Object.entries(invalidBytes)) checkReply(await attacker.call('POST', path, body), name);
  });

test('a body with as many members or operations as fit is accepted or refused', async () => {
  const attacker = new Owner();
  const members = (count) => Array.from({ length: count }, (_, i) => `"${i}":0`).join();
  const wide = [`{"operations":[],${members(500_000)}}`, `{"operations":[${'0,'.repeat(3_000_000)}0]}`,
    `{"operations":[{"type":"create","entity":"book","entityId":"b","data":{"title":"T",${members(70_000)}}}]}`];
  for (const body of wide) checkReply(await attacker.post(body), body.slice(0, 30));
  const many = Array.from({ length: 10_000 }, (_, i) => book(`b${i}`));
  checkError(await attacker.post({ operations: many }), 413, 'PAYLOAD_TOO_LARGE');
  checkError(await attacker.call('POST', '/mark-synced', { operationIds: many.map(({ id }) => id) }), 413,
    'PAYLOAD_TOO_LARGE');
});

const small = zlib.gzipSync('{"operations":[]}');
const bombs = {
  'gigabytes in a megabyte': gzipBomb(1 << 20),
  'gigabytes in a megabyte with a file name of a hundred kilobytes': gzipBomb(1 << 20, { name: 'x'.repeat(100_000) }),
  'an unterminated file name': Buffer.concat(
    [Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(1 << 20, 'x')]),
  'a bomb after a valid member': Buffer.concat([small, gzipBomb(1 << 20)]), 'a hundred thousand members': Buffer.concat(
    Array(100_000).fill(zlib.gzipSync(''))), 'a bomb in a bomb': zlib.gzipSync(gzipBomb(5 << 20)),
};
for (const [name, body] of Object.entries(bombs))
  test(`a gzip bomb is refused with 400 or 413: ${name}`, async () => {
    const attacker = new Owner();
    for (const path of ['/operations', '/full']) {
      const reply = checkReply(await attacker.call('POST', path, body, { 'content-encoding': 'gzip' }), path);
      assert.ok([400, 413].includes(reply.status), reply.text);
    }
  });

// Small requests with large costs

test('the total size of conflicts and results is bounded for a thousand small edits of one large entity', async () => {
  const attacker = new Owner();
  await attacker.send([book('w', { notes: 'x'.repeat(900_000) })]);
  const operations = Array.from({ length: 1000 }, (_, i) => patch('w', { title: `old ${i}` }, { timestamp: ago(30) }));
  const error = await attacker.unchanged(
    async () => checkError(await attacker.post({ operations }), 413, 'PAYLOAD_TOO_LARGE'));
  const [, fit] = error.message.match(/first (\d+) are over limits\.full_body/);
  assert.ok(fit > 5 && fit < 100, fit);
  const { results } = await attacker.send(operations.slice(0, 10));
  assert.ok(results.every(({ status, resolution }) => status === 'success' && resolution === 'server'));
});

test('fifty parked edits of one large entity are applied in several parts', async () => {
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

test('thousands of tags of one name open conflicts for some of them, not for each pair', async () => {
  const attacker = new Owner();
  const tags = (from) => Array.from({ length: 1000 }, (_, i) => op('create', 'tag', `t${from + i}`, { name: 'Same' }));
  for (const from of [0, 1000])
    assert.ok((await attacker.send(tags(from))).results.every(({ status }) => status === 'success'));
  assert.equal((await attacker.replace(
    { mode: 'merge', tags: tags(2000).map(({ entityId, data }) => ({ id: entityId, ...data })) })).created, 1000);
  const { conflicts } = await attacker.status();
  assert.ok(conflicts > 2000 && conflicts <= 75_000, `${conflicts} conflicts`);
});
