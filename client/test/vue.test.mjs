// The Vue composables, with Vue.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { effectScope, nextTick, ref, watchEffect } from 'vue';
import { useEntities, useEntity, useSyncStatus } from '../dist/vue.js';
import { book, closeAll, device, edit, jwt, settle } from './lib.mjs';

afterEach(closeAll);
const ids = (list) => list.map(({ id }) => id);

test('useEntities: refs with the list, until the scope ends', async () => {
  const d = device(), scope = effectScope(), seen = [];
  await book(d, 'a');
  const { data, loading, error } = scope.run(() => useEntities('book', undefined, d.service));
  scope.run(() => watchEffect(() => seen.push([ids(data.value), loading.value]), { flush: 'sync' }));
  assert.deepEqual(seen, [[[], true]]);
  await settle();
  assert.deepEqual([ids(data.value), loading.value, error.value], [['a'], false, undefined]);
  const before = data.value[0];
  await book(d, 'b');
  await settle();
  assert.deepEqual([seen.at(-1), data.value[0] === before], [[['a', 'b'], false], true]);
  scope.stop();
  await book(d, 'c');
  await settle();
  assert.deepEqual(ids(data.value), ['a', 'b']);
});

test('a query and an id may be refs', async () => {
  const d = device(), scope = effectScope(), min = ref(200), id = ref('a');
  for (const [name, pageCount] of [['a', 300], ['b', 100]]) await book(d, name, { title: name, pageCount });
  const [list, one] = scope.run(() => [
    useEntities('book', () => ({ where: { pageCount: { gte: min.value } } }), d.service),
    useEntity('book', id, d.service),
  ]);
  await settle();
  assert.deepEqual([ids(list.data.value), one.data.value.title], [['a'], 'a']);
  min.value = 50;
  id.value = 'b';
  await nextTick();
  await settle();
  assert.deepEqual([ids(list.data.value), one.data.value.title], [['a', 'b'], 'b']);
  scope.stop();
});

test('the error of a database of another user, and the status', async () => {
  const alice = device({ token: jwt('alice') });
  await book(alice, 'a');
  await alice.service.close();
  const bob = device({ token: jwt('bob'), database: alice.database }), scope = effectScope();
  const [{ error, loading }, { isOnline, pendingOperations }] =
    scope.run(() => [useEntities('book', undefined, bob.service), useSyncStatus(bob.service)]);
  await settle();
  assert.deepEqual([error.value.code, loading.value], ['USER_CHANGED', false]);
  await bob.service.clear({ force: true });
  await edit(bob, 'b', { title: 'B' });
  await settle();
  assert.deepEqual([error.value, isOnline.value, pendingOperations.value], [undefined, true, 1]);
  scope.stop();
});
