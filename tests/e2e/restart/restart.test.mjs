// The server is restarted while devices sync.
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

test('the pool is restarted while a device syncs: nothing is lost and nothing is applied twice', async () => {
  const owner = new Owner();
  const [phone, laptop] = [await Device.open(owner), await Device.open(owner)];
  for (let i = 0; i < 60; i++) await phone.queue('book', `b${i}`, 'create', { title: `Book ${i}` });
  await phone.monitor();
  await until('some are sent', async () => (await phone.status()).pendingOperations < 60);
  await stopPool('SIGTERM');
  await phone.queue('book', 'late', 'create', { title: 'While the server was away' });
  const failed = async () => (await phone.events('error')).length > 0 || (await phone.sync()).ok === false;
  await until('a round has failed', failed);
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

test('the event stream is interrupted: it is reopened, and reports edits as before', async () => {
  const owner = new Owner();
  const [phone, laptop] = [await Device.open(owner), await Device.open(owner, { realtime: true })];
  const isStream = (reply) => reply.url().includes('/events') && reply.status() === 200;
  const opened = () => laptop.page.waitForResponse(isStream);
  const first = opened();
  await laptop.monitor();
  await first;
  const second = opened();
  await stopPush();
  // The API works without the push process.
  await phone.queue('book', 'b1', 'create', { title: 'While no stream was there' });
  await phone.synced();
  await startPush();
  await second;
  await until('the missed edit is pulled', async () => (await laptop.get('book', 'b1'))?.title);
  await phone.queue('book', 'b2', 'create', { title: 'By the new stream' });
  await phone.synced();
  await until('shown', async () => (await laptop.get('book', 'b2'))?.title);
  await Promise.all([phone.close(), laptop.close()]);
});
