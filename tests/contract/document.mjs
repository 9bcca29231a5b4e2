// docs/openapi.yaml as the tests see it: its operations with their examples, and a check of a real reply.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import { parse } from 'yaml';

export const root = new URL('../../', import.meta.url);
export const source = (path) => readFileSync(new URL(path, root), 'utf8');

const text = source('docs/openapi.yaml');
export const document = parse(text);

const pointer = (...keys) => keys.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

// What `node` refers to, if it is a reference, with where that stands.
function follow(node, at) {
  while (node.$ref) {
    at = node.$ref.slice(1);
    node = at
      .slice(1)
      .split('/')
      .reduce((x, key) => x[key.replaceAll('~1', '/').replaceAll('~0', '~')], document);
  }
  return [node, at];
}

// The error that belongs to each status: the server's table, and what the proxy gives itself.
export const errorCodes = Object.fromEntries([
  ...[...source('lib/rc.c').matchAll(/\{(\d+), "([A-Z_]+)",/g)].map(([, status, error]) => [status, error]),
  ...[
    [414, 'VALIDATION_ERROR'],
    [431, 'VALIDATION_ERROR'],
    [502, 'SYNC_FAILED'],
    [504, 'SYNC_FAILED'],
  ],
]);

// Operations

// A list of { id, method, path, base, secured, node, at, parameters, body, responses }; `path` is a template, `responses`
// maps a status to { node, at, shared, examples }.
export const operations = Object.entries(document.paths).flatMap(([path, item]) =>
  Object.entries(item)
    .filter(([method]) => ['get', 'post', 'put', 'patch', 'delete'].includes(method))
    .map(([method, node]) => {
      const at = pointer('paths', path, method);
      const responses = new Map(
        Object.entries(node.responses).map(([status, given]) => {
          const [found, where] = follow(given, at + pointer('responses', status));
          const content = found.content?.['application/json'];
          return [
            Number(status),
            { node: found, at: where, shared: Boolean(given.$ref), examples: content?.examples ?? {} },
          ];
        }),
      );
      return {
        id: node.operationId,
        method: method.toUpperCase(),
        path,
        base: (item.servers ?? document.servers)[0].url,
        secured: (node.security ?? document.security).length > 0,
        node,
        at,
        responses,
        streams: 'text/event-stream' in (node.responses['200'].content ?? {}), // without end: tests/push
        parameters: node.parameters ?? [],
        body: node.requestBody?.content['application/json'],
      };
    }),
);

export const operation = (id) =>
  operations.find((one) => one.id === id) ?? assert.fail(`no operation ${id} in the document`);

// The examples of an operation by name: { name, status, value } of the replies that belong to it alone.
export const examples = (op) =>
  [...op.responses]
    .filter(([, reply]) => !reply.shared)
    .flatMap(([status, reply]) => Object.entries(reply.examples).map(([name, { value }]) => ({ name, status, value })));

// Schemas

// A reply must not hold members that the document does not tell: here an object that lists its members has no others,
// unless it says so. (The document itself does not: clients must be ready for new ones.)
function close(node) {
  if (!node || typeof node !== 'object') return;
  for (const value of Object.values(node)) close(value);
  if (node.properties && node.type === 'object' && !('additionalProperties' in node)) node.additionalProperties = false;
}

const instant = /^\d{4}-\d\d-\d\d[tT]\d\d:\d\d:\d\d(\.\d+)?([zZ]|[+-]\d\d:\d\d)$/;

function compiler(of) {
  const ajv = new Ajv2020({ strict: false, allErrors: false, formats: { 'date-time': instant } });
  ajv.addSchema({ $id: 'https://booky.invalid/openapi', ...of });
  const compiled = new Map();
  return (at) => {
    if (!compiled.has(at)) compiled.set(at, ajv.compile({ $ref: `https://booky.invalid/openapi#${encodeURI(at)}` }));
    const validate = compiled.get(at);
    return (value) => (validate(value) ? null : ajv.errorsText(validate.errors, { dataVar: 'body' }));
  };
}

const open = compiler(document);
const closed = compiler(
  (() => {
    const copy = parse(text);
    close(copy.components.schemas);
    return copy;
  })(),
);

const schemaAt = (at) => `${at}${pointer('content', 'application/json', 'schema')}`;

// What is wrong with a body, or null.
export const requestFault = (op, value) => open(schemaAt(`${op.at}/requestBody`))(value);
export const replyFault = (response, value) => closed(schemaAt(response.at))(value);
export const schemaFault = (name, value) => open(`/components/schemas/${name}`)(value);
export const parameterFault = (op, index, value) => open(`${op.at}/parameters/${index}/schema`)(value);

// Fails unless `reply` (of tests/http/lib.mjs) is one that the document tells of.
export function checkReply(op, reply) {
  const response = op.responses.get(reply.status);
  assert.ok(response, `${op.id}: status ${reply.status} is not in the document: ${reply.text}`);
  for (const [name, given] of Object.entries(response.node.headers ?? {})) {
    const [header] = follow(given);
    const value = reply.headers[name.toLowerCase()];
    assert.ok(value !== undefined || !header.required, `${op.id}: ${reply.status} without ${name}`);
    if (value !== undefined && header.schema.pattern) assert.match(value, new RegExp(header.schema.pattern), name);
  }
  if (!response.node.content) return assert.equal(reply.text, '', `${op.id}: a ${reply.status} has no body`);
  assert.match(reply.headers['content-type'], /^application\/json\b/);
  assert.equal(replyFault(response, reply.json), null, `${op.id}: ${reply.status} ${reply.text.slice(0, 2000)}`);
}
