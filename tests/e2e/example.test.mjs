// The example app, client/examples/library, as built for production: search in 10,000 books, two devices, users who
// sign in and out, the offline start.
import assert from 'node:assert/strict';
import test from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { book, origin, patch } from '../http/lib.mjs';
import { Owner, syntheticBooks } from '../http/owner.mjs';
import { checkAccessible } from './axe.mjs';
import { eventually, findWorker, openProfile, OPERATIONS, serverBooks, until } from './browser.mjs';

const ADDRESS = `${origin}/demo/library/`;

/** Opens the app in a new profile. `owners` are the users behind the two names on the page of sign-in. */
async function openApp(owners, options) {
  const context = await openProfile(options);
  for (const [name, { token }] of Object.entries(owners))
    await context.route(`**/session/${name}.json`, (route) => route.fulfill({ json: { user: name, token } }));
  return { context, page: await openTab(context) };
}

async function openTab(context) {
  const page = await context.newPage();
  await page.goto(ADDRESS);
  return page;
}

const button = (page, name) => page.getByRole('button', { name, exact: true });
const signIn = async (page, name) => {
  await button(page, `Sign in as ${name}`).click();
  await page.getByRole('heading', { name: `Library of ${name}` }).waitFor();
};
const signOut = (page) => button(page, 'Sign out and remove the library from this device').click();
const saved = (page) => page.getByRole('status').getByText('Everything is saved.').waitFor();
const counts = (page, n) =>
  page.getByRole('status').getByText(`${n.toLocaleString('en')} book${n === 1 ? '' : 's'}`, { exact: true }).waitFor();
const titlesOf = async (owner) => Object.values(await serverBooks(owner)).map(({ title }) => title).sort();
const listed = (page) => page.getByRole('listitem').getByRole('button').allTextContents();

async function addBook(page, title, author = '') {
  await page.getByLabel('Title', { exact: true }).fill(title);
  await page.getByLabel('Author', { exact: true }).fill(author);
  await button(page, 'Add book').click();
}

/** The books with words that begin so. */
const matching = (books, ...beginnings) =>
  books.filter(({ title, authors }) => {
    const words = [title, ...authors].join(' ').split(/[^\p{L}\p{N}]+/u);
    return beginnings.every((beginning) => words.some((word) => word.startsWith(beginning)));
  });

/** A device on which Alice has signed in. */
async function openDevice(alice, options) {
  const device = await openApp({ alice }, options);
  await signIn(device.page, 'Alice');
  await saved(device.page);
  return device;
}

/** Ticks a collection of a book. */
async function collect(page, title, collection) {
  await button(page, title).click();
  await page.getByRole('dialog', { name: title }).getByLabel(collection).click();
  await button(page, 'Save').click();
}

test('books are added, found and sorted among 10,000', async () => {
  const alice = new Owner(), books = syntheticBooks(10_000, 400);
  await alice.replace({ books });
  const { context, page } = await openDevice(alice);
  await counts(page, 10_000);
  assert.ok((await listed(page)).length < 60, 'only the rows in sight are in the document');
  await addBook(page, 'Austerlitz, a novel', 'W. G. Sebald');
  await counts(page, 10_001);
  await page.getByLabel('Search').fill('seb auster');
  await counts(page, 1);
  await eventually(() => listed(page), ['Austerlitz, a novel']);

  await page.getByLabel('Search').fill('salt WINT');
  const hits = matching(books, 'salt', 'wint');
  await counts(page, hits.length);
  await page.getByLabel('Sort by').selectOption('Year, newest first');
  const years = () => page.getByRole('listitem').locator('small').allTextContents();
  const newest = Math.max(...hits.map(({ publishedYear }) => publishedYear));
  await until('the newest comes first', async () => (await years())[0]?.endsWith(`, ${newest}`));
  await page.getByLabel('Search').fill('');
  await counts(page, 10_001);
  const list = page.getByRole('group', { name: 'List of books' });
  await list.focus();
  for (let i = 0; i < 60; i++) await page.keyboard.press('Tab');
  const position = () => page.evaluate(() => document.activeElement.parentElement.getAttribute('aria-posinset'));
  assert.equal(await position(), '60', 'the Tab key goes on to rows that were not in the document');
  await list.press('End');
  await until('the last row', async () => (await page.locator('[aria-posinset="10001"]').count()) === 1);
  await saved(page);
  assert.equal((await titlesOf(alice)).filter((title) => title === 'Austerlitz, a novel').length, 1);
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('two devices put books in one collection at once, and both books are in it', async () => {
  const alice = new Owner();
  await alice.send([book('b1', { title: 'Flights' }), book('b2', { title: 'Austerlitz' })]);
  const [phone, laptop] = [await openDevice(alice), await openDevice(alice)];
  await phone.page.getByLabel('New collection').fill('Novels');
  await button(phone.page, 'Add collection').click();
  await button(laptop.page, 'Novels (0)').waitFor();
  // Neither device has heard of the other's edit when it makes its own.
  await Promise.all([phone, laptop].map(({ context }) => context.setOffline(true)));
  await collect(phone.page, 'Flights', 'Novels');
  await collect(laptop.page, 'Austerlitz', 'Novels');
  await Promise.all([phone, laptop].map(({ context }) => context.setOffline(false)));
  for (const { page, context } of [phone, laptop]) {
    await button(page, 'Novels (2)').click();
    await counts(page, 2);
    await eventually(() => listed(page), ['Austerlitz', 'Flights']);
    assert.deepEqual(context.complaints.filter((text) => !text.includes('ERR_INTERNET_DISCONNECTED')), []);
    await context.close();
  }
});

test('two devices make collections of one name, and a person makes one of them', async () => {
  const alice = new Owner();
  await alice.send([book('b1', { title: 'Flights' }), book('b2', { title: 'Austerlitz' })]);
  const [phone, laptop] = [await openDevice(alice), await openDevice(alice)];
  await Promise.all([phone, laptop].map(({ context }) => context.setOffline(true)));
  for (const [{ page }, title] of [[phone, 'Flights'], [laptop, 'Austerlitz']]) {
    await page.getByLabel('New collection').fill('Novels');
    await button(page, 'Add collection').click();
    await collect(page, title, 'Novels');
    await button(page, 'Novels (1)').waitFor();
  }
  await phone.context.setOffline(false);
  await saved(phone.page);
  await laptop.context.setOffline(false);
  await laptop.page.getByRole('heading', { name: 'Two with the name Novels' }).waitFor();
  await checkAccessible(laptop.page, 'two collections');
  await button(laptop.page, 'Make one of both').click();
  for (const { page } of [phone, laptop]) {
    await button(page, 'Novels (2)').waitFor();
    await page.getByRole('heading', { name: 'Please decide' }).waitFor({ state: 'detached' });
    await eventually(() => page.getByRole('button', { name: 'Novels' }).count(), 1);
  }
  await Promise.all([phone, laptop].map(({ context }) => context.close()));
});

test('an edit appears on the screen of another device without a reload', async (t) => {
  const alice = new Owner();
  await alice.send([book('b1', { title: 'Flights' })]);
  const [phone, laptop] = [await openDevice(alice), await openDevice(alice)];
  // The pages themselves note the times, by the same clock.
  await phone.page.evaluate(() => addEventListener('submit', () => (window.edited = Date.now()), true));
  const times = [];
  for (let i = 0; i < 15; i++) {
    const seen = laptop.page.evaluate((title) => new Promise((resolve) => {
      new MutationObserver((_, observer) => {
        if (!document.querySelector('.window').innerText.includes(title)) return;
        observer.disconnect();
        requestAnimationFrame(() => resolve(Date.now()));
      }).observe(document.body, { subtree: true, childList: true, characterData: true });
    }), `Book ${i}.`);
    await addBook(phone.page, `Book ${i}.`);
    times.push((await seen) - (await phone.page.evaluate(() => window.edited)));
    await saved(phone.page);
  }
  times.sort((a, b) => a - b);
  t.diagnostic(`from an edit until it is on the other screen: median ${times[7]} ms, longest ${times.at(-1)} ms`);
  await counts(laptop.page, 16);
  await Promise.all([phone, laptop].map(({ context }) => context.close()));
});

/** Everything that the databases of the page hold, as text. */
const stored = (page) => page.evaluate(async () => {
  const promise = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const all = [];
  for (const { name } of await indexedDB.databases()) {
    const db = await promise(indexedDB.open(name));
    for (const store of db.objectStoreNames) all.push(await promise(db.transaction(store).objectStore(store).getAll()));
    db.close();
  }
  return JSON.stringify(all);
});

test('after a sign-out, the next user sees nothing of the first', async () => {
  const alice = new Owner(), bert = new Owner();
  await alice.send([book('b1', { title: 'The diary of Alice' })]);
  await bert.send([book('b1', { title: 'The diary of Bert' })]);
  const { context, page } = await openApp({ alice, bert });
  const streams = [];
  page.on('request', (request) => request.url().includes('/events') && streams.push(request));
  await signIn(page, 'Alice');
  await button(page, 'The diary of Alice').waitFor();
  await until('the stream of the first user', () => streams.length === 1);
  assert.match(await stored(page), /The diary of Alice/);
  await signOut(page);
  await button(page, 'Sign in as Bert').waitFor();
  await until('the stream has ended', async () => streams[0].failure());
  assert.doesNotMatch(await stored(page), /Alice/);
  await signIn(page, 'Bert');
  await button(page, 'The diary of Bert').waitFor();
  await alice.send([book('b2', { title: 'A second diary of Alice' })]);
  await bert.send([book('b2', { title: 'A second diary of Bert' })]);
  await button(page, 'A second diary of Bert').waitFor();
  await eventually(() => listed(page), ['A second diary of Bert', 'The diary of Bert']);
  assert.doesNotMatch(await stored(page), /Alice/);
  assert.deepEqual(Object.keys(await serverBooks(alice)), ['b1', 'b2']);
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('a sign-out asks before it removes unsent edits, and signs out the other tabs of the user', async () => {
  const alice = new Owner(), { context, page } = await openDevice(alice);
  const other = await openTab(context);
  await other.getByRole('heading', { name: 'Library of Alice' }).waitFor();
  await context.setOffline(true);
  await addBook(page, 'Flights');
  await page.getByRole('status').getByText('Offline. 1 edit will be sent later.').waitFor();
  const question = async () => {
    const [dialog] = await Promise.all([page.waitForEvent('dialog'), signOut(page)]);
    assert.equal(dialog.message(), '1 edit will be lost. Sign out all the same?');
    return dialog;
  };
  await (await question()).dismiss();
  for (const tab of [page, other]) await button(tab, 'Flights').waitFor();
  await (await question()).accept();
  for (const tab of [page, other]) await button(tab, 'Sign in as Alice').waitFor();
  await context.setOffline(false);
  assert.doesNotMatch(await stored(page), /Flights/);
  assert.deepEqual(await serverBooks(alice), {});
  await context.close();
});

test('two users work in two tabs', async () => {
  const alice = new Owner(), bert = new Owner(), { context, page } = await openApp({ alice, bert });
  await signIn(page, 'Alice');
  await saved(page);
  const other = await openTab(context);
  await button(other, 'Change user').click();
  await signIn(other, 'Bert');
  await addBook(page, 'Of Alice');
  await addBook(other, 'Of Bert');
  for (const tab of [page, other]) await saved(tab);
  await eventually(async () => [await listed(page), await listed(other)], [['Of Alice'], ['Of Bert']]);
  await alice.send([book('b2', { title: 'Of Alice, from her phone' })]);
  await button(page, 'Of Alice, from her phone').waitFor();
  await eventually(() => titlesOf(alice), ['Of Alice', 'Of Alice, from her phone']);
  await eventually(() => titlesOf(bert), ['Of Bert']);
  await other.reload();
  await button(other, 'Of Bert').waitFor();
  await eventually(() => listed(other), ['Of Bert']);
  assert.deepEqual(context.complaints, []);
  await context.close();
});

test('the app starts offline with the library, and an edit made there arrives later', async () => {
  const alice = new Owner();
  const books = syntheticBooks(500, 300);
  await alice.replace({ books });
  const { context, page } = await openDevice(alice);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await context.setOffline(true);
  await page.reload();
  await page.getByRole('heading', { name: 'Library of Alice' }).waitFor();
  await counts(page, 500);
  await page.getByRole('status').getByText('Offline. You can go on.').waitFor();
  await page.getByLabel('Search').fill('winter');
  await counts(page, matching(books, 'winter').length);
  await addBook(page, 'Written in winter');
  await counts(page, matching(books, 'winter').length + 1);
  await page.getByRole('status').getByText('Offline. 1 edit will be sent later.').waitFor();
  await page.close();
  const again = await openTab(context); // still offline
  await counts(again, 501);
  await context.setOffline(false);
  await saved(again);
  assert.equal((await titlesOf(alice)).filter((title) => title === 'Written in winter').length, 1);
  await context.close();
});

test('an edit made offline arrives although the app was closed', async () => {
  const alice = new Owner(), { context, page } = await openDevice(alice);
  const wake = await findWorker(context, ADDRESS);
  await page.evaluate(() => navigator.serviceWorker.ready);
  await context.setOffline(true);
  await addBook(page, 'Flights');
  await page.getByRole('status').getByText('Offline. 1 edit will be sent later.').waitFor();
  await page.close();
  await context.setOffline(false);
  await until('the edit arrives', async () => {
    await wake('booky-sync:library-alice');
    return (await titlesOf(alice)).join() === 'Flights';
  });
  await context.close();
});

test('a person decides a conflict and a refused edit', async () => {
  const alice = new Owner();
  await alice.send([book('b1', { title: 'Flights', notes: 'Lent to Bert' })]);
  const manual = { conflictResolution: 'manual', baseVersion: '2020-01-01T00:00:00Z' };
  await alice.send([patch('b1', { notes: 'Lost' }, manual)]);
  const { context, page } = await openDevice(alice);
  await page.getByRole('heading', { name: 'Two versions of Flights' }).waitFor();
  await page.getByText('notes: Lost (server: Lent to Bert)').waitFor();
  await checkAccessible(page, 'a conflict');
  await button(page, 'Use the edit').click();
  await until('decided', async () => (await serverBooks(alice)).b1.notes === 'Lost');
  await page.getByRole('heading', { name: 'Please decide' }).waitFor({ state: 'detached' });

  const refusal = { success: false, error: 'PAYLOAD_TOO_LARGE', message: 'too large', requestId: 'r' };
  await page.route(OPERATIONS, (route) => route.fulfill({ status: 413, json: refusal }));
  await addBook(page, 'Austerlitz');
  await page.getByRole('heading', { name: 'The create of Austerlitz was refused' }).waitFor();
  await page.unroute(OPERATIONS);
  await button(page, 'Try again').click();
  await until('it arrives', async () => Object.keys(await serverBooks(alice)).length === 2);
  await page.getByRole('heading', { name: 'Please decide' }).waitFor({ state: 'detached' });
  const activity = page.getByRole('region', { name: 'Activity' }).getByRole('listitem');
  await activity.getByText(/confirmed: Austerlitz/).waitFor();
  await context.close();
});

test('a book is edited and deleted with the keyboard, and only changed members are written', async () => {
  const alice = new Owner();
  await alice.send([book('b1', { title: 'Flights' })]);
  const { context, page } = await openDevice(alice);
  await button(page, 'Flights').focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'Flights' });
  await dialog.waitFor();
  await alice.send([patch('b1', { title: 'Flights (2007)' }, { timestamp: undefined })]); // while the dialog is open
  await page.getByRole('heading', { name: 'Flights (2007)' }).waitFor();
  await page.getByLabel('Notes').fill('Lent to Bert');
  await page.getByLabel('Notes').press('Tab');
  await button(page, 'Save').press('Enter');
  const expected = { title: 'Flights (2007)', notes: 'Lent to Bert' };
  await until('both edits', async () => isDeepStrictEqual((await serverBooks(alice)).b1, expected));
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  await eventually(focused, 'Flights (2007)'); // the focus has returned
  await page.keyboard.press('Enter');
  await button(page, 'Delete book').press('Enter');
  await counts(page, 0);
  await eventually(focused, 'Books');
  await until('deleted', async () => !(await serverBooks(alice)).b1);
  await context.close();
});

test('the app is accessible, light and dark, wide and narrow', async () => {
  const alice = new Owner(), { context, page } = await openApp({ alice });
  await checkAccessible(page, 'sign-in');
  await signIn(page, 'Alice');
  await saved(page);
  await checkAccessible(page, 'empty');
  await alice.replace({ books: syntheticBooks(300, 300), collections: [{ id: 'c1', name: 'A'.repeat(60) }] });
  await counts(page, 300);
  for (const colorScheme of ['light', 'dark'])
    for (const width of [1360, 320]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 844 });
      await checkAccessible(page, `${colorScheme}, ${width} px`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false, `${width} px`);
    }
  await page.getByRole('listitem').getByRole('button').first().click();
  await page.getByRole('dialog').waitFor();
  await checkAccessible(page, 'the dialog');
  assert.deepEqual(context.complaints, []);
  await context.close();
});
