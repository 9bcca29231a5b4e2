// Every refusal in docs/openapi.yaml, provoked at every operation that lists it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { User, literal, mint, request, seconds, sql } from '../http/lib.mjs';
import { checkReply, document, errorCodes, examples, operations, source } from './document.mjs';
import { Actor } from './replay.mjs';
import { scenarios } from './scenarios.mjs';

const user = new User();

// Sends a plain request of an operation; its {id} names a conflict or snapshot that does not exist.
function send(op, { token = op.secured ? user.token : undefined, query = '', ...more } = {}) {
  const path = op.path.replace('{id}', '1-1').replace('{entity}/{entityId}', 'book/book-456');
  const target = `${op.base}${path}?since=0${query}`;
  const body = op.body && ['POST', 'PUT'].includes(more.method ?? op.method) ? '{}' : undefined;
  return request(target, { method: op.method, token, body, ...more });
}

const json = { 'content-type': 'application/json' };
const limitOf = (op) => (op.id === 'replaceAll' ? 32 << 20 : 10 << 20);

// Users whose rows the database refuses to read or write: the policy below raises an error with that SQLSTATE for them.
// This simulates a fault of the server (500) and a cancelled statement (503).
const faults = { 500: '22012', 503: '57014' };
const faulty = Object.fromEntries(Object.keys(faults).map((status) => [status, new Actor()]));
const tables = ['clocks', 'entities', 'ledger', 'queue', 'conflicts', 'snapshots', 'snapshot_entities'];
const policy = `contract_${process.pid}`;

before(async () => {
  for (const actor of Object.values(faulty)) await scenarios.exportAll.everything(actor);
  const names = Object.values(faulty).map((actor) => literal(actor.user.id));
  const lines = Object.entries(faults).map(([status, state]) => {
    const who = literal(faulty[status].user.id);
    return `IF who = ${who} THEN RAISE EXCEPTION USING ERRCODE = ${literal(state)}; END IF;`;
  });
  const body = `BEGIN ${lines.join(' ')} RETURN true; END`;
  await sql(`CREATE FUNCTION ${policy}(who text) RETURNS boolean LANGUAGE plpgsql AS ${literal(body)}`);
  const allowed = `user_id NOT IN (${names}) OR ${policy}(user_id)`;
  for (const table of tables) await sql(`CREATE POLICY ${policy} ON ${table} AS RESTRICTIVE USING (${allowed})`);
});
after(async () => {
  for (const table of tables) await sql(`DROP POLICY IF EXISTS ${policy} ON ${table}`);
  await sql(`DROP FUNCTION IF EXISTS ${policy}`);
});

// Refusals that other tests provoke: replies of the proxy that need a rate limit, a service that is down (both in
// tests/nginx) or one that hangs; and a database that is down, the only fault that affects operations without a user
// (tests/http).
const elsewhere = (op, status) => [429, 502, 504].includes(status) || ([500, 503].includes(status) && !op.secured);

// Status: the requests that provoke it, by name. Conflicts of single operations (404, 409, 410) are examples in the
// document.
const ways = {
  400: {
    'a query that cannot be decoded': (op) => send(op, { query: '&x=%2' }),
    'a parameter twice': (op) => send(op, { query: '&since=0' }),
    'a body that is not JSON': (op) => send(op, { body: '{', headers: json }),
    'a body that is a list': (op) => send(op, { body: '[]', headers: json }),
    'a body that is not gzip': (op) => send(op, { body: '{}', headers: { ...json, 'content-encoding': 'gzip' } }),
  },
  401: {
    'no token': (op) => send(op, { token: '' }),
    'an invalid token': (op) => send(op, { token: 'x.y.z' }),
    'an expired token': (op) => send(op, { token: mint({ userId: user.id, exp: seconds(-3600) }) }),
  },
  405: {
    'another method': (op) => send(op, { method: 'PUT' }),
    'a method that the proxy refuses': (op) => send(op, { method: 'TRACE' }),
  },
  413: {
    'a body over the limit': (op) => send(op, { body: `{"x":"${'x'.repeat(limitOf(op))}"}`, headers: json }),
    'a body over the limit of the proxy': (op) =>
      send(op, { headers: { ...json, 'content-length': limitOf(op) + (5 << 20) } }),
  },
  414: { 'a long request line': (op) => send(op, { query: `&x=${'x'.repeat(20_000)}` }) },
  415: {
    'a body of another type': (op) => send(op, { headers: { 'content-type': 'text/plain' } }),
    'a body in another coding': (op) => send(op, { headers: { ...json, 'content-encoding': 'br' } }),
  },
  431: { 'a long header': (op) => send(op, { headers: { 'x-long': 'x'.repeat(20_000) } }) },
  500: { 'a fault in the database': (op) => fault(op, 500) },
  503: { 'a database that cancels': (op) => fault(op, 503) },
};

async function fault(op, status) {
  const { token } = faulty[status].user;
  const bodies = {
    sendOperations: { operations: [{ type: 'delete', entity: 'tag', entityId: 'tag-9' }] },
    replaceAll: { tags: [] },
    queueOperation: { type: 'delete', entity: 'tag', entityId: 'tag-9' },
    markSynced: { operationIds: ['op-1'] },
    resolveConflict: { resolution: 'keep_server' },
  };
  return send(op, { token, body: bodies[op.id] && JSON.stringify(bodies[op.id]) });
}

for (const op of operations)
  for (const status of op.responses.keys()) {
    if (status < 400 || examples(op).some((example) => example.status === status && status !== 400)) continue;
    if (elsewhere(op, status)) continue;
    for (const [name, way] of Object.entries(
      ways[status] ?? { 'no way to provoke it': () => assert.fail('add one') },
    )) {
      if (name.startsWith('a body') && !op.body) continue;
      test(`${op.id} is refused with ${status}: ${name}`, async () => {
        const reply = await way(op);
        checkReply(op, reply);
        assert.equal(reply.status, status, reply.text);
        assert.equal(reply.json.error, errorCodes[status][0]);
        assert.equal(reply.json.requestId, reply.headers['x-request-id']);
        if (status === 405 && !name.includes('proxy')) assert.ok(reply.headers.allow.split(', ').includes(op.method));
      });
    }
  }

test('an unknown path is a 404 in the shape of every error, below both base paths', async () => {
  for (const { url } of document.servers) {
    const reply = await request(`${url}/nothing`, { token: user.token });
    assert.equal(reply.status, 404);
    assert.equal(reply.json.error, 'NOT_FOUND');
  }
});

// The document itself

test('every operation documents every refusal that it can return', () => {
  for (const op of operations) {
    const expected = [400, 405, 414, 431, 500, 502, 503, 504];
    if (op.secured) expected.push(401);
    if (op.id !== 'getHealth') expected.push(429);
    if (op.body) expected.push(413, 415);
    if (/\{id\}|\{entityId\}/.test(op.path)) expected.push(404);
    for (const status of expected) assert.ok(op.responses.has(status), `${op.id} does not document ${status}`);
  }
});

test('the error code of an example belongs to its status', () => {
  for (const op of operations)
    for (const [status, { examples: found }] of op.responses)
      for (const { value } of Object.values(found))
        assert.ok(status < 400 ? value.error === undefined : errorCodes[status].includes(value.error),
          `${op.id} ${status}: ${value.error}`);
});

test("the documented replies of the proxy are those of its configuration", () => {
  const map = (name) => {
    const [, rows] = source('nginx/booky-sync/http.conf').match(
      new RegExp(`map \\$status \\$${name} \\{(.*?)\\n\\}`, 's'),
    );
    return Object.fromEntries(
      [...rows.matchAll(/^\s*(\w+)\s+(?:"([^"]*)"|(\w+));/gm)].map(([, status, text, word]) => [status, text ?? word]),
    );
  };
  const [errors, messages] = [map('booky_error'), map('booky_message')];
  for (const name of ['UriTooLong', 'HeadersTooLarge', 'RateLimited', 'BadGateway', 'GatewayTimeout']) {
    const [status] = [...operations[0].responses].find(([, reply]) => reply.at.endsWith(`/${name}`));
    const [{ value }] = Object.values(document.components.responses[name].content['application/json'].examples);
    assert.equal(value.error, errors[status] ?? errors.default, name);
    assert.equal(value.message, messages[status], name);
  }
});
