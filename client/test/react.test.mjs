// The hooks, rendered by React.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { createElement } from 'react';
import TestRenderer from 'react-test-renderer';
import { useEntities, useEntity, useSyncStatus } from '../dist/react.js';
import { book, closeAll, device, edit, settle } from './lib.mjs';

globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const { act, create } = TestRenderer;
afterEach(closeAll);

async function render(hook) {
  const seen = [];
  const Probe = () => (seen.push(hook()), null);
  let root;
  await act(async () => {
    root = create(createElement(Probe));
    await settle();
  });
  return { seen, last: () => seen.at(-1), act: (work) => act(async () => (await work(), await settle())), unmount: () => act(async () => root.unmount()) };
}

test('useEntities renders the list, and again after an edit', async () => {
  const d = device();
  await book(d, 'a');
  const view = await render(() => useEntities('book', d.service));
  assert.deepEqual(view.seen[0], []);
  assert.deepEqual(view.last().map(({ id }) => id), ['a']);
  await view.act(() => book(d, 'b'));
  assert.equal(view.last().length, 2);
  const renders = view.seen.length;
  await view.unmount();
  await book(d, 'c');
  await settle();
  assert.equal(view.seen.length, renders);
});

test('useEntity renders one entity', async () => {
  const d = device();
  const view = await render(() => useEntity('book', 'a', d.service));
  assert.equal(view.last(), undefined);
  await view.act(() => book(d, 'a'));
  await view.act(() => edit(d, 'a', { notes: 'n' }));
  assert.equal(view.last().notes, 'n');
  await view.unmount();
});

test('useSyncStatus renders what waits, and whether we are online', async () => {
  const d = device();
  const view = await render(() => useSyncStatus(d.service));
  assert.equal(view.last().pendingOperations, 0);
  await view.act(() => book(d, 'a'));
  assert.equal(view.last().pendingOperations, 1);
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await view.act(() => d.service.sync());
  assert.deepEqual([view.last().isOnline, view.last().status], [false, 'offline']);
  await view.unmount();
});
