// The demo page on phones, without a network, without TLS; and the page of the pool.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { origin, request } from '../http/lib.mjs';
import { checkAccessible } from './axe.mjs';
import { eventually, openProfile, openSamples, same, screenshot, state, until } from './browser.mjs';

const plain = `http://127.0.0.1:${readFileSync(`${process.env.BOOKY_TEST_STATE}/port-plain`, 'utf8').trim()}`;
const still = { reducedMotion: 'reduce' };

// The controls that are too small for a finger, or stick out of the page.
const misfits = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('button, select, input, summary, textarea, label.check, .choice label, a')]
      .filter((it) => it.checkVisibility() && !it.matches('label input')) // of a label, the whole can be touched
      .map((it) => [it.getAttribute('aria-label') ?? it.textContent.slice(0, 40), it.getBoundingClientRect()])
      .filter(([, { left, right, height }]) => height < 44 || left < 0 || right > innerWidth)
      .map(([name, { left, right, height }]) => `${name}: ${left}..${right}, ${height} high`));

test('on a phone: one device, news of the other, targets of 44 pixels', async () => {
  const { context, page, phone, laptop } = await openSamples({ ...still, viewport: { width: 390, height: 844 },
    hasTouch: true });
  await laptop.waitFor({ state: 'hidden' });
  const nav = page.getByRole('navigation', { name: 'Devices' });
  await eventually(() => nav.getByRole('button', { name: 'Laptop' }).textContent(), /^Laptop[1-9]\d* new/);
  await screenshot(page, 'phone');
  await nav.getByRole('button', { name: 'Laptop' }).click();
  await phone.waitFor({ state: 'hidden' });
  await laptop.getByLabel('Rating of Middlemarch').selectOption('1');
  await nav.getByText('Middlemarch arrived').waitFor();
  await nav.getByRole('button', { name: 'Phone' }).click();
  await nav.getByText('no news').waitFor();
  await eventually(() => phone.getByLabel('Rating of Middlemarch').inputValue(), '1');

  await page.setViewportSize({ width: 320, height: 700 });
  await eventually(() => misfits(page), []);
  await phone.getByRole('button', { name: 'Edit Middlemarch' }).click();
  const form = page.getByRole('dialog');
  await page.getByLabel('New collection').fill('Holidays');
  await page.getByRole('button', { name: 'Add to it' }).click();
  await form.getByRole('checkbox').waitFor();
  await eventually(() => misfits(page), []);
  const overflow = await form.evaluate((it) => it.scrollWidth > it.clientWidth);
  assert.equal(overflow, false, 'the form is inside its margins');
  await screenshot(page, 'form-smallest');
  await checkAccessible(page, 'the form at 320 pixels');
  assert.deepEqual(context.complaints, []);
  await context.close();
});

for (const [name, width, height] of
  [['desktop', 1440, 1000], ['tablet', 820, 1180], ['mobile', 390, 844], ['smallest', 320, 700]])
  test(`the page is accessible and fits: ${name}`, async () => {
    const { context, page, phone } = await openSamples({ ...still, viewport: { width, height } });
    await phone.getByLabel('Rating of Middlemarch').selectOption('1');
    await page.locator('.journey').getByText('on the laptop after').waitFor();
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await screenshot(page, `${name}-${colorScheme}`, { fullPage: true });
      await checkAccessible(page, `${name}, ${colorScheme}`);
    }
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
    assert.deepEqual(context.complaints, []);
    await context.close();
  });

test('without TLS the page works as well, and starts without a network', async () => {
  const context = await openProfile({ serviceWorkers: 'allow' });
  const page = await context.newPage();
  await page.goto(`${plain}/`);
  const phone = page.getByRole('region', { name: 'Phone', exact: true });
  await state(phone, 'Up to date');
  assert.equal(await page.evaluate(() => isSecureContext), true);
  await page.getByRole('button', { name: 'Start over' }).click();
  await same(page, 10);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => 1));
  await until('the worker has stored the page', () =>
    page.evaluate(() => caches.open('booky-demo').then((cache) => cache.match('/')).then(Boolean)));
  await page.reload(); // under the worker
  await same(page, 10);
  await context.setOffline(true);
  await page.reload();
  await same(page, 10);
  await state(phone, 'Offline');
  await phone.getByLabel('Rating of Flights').selectOption('1');
  await phone.getByText('Waiting to be sent 1').waitFor();
  await screenshot(page, 'without-network');
  await context.setOffline(false);
  await state(phone, 'Up to date');
  assert.deepEqual(context.complaints.filter((text) => !/ERR_INTERNET_DISCONNECTED/.test(text)), []);
  await context.close();
});

test('/pool is a page for browsers and text for curl', async () => {
  const reply = await request('/pool');
  assert.match(reply.headers['content-type'], /^text\/plain/);
  assert.match(reply.text, /^idle processes:/m);
  const context = await openProfile({ viewport: { width: 1200, height: 800 } });
  const page = await context.newPage();
  await page.goto(`${origin}/pool`);
  await page.getByRole('heading', { name: 'Requests' }).waitFor();
  assert.ok((await page.getByRole('row').count()) > 1);
  for (let i = 0; i < 20; i++) await request('/api/health');
  await page.getByText(/95 of 100 within/).or(page.getByText('no request')).first().waitFor();
  const rate = page.locator('.figures b').first();
  await until('the requests are counted', async () => !/^0\.0 /.test(await rate.textContent()));
  for (const [name, width] of [['desktop', 1200], ['smallest', 320]])
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      await screenshot(page, `pool-${name}-${colorScheme}`, { fullPage: true });
      await checkAccessible(page, `the pool, ${name}, ${colorScheme}`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
    }
  assert.deepEqual(context.complaints, []);
  await context.close();
});
