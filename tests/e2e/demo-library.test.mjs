// The library of the demo page: search, order, collections, tags, readings, settings, deletion, earlier states.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkAccessible } from './axe.mjs';
import { eventually, more, openSamples, same, screenshot, state, until } from './browser.mjs';

const titles = (device) => device.locator('.book .title').allTextContents();

test('10,000 books: progress with a total, search as you type, order, undo of the whole', async () => {
  const { context, page, phone, laptop } = await openSamples();
  await page.evaluate(() => {
    window.progress = new Set();
    const look = () => {
      for (const { textContent } of document.querySelectorAll('.progress span')) progress.add(textContent);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  await page.getByRole('button', { name: 'Add 10,000 books' }).click();
  await same(page, '10,005', 120_000);
  await laptop.getByText('10,005 books').waitFor();
  const progress = await page.evaluate(() => [...window.progress]);
  assert.ok(progress.some((text) => /^Received [\d,]+ of 10,\d{3}$/.test(text)), progress.join('; '));

  await laptop.getByLabel('Search on Laptop').fill('lisb sil');
  await laptop.getByText('20 of 10,005 books').waitFor();
  assert.ok((await titles(laptop)).every((title) => /^The Silent .* of Lisbon$/.test(title)));
  await laptop.getByLabel('Search on Laptop').fill('páramo');
  await laptop.getByText('No book fits.').waitFor();
  await laptop.getByLabel('Search on Laptop').fill('sebald');
  await until('one book', async () => `${await titles(laptop)}` === 'Austerlitz');
  await laptop.getByLabel('Search on Laptop').fill('');
  await laptop.getByLabel('Order on Laptop').selectOption('Rating');
  await until('the best is first', async () => (await titles(laptop))[0] === 'The Dispossessed');
  await laptop.getByLabel('Order on Laptop').selectOption('Year');
  await until('the newest is first', async () =>
    /2024/.test(await laptop.locator('.book .author').first().textContent()));
  await screenshot(page, 'many');
  await checkAccessible(page, '10,000 books');

  // In place of everything, the samples. The server has kept what was there.
  await page.getByRole('button', { name: 'Start over' }).click();
  await same(page, 10, 120_000);
  const message = page.getByRole('group', { name: 'The last change' });
  await message.getByRole('button', { name: 'Undo' }).click({ timeout: 120_000 });
  await same(page, '10,005', 120_000);
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('collections by menu and by drag, whose lists merge, and tags without twins', async () => {
  const { context, page, phone, laptop } = await openSamples();
  const open = async (device, title) => device.getByRole('button', { name: `Edit ${title}` }).click();
  await open(phone, 'Austerlitz');
  await page.getByLabel('New collection').fill('Holidays');
  await page.getByRole('button', { name: 'Add to it' }).click();
  await page.getByRole('checkbox', { name: 'Holidays', checked: true }).waitFor();
  await checkAccessible(page, 'the form of a book');
  await screenshot(page, 'form');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await laptop.getByRole('button', { name: 'Holidays 1' }).waitFor();

  // Both add a book to it while they are cut off.
  for (const device of [phone, laptop]) await device.getByRole('switch').click();
  await state(phone, 'Offline');
  await state(laptop, 'Offline');
  const middlemarch = phone.locator('.book').filter({ hasText: 'Middlemarch' });
  await middlemarch.dragTo(phone.getByRole('button', { name: 'Holidays 1' }), { sourcePosition: { x: 70, y: 20 } });
  await phone.getByRole('button', { name: 'Holidays 2' }).waitFor();
  await open(laptop, 'Invisible Cities');
  await page.getByRole('checkbox', { name: 'Holidays' }).check();
  await page.getByRole('textbox', { name: 'Tags' }).fill('short, CLASSIC');
  await page.getByRole('button', { name: 'Save' }).click();
  await laptop.getByRole('button', { name: 'classic 3' }).waitFor();
  for (const device of [phone, laptop]) await device.getByRole('switch').click();
  await same(page, 5);
  for (const device of [phone, laptop]) {
    await device.getByRole('button', { name: 'Holidays 3' }).click();
    await until('three books', async () => (await device.locator('.book').count()) === 3);
    await device.getByRole('button', { name: 'classic 3' }).click();
    await until('two books', async () => (await device.locator('.book').count()) === 2);
  }
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('a book that is read again has a history, and notes have lines', async () => {
  const { context, page, phone, laptop } = await openSamples();
  await phone.getByLabel('Status of Austerlitz').selectOption('currently_reading');
  await until('the laptop has it', async () =>
    (await laptop.getByLabel('Status of Austerlitz').inputValue()) === 'currently_reading');
  await laptop.getByRole('button', { name: 'Edit Austerlitz' }).click();
  await eventually(
    async () => (await page.locator('.history li').allTextContents()).map((text) => text.replace(/ \d.*/, '')),
    ['Reading, since', 'Read, finished']);
  await page.getByLabel('Notes').fill('one\ntwo');
  await page.getByRole('button', { name: 'Save' }).click();
  await phone.locator('.book').getByText(/one\s+two/).waitFor();
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('a deletion is undone with everything that belongs to the book', async () => {
  const { owner, context, page, phone } = await openSamples();
  const count = async () => Object.keys(await owner.contents()).length;
  const before = await count();
  await phone.getByRole('button', { name: 'Edit Austerlitz' }).click();
  await page.getByRole('button', { name: 'Delete book' }).click();
  await same(page, 4);
  await until('the rating and the reading are gone too', async () => (await count()) === before - 3);
  await page.getByRole('group', { name: 'The last change' }).getByRole('button', { name: 'Undo' }).click();
  await same(page, 5);
  await until('all is back', async () => (await count()) === before);
  await eventually(() => phone.getByLabel('Rating of Austerlitz').inputValue(), '4.5');
  await eventually(() => phone.getByLabel('Status of Austerlitz').inputValue(), 'read');
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('settings are synced: the theme of one device becomes that of the other', async () => {
  const { context, page, phone, laptop } = await openSamples({ colorScheme: 'light' });
  const ground = (device) => device.evaluate((element) => getComputedStyle(element).backgroundColor);
  const light = await ground(laptop);
  await more(phone, 'Settings');
  await page.getByLabel('Theme').selectOption('Dark');
  await page.getByLabel('Ratings').selectOption('4 of 5');
  await checkAccessible(page, 'the settings');
  await page.getByRole('button', { name: 'Done' }).click();
  await until('both are dark', async () =>
    (await ground(laptop)) !== light && (await ground(laptop)) === (await ground(phone)));
  await eventually(() => laptop.getByLabel('Rating of Austerlitz').locator('option:checked').textContent(), '4.5 of 5');
  await until('the marks have ended', async () => !(await page.locator('[data-flash]').count()));
  await checkAccessible(page, 'dark devices on a light page');
  await screenshot(page, 'settings');
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('an earlier state is looked at and restored', async () => {
  const { context, page, phone, laptop } = await openSamples();
  await phone.getByRole('button', { name: 'Add a book' }).click();
  await page.getByRole('textbox', { name: 'Title' }).fill('Only Then');
  await page.keyboard.press('Enter');
  await same(page, 6);
  await page.getByRole('button', { name: 'Start over' }).click();
  await same(page, 10);
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await more(laptop, 'Earlier states');
  const dialog = page.getByRole('dialog', { name: 'Earlier states' });
  await dialog.getByRole('button', { name: /^Look at / }).click();
  await dialog.getByText('6 books then, 10 now.').waitFor();
  await dialog.getByText('Only Then not there now').waitFor();
  await checkAccessible(page, 'earlier states');
  await screenshot(page, 'snapshots');
  await dialog.getByRole('button', { name: /^Restore / }).click();
  await same(page, 6);
  await phone.locator('.book').getByText('Only Then').waitFor();
  assert.deepEqual(context.complaints, []);
  await context.close();
});
