// Validation of data: the fields of each kind, data of real clients, and data that cannot be stored without altering
// it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { User, ago, book, content, op } from './lib.mjs';

const nested = (levels, open = '[', close = ']') => open.repeat(levels) + close.repeat(levels);

// Data as text, because JavaScript cannot express most of it. Case: the member `x` of data, and a word of the reason.
const poison = {
  'U+0000': ['"x":"a\\u0000b"', /0000/],
  'U+0000 in a member name': ['"x":{"a\\u0000b":1}', /0000/],
  'a lone high surrogate': ['"x":"\\ud83e"', /surrogate/],
  'a lone low surrogate': ['"x":"\\udd8a!"', /surrogate/],
  'surrogates in the wrong order': ['"x":"\\udd8a\\ud83e"', /surrogate/],
  '1e400': ['"x":1e400', /number/],
  '-1e400': ['"x":-1e400', /number/],
  '1e-400': ['"x":[{"y":1e-400}]', /too small/],
  'an integer of 2^64': ['"x":18446744073709551616', /64 bits/],
  'an integer of -2^63-1': ['"x":[{"y":-9223372036854775809}]', /64 bits/],
  'a member twice': ['"x":{"a":1,"b":2,"a":1}', /twice/],
  'a member twice, once escaped': ['"x":{"a":1,"\\u0061":2}', /twice/],
  'lists too deep': [`"x":${nested(64)}`, /64/],
  'objects too deep': [`"x":${nested(64, '{"a":', '}').replace('}', '1}')}`, /64/],
  'lists beyond the depth of a parser': [`"x":${nested(100_000)}`, /deep/],
  'bytes that are not UTF-8': ['"x":"\xff"', /UTF-8/],
  'a surrogate in UTF-8': ['"x":"\xed\xa0\x80"', /UTF-8/],
  'an overlong form': ['"x":"\xc0\xaf"', /UTF-8/],
};

for (const [name, [member, reason]] of Object.entries(poison))
  test(`an operation with data that cannot be stored fails alone, with a reason: ${name}`, async () => {
    const user = new User();
    const operation = (id, more) =>
      `{"id":"op-${id}","type":"create","entity":"book","entityId":"${id}","data":{"title":"T"${more}},` +
      `"timestamp":"${ago(10)}"}`;
    const body = `{"operations":[${operation('b0', '')},${operation('b1', `,${member}`)},${operation('b2', '')}]}`;
    const reply = await user.post(Buffer.from(body, 'latin1'));
    assert.equal(reply.status, 200, reply.text);
    const { results } = reply.json;
    assert.deepEqual(results.map(({ id, status }) => [id, status]),
      [['op-b0', 'success'], ['op-b1', 'failed'], ['op-b2', 'success']]);
    assert.equal(results[1].error, 'VALIDATION_ERROR');
    assert.ok(results[1].message.startsWith('operations[1].data'), results[1].message);
    assert.match(results[1].message, reason);
    assert.deepEqual((await user.pull()).changes.map(({ data }) => data.id), ['b0', 'b2']);
  });

test('an invalid member of the operation itself is refused with its path', async () => {
  const user = new User();
  const body = '{"operations":[{"id":"a","type":"delete","entity":"book","entityId":"b\\u0000"},' +
    '{"id":"b","id":"c","type":"delete"}]}';
  const { results } = (await user.post(body)).json;
  assert.deepEqual(results.map(({ status }) => status), ['failed', 'failed']);
  assert.match(results[0].message, /^operations\[0\]\.entityId: /);
  assert.match(results[1].message, /^operations\[1\]\.id: /);
});

test('data of the maximum depth come back unchanged', async () => {
  const user = new User();
  const x = nested(63);
  const { status } = await user.apply({ ...book('b1'), data: { title: 'T', x: JSON.parse(x) } });
  assert.equal(status, 'success');
  assert.equal(JSON.stringify((await user.read('book', 'b1')).x), x);
});

// Fields

const make = {
  book: (data) => op('create', 'book', randomUUID(), { title: 'T', ...data }),
  rating: (data) => op('create', 'rating', randomUUID(), { bookId: randomUUID(), stars: 4, ...data }),
  tag: (data) => op('create', 'tag', randomUUID(), { name: randomUUID(), ...data }),
  collection: (data) => op('create', 'collection', randomUUID(), { name: randomUUID(), ...data }),
  readingLog: (data) => op('create', 'readingLog', randomUUID(), { bookId: randomUUID(), status: 'read', ...data }),
  userSettings: (data) => op('update', 'userSettings', 'settings', data),
};

const strings = `subtitle isbn13 coverUrl localCoverPath description publisher publishedDate genre language notes
  readingStatus printType weight country languageCode previewLink infoLink canonicalVolumeLink webReaderLink
  textToSpeechPermission seriesName edition volume oclcNumber lccn deweyDecimal saleability contentVersion
  maturityRating`.split(/\s+/);
const numbers = ['publishedYear', 'pageCount', 'averageRating', 'seriesVolume'];
const booleans = ['isEbook', 'epubAvailable', 'pdfAvailable', 'allowAnonLogging', 'needsSync', 'localOnly'];
const arrays = ['authors', 'categories', 'subjects', 'tags', 'authorDetails'];
const objects = ['externalIds', 'dimensions', 'listPrice'];
const instants = ['notesUpdatedAt', 'lastSyncedAt'];
const each = (names, good, wrong) => names.map((name) => [name, good, wrong]);

// Kind: [field, valid values, invalid values]. Any field except a required one may be null.
const fields = {
  book: [
    ['title', ['T', 'x'.repeat(500), '🦊'.repeat(500), ' '], ['', 'x'.repeat(501), 5, null]],
    ['format', ['physical', 'kindle', 'kobo', 'audible', 'audiobook', 'pdf', 'other', null], ['vinyl', '', 1]],
    ...each(strings, ['', 'text', null], [5, true, [], {}]),
    ...each(numbers, [0, -1, 4.1, 1984, null], ['1984', '', true, [], {}]),
    ...each(booleans, [true, false, null], ['true', 0, [], {}]),
    ...each(arrays, [[], ['a'], [{ a: 1 }], null], ['a', 5, {}]),
    ...each(objects, [{}, { a: { b: [1] } }, null], ['a', 5, []]),
    ...each(instants, ['2024-01-15T10:30:00+01:00', 1705314600000, null],
      ['yesterday', '2024-01-15', 1.5, 1705314600, true]),
    ['addedAt', ['2024-01-15T10:30:00+01:00', '2024-01-15', 1705314600000, null], ['yesterday', 1.5, 1705314600, true]],
  ],
  rating: [
    ['bookId', ['b', 'x'.repeat(255)], ['', 'x'.repeat(256), 5, null]],
    ['stars', [0.5, 1, 1.0, 2.5, 5], [0, 0.4, 4.3, 5.5, -1, '4', null, [4]]],
  ],
  tag: [['name', ['N', 'x'.repeat(100), '🦊'.repeat(100)], ['', 'x'.repeat(101), 5, null]]],
  collection: [
    ['name', ['N', 'x'.repeat(200)], ['', 'x'.repeat(201), 5, null]],
    ['isSmart', [true, false, null], ['yes', 1]],
    ['smartRules', [{}, { all: [{ field: 'genre' }] }, [], null], ['genre = x', 5, true]],
  ],
  readingLog: [
    ['bookId', ['b'], ['', 5, null]],
    ['status', ['want_to_read', 'currently_reading', 'read', 'dnf'], ['reading', '', 1, null]],
    ['startedAt', ['2024-01-15T10:30:00Z', '2024-01-15', 1705314600000, null], ['Monday', '', 0]],
    ['finishedAt', ['2024-01-15T10:30:00Z', '2024-01-15', null], ['Monday', '2024-01-32', false]],
  ],
  userSettings: [
    ['theme', ['light', 'dark', 'system', null], ['blue', '', 1]],
    ['defaultFormat', ['kindle', '', null], [1, {}]],
    ['ratingDisplay', ['stars', 'numbers', null], ['hearts', true]],
    ['dateFormat', ['DD/MM/YYYY', null], [1]],
    ['notificationPreferences', [{}, { email: false }, null], ['all', [], true]],
  ],
};

for (const [kind, rows] of Object.entries(fields))
  test(`valid values of the fields of ${kind} are stored, and invalid ones are refused with their paths`, async () => {
    const cases = rows.flatMap(([name, good, wrong]) => [
      ...good.map((value) => ({ name, value, status: 'success' })),
      ...wrong.map((value) => ({ name, value, status: 'failed' })),
    ]);
    const { results } = await new User().send(cases.map(({ name, value }) => make[kind]({ [name]: value })));
    cases.forEach(({ name, value, status }, i) => {
      const shown = `${name}: ${JSON.stringify(value).slice(0, 60)}`;
      assert.equal(results[i].status, status, `${shown} ${results[i].message}`);
      if (status === 'failed')
        assert.ok(results[i].message.startsWith(`operations[${i}].data.${name}: `), `${shown}: ${results[i].message}`);
    });
  });

const required = { book: ['title'], rating: ['bookId', 'stars'], tag: ['name'], collection: ['name'],
  readingLog: ['bookId', 'status'] };

for (const [kind, names] of Object.entries(required))
  test(`a ${kind} is not created without ${names.join(' and ')}`, async () => {
    const { results } = await new User().send(names.map((name) => make[kind]({ [name]: undefined })));
    results.forEach((result, i) => {
      assert.equal(result.status, 'failed');
      assert.equal(result.message, `operations[${i}].data.${names[i]}: is required`);
    });
  });

test('an update may omit a required member but may not set it to null', async () => {
  const user = new User();
  await user.apply(book('b1'));
  assert.equal((await user.apply(op('update', 'book', 'b1', { notes: 'n' }))).status, 'success');
  assert.equal((await user.apply(op('update', 'book', 'b1', { title: null }))).status, 'failed');
});

// Real books, as clients send them.

const real = {
  'empty and missing values': { isbn13: '', publishedYear: null, subtitle: '', publisher: '', categories: [],
    externalIds: {} },
  'a language code with a path': { languageCode: 'languages/eng', language: 'English' },
  'a description of 20 kB': { description: 'All happy families … '.repeat(1000) },
  'an ISBN with hyphens and a remark': { isbn13: '978-0-06-051275-0 (pbk.)' },
  'a date that is only a year': { publishedDate: '1974', publishedYear: 1974 },
  'a cover as a data URL': { coverUrl: `data:image/png;base64,${'iVBORw0KGgo'.repeat(2000)}` },
  'unknown members': { zotero: { key: 'AB', tags: [1, null, { deep: true }] }, _local: 'x', '': 'no name',
    'ключ': 'значение' },
  'flags of the client': { needsSync: true, localOnly: false, lastSyncedAt: null, synced: false },
  'prices and sizes': { listPrice: { amount: 12.99, currency: 'EUR' }, dimensions: { height: '21 cm' },
    averageRating: 4.1 },
};

for (const [name, data] of Object.entries(real))
  test(`a book comes back unchanged: ${name}`, async () => {
    const user = new User();
    assert.equal((await user.apply(book('b1', data))).status, 'success');
    assert.deepEqual(content(await user.read('book', 'b1')), { title: 'Book b1', ...data });
  });

test('a tag is accepted without a colour and with further members', async () => {
  const user = new User();
  await user.send([op('create', 'tag', 't1', { name: 'Sea' }),
    op('create', 'tag', 't2', { name: 'Sky', color: '#09f', icon: null })]);
  assert.deepEqual(content(await user.read('tag', 't1')), { name: 'Sea' });
  assert.deepEqual(content(await user.read('tag', 't2')), { name: 'Sky', color: '#09f', icon: null });
});

test('unknown members of the envelope and of an operation are ignored', async () => {
  const user = new User();
  const operation = { ...book('b1'), synced: false, retryCount: 2, priority: 1, userId: 'somebody', createdAt: 5,
    nested: { a: [] } };
  const { results } = await user.send([operation],
    { client: 'web', version: 3, userId: 'somebody', lastSync: null, deviceId: null });
  assert.equal(results[0].status, 'success');
  assert.deepEqual(content(await user.read('book', 'b1')), { title: 'Book b1' });
});

test('a user id in a body is only data', async () => {
  const [user, victim] = [new User(), new User()];
  await user.send([book('b1', { userId: victim.id, user_id: victim.id })], { userId: victim.id });
  assert.deepEqual((await victim.pull()).changes, []);
  assert.equal((await user.read('book', 'b1')).userId, victim.id);
});
