// Compares docs/openapi.yaml and docs/api.md with the sources: routes, error codes, field tables, limits and
// vocabularies.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import test from 'node:test';
import { cSource, document, errorCodes, examples, operation, operations, root, source } from './document.mjs';

const { schemas } = document.components;
const api = source('docs/api.md');

// The strings of a C array that is initialised with strings only.
const strings = (text) => [...text.matchAll(/"([^"]*)"/g)].map(([, value]) => value);
const array = (file, name) => strings(cSource(file).match(new RegExp(`\\b${name}\\[[^\\]]*\\] = \\{(.*?)\\};`))[1]);

// Routes

const routes = [
  ...cSource('fcgi-app/http/route.c').matchAll(/\{"(\w+)", "([A-Z]+)", "([^"]+)", (true|false), BODY_(\w+)/g),
].flatMap(([, , method, path, secured, body]) =>
  (path.startsWith('+') ? ['/api', '/api/sync'] : ['/api/sync']).map((base) => ({
    method,
    path: base + path.replace('+', ''),
    secured: secured === 'true',
    body: body !== 'NONE',
  })),
);

test('the routes of the server are the operations of the document', () => {
  assert.ok(routes.length > 10);
  const [, ...others] = document.servers.map(({ url }) => url); // the same API as below the first
  const documented = operations.flatMap((op) =>
    (op.servers ?? [op.base]).filter((base) => !others.includes(base)).map((base) => ({
      method: op.method,
      path: base + op.path.replace(/\{\w+\}/g, '*'),
      secured: op.secured,
      body: Boolean(op.body),
    })),
  );
  const order = (a, b) => `${a.path} ${a.method}`.localeCompare(`${b.path} ${b.method}`);
  assert.deepEqual(documented.sort(order), routes.sort(order));
});

test('the base paths of the server are those of the document', () => {
  assert.deepEqual(
    document.servers.map(({ url }) => url),
    array('fcgi-app/http/route.c', 'bases'),
  );
  for (const op of operations)
    for (const { url } of document.servers) assert.ok(!op.servers || op.servers.includes(url), `${op.id}: ${url}`);
});

test('docs/api.md mentions every operation', () => {
  for (const op of operations) {
    const path = op.base === '/api/sync' ? op.path : op.base + op.path;
    assert.ok(api.includes(`${op.method} ${path}`), `${op.method} ${path}`);
  }
});

// Errors

test('the error codes of the server are those of the document', () => {
  assert.deepEqual([...schemas.ErrorCode.enum].sort(), [...new Set(Object.values(errorCodes).flat())].sort());
  const inResults = strings(cSource('lib/sync/batch.c')).filter((text) => /^[A-Z_]{8,}$/.test(text));
  for (const code of inResults) assert.ok(schemas.ResultFailed.properties.error.enum.includes(code), code);
});

test('the statuses of the server are those of the document', () => {
  const documented = new Set(operations.flatMap((op) => [...op.responses.keys()]));
  for (const [status] of Object.entries(errorCodes)) assert.ok(documented.has(Number(status)), status);
  for (const status of documented) assert.ok(status < 400 || errorCodes[status], `${status}`);
});

test('docs/api.md explains every error', () => {
  for (const [status, codes] of Object.entries(errorCodes))
    for (const code of codes) assert.match(api, new RegExp(`^\\| ${status} \\| \`${code}\` \\|`, 'm'));
  for (const code of schemas.ResultFailed.properties.error.enum) assert.ok(api.includes(`\`${code}\``), code);
});

// Kinds

const files = [
  ...cSource('lib/engine/kind.c')
    .match(/kinds\[\] = \{(.*?)NULL/)[1]
    .matchAll(/&(kind_\w+)/g),
].map(([, name]) => `lib/engine/${name}.c`);

// Reads a kind from its source file: { name, plural, alias, fields: [[name, schema, required]] }.
function readKind(file) {
  const text = cSource(file);
  const member = (name) => text.match(new RegExp(`\\.${name} = "(\\w+)"`))?.[1];
  const fields = [...text.matchAll(/\{\.name = "(\w+)", \.type = FIELD_(\w+)([^}]*)\}/g)].map(
    ([, name, type, rest]) => {
      const value = (key) => rest.match(new RegExp(`\\.${key} = ([\\w.]+)`))?.[1];
      const required = value('required') === 'true';
      const or = (types) => (required ? types : [types, 'null'].flat());
      const [min, max, step] = ['min', 'max', 'step'].map((key) => Number(value(key) ?? 0));
      const schema = {
        STRING: () => ({ type: or('string'), ...(max > 0 && { minLength: min, maxLength: max }) }),
        NUMBER: () => ({
          type: or('number'),
          ...(max > 0 && { minimum: min, maximum: max }),
          ...(step > 0 && { multipleOf: step }),
        }),
        BOOLEAN: () => ({ type: or('boolean') }),
        ARRAY: () => ({ type: or('array'), items: {} }),
        OBJECT: () => ({ type: or('object') }),
        SET: () => ({ $ref: '#/components/schemas/SetEdit' }),
        TREE: () => ({ type: or(['object', 'array']), items: {} }),
        INSTANT: () => ({ $ref: '#/components/schemas/DataInstant' }),
        DATE: () => ({ $ref: '#/components/schemas/DateOrInstant' }),
        CHOICE: () => ({ type: or('string'), enum: [...array(file, value('choices')), ...(required ? [] : [null])] }),
      }[type]();
      return [name, schema, required];
    },
  );
  const declared = text.match(/\{ ?\.name = /g).length - 1; // the kind has a name, too
  assert.equal(fields.length, declared, `${file} has a row that this test cannot read`);
  return {
    name: text.match(/kind \w+ = \{ ?\.name = "(\w+)"/)[1],
    plural: member('plural'),
    alias: member('alias'),
    fields,
  };
}

const kinds = files.map(readKind);
const title = (kind) => kind.name[0].toUpperCase() + kind.name.slice(1);
const plain = ({ description, ...schema }) => schema;

test('the kinds of the server are those of the document', () => {
  assert.deepEqual(
    schemas.EntityKind.enum,
    kinds.map(({ name }) => name),
  );
  for (const { name, plural, alias } of kinds)
    for (const member of [plural, alias].filter(Boolean))
      assert.ok(schemas.FullRequest.properties[member], `${name}: ${member}`);
  for (const { plural } of kinds) assert.ok(schemas.ExportReply.properties[plural], plural);
  assert.deepEqual(
    Object.keys(schemas.DigestReply.properties.kinds.properties),
    kinds.map(({ name }) => name),
  );
});

for (const kind of kinds)
  test(`the fields of a ${kind.name} are those of the document`, () => {
    const documented = Object.entries(schemas[`${title(kind)}Fields`].properties).map(([name, schema]) => [
      name,
      plain(schema),
    ]);
    assert.deepEqual(
      Object.fromEntries(documented),
      Object.fromEntries(kind.fields.map(([name, schema]) => [name, schema])),
    );
    const required = kind.fields.filter(([, , needed]) => needed).map(([name]) => name);
    // A whole entity repeats its required fields, because some generators ignore a `required` next to `allOf`.
    const { [title(kind)]: whole, [`${title(kind)}Fields`]: { properties } } = schemas;
    const [, needed] = whole.allOf ?? [];
    assert.deepEqual(needed?.required ?? [], required);
    assert.deepEqual(needed?.properties ?? {}, Object.fromEntries(required.map((name) => [name, properties[name]])));
    assert.equal(schemas[`${title(kind)}Fields`].additionalProperties, true);
    for (const [name] of kind.fields) assert.ok(api.includes(`\`${name}\``), `docs/api.md does not mention ${name}`);
  });

// Limits

const settings = Object.fromEntries(
  [...cSource('lib/base/conf.c').matchAll(/(?:INTEGER|CHOICE)\("([\w.]+)", \w+, "(\w+)"/g)].map(([, name, value]) => [
    name,
    /^\d+$/.test(value) ? Number(value) : value,
  ]),
);
// A constant of the library, in whichever file it is defined.
const library = readdirSync(new URL('lib', root), { recursive: true }).filter((file) => /\.[ch]$/.test(file)).sort()
  .map((file) => cSource(`lib/${file}`)).join('\n');
const constant = (name) => Number(library.match(new RegExp(`\\b${name} = (\\d+)`))[1]);

test('the limits of the server are those of the document', () => {
  const given = [
    [constant('OPERATION_ID_MAX'), schemas.OperationId.maxLength],
    [constant('ENTITY_ID_MAX'), schemas.EntityId.maxLength],
    [constant('DEVICE_ID_MAX'), schemas.DeviceId.maxLength],
    [constant('LIMIT_MAX'), schemas.Limit.maximum],
    [
      constant('CURSOR_MAX'),
      operation('getChanges').parameters.find(({ name }) => name === 'cursor').schema.maxLength,
    ],
    [settings['limits.operations'], schemas.OperationsRequest.properties.operations.maxItems],
    [settings['limits.operations'], schemas.MarkRequest.properties.operationIds.maxItems],
    [settings['limits.full_items'], schemas.FullRequest.properties.books.maxItems],
    [constant('CTX_DETAILS'), schemas.Error.properties.details.maxItems],
  ];
  for (const [actual, documented] of given) assert.equal(documented, actual);
});

test('the settings in the example of /config are the defaults of the server', () => {
  const [{ value }] = examples(operation('getConfig'));
  assert.deepEqual(
    [value.limits, value.retention, value.clockSkewSeconds, value.conflictResolution],
    [
      {
        bodyBytes: settings['limits.body'],
        fullBodyBytes: settings['limits.full_body'],
        fullItems: settings['limits.full_items'],
        operations: settings['limits.operations'],
        entityBytes: settings['limits.entity'],
        depth: settings['limits.depth'],
        snapshots: settings['limits.snapshots'],
      },
      {
        tombstoneDays: settings['retention.tombstones'],
        ledgerDays: settings['retention.ledger'],
        snapshotDays: settings['retention.snapshots'],
      },
      settings['sync.clock_skew'],
      settings['sync.conflict_resolution'],
    ],
  );
  assert.equal(value.maxAttempts, constant('QUEUE_ATTEMPTS'));
});

test('docs/api.md mentions every limit with its default', () => {
  for (const [name, value] of Object.entries(settings))
    if (/^(limits|retention)\./.test(name) || name === 'sync.clock_skew')
      assert.match(
        api,
        new RegExp(`^\\| .*\`${name.replace('.', '\\.')}\` \\| ${value.toLocaleString('en')} `, 'm'),
        name,
      );
});

// Vocabularies

test('the vocabularies of the server are those of the document', () => {
  const reasons = array('lib/engine/conflict.c', 'names');
  assert.deepEqual(schemas.ConflictReason.enum, reasons);
  for (const reason of reasons) assert.ok(api.includes(`\`${reason}\``), reason);
  assert.deepEqual(schemas.OperationType.enum, array('lib/engine/operation.c', 'types'));
  assert.deepEqual(schemas.OperationMembers.properties.conflictResolution.enum,
    [...array('lib/engine/operation.c', 'policies'), null]);
  assert.deepEqual(schemas.ResolveRequest.properties.resolution.enum, array('lib/sync/decision.c', 'choices'));
  assert.deepEqual(schemas.Resolution.enum, array('lib/sync/decision.c', 'resolutions'));
  const statuses = array('lib/sync/result.c', 'names');
  assert.deepEqual(Object.keys(schemas.OperationResult.discriminator.mapping), statuses);
});
