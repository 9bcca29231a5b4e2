// Engines that know nothing of Booky Sync, each with the adapter that docs/engines.md describes: random edits of
// several devices, requests that fail, answers that get lost. BOOKY_SEEDS=FROM-TO runs other seeds.
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import test, { describe } from 'node:test';
import { User, literal, origin, sleep, sql, until } from '../http/lib.mjs';
import { Booky } from './booky.mjs';
import { engines } from './devices.mjs';
import { History } from './history.mjs';
import { judge } from './verdict.mjs';

globalThis.crypto ??= webcrypto; // Node 18; browsers and later versions have it

const [first, last = first] = (process.env.BOOKY_SEEDS ?? '1-30').split('-').map(Number);
const seeds = Array.from({ length: last - first + 1 }, (_, i) => first + i);
const steps = 45;

async function histories(name, engine) {
  const waiting = [...seeds], sums = {}, failures = [];
  const add = (counts) => {
    for (const [what, count] of Object.entries(counts)) sums[what] = (sums[what] ?? 0) + count;
  };
  const work = async () => {
    for (let seed = waiting.shift(); seed; seed = waiting.shift()) {
      const history = new History(name, engine, seed);
      try {
        await history.run(steps);
        const lost = await judge(history);
        add({ edits: history.edits.length, ...lost });
        for (const { network } of history.devices) add(network.counts);
      } catch (error) {
        failures.push(`seed ${seed}: ${error.stack}`);
      } finally {
        for (const { network, close } of history.devices) {
          network.open(Infinity);
          await close();
        }
      }
    }
  };
  await Promise.all(Array.from({ length: engine.atOnce ?? 2 }, work));
  if (failures.length) throw new Error(`BOOKY_SEEDS=N runs one of them again.\n${failures.join('\n\n')}`);
  return sums;
}

describe('random histories converge', { concurrency: true }, () => {
  for (const [name, engine] of Object.entries(engines))
    test(name, { timeout: 600_000 }, async (t) => {
      t.diagnostic(JSON.stringify(await histories(name, engine)));
    });
});

const titleOf = async (device, id) => (await device.rows('book')).find((row) => row.id === id)?.title;

for (const [name, engine] of Object.entries(engines))
  describe(name, () => {
    // Two devices that hold the books b1 and b2; the history is only their network, and nothing fails.
    const library = async (t, label) => {
      const history = new History(name, engine, label), devices = [];
      for (const one of ['phone', 'laptop']) devices.push(await history.openDevice(`${one}-${label}`));
      t.after(() => Promise.all(devices.map(({ close }) => close())));
      for (const { network } of devices) network.open(Infinity);
      const [phone, laptop] = devices;
      for (const id of ['b1', 'b2']) await phone.create('book', id, { title: `Title of ${id}`, tags: [] });
      for (const device of [phone, laptop, phone]) assert.ok(await device.sync());
      assert.equal(await titleOf(laptop, 'b2'), 'Title of b2');
      return { history, phone, laptop, user: history.user };
    };

    test('the answer to an edit is lost, and meanwhile another device makes a later edit', async (t) => {
      const { phone, laptop, user } = await library(t, 'answer');
      phone.network.loseAnswer();
      await phone.update('book', 'b1', { title: 'Earlier' });
      await phone.sync();
      await until('the edit arrives', async () => (await user.read('book', 'b1')).title === 'Earlier');
      for (let i = 0; i < 2; i++) assert.ok(await laptop.sync());
      await laptop.update('book', 'b1', { title: 'Later' });
      assert.ok(await laptop.sync());
      phone.network.open(Infinity);
      for (let i = 0; i < 2; i++) assert.ok(await phone.sync());
      assert.equal((await user.read('book', 'b1')).title, 'Later');
      assert.equal(await titleOf(phone, 'b1'), 'Later');
    });

    test('an edit that the server refuses is taken back', async (t) => {
      const { history, phone, user } = await library(t, 'refused');
      await phone.update('book', 'b1', { title: 'x'.repeat(501) });
      await phone.update('book', 'b2', { title: 'Good' });
      for (let i = 0; i < 2; i++) assert.ok(await phone.sync());
      assert.deepEqual(history.refusals.map(([{ entityId }, { status }]) => [entityId, status]), [['b1', 'failed']]);
      assert.equal(await titleOf(phone, 'b1'), 'Title of b1');
      assert.equal((await user.read('book', 'b2')).title, 'Good');
    });

    if (!engine.rules.includes('with row'))
      test('an edit that waited when its row was deleted comes back with the row', async (t) => {
        const { phone, laptop, user } = await library(t, 'deleted');
        for (const { network } of [phone, laptop]) network.open(0);
        await phone.update('book', 'b1', { notes: 'of the phone' });
        await phone.remove('book', 'b1');
        await sleep(2);
        await laptop.update('book', 'b1', { title: 'Later' });
        for (const { network } of [phone, laptop]) network.open(Infinity);
        for (const { sync } of [phone, laptop, phone]) assert.ok(await sync());
        const { title, notes } = await user.read('book', 'b1');
        assert.deepEqual([title, notes], ['Later', 'of the phone']);
        assert.equal(await titleOf(phone, 'b1'), 'Later');
      });

    test('away for longer than deletions are remembered', async (t) => {
      const { phone, laptop, user } = await library(t, 'away');
      phone.network.open(0);
      await phone.update('book', 'b1', { notes: 'of a book that is gone' });
      await phone.update('book', 'b2', { title: 'Edited on the way' });
      await laptop.remove('book', 'b1');
      assert.ok(await laptop.sync());
      await sql(`DELETE FROM entities WHERE user_id = ${literal(user.id)} AND status = 'deleted';
        UPDATE clocks SET horizon = clock WHERE user_id = ${literal(user.id)}`);
      await laptop.create('book', 'b3', { title: 'New' });
      assert.ok(await laptop.sync());
      phone.network.open(Infinity);
      for (let i = 0; i < 2; i++) assert.ok(await phone.sync());
      assert.deepEqual((await phone.rows('book')).map(({ id }) => id).sort(), ['b2', 'b3']);
      assert.equal((await user.read('book', 'b2')).title, 'Edited on the way');
    });

    test('a server that has lost everything gets it back', async (t) => {
      const { history, phone, laptop } = await library(t, 'lost');
      history.user = new User(); // to a cursor, a user without data is a server from before the first write
      await laptop.update('book', 'b1', { title: 'Later' });
      for (const device of [phone, laptop, phone]) assert.ok(await device.sync());
      assert.deepEqual((await phone.rows('book')).map(({ id }) => id).sort(), ['b1', 'b2']);
      assert.equal((await history.user.read('book', 'b1')).title, 'Later');
      assert.equal(await titleOf(phone, 'b1'), 'Later');
    });
  });

test('a device is told when another one has written', async () => {
  const user = new User(), stop = new AbortController();
  const booky = (deviceId) => new Booky({ url: `${origin}/api/sync`, token: () => user.token, deviceId });
  let pokes = 0;
  const pokes$ = booky('phone').pokes(() => pokes++, stop.signal);
  await until('the stream is open', () => pokes === 1); // the first poke comes at once
  const write = (deviceId) => booky(deviceId).push([
    { type: 'create', entity: 'tag', entityId: deviceId, timestamp: Date.now(), data: { name: deviceId } }]);
  await write('phone');
  await write('laptop');
  await until('the poke has come', () => pokes === 2);
  stop.abort();
  await pokes$;
  assert.equal(pokes, 2, 'not for its own writes');
});
