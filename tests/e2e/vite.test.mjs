// The published package in an app of the Vite development server, without any configuration for it: the page loads the
// engine on demand, and a service worker that Vite serves as a module sends an edit after the page is closed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { origin } from '../http/lib.mjs';
import { Owner } from '../http/owner.mjs';
import { findWorker, openProfile, serverBooks, until } from './browser.mjs';

const client = fileURLToPath(new URL('../../client/', import.meta.url));
// The example app has Vite.
const vite = path.dirname(createRequire(`${client}examples/library/`).resolve('vite/package.json'));
const { createServer } = await import(pathToFileURL(`${vite}/dist/node/index.js`));

const FILES = {
  'package.json': '{"type": "module"}',
  'index.html': '<!doctype html><title>App</title><link rel="icon" href="data:,"><script type="module" src="/app.js">' +
    '</script>',
  'empty.html': '<!doctype html><title>Empty</title><link rel="icon" href="data:,">',
  'app.js': `
    import { createSyncService } from '@booky/sync';
    import { enableBackgroundSync } from '@booky/sync/service-worker';
    const token = async () => (await caches.match('/token'))?.text();
    window.sync = createSyncService({ database: 'app', token, realtime: false, interval: 3_600_000 });
    window.stop = enableBackgroundSync('app', sync);`,
  'sw.js': `
    import { handleBackgroundSync } from '@booky/sync/service-worker';
    handleBackgroundSync({ token: async () => (await caches.match('/token'))?.text() });`,
};

/** Makes an app with the packed package installed, and serves it. Resolves to its address. */
async function serveApp(t) {
  const root = mkdtempSync(path.join(tmpdir(), 'booky-vite-')), installed = `${root}/node_modules/@booky/sync`;
  t.after(() => rmSync(root, { recursive: true }));
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', root], { cwd: client });
  const [{ filename }] = JSON.parse(packed);
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', `${root}/${filename}`, '-C', installed, '--strip-components=1']);
  for (const [name, text] of Object.entries(FILES)) writeFileSync(`${root}/${name}`, text);
  const server = await createServer({
    root, configFile: false, logLevel: 'warn',
    server: { host: '127.0.0.1', port: 0, proxy: { '/api': { target: origin, secure: false } } },
  });
  t.after(() => server.close());
  await server.listen();
  return `http://127.0.0.1:${server.httpServer.address().port}`;
}

test('the package works with the Vite development server, and so does its service worker', async (t) => {
  const address = await serveApp(t), owner = new Owner(), context = await openProfile();
  t.after(() => context.close());
  const dispatch = await findWorker(context, `${address}/`, `${address}/empty.html`);
  const page = await context.newPage(), scripts = [];
  page.on('response', async (response) => {
    if (response.request().resourceType() === 'script') scripts.push(new URL(response.url()).pathname);
  });
  await page.goto(address);
  await page.waitForFunction(() => window.sync);
  await page.evaluate(async (token) => {
    await (await caches.open('session')).put('/token', new Response(token));
    await sync.queueOperation('book', 'b1', 'create', { title: 'Flights' });
  }, owner.token);
  assert.deepEqual((await page.evaluate(() => sync.sync())).error, undefined);
  assert.equal((await serverBooks(owner)).b1.title, 'Flights');
  const [first] = await page.evaluate(() => sync.store.query('book', { where: { title: 'Flights' } }));
  assert.equal(first.id, 'b1');
  assert.ok(scripts.some((script) => /\/engine-\w+\.js$/.test(script)), `the engine is a module: ${scripts}`);

  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js', { type: 'module' });
    await navigator.serviceWorker.ready;
  });
  await context.setOffline(true);
  await page.evaluate(() => sync.queueOperation('book', 'b2', 'create', { title: 'Drive Your Plow' }));
  assert.equal((await page.evaluate(() => sync.sync())).error.code, 'OFFLINE');
  await page.close();
  await context.setOffline(false);
  await until('the worker sends the edit', async () => {
    await dispatch('booky-sync:app');
    return (await serverBooks(owner)).b2?.title === 'Drive Your Plow';
  });
});
