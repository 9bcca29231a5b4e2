// What the demo page says about sync: the way of an edit, what happened on a device, conflicts, waiting.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkAccessible } from './axe.mjs';
import { eventually, openSamples, OPERATIONS, same, screenshot, serverBooks, state, until } from './browser.mjs';

const book = (device, title) => device.locator('.book').filter({ hasText: title });

async function edit(page, device, title, fields) {
  await device.getByRole('button', { name: `Edit ${title}` }).click();
  for (const [label, value] of Object.entries(fields)) await page.getByLabel(label, { exact: true }).fill(value);
  await page.getByRole('button', { name: 'Save' }).click();
}

test('an edit is followed to the other device, with milliseconds, a mark in its colour, and undo', async () => {
  const { context, page, phone, laptop } = await openSamples();
  await until('the marks of the samples have ended', async () => !(await page.locator('[data-flash]').count()));
  await page.evaluate(() => {
    window.marks = new Set();
    const look = () => {
      for (const mark of document.querySelectorAll('.book [data-flash]'))
        marks.add([mark.closest('section').getAttribute('aria-label'), 'by', mark.dataset.by,
          mark.querySelector('select')?.getAttribute('aria-label')].join(' '));
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await phone.getByLabel('Rating of Middlemarch').selectOption('2');
  const journey = page.locator('.journey');
  const way =
    /^Middlemarch Rating: ★{4}½ → ★★ Phone: on the server after [\d,]+ ms, on the laptop after [\d,]+ ms/;
  await until('the way is shown', async () => way.test(await journey.textContent()));
  // On both devices the field is marked as written by the phone for a moment, and only that field.
  await eventually(async () => (await page.evaluate(() => [...marks])).sort(),
    ['Library on Laptop by phone Rating of Middlemarch', 'Library on Phone by phone Rating of Middlemarch']);
  await screenshot(page, 'journey');
  // Each device says what happened.
  const sent = phone.locator('.entry').first(), received = laptop.locator('.entry').first();
  await eventually(() => sent.textContent(), /Middlemarch Rating: ★{4}½ → ★★saved [\d,]+ ms · laptop [\d,]+ ms/);
  await eventually(() => received.textContent(), /Middlemarch Rating: ★★★★½ → ★★received from the phone/);
  assert.equal(await received.getAttribute('data-by'), 'phone');
  // The plot has a name with its figures.
  await eventually(() => phone.getByRole('img').first().getAttribute('aria-label'),
    /^Phone, the last minute: \d+ round trips?, median [\d,]+ ms; 0 edits waiting$/);
  // What was received can be taken back, by an edit.
  await received.getByRole('button', { name: 'Undo: Middlemarch' }).click();
  await eventually(() => phone.getByLabel('Rating of Middlemarch').inputValue(), '4.5');
  await eventually(() => received.getByRole('button').count(), 1); // the new edit can be undone
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('an edit whose reply was lost is followed too', async () => {
  const { context, phone, laptop } = await openSamples();
  await laptop.getByRole('switch').click();
  await state(laptop, 'Offline');
  let lost = 0;
  await context.route(OPERATIONS, async (route) => {
    if (lost++) return route.continue();
    await route.fetch();
    await route.abort();
  });
  await phone.getByLabel('Rating of Middlemarch').selectOption('2');
  await until('the reply is lost', () => lost === 1);
  await phone.locator('.entry').first().getByText('waiting').waitFor();
  await laptop.getByRole('switch').click();
  await laptop.locator('.entry').first().getByText('Rating: ★★★★½ → ★★received from the phone').waitFor();
  await phone.locator('.entry').first().getByText(/saved [\d,]+ ms · laptop [\d,]+ ms/).waitFor();
  await context.close();
});

test('an edit that a later one displaces is told, and can be brought back', async () => {
  const { owner, context, page, phone, laptop } = await openSamples();
  await phone.getByRole('switch').click();
  await state(phone, 'Offline');
  await edit(page, phone, 'Austerlitz', { Title: 'Austerlitz, early', Notes: 'read on the train' });
  await phone.locator('.entry').first().getByText('waiting').waitFor();
  await edit(page, laptop, 'Austerlitz', { Title: 'Austerlitz, late' });
  await laptop.locator('.entry').first().getByText('saved').waitFor();
  await phone.getByRole('switch').click();
  const lost = phone.locator('.entry[data-kind="lost"]');
  await lost.getByText("Title: the later edit of the laptop was kept, yours was “Austerlitz, early”").waitFor();
  await lost.getByText('lost to a later edit').waitFor();
  await book(laptop, 'read on the train').waitFor(); // the note was merged
  // The laptop has not written the notes, so nothing is said of them.
  assert.equal(await phone.locator('.entry[data-kind="merged"]').count(), 0);
  await screenshot(page, 'lost');
  await checkAccessible(page, 'a lost edit');
  await lost.getByRole('button', { name: 'Use mine: Austerlitz, late' }).click();
  await book(laptop, 'Austerlitz, early').waitFor();
  const books = Object.values(await serverBooks(owner));
  assert.ok(books.some(({ title, notes }) => title === 'Austerlitz, early' && notes === 'read on the train'));
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('the device that had the earlier edit on the server is told too', async () => {
  const { context, page, phone, laptop } = await openSamples();
  await laptop.getByRole('switch').click();
  await state(laptop, 'Offline');
  await edit(page, phone, 'Austerlitz', { Title: 'Austerlitz, early' });
  await phone.locator('.entry').first().getByText('saved').waitFor();
  await edit(page, laptop, 'Austerlitz', { Title: 'Austerlitz, late' });
  await laptop.getByRole('switch').click();
  await phone.locator('.entry[data-kind="lost"]')
    .getByText("Title: the later edit of the laptop was kept, yours was “Austerlitz, early”").waitFor();
  await laptop.locator('.entry[data-kind="merged"]')
    .getByText("Title: your later edit was kept, the phone had “Austerlitz, early”").waitFor();
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('one decision settles all conflicts of a book, and the dialog names devices and titles', async () => {
  const { owner, context, page, phone, laptop } = await openSamples();
  await page.getByLabel('When both edited a book').selectOption('ask me');
  await phone.getByRole('switch').click();
  await state(phone, 'Offline');
  await edit(page, phone, 'The Master and Margarita', { Notes: 'mine' });
  await phone.getByLabel('Rating of The Master and Margarita').selectOption('1');
  await phone.getByLabel('Status of The Master and Margarita').selectOption('dnf');
  await edit(page, laptop, 'The Master and Margarita', { Notes: 'theirs' });
  await laptop.getByLabel('Rating of The Master and Margarita').selectOption('5');
  await laptop.getByLabel('Status of The Master and Margarita').selectOption('currently_reading');
  await until('the server has what the laptop wrote', async () => {
    const books = Object.entries(await serverBooks(owner));
    const [id, { notes }] = books.find(([, { title }]) => title.startsWith('The Master'));
    const ofBook = Object.values(await owner.contents()).filter(({ bookId }) => bookId === id);
    return notes === 'theirs' && ofBook.some(({ stars }) => stars === 5) &&
      ofBook.some(({ status }) => status === 'currently_reading');
  });
  await phone.getByRole('switch').click();
  await state(phone, '1 conflict to decide');
  await phone.locator('.entry').first().getByText('to be decided').waitFor();
  await phone.getByRole('button', { name: 'Decide about The Master and Margarita' }).click();
  const dialog = page.getByRole('dialog', { name: 'Two versions of The Master and Margarita' });
  const parts = async () => (await dialog.locator('legend').allTextContents()).sort();
  await eventually(parts, ['Notes', 'Rating', 'Status']);
  await dialog.getByRole('radio', { name: 'Rating: Laptop, ★★★★★' }).check();
  await dialog.getByRole('radio', { name: 'Notes: Phone, mine' }).waitFor();
  await page.setViewportSize({ width: 320, height: 700 });
  await screenshot(page, 'conflict-smallest');
  const boxes = await dialog.locator('.choice label').evaluateAll((all) => all.map((it) => it.getBoundingClientRect()));
  assert.ok(boxes.every(({ left, right, height }) => left >= 0 && right <= 320 && height >= 44), JSON.stringify(boxes));
  assert.equal(new Set(boxes.map(({ left }) => left)).size, 1);
  await checkAccessible(page, 'the conflict at 320 pixels');
  await dialog.getByRole('button', { name: 'Merge as chosen' }).click();
  await dialog.waitFor({ state: 'detached' });
  await state(phone, 'Up to date');
  await phone.locator('.entry[data-by="phone"]').getByText('after your decision').first().waitFor();
  const contents = Object.values(await owner.contents());
  assert.ok(contents.some(({ notes }) => notes === 'mine'));
  assert.ok(contents.some(({ stars, bookId }) => stars === 5 && bookId));
  assert.ok(contents.some(({ status }) => status === 'dnf'));
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('a waiting deletion keeps its title in a reload, and a device is cut off in all windows', async () => {
  const { context, page, phone } = await openSamples();
  const second = await context.newPage();
  await second.goto(page.url());
  const other = second.getByRole('region', { name: 'Phone', exact: true });
  await state(other, 'Up to date');
  await phone.getByRole('switch').click();
  await state(phone, 'Offline');
  await other.getByRole('switch', { checked: false }).getByText('Cut off').waitFor();
  await phone.getByRole('button', { name: 'Edit Austerlitz' }).click();
  await page.getByRole('button', { name: 'Delete book' }).click();
  await phone.locator('.op').filter({ hasText: 'delete book' }).getByText('Austerlitz').waitFor();
  await page.reload();
  await phone.getByRole('switch', { checked: false }).getByText('Cut off').waitFor();
  await phone.locator('.op').filter({ hasText: 'delete book' }).getByText('Austerlitz').waitFor();
  await page.getByText('1 book not the same on both').waitFor();
  await other.getByRole('switch').click(); // in one window, for all
  await same(page, 4);
  await phone.getByRole('switch', { checked: true }).getByText('Connected').waitFor();
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('where the server asks to wait, the page counts down, and claims nothing', async () => {
  const { context, page, phone } = await openSamples();
  const body = { success: false, error: 'RATE_LIMITED', message: 'made up', requestId: 'r' };
  await page.route(OPERATIONS, (route) => route.fulfill({ status: 429, json: body, headers: { 'retry-after': '30' } }));
  await phone.getByLabel('Rating of Austerlitz').selectOption('1');
  await phone.getByText(/The server asks to wait. Next try in (30|29|28|27|26) s./).waitFor();
  const first = await phone.getByRole('timer').textContent();
  await until('it counts', async () => (await phone.getByRole('timer').textContent()) !== first);
  await state(phone, 'Needs attention');
  await phone.locator('.entry').first().getByText('waiting').waitFor();
  await eventually(() => page.locator('#same').textContent(), 'Phone: needs attention');
  await screenshot(page, 'waits');
  await checkAccessible(page, 'a countdown');
  assert.deepEqual(context.complaints.filter((text) => !/status of 429/.test(text)), []);
  await context.close();
});
