// An app on another origin of the same host, as a bundler serves it during development.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import test from 'node:test';
import { book, origin } from '../http/lib.mjs';
import { Owner } from '../http/owner.mjs';
import { openProfile, serverBooks, until } from './browser.mjs';

test('an app on http://localhost uses the development stack, change notifications included', async (t) => {
  const app = createServer(({ url }, response) => {
    const script = url.startsWith('/dist/');
    response.setHeader('Content-Type', script ? 'text/javascript' : 'text/html');
    response.end(script ? readFileSync(new URL(`../../client${url}`, import.meta.url)) : '<!doctype html>');
  });
  await new Promise((resolve) => app.listen(0, 'localhost', resolve));
  t.after(() => app.close());
  const owner = new Owner(), context = await openProfile(), page = await context.newPage();
  await page.goto(`http://localhost:${app.address().port}/`);
  await page.evaluate(async ({ baseUrl, token }) => {
    const { createSyncService } = await import('/dist/index.js');
    window.sync = createSyncService({ baseUrl, token });
    sync.startMonitoring();
    await sync.queueOperation('book', 'b1', 'create', { title: 'Flights' });
  }, { baseUrl: `${origin}/api/sync`, token: owner.token });
  await until('the edit arrives', async () => (await serverBooks(owner)).b1?.title === 'Flights');
  await owner.send([book('b2', { title: 'Austerlitz' })]);
  await until('the notification arrives', () =>
    page.evaluate(async () => (await sync.store.get('book', 'b2'))?.title === 'Austerlitz'));
  assert.deepEqual(context.complaints.filter((text) => /CORS|Access-Control/.test(text)), []);
  await context.close();
});

test('an app on another host may not use it', async () => {
  const asked = async (from) => {
    const headers = { Origin: from, 'Access-Control-Request-Method': 'POST' };
    const reply = await fetch(`${origin}/api/sync/operations`, { method: 'OPTIONS', headers });
    return reply.headers.get('Access-Control-Allow-Origin');
  };
  assert.equal(await asked('http://localhost:5173'), 'http://localhost:5173');
  for (const other of ['https://app.example.org', 'http://localhost.example.org', 'http://localhost:5173.example.org'])
    assert.equal(await asked(other), null);
});
