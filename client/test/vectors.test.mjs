// tests/contract/vectors.json, which the server's unit tests (test_vectors.c) run too: both sides must agree on what edits do.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { closeAll, device, makeClock, pending } from './lib.mjs';

const { edits, instants } = JSON.parse(readFileSync(new URL('../../tests/contract/vectors.json', import.meta.url)));
afterEach(closeAll);

const visible = (data) => {
  if (!data) return null;
  const { id, createdAt, updatedAt, ...rest } = data;
  return rest;
};

/** What the store shows when the edits wait over `state`, and what waits. */
async function run(state, list) {
  const d = device();
  if (state) d.server.write('book', 'b', state);
  await d.service.sync();
  for (const { type, data } of list) await d.service.queueOperation('book', 'b', type, data);
  const waiting = (await pending(d)).map(({ type, data }) => (data ? { type, data } : { type }));
  return { shown: visible(await d.store.get('book', 'b')), waiting };
}

for (const { name, state, edits: list, sent, result } of edits)
  test(`edits: ${name}`, async () => {
    const { shown, waiting } = await run(state, list);
    assert.deepEqual(shown, result);
    assert.deepEqual(waiting, sent);
    assert.deepEqual((await run(state, sent)).shown, result);
  });

for (const { name, ms, text } of instants)
  test(`instants: ${name}`, async () => {
    const d = device({ clock: makeClock(ms) });
    const { timestamp } = await d.service.queueOperation('tag', 't', 'create', { name: 'N' });
    assert.equal(timestamp, text);
  });
