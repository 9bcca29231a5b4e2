// The operations of docs/openapi.yaml with their examples, and a check of a real reply.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import { parse } from 'yaml';

export const root = new URL('../../', import.meta.url);
export const source = (path) => readFileSync(new URL(path, root), 'utf8');
// C source with every run of white space as one blank, so that its layout does not matter.
export const cSource = (path) => source(path).replace(/\s+/g, ' ');

const text = source('docs/openapi.yaml');
export const document = parse(text);

const pointer = (...keys) => keys.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

// Resolves a reference: [the node that `node` refers to, its JSON pointer].
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

// Status: its error codes, from the server's table and from the proxy's own errors.
export const errorCodes = {};
for (const [status, error] of [
  ...[...cSource('lib/base/rc.c').matchAll(/\{(\d+), "([A-Z_]+)",/g)].map(([, status, error]) => [status, error]),
  ...[
    [414, 'VALIDATION_ERROR'],
    [431, 'VALIDATION_ERROR'],
    [502, 'SYNC_FAILED'],
    [504, 'SYNC_FAILED'],
  ],
])
  (errorCodes[status] ??= []).push(error);

// Operations

// The body of a request, with all its examples; `refused` names those that show a refusal.
const bodyOf = (media) =>
  media && {
    ...media,
    examples: { ...media.examples, ...media['x-refusedExamples'] },
    refused: Object.keys(media['x-refusedExamples'] ?? {}),
  };

// A list of { id, method, path, base, servers, secured, node, at, parameters, body, responses }; `path` is a template,
// `responses` maps a status to { node, at, shared, examples }.
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
        servers: item.servers?.map(({ url }) => url), // if they are not those of the document
        secured: (node.security ?? document.security).length > 0,
        node,
        at,
        responses,
        streams: 'text/event-stream' in (node.responses['200'].content ?? {}), // these never end; see tests/push
        parameters: node.parameters ?? [],
        body: bodyOf(node.requestBody?.content['application/json']),
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

// Forbids undocumented members in an object schema that lists its members, unless it allows them. (The document itself
// does not, because clients must accept new members.) A schema with variants is closed by each of them.
function close(node) {
  if (!node || typeof node !== 'object') return;
  for (const value of Object.values(node)) close(value);
  if (node.properties && node.type === 'object' && !node.oneOf && !('additionalProperties' in node))
    node.additionalProperties = false;
}

const date = /^\d{4}-\d\d-\d\d$/;
const instant = /^\d{4}-\d\d-\d\d[tT]\d\d:\d\d:\d\d(\.\d+)?([zZ]|[+-]\d\d:\d\d)$/;

function compiler(of) {
  const ajv = new Ajv2020({ strict: false, allErrors: false, formats: { date, 'date-time': instant } });
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

// The fault of a body or parameter, or null.
export const requestFault = (op, value) => open(schemaAt(`${op.at}/requestBody`))(value);
export const replyFault = (response, value) => closed(schemaAt(response.at))(value);
export const schemaFault = (name, value) => open(`/components/schemas/${name}`)(value);
export const parameterFault = (op, index, value) => open(`${op.at}/parameters/${index}/schema`)(value);

// Fails unless `reply` (of tests/http/lib.mjs) matches the document.
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
