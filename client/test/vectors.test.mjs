// The client against tests/contract/vectors.json. The unit tests of the server (test_vectors.c) run the same vectors,
// so that both sides agree on what edits do.
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

/** Queues the edits on `state`. Returns what the store then shows, and the operations that wait. */
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
