// The React hooks, rendered by React.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, test } from 'node:test';
import { createElement, StrictMode } from 'react';
import { renderToString } from 'react-dom/server';
import TestRenderer from 'react-test-renderer';
import { useEntities, useEntity, useSyncStatus } from '../dist/react.js';
import { book, closeAll, device, edit, jwt, settle } from './lib.mjs';

globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const { act, create } = TestRenderer;
afterEach(closeAll);

/** Renders a component that calls `hook`, in strict mode: each render and each effect happens twice. */
async function render(hook) {
  const seen = [];
  const Probe = (props) => (seen.push(hook(props)), null);
  const element = (props) => createElement(StrictMode, null, createElement(Probe, props));
  let root;
  const perform = (work) =>
    act(async () => {
      await work();
      await settle();
    });
  await perform(() => void (root = create(element({}))));
  return {
    seen,
    last: () => seen.at(-1),
    act: perform,
    update: (props) => perform(() => root.update(element(props))),
    unmount: () => perform(() => root.unmount()),
  };
}
const ids = ({ data }) => data.map(({ id }) => id);

test('the hooks are for the client in frameworks that render on a server', () => {
  assert.match(readFileSync(new URL('../dist/react.js', import.meta.url), 'utf8'), /^"use client";/);
});

test('useEntities renders that the list is loading, then the list, and again after an edit', async () => {
  const d = device();
  await book(d, 'a');
  const view = await render(() => useEntities('book', undefined, d.service));
  assert.deepEqual(view.seen[0], { data: [], loading: true });
  assert.deepEqual([ids(view.last()), view.last().loading, view.last().error], [['a'], false, undefined]);
  await view.act(() => book(d, 'b'));
  assert.deepEqual(ids(view.last()), ['a', 'b']);
  const renders = view.seen.length;
  await view.unmount();
  await book(d, 'c');
  await settle();
  assert.equal(view.seen.length, renders);
});

test('what has not changed keeps its identity, and causes no render', async () => {
  const d = device();
  for (const id of ['a', 'b']) await book(d, id);
  const view = await render(() => useEntities('book', undefined, d.service));
  const before = view.last(), renders = view.seen.length;
  await view.act(() => d.service.queueOperation('tag', 't', 'create', { name: 'N' }));
  await view.update({ again: true });
  assert.equal(view.last(), before);
  assert.equal(view.seen.length, renders + 1, 'only the render that was asked for');
  await view.act(() => edit(d, 'b', { notes: 'n' }));
  assert.notEqual(view.last(), before);
  assert.equal(view.last().data[0], before.data[0]);
  assert.equal(view.last().data[1].notes, 'n');
});

test('useEntities with a query renders its results, also when the query changes', async () => {
  const d = device();
  for (const [id, pageCount] of [['a', 300], ['b', 100], ['c', 200]]) await book(d, id, { title: id, pageCount });
  const view = await render(({ min = 150 }) =>
    useEntities('book', { where: { pageCount: { gte: min } }, orderBy: 'pageCount' }, d.service));
  assert.deepEqual(ids(view.last()), ['c', 'a']);
  await view.act(() => edit(d, 'b', { pageCount: 250 }));
  assert.deepEqual(ids(view.last()), ['c', 'b', 'a']);
  const before = view.last();
  await view.update({ min: 150 });
  assert.equal(view.last(), before, 'an equal query is the same query');
  await view.update({ min: 280 });
  assert.deepEqual(ids(view.last()), ['a']);
});

test('useEntity renders one entity', async () => {
  const d = device();
  const view = await render(({ id = 'a' }) => useEntity('book', id, d.service));
  assert.deepEqual(view.last(), { data: undefined, loading: false });
  await view.act(() => book(d, 'a'));
  await view.act(() => edit(d, 'a', { notes: 'n' }));
  assert.equal(view.last().data.notes, 'n');
  const before = view.last();
  await view.act(() => book(d, 'b'));
  assert.equal(view.last(), before);
  await view.update({ id: 'b' });
  assert.equal(view.last().data.title, 'b');
  await view.unmount();
});

test('the error says why nothing can be read, and goes away', async () => {
  const d = device({ token: jwt('alice') });
  await book(d, 'a');
  await d.service.close();
  const bob = device({ token: jwt('bob'), database: d.database });
  const view = await render(() => useEntities('book', undefined, bob.service));
  assert.deepEqual([view.last().data, view.last().loading, view.last().error.code], [[], false, 'USER_CHANGED']);
  await view.act(() => bob.service.clear({ force: true }));
  await view.act(() => book(bob, 'b'));
  assert.deepEqual([ids(view.last()), view.last().error], [['b'], undefined]);
});

test('useSyncStatus renders the number of waiting operations and whether the server is reachable', async () => {
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

test('rendered on a server, the hooks say that they are loading and start nothing', () => {
  const d = device({ token: () => assert.fail('the token is asked for') });
  const Probe = () => {
    const { data, loading } = useEntities('book', undefined, d.service);
    return `${data.length} ${loading} ${useEntity('book', 'a', d.service).loading} ${useSyncStatus(d.service).status}`;
  };
  assert.equal(renderToString(createElement(Probe)), '0 true true ready');
});
