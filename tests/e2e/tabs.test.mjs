// Several tabs of one profile: one of them talks to the server for all.
import assert from 'node:assert/strict';
import test from 'node:test';
import { sleep } from '../http/lib.mjs';
import { Owner } from '../http/owner.mjs';
import { browser, Device, openProfile, serverBooks, until } from './browser.mjs';

// Two tabs of one profile, of which the first leads.
async function openTabs() {
  const owner = new Owner(), context = await openProfile();
  const first = await Device.open(owner, { context, realtime: true });
  await first.monitor();
  await until('the first tab leads', () => first.requests.includes('GET events'));
  const second = await Device.open(owner, { context, realtime: true });
  await second.monitor();
  return { owner, context, first, second };
}

test('one tab leads; when it closes, the other takes over', async () => {
  const { owner, context, first, second } = await openTabs();

  await second.queue('book', 'b1', 'create', { title: 'Flights' });
  await second.synced();
  assert.deepEqual(second.requests, [], 'the second tab asks the first');
  assert.ok(first.requests.includes('POST operations'));
  assert.deepEqual(Object.keys(await serverBooks(owner)), ['b1']);
  // The other tab sees what one tab writes.
  await first.queue('book', 'b1', 'update', { notes: 'of the first tab' });
  await until('seen', async () => (await second.get('book', 'b1'))?.notes === 'of the first tab');
  assert.equal((await second.events('change')).some(({ source }) => source === 'local'), true);

  // The first tab is closed with an unsent edit. The second sends it automatically.
  await first.page.close();
  await until('the second tab leads', () => second.requests.includes('GET events'));
  await until('sent', async () => (await serverBooks(owner)).b1.notes === 'of the first tab');
  const before = second.requests.filter((request) => request === 'GET events').length;
  await sleep(200);
  assert.equal(second.requests.filter((request) => request === 'GET events').length, before, 'one stream');
  assert.deepEqual(context.complaints, []);
  await context.close();
});

// The renderer process of a tab: the one that works while the page does.
async function rendererOf(page) {
  const session = await browser.newBrowserCDPSession();
  const times = async () => new Map((await session.send('SystemInfo.getProcessInfo')).processInfo
    .filter(({ type }) => type === 'renderer').map(({ id, cpuTime }) => [id, cpuTime]));
  const before = await times();
  const busy = await until('one renderer works', async () => {
    await page.evaluate(() => {
      for (const end = performance.now() + 300; performance.now() < end;);
    });
    const spent = [...(await times())].map(([id, time]) => [id, time - (before.get(id) ?? time)]);
    const [most, next] = spent.sort((x, y) => y[1] - x[1]);
    return most[1] > 0.5 && most[1] > 3 * (next?.[1] ?? 0) && most;
  });
  await session.detach();
  return busy[0];
}

test('a leader that the system has suspended: another tab takes over, and both go on when it wakes', async () => {
  const { owner, context, first, second } = await openTabs();
  const renderer = await rendererOf(first.page);
  assert.notEqual(renderer, await rendererOf(second.page));
  process.kill(renderer, 'SIGSTOP');
  try {
    await second.queue('book', 'b1', 'create', { title: 'Awake' });
    await until('the second tab sends its edit', async () => (await serverBooks(owner)).b1?.title === 'Awake');
    await until('and leads', () => second.requests.includes('GET events'));
  } finally {
    process.kill(renderer, 'SIGCONT');
  }
  await first.queue('book', 'b2', 'create', { title: 'Awake again' });
  await until('its edit is sent, too', async () => (await serverBooks(owner)).b2?.title === 'Awake again');
  for (const tab of [first, second])
    await until('both tabs show both books', async () => Object.keys(await tab.books()).join() === 'b1,b2');
  await context.close();
});

test('edits of many tabs at once are each applied once', async () => {
  const owner = new Owner(), context = await openProfile();
  const tabs = [];
  for (let i = 0; i < 3; i++) tabs.push(await Device.open(owner, { context }));
  await Promise.all(tabs.map((tab) => tab.monitor()));
  await Promise.all(tabs.map(async (tab, i) => {
    for (let n = 0; n < 8; n++) await tab.queue('book', `b${i}-${n}`, 'create', { title: `Book ${n} of ${i}` });
    await tab.synced();
  }));
  await tabs[0].synced();
  assert.equal(Object.keys(await serverBooks(owner)).length, 24);
  for (const tab of tabs) assert.deepEqual(await tab.books(), await serverBooks(owner));
  assert.deepEqual(await tabs[1].pending(), []);
  assert.equal(tabs.filter((tab) => tab.requests.includes('POST operations')).length, 1, 'one tab has sent all');
  await context.close();
});

test('two tabs of a browser that forbids IndexedDB: each keeps its edits in memory and sends them itself', async () => {
  const owner = new Owner(), context = await openProfile();
  await context.addInitScript(() =>
    Object.defineProperty(globalThis, 'indexedDB', { get: () => { throw new DOMException('no', 'SecurityError'); } }));
  const tabs = [await Device.open(owner, { context }), await Device.open(owner, { context })];
  for (const [i, tab] of tabs.entries()) {
    await tab.monitor();
    await tab.queue('book', `b${i}`, 'create', { title: `Book ${i}` });
    assert.equal((await tab.get('book', `b${i}`)).title, `Book ${i}`);
  }
  await until('both edits arrive', async () => Object.keys(await serverBooks(owner)).length === 2);
  for (const tab of tabs) {
    await tab.synced();
    assert.deepEqual(await tab.books(), await serverBooks(owner));
    assert.ok(tab.requests.includes('POST operations'));
    assert.deepEqual((await tab.events('storage')).map(({ kind }) => kind), ['memory']);
  }
  await context.close();
});
