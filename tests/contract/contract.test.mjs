// Compares docs/openapi.yaml with the running server: every example is sent, and every reply must be as documented.
import assert from 'node:assert/strict';
import test from 'node:test';
import { examples, operation, operations, parameterFault, replyFault, requestFault } from './document.mjs';
import { play } from './replay.mjs';
import { scenarios } from './scenarios.mjs';
import { checkExample } from './time.mjs';

for (const op of operations)
  for (const { name, status, value } of examples(op))
    test(`an example of ${op.id} gets the documented reply: ${name}`, async () => {
      const reply = await play(op, name);
      assert.equal(reply.status, status, reply.text);
      checkExample(reply.json, value);
    });

test('an unchanged reply of getChanges is a 304', async () => {
  assert.equal((await play(operation('getChanges'), 'unchanged')).status, 304);
});

// The document itself

test('every request example has a reply example of the same name, and every scenario belongs to an example', () => {
  for (const op of operations) {
    const replies = new Set([
      ...examples(op).map(({ name }) => name),
      ...(op.id === 'getChanges' ? ['unchanged'] : []),
    ]);
    const sent = [op.body?.examples, ...op.parameters.map((parameter) => parameter.examples)].flatMap((found) =>
      Object.keys(found ?? {}),
    );
    for (const name of [...sent, ...Object.keys(scenarios[op.id] ?? {})])
      assert.ok(replies.has(name), `${op.id}: ${name} has no reply`);
    if (op.body) for (const name of replies) assert.ok(op.body.examples[name], `${op.id}: ${name} has no request`);
  }
});

test('every operation has an example of success', () => {
  for (const op of operations)
    assert.ok(
      op.streams || examples(op).some(({ status }) => status < 300),
      op.id,
    );
});

test('the examples in the document match its schemas, and no request in x-refusedExamples does', () => {
  const refused = [];
  for (const op of operations) {
    for (const [name, { value }] of Object.entries(op.body?.examples ?? {})) {
      const fault = requestFault(op, value);
      if (op.body.refused.includes(name)) refused.push(`${op.id}.${name}`) && assert.ok(fault, `${op.id}.${name}`);
      else assert.equal(fault, null, `${op.id}.${name}`);
    }
    op.parameters.forEach((parameter, index) => {
      for (const { value } of Object.values(parameter.examples ?? {}))
        assert.equal(parameterFault(op, index, value), null);
    });
    for (const response of op.responses.values())
      for (const [name, { value }] of Object.entries(response.examples))
        assert.equal(replyFault(response, value), null, `${op.id}.${name}`);
  }
  assert.deepEqual(refused, [
    'sendOperations.failed',
    'sendOperations.atomicFailed',
    'replaceAll.invalid',
    'queueOperation.invalid',
  ]);
});
