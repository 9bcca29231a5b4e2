// Two tabs of one profile: one of them talks to the server, for both.
import assert from 'node:assert/strict';
import test from 'node:test';
import { sleep } from '../http/lib.mjs';
import { Owner } from '../http/owner.mjs';
import { Device, openProfile, serverBooks, until } from './browser.mjs';

test('one tab leads; when it closes, the other takes over', async () => {
  const owner = new Owner(), context = await openProfile();
  const first = await Device.open(owner, { context, realtime: true });
  await first.monitor();
  await until('the first leads', () => first.requests.includes('GET events'));
  const second = await Device.open(owner, { context, realtime: true });
  await second.monitor();

  await second.queue('book', 'b1', 'create', { title: 'Flights' });
  await second.synced();
  assert.deepEqual(second.requests, [], 'the second asks the first');
  assert.ok(first.requests.includes('POST operations'));
  assert.deepEqual(Object.keys(await serverBooks(owner)), ['b1']);
  // What one tab writes, the other sees.
  await first.queue('book', 'b1', 'update', { notes: 'of the first tab' });
  await until('seen', async () => (await second.get('book', 'b1'))?.notes === 'of the first tab');
  assert.equal((await second.heard('change')).some(({ source }) => source === 'local'), true);

  // The first dies with an edit unsent: the second sends it, unasked.
  await first.page.close();
  await until('the second leads', () => second.requests.includes('GET events'));
  await until('sent', async () => (await serverBooks(owner)).b1.notes === 'of the first tab');
  const before = second.requests.filter((request) => request === 'GET events').length;
  await sleep(200);
  assert.equal(second.requests.filter((request) => request === 'GET events').length, before, 'one stream');
  assert.deepEqual(context.complaints, []);
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
  assert.equal(tabs.filter((tab) => tab.requests.includes('POST operations')).length, 1, 'one of them spoke');
  await context.close();
});
