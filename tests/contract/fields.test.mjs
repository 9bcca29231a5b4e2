// The schemas of docs/openapi.yaml allow exactly what the server accepts: both judge the same operations.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User } from '../http/lib.mjs';
import { document, operation, requestFault, schemaFault } from './document.mjs';

const { schemas } = document.components;

const samples = [
  null,
  true,
  false,
  0,
  -1,
  1,
  5,
  6,
  0.5,
  0.25,
  4.5,
  1e300,
  1705314600000,
  1e15,
  '',
  'x',
  'x'.repeat(100),
  'x'.repeat(101),
  '€'.repeat(200),
  '😀'.repeat(200),
  'x'.repeat(201),
  'x'.repeat(255),
  'x'.repeat(256),
  'x'.repeat(500),
  '😀'.repeat(500),
  'x'.repeat(501),
  'read',
  'Read',
  'dark',
  'stars',
  'kobo',
  '2024-01-15T10:30:00Z',
  '2024-01-15t10:30:00.123456+01:00',
  '2024-01-15',
  '2024-01-15T10:30:00',
  'languages/eng',
  [],
  ['a', 1, null],
  [[]],
  {},
  { a: { b: null } },
  { $add: ['a'] },
  { $remove: [], $add: [{}, 1] },
  { $add: 'a' },
  { $add: ['a'], x: 1 },
  { $add: ['a'], $remove: null },
];

const whole = {
  book: { title: 'T' },
  rating: { bookId: 'b', stars: 4.5 },
  tag: { name: 'N' },
  collection: { name: 'N' },
  readingLog: { bookId: 'b', status: 'read' },
  userSettings: {},
};

// Sends the operations, a thousand at a time, and compares each result with the schema of an operation.
async function compare(operations) {
  const user = new User();
  const differ = [];
  for (let i = 0; i < operations.length; i += 1000) {
    const part = operations.slice(i, i + 1000);
    const { results } = await user.send(part);
    results.forEach((result, at) => {
      const fault = schemaFault('Operation', part[at]);
      if ((result.status === 'failed') !== (fault !== null))
        differ.push({
          sent: JSON.stringify(part[at]).slice(0, 300),
          document: fault ?? 'valid',
          server: result.message ?? result.status,
        });
    });
  }
  assert.deepEqual(differ, []);
}

for (const kind of schemas.EntityKind.enum)
  test(`schema and server agree about the data of a ${kind}`, async () => {
    const fields = Object.keys(schemas[`${kind[0].toUpperCase()}${kind.slice(1)}Fields`].properties);
    const operations = [];
    const add = (type, data) =>
      operations.push({ id: `op-${operations.length}`, type, entity: kind, entityId: `e-${operations.length}`, data });
    for (const name of [...fields, 'createdAt', 'updatedAt', 'unknown'])
      for (const value of samples) {
        add('create', { ...whole[kind], [name]: value });
        add('update', { [name]: value });
      }
    for (const name of Object.keys(whole[kind])) add('create', { ...whole[kind], [name]: undefined });
    for (const type of ['create', 'update', 'delete']) for (const data of [undefined, ...samples]) add(type, data);
    await compare(operations);
  });

test('schema and server agree about the members of an operation', async () => {
  const operations = [];
  const add = (more) =>
    operations.push({
      type: 'update',
      entity: 'book',
      entityId: `e-${operations.length}`,
      data: { notes: 'n' },
      ...more,
    });
  const lengths = [0, 1, 127, 128, 129, 254, 255, 256];
  const texts = lengths.flatMap((length) => ['x'.repeat(length), '😀'.repeat(length)]);
  for (const value of [undefined, ...samples, ...texts]) {
    if (!/^[xr]?$/i.test(value ?? '')) add({ id: value }); // one-letter ids would be reused
    add({ entityId: value });
    add({ type: value });
    add({ entity: value });
    add({ entity: 'userSettings', entityId: value, data: {} });
    add({ timestamp: value });
    add({ baseVersion: value });
    add({ conflictResolution: value });
    add({ unknown: value });
  }
  for (const value of ['create', 'update', 'delete']) add({ type: value, data: { title: 'T' } });
  for (const value of ['merge', 'local', 'server', 'manual']) add({ conflictResolution: value });
  operations.push({}, { type: 'delete' }, { entity: 'tag' }, { type: 'delete', entity: 'tag' });
  const seen = new Set(); // a reused id would fail
  await compare(operations.filter(({ id }) => typeof id !== 'string' || (!seen.has(id) && seen.add(id))));
});

// Bodies: [the members to vary, the valid rest].
const bodies = {
  sendOperations: [['deviceId', 'lastSync', 'atomic', 'unknown', 'operations'], { operations: [] }],
  replaceAll: [
    ['books', 'ratings', 'readings', 'readingLogs', 'settings', 'userSettings', 'mode', 'deviceId', 'force'],
    {},
  ],
  queueOperation: [
    ['id', 'type', 'entity', 'entityId', 'data', 'timestamp'],
    { type: 'update', entity: 'tag', entityId: 't', data: {} },
  ],
  markSynced: [['operationIds', 'unknown'], { operationIds: [] }],
  resolveConflict: [['resolution', 'mergedData', 'baseVersion', 'deviceId'], { resolution: 'merge', mergedData: {} }],
};

const words = ['merge', 'replace', 'keep_local', 'delete', 'book'];
const items = [
  [{}],
  [{ id: 'a', title: 'T', bookId: 'b', stars: 1, status: 'read' }],
  [{ id: '', title: 'T' }],
  [null],
  ['a'],
  [1],
];

for (const [id, [members, rest]] of Object.entries(bodies))
  test(`schema and server agree about the body of ${id}`, async () => {
    const op = operation(id);
    const user = new User();
    const differ = [];
    for (const name of members)
      for (const value of [undefined, ...samples, ...items, ...words]) {
        const body = { ...rest, [name]: value };
        const reply = await user.request(op.path.replace('{id}', '1-1'), {
          method: op.method,
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
        const refused = reply.status === 400 || reply.json.results?.some(({ status }) => status === 'failed');
        const fault = requestFault(op, body);
        if (Boolean(refused) !== (fault !== null))
          differ.push({
            sent: JSON.stringify(body).slice(0, 200),
            document: fault ?? 'valid',
            server: reply.text.slice(0, 300),
          });
      }
    assert.deepEqual(differ, []);
  });
