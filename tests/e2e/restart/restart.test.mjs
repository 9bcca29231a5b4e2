// The server goes away under devices that are at work.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { request, state } from '../../http/lib.mjs';
import { Owner } from '../../http/owner.mjs';
import { isAlive, startAgain, startPush, stopPush } from '../../push/lib.mjs';
import { Device, serverBooks, until } from '../browser.mjs';

const pidFile = path.join(state, 'pid/pool');

async function stopPool(signal) {
  const pid = Number(readFileSync(pidFile, 'utf8'));
  process.kill(pid, signal);
  await until('the pool has ended', () => !isAlive(pid));
}

async function startPool() {
  startAgain('pool', 'serve');
  await until('the pool answers', async () => (await request('/api/health')).status === 200);
}

test('the pool restarts while a device syncs: nothing is lost and nothing done twice', async () => {
  const owner = new Owner();
  const [phone, laptop] = [await Device.open(owner), await Device.open(owner)];
  for (let i = 0; i < 60; i++) await phone.queue('book', `b${i}`, 'create', { title: `Book ${i}` });
  await phone.monitor();
  await until('some are sent', async () => (await phone.status()).pendingOperations < 60);
  await stopPool('SIGTERM');
  await phone.queue('book', 'late', 'create', { title: 'While the server was away' });
  await until('noticed', async () => (await phone.heard('error')).length > 0 || (await phone.sync()).ok === false);
  await startPool();
  await until('everything is sent', async () => (await phone.status()).pendingOperations === 0);
  assert.equal((await phone.status()).review, 0);
  const books = await serverBooks(owner);
  assert.equal(Object.keys(books).length, 61);
  await laptop.synced();
  assert.deepEqual(await laptop.books(), books);
  assert.deepEqual(await phone.books(), books);
  await Promise.all([phone.close(), laptop.close()]);
});

test('the event stream is cut: it is opened again, and edits come by it as before', async () => {
  const owner = new Owner();
  const [phone, laptop] = [await Device.open(owner), await Device.open(owner, { realtime: true })];
  const opened = () => laptop.page.waitForResponse((reply) => reply.url().includes('/events') && reply.status() === 200);
  const first = opened();
  await laptop.monitor();
  await first;
  const second = opened();
  await stopPush();
  // Without the push process the API goes on.
  await phone.queue('book', 'b1', 'create', { title: 'While no stream was there' });
  await phone.synced();
  await startPush();
  await second;
  await until('what was missed', async () => (await laptop.get('book', 'b1'))?.title);
  await phone.queue('book', 'b2', 'create', { title: 'By the new stream' });
  await phone.synced();
  await until('shown', async () => (await laptop.get('book', 'b2'))?.title);
  await Promise.all([phone.close(), laptop.close()]);
});
