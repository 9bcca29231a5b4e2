// Background sync: an edit is made offline, the page is closed, and the service worker sends the edit when the network
// is back. The browser's sync event is dispatched by its debugging protocol; everything else is real.
import assert from 'node:assert/strict';
import test from 'node:test';
import { origin } from '../http/lib.mjs';
import { Owner } from '../http/owner.mjs';
import { findWorker, openProfile, serverBooks, until } from './browser.mjs';

const DATABASE = 'booky-alice', TAG = `booky-sync:${DATABASE}`;

/** A page with a service and a service worker. */
async function openApp(context) {
  const page = await context.newPage();
  await page.goto(`${origin}/demo/bare.html`);
  await page.evaluate(async (database) => {
    const [{ createSyncService }, { enableBackgroundSync }] =
      await Promise.all(['index', 'service-worker'].map((name) => import(`/demo/dist/${name}.js`)));
    const token = async () => (await caches.match('/token'))?.text();
    window.sync = createSyncService({ database, token, realtime: false, interval: 3_600_000 });
    window.end = enableBackgroundSync(database, sync);
  }, DATABASE);
  return page;
}

/** Signs in and installs the worker; returns the page, and a function that dispatches a sync event to the worker. */
async function install(context, owner, file, type) {
  const page = await openApp(context), wake = await findWorker(context, `${origin}/demo/`);
  await page.evaluate(async ({ token, file, type }) => {
    await (await caches.open('session')).put('/token', new Response(token));
    await navigator.serviceWorker.register(`/demo/${file}`, { type });
    await navigator.serviceWorker.ready;
  }, { token: owner.token, file, type });
  return { page, dispatch: (tag = TAG) => wake(tag) };
}

for (const [file, type] of [['worker.js', 'classic'], ['worker-module.js', 'module']])
  test(`an edit that is made offline arrives although the page is closed (worker: ${type})`, async () => {
    const owner = new Owner(), context = await openProfile();
    const { page, dispatch } = await install(context, owner, file, type);
    await page.evaluate(() => sync.sync());
    await context.setOffline(true);
    await page.evaluate(() => sync.queueOperation('book', 'b1', 'create', { title: 'Flights' }));
    assert.equal((await page.evaluate(() => sync.sync())).error.code, 'OFFLINE');
    await until('the browser is asked to wake the worker', () => page.evaluate(async () => {
      const { sync } = await navigator.serviceWorker.ready;
      return (await sync.getTags()).join() === 'booky-sync:booky-alice';
    }));
    await page.close();
    assert.deepEqual(await serverBooks(owner), {});
    await context.setOffline(false);
    await until('the edit arrives', async () => {
      await dispatch();
      return (await serverBooks(owner)).b1?.title === 'Flights';
    });
    const again = await openApp(context);
    const status = () => again.evaluate(() => sync.getStatus());
    await until('the worker has stored the result', async () => (await status()).pendingOperations === 0);
    await context.close();
  });

test('the page starts offline, and its edit arrives after it was closed', async () => {
  const owner = new Owner(), context = await openProfile();
  const { page, dispatch } = await install(context, owner, 'worker.js', 'classic');
  await page.close();
  await context.setOffline(true);
  const offline = await openApp(context);
  await offline.evaluate(() => sync.queueOperation('book', 'b1', 'create', { title: 'Austerlitz' }));
  await offline.close();
  await context.setOffline(false);
  await until('the edit arrives', async () => {
    await dispatch();
    return (await serverBooks(owner)).b1?.title === 'Austerlitz';
  });
  await context.close();
});

test('after the person has signed out, the worker neither pulls nor claims the database', async () => {
  const owner = new Owner(), context = await openProfile();
  const { page, dispatch } = await install(context, owner, 'worker.js', 'classic');
  await page.evaluate(async () => {
    await sync.queueOperation('book', 'b1', 'create', { title: 'Flights' });
    await sync.sync();
    end();
    await sync.clear();
  });
  await dispatch();
  await dispatch('of-the-app');
  await page.waitForTimeout(1000);
  assert.deepEqual(await page.evaluate(() => sync.store.list('book')), []);
  assert.equal((await page.evaluate(() => sync.getStatus())).lastSync, null);
  await context.close();
});
