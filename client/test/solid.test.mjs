// The Solid accessors, with Solid as it runs in a browser: its build for servers has no effects.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { afterEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { book, closeAll, device, edit, settle } from './lib.mjs';

afterEach(closeAll);
const browser = process.execArgv.includes('--conditions=browser');
const ids = ({ data }) => data.map(({ id }) => id);

if (!browser)
  test('the accessors in the browser build of Solid', (t) => {
    const args = ['--conditions=browser', '--test-reporter=tap', fileURLToPath(import.meta.url)];
    const { NODE_TEST_CONTEXT, ...env } = process.env;
    const text = execFileSync(process.execPath, args, { encoding: 'utf8', env });
    t.diagnostic(text.match(/^# pass .*/m)[0]);
    assert.match(text, /^# pass 2$/m);
  });
else {
  const { createRoot, createSignal } = await import('solid-js');
  const { createEntities, createEntity, createSyncStatus } = await import('../dist/solid.js');

  test('createEntities and createSyncStatus: accessors, until the root is disposed', async () => {
    const d = device();
    await book(d, 'a');
    const [dispose, list, status] = createRoot((end) =>
      [end, createEntities('book', undefined, d.service), createSyncStatus(d.service)]);
    assert.deepEqual(list(), { data: [], loading: true });
    await settle();
    assert.deepEqual([ids(list()), list().loading, status().pendingOperations], [['a'], false, 1]);
    const before = list().data[0];
    await book(d, 'b');
    await settle();
    assert.deepEqual([ids(list()), list().data[0] === before], [['a', 'b'], true]);
    dispose();
    await book(d, 'c');
    await settle();
    assert.deepEqual(ids(list()), ['a', 'b']);
  });

  test('a query and an id may be accessors', async () => {
    const d = device(), [min, setMin] = createSignal(200), [id, setId] = createSignal('a');
    for (const [name, pageCount] of [['a', 300], ['b', 100]]) await book(d, name, { title: name, pageCount });
    const [dispose, list, one] = createRoot((end) => [
      end, createEntities('book', () => ({ where: { pageCount: { gte: min() } } }), d.service),
      createEntity('book', id, d.service),
    ]);
    await settle();
    assert.deepEqual([ids(list()), one().data.title], [['a'], 'a']);
    setMin(50);
    setId('b');
    await settle();
    await edit(d, 'b', { title: 'B' });
    await settle();
    assert.deepEqual([ids(list()), one().data.title], [['a', 'b'], 'B']);
    dispose();
  });
}
