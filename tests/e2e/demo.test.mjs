// The demo page, as a person uses it. The tests write screenshots to screenshots/.
import assert from 'node:assert/strict';
import test from 'node:test';
import { request } from '../http/lib.mjs';
import { Owner, syntheticBooks } from '../http/owner.mjs';
import { checkAccessible } from './axe.mjs';
import {
  eventually, more, openDemo, openProfile, OPERATIONS, same, screenshot, serverBooks, state, until,
} from './browser.mjs';

const syncNow = (device) => device.getByRole('button', { name: 'Sync now' }).click();
const focused = (page) => page.evaluate(() => document.activeElement.getAttribute('aria-label'));

test('two devices converge, also after one was cut off', async () => {
  const { owner, context, page, phone, laptop } = await openDemo();
  await state(phone, 'Up to date');
  await screenshot(page, 'empty');
  // The edits are held on their way: without that, they are on both devices before anybody can see a difference.
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route(OPERATIONS, async (route) => {
    await held;
    await route.continue();
  });
  await page.getByRole('button', { name: 'Add sample books' }).click();
  await phone.getByText('The Dispossessed').first().waitFor();
  await page.getByText('5 books not the same on both').waitFor();
  await screenshot(page, 'waiting');
  release();
  await syncNow(phone);
  await same(page, 5); // the laptop pulls without a click
  await screenshot(page, 'library', { fullPage: true });

  // The form, on the laptop.
  await laptop.getByRole('button', { name: 'Edit Middlemarch' }).click();
  const form = page.getByRole('dialog', { name: 'Edit on Laptop' });
  await form.getByLabel('Notes').fill('<b>Lent</b> to Anna');
  await form.getByRole('button', { name: 'Save' }).click();
  await eventually(() => focused(page), 'Edit Middlemarch'); // it has returned
  await syncNow(laptop);
  await phone.locator('.book').getByText('<b>Lent</b> to Anna').waitFor();

  // The phone is cut off; both devices edit.
  await phone.getByRole('switch').click();
  await state(phone, 'Offline');
  await phone.getByLabel('Rating of Flights').or(phone.getByLabel('Rating of Austerlitz')).first().selectOption('3.5');
  await phone.getByRole('button', { name: 'Add a book' }).click();
  await page.getByRole('textbox', { name: 'Title' }).fill('The Waves');
  await page.getByRole('textbox', { name: 'Tags' }).fill('sea, classic');
  await page.keyboard.press('Enter');
  await phone.locator('.op').getByText('The Waves').waitFor();
  await laptop.getByLabel('Status of Middlemarch').selectOption('read');
  await syncNow(laptop);
  await state(laptop, 'Up to date');
  assert.equal(await phone.getByLabel('Status of Middlemarch').inputValue(), 'currently_reading');
  await screenshot(page, 'offline');
  await phone.getByRole('switch').click();
  await same(page, 6);
  await state(phone, 'Up to date');
  await eventually(() => phone.getByLabel('Status of Middlemarch').inputValue(), 'read');
  await phone.getByRole('button', { name: 'classic 3' }).click();
  await eventually(() => phone.locator('.book').count(), 3);

  // A book that is deleted on one device disappears on both. A full sync finds no difference.
  await phone.getByRole('button', { name: 'Edit The Waves' }).click();
  await page.getByRole('button', { name: 'Delete book' }).click();
  await syncNow(phone);
  await same(page, 5);
  for (const device of [phone, laptop]) await more(device, 'Full sync');
  await state(laptop, 'Up to date');
  await same(page, 5);
  assert.equal(Object.keys(await serverBooks(owner)).length, 5);
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('failed and rejected operations are shown, and a person decides', async () => {
  const { owner, context, page, phone } = await openDemo();
  await state(phone, 'Up to date');
  const fault = (status, error) => ({ status, json: { success: false, error, message: 'made up', requestId: 'r' } });
  let answer = fault(500, 'SYNC_FAILED');
  await page.route(OPERATIONS, (route) => (answer ? route.fulfill(answer) : route.continue()));
  await page.getByRole('button', { name: 'Add sample books' }).click();
  await syncNow(phone);
  await phone.locator('.op').first().getByText(/^\d attempts?$/).waitFor(); // the first retry comes at once
  answer = fault(413, 'PAYLOAD_TOO_LARGE');
  await syncNow(phone);
  await phone.getByText('made up (PAYLOAD_TOO_LARGE').first().waitFor();
  await phone.getByText('Waiting to be sent 0').waitFor();
  await state(phone, 'Needs attention');
  await screenshot(page, 'refused');
  await checkAccessible(page, 'refused');
  const refused = phone.getByRole('button', { name: /^Drop: / });
  const before = await refused.count();
  await refused.first().focus();
  await page.keyboard.press('Enter');
  await until('one item less', async () => (await refused.count()) === before - 1);
  await eventually(() => focused(page), /^Try again: /); // the neighbour has the focus

  answer = undefined;
  for (let i = before - 1; i > 0; i--) {
    await phone.getByRole('button', { name: /^Try again: / }).first().click();
    await until('one item less', async () => (await refused.count()) === i - 1);
  }
  await syncNow(phone);
  await state(phone, 'Up to date');
  assert.equal(Object.keys(await serverBooks(owner)).length, 4);
  assert.deepEqual(context.complaints.filter((text) => !/status of (500|413)/.test(text)), []);
  await context.close();
});

test('of a large library only the rows in view are in the page', async () => {
  const owner = new Owner();
  await owner.replace({ books: syntheticBooks(2000, 400) });
  const { context, page, laptop } = await openDemo(owner);
  await page.getByText('The same 2,000 books on both').waitFor();
  await laptop.getByText('2,000 books').waitFor();
  assert.ok((await laptop.locator('.book').count()) < 50);
  await eventually(() => laptop.locator('.book').first().getAttribute('aria-setsize'), '2000');
  await laptop.locator('.books').evaluate((list) => list.scrollTo(0, list.scrollHeight));
  await laptop.locator('.book[aria-posinset="2000"]').waitFor();
  assert.ok((await laptop.locator('.book').count()) < 50);
  await checkAccessible(page, 'a large library');
  assert.deepEqual(context.complaints, []);
  await context.close();
});

// Presses the Tab key until the element has the focus.
async function tabTo(page, locator) {
  for (let i = 0; i < 150; i++) {
    await page.keyboard.press('Tab');
    if (await locator.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`Tab does not reach ${locator}`);
}

test('a conflict is provoked and decided with the keyboard alone', async () => {
  const { context, page, phone, laptop } = await openDemo();
  await state(phone, 'Up to date');
  await tabTo(page, page.getByRole('button', { name: 'Provoke a conflict' }));
  await page.keyboard.press('Enter');
  await state(phone, '1 conflict to decide');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'provoke', 'changing lists do not move the focus');
  await tabTo(page, phone.getByRole('button', { name: 'Decide about The Dispossessed (a novel)' }));
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Two versions of The Dispossessed (a novel)' });
  await dialog.waitFor();
  await eventually(() => dialog.locator('legend').allTextContents(), ['Title', 'Notes', 'Genre']);
  await eventually(() => dialog.getByRole('radio').count(), 6);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await screenshot(page, `conflict-${colorScheme}`);
    await checkAccessible(page, `the conflict, ${colorScheme}`);
  }

  await page.keyboard.press('Escape');
  await eventually(() => page.evaluate(() => document.activeElement.textContent), 'Decide'); // the focus has returned
  await page.keyboard.press('Enter');
  // Take the title from the server and the notes from this device.
  await tabTo(page, dialog.getByRole('radio', { name: /^Title: Phone/ }));
  await page.keyboard.press('ArrowRight');
  await tabTo(page, dialog.getByRole('button', { name: 'Merge as chosen' }));
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  // The row of the conflict is removed, and the focus moves to the heading of the device.
  await page.waitForFunction(() => document.activeElement.id === 'phone');
  for (const device of [phone, laptop]) {
    await device.locator('.book').getByText('The Dispossessed (a novel)').waitFor();
    await device.locator('.book').getByText('Lent to Anna.').waitFor();
    await state(device, 'Up to date');
  }
  await same(page, 1);
  await page.getByRole('status').getByText('merged for The Dispossessed').waitFor();
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('the page is accessible in every state, light and dark, wide and narrow', async () => {
  const { context, page, phone } = await openDemo(undefined, { reducedMotion: 'reduce' });
  await state(phone, 'Up to date');
  await checkAccessible(page, 'empty');
  await page.getByRole('button', { name: 'Add sample books' }).click();
  await syncNow(phone);
  await same(page, 5);
  await phone.getByRole('switch').click();
  await state(phone, 'Offline');
  await phone.getByLabel('Rating of Middlemarch').selectOption('1');
  await phone.locator('.op').first().waitFor();
  for (const colorScheme of ['light', 'dark'])
    for (const [name, width] of [['wide', 1360], ['narrow', 390], ['smallest', 320]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 844 });
      await screenshot(page, `${name}-${colorScheme}`, { fullPage: name === 'narrow' });
      const overflows = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.equal(overflows, false, `${name}: no horizontal scrolling`);
      await checkAccessible(page, `${name}, ${colorScheme}`);
    }
  await page.getByRole('button', { name: 'Add a book' }).first().click();
  await checkAccessible(page, 'the form');
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('the page has a strict content security policy, and the browser enforces it', async () => {
  const reply = await request('/');
  assert.equal(reply.status, 200);
  assert.equal(
    reply.headers['content-security-policy'],
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
      + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
  assert.doesNotMatch(reply.text, /<script(?![^>]*src=)|\son\w+=|\sstyle=|<style/);

  // A violation is blocked and reported in `complaints`.
  const context = await openProfile();
  const page = await context.newPage();
  await page.goto(new URL('/demo/bare.html', process.env.BOOKY_URL).href);
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = true';
    document.head.append(script);
  });
  await until('a violation', () => context.complaints.some((text) => text.includes('CSP: script-src')));
  assert.equal(await page.evaluate(() => window.ran), undefined);
  await context.close();
});
