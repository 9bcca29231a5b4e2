// The pages of /docs: the API reference and the guides.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'node:test';
import { origin, request } from '../http/lib.mjs';
import { checkAccessible } from './axe.mjs';
import { openProfile } from './browser.mjs';

const source = (path) => readFileSync(new URL(`../../docs/${path}`, import.meta.url), 'utf8');
const screenshot = (page, name) => page.screenshot({ path: `screenshots/docs-${name}.png`, animations: 'disabled' });
// Redoc says this of types that openapi.yaml joins by allOf; the page shows them.
const complaintsOf = (context) => context.complaints.filter((text) => !text.startsWith('Incompatible types in allOf'));

// Opens a page; fails if it asks another host for anything.
async function open(path, options) {
  const context = await openProfile(options);
  const page = await context.newPage();
  page.on('request', (it) => {
    if (!it.url().startsWith(origin) && !/^(data|blob):/.test(it.url())) context.complaints.push(`asks ${it.url()}`);
  });
  await page.goto(`${origin}${path}`);
  return { context, page };
}

test('openapi.yaml is served to every tool, and unknown pages are 404', async () => {
  for (const path of ['/openapi.yaml', '/docs/openapi.yaml']) {
    const reply = await request(path, { headers: { origin: 'https://editor.example' } });
    assert.equal(reply.status, 200);
    assert.match(reply.headers['content-type'], /^application\/yaml/);
    assert.equal(reply.headers['access-control-allow-origin'], '*');
    assert.ok(reply.text === source('openapi.yaml'), 'it is the file in the sources');
  }
  const missing = await request('/docs/nothing.html');
  assert.equal(missing.status, 404);
  assert.equal(missing.json.error, 'NOT_FOUND');
  assert.equal((await request('/docs')).headers.location, `${origin}/docs/`);
});

test('the policy of the pages names no other host and allows no inline script', async () => {
  const { headers } = await request('/docs/reference.html');
  const policy = headers['content-security-policy'];
  assert.doesNotMatch(policy, /https?:|\*/);
  assert.match(policy, /script-src 'self';/);
  assert.equal(headers['x-content-type-options'], 'nosniff');
});

test('the reference has every operation under the title of openapi.yaml, and an address for it', async () => {
  const { context, page } = await open('/docs/reference.html', { viewport: { width: 1440, height: 1000 } });
  await page.getByRole('heading', { name: 'Send operations' }).waitFor();
  const titles = [...source('openapi.yaml').matchAll(/operationId: (\w+)\n      summary: (.+)/g)];
  assert.ok(titles.length > 15);
  for (const [, id, title] of titles) {
    const heading = page.locator(`[id="tag/${await tagOf(page, id)}/operation/${id}"] h2`);
    assert.equal((await heading.first().textContent()).trim(), title);
  }
  await screenshot(page, 'reference');
  await checkAccessible(page, 'the reference');
  await page.getByPlaceholder('Search...').fill('notifications');
  await page.getByRole('menuitem', { name: /Subscribe to change notifications/ }).first().waitFor();
  await screenshot(page, 'reference-search');
  assert.deepEqual(complaintsOf(context), []);
  await context.close();

  const smallest = { viewport: { width: 320, height: 700 } };
  const direct = await open('/docs/reference.html#tag/Sync/operation/getStatus', smallest);
  await direct.page.getByRole('heading', { name: 'Get sync status' }).waitFor();
  await checkAccessible(direct.page, 'the reference at 320 pixels');
  await screenshot(direct.page, 'reference-smallest');
  assert.deepEqual(complaintsOf(direct.context), []);
  await direct.context.close();
});

// The tag of an operation is in the id of its section.
const tagOf = (page, id) =>
  page.evaluate((id) => /tag\/(\w+)\//.exec(document.querySelector(`[id$="/operation/${id}"]`)?.id ?? '')?.[1], id);

test('every guide is a page; all links lead to something; nothing is inaccessible', async () => {
  const { context, page } = await open('/docs/');
  const pages = await page.locator('.pages a').evaluateAll((links) => links.map((link) => link.href));
  const guides = readdirSync(new URL('../../docs', import.meta.url)).filter((name) => /^(?!README).*\.md$/.test(name));
  for (const name of guides)
    assert.ok(pages.includes(`${origin}/docs/${name.replace('.md', '.html')}`), `${name} is among the pages`);
  const ids = new Map(), links = new Set(pages);
  for (const url of [...pages, `${origin}/docs/index.html`]) {
    await page.goto(url);
    if (url.endsWith('reference.html')) continue;
    assert.equal(await page.locator('h1').count(), 1, url);
    ids.set(url, new Set(await page.locator('[id]').evaluateAll((all) => all.map(({ id }) => id))));
    for (const href of await page.locator('main a').evaluateAll((all) => all.map(({ href }) => href))) links.add(href);
    for (const [colorScheme, width] of [['light', 1200], ['dark', 320]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      await checkAccessible(page, `${url} ${colorScheme} ${width}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.equal(overflow, false, `${url} fits ${width} pixels`);
      await screenshot(page, `${url.split('/').pop()}-${colorScheme}`);
    }
  }
  for (const link of links) {
    const [url, anchor] = link.split('#');
    if (!url.startsWith(`${origin}/docs/`)) continue;
    if (anchor) assert.ok(ids.get(url)?.has(anchor), link);
    else assert.equal((await request(url.slice(origin.length))).status, 200, link);
  }
  assert.deepEqual(context.complaints, []);
  await context.close();
});
