// The Svelte stores, with Svelte.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { derived, get } from 'svelte/store';
import { entities, entity, syncStatus } from '../dist/svelte.js';
import { book, closeAll, device, settle } from './lib.mjs';

afterEach(closeAll);
const ids = ({ data }) => data.map(({ id }) => id);

test('entities and entity are stores: derived ones follow them until they are unsubscribed', async (t) => {
  globalThis.document = new EventTarget();
  t.after(() => delete globalThis.document);
  const d = device(), seen = [];
  await book(d, 'a', { title: 'A', pageCount: 1 });
  const long = entities('book', { where: { pageCount: { gte: 2 } } }, d.service);
  const all = derived(
    [entities('book', undefined, d.service), entity('book', 'a', d.service), long, syncStatus(d.service)],
    ([list, one, found, { pendingOperations: waiting }]) =>
      ({ list: ids(list), loading: list.loading, title: one.data?.title, found: ids(found), waiting }),
  );
  const stop = all.subscribe((value) => seen.push(value));
  assert.deepEqual(seen[0], { list: [], loading: true, title: undefined, found: [], waiting: 0 });
  await settle();
  assert.deepEqual(seen.at(-1), { list: ['a'], loading: false, title: 'A', found: [], waiting: 1 });
  await book(d, 'b', { title: 'B', pageCount: 2 });
  await settle();
  assert.deepEqual(seen.at(-1), { list: ['a', 'b'], loading: false, title: 'A', found: ['b'], waiting: 2 });
  stop();
  const count = seen.length;
  await book(d, 'c');
  await settle();
  assert.equal(seen.length, count);
});

test('rendered on a server, a store says that it is loading and starts nothing', async () => {
  const d = device({ token: () => assert.fail('the token is asked for') });
  assert.deepEqual(get(entities('book', undefined, d.service)), { data: [], loading: true });
  await settle();
});
