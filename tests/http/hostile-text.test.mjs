// A hostile client that injects text for other interpreters: SQL, shells, HTML, JSON, header lines.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkReply } from './hostile.mjs';
import { book, op } from './lib.mjs';
import { Owner } from './owner.mjs';

const evil = [
  "'; DROP TABLE booky.entities; --", "' OR '1'='1", "x') ; DELETE FROM booky.clocks WHERE (user_id <> '", '$1',
  '{"a":1}', '{b1,b2}', '\\', "\\'; --", "E'\\x00'",
  '%s%s%n%p', '%00', '%0d%0aX-Injected: 1', '"}],"operations":[{"', '</script><script>alert(1)</script>',
  '${jndi:ldap://127.0.0.1/x}', '{{7*7}}', '`id`', '$(id)',
  '; id', '| id', '../../../../etc/passwd', 'file:///etc/passwd', '\u202e\u0001\u001b[31m', '\u2028\u2029',
  '\r\nX-Injected: 1\r\n\r\n', '\n{"success":true}', '<6>{"event":"forged"}',
  'NULL', 'null', 'NaN', '-1', '1e309', '__proto__', 'constructor', 'ÿ\u0100\ud83e\udd8a', 'x'.repeat(300),
];

// Place of the text: a request with it. In a URL the text is encoded, so that it arrives unchanged.
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
  'a tag, and one of its name': (text) =>
    ['POST', '/operations', { operations: [op('create', 'tag', text, { name: text.slice(0, 100) }),
    op('create', 'tag', `${text}2`, { name: text.slice(0, 100) })] }],
  'a rating of a book': (text) => ['POST', '/operations',
    { operations: [op('create', 'rating', text, { bookId: text, stars: 1 })] }],
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
const fields = ['x-request-id', 'if-match', 'if-none-match', 'content-type', 'content-encoding', 'accept',
  'accept-encoding', 'user-agent', 'origin', 'cookie',
  'x-forwarded-for', 'x-forwarded-host', 'forwarded', 'range', 'x-http-method-override',
  'access-control-request-method'];

for (const [name, slot] of Object.entries(slots))
  test(`injected text stays text: ${name}`, async () => {
    const attacker = new Owner();
    for (const text of evil) checkReply(await attacker.call(...slot(text)), `${name}: ${text}`);
    const { changes } = await attacker.pull();
    for (const { data } of changes) // accepted text comes back unchanged
      for (const text of evil.filter((one) => Object.hasOwn(data, one) && one !== '__proto__'))
        assert.equal(data[text], text);
  });

for (const name of fields)
  test(`injected text stays text: the header field ${name}`, async () => {
    const attacker = new Owner();
    for (const text of evil) {
      const value = text.replace(/[^\x20-\x7e]/g, '?'); // node refuses other bytes; raw() sends them
      for (const [method, path, body] of [['GET', '/changes?since=0'], ['POST', '/full', '{"force":true}']])
        checkReply(await attacker.request(path, { method, body, headers: { [name]: value } }), `${name}: ${text}`);
    }
  });
