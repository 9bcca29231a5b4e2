// Random histories of three devices of a user, against the real server. The devices have wrong clocks, go offline, lose
// answers, and join edits before they send them. In the end each must show what the model of tests/torture/ makes of
// the edits in the order in which the person made them. `BOOKY_SEED` repeats them.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { afterEach, test } from 'node:test';
import { User } from '../../../tests/http/lib.mjs';
import { sleep, until } from '../../../tests/wait.mjs';
import { Dice } from '../../../tests/torture/dice.mjs';
import { Model } from '../../../tests/torture/model.mjs';
import { closeAll, device } from './lib.mjs';

const HISTORIES = 12, EDITS = 60, PAUSE = 120; // milliseconds between two edits of a history
// Two devices do not edit the same book within this time. It is longer than the time in which edits become one.
const APART = 1600;
const SKEWS = [0, -300_000, 63_072_000_000]; // five minutes slow, two years fast

afterEach(closeAll);

class Device {
  constructor(user, dice, skew) {
    Object.assign(this, { dice, offline: false, faults: true });
    this.service = device(user, {
      fetch: (...request) => this.fetch(...request),
      clock: { now: () => Date.now() + skew, random: Math.random,
        setTimeout: (fn, ms) => setTimeout(fn, ms), clearTimeout: (timer) => clearTimeout(timer) },
    });
  }

  async fetch(...request) {
    if (this.offline) throw new TypeError('fetch failed');
    if (!this.faults || !this.dice.chance(30)) return fetch(...request);
    const fault = this.dice.pick(['not sent', 'answer lost', 'answer lost', 'busy']);
    if (fault === 'busy') return new Response('<html>busy</html>', { status: 502 });
    if (fault === 'answer lost') await fetch(...request).then((reply) => reply.text(), () => {});
    throw new TypeError('fetch failed');
  }

  async library() {
    const all = {};
    for (const kind of ['book', 'rating', 'collection', 'userSettings'])
      for (const { id, createdAt, updatedAt, ...data } of await this.service.store.list(kind))
        all[`${kind} ${id}`] = data;
    return all;
  }
}

// A random edit of something about book `n`.
function randomEdit(dice, n, i) {
  const kind = dice.weighted({ book: 6, rating: 2, collection: 2, userSettings: 1 });
  const id = kind === 'userSettings' ? 'settings' : `${kind}${n}`;
  if (kind !== 'userSettings' && dice.chance(10)) return { kind, id, type: 'delete' };
  const member = {
    book: () => dice.pick([{ title: `Title ${i}` }, { notes: `Notes ${i}` }, { pageCount: i },
      { title: `Title ${i}`, notes: null }, { externalIds: { oclc: `${i}` } }, { externalIds: { lccn: `${i}` } },
      { title: `Title ${i}`, authors: [`Author ${i}`] }]),
    rating: () => ({ bookId: `book${n}`, stars: dice.between(1, 5), ...dice.pick([{}, { review: `Review ${i}` }]) }),
    collection: () => ({ name: `Collection ${n}`, ...dice.pick([{}, { description: `Description ${i}` }]) }),
    userSettings: () =>
      dice.pick([{ theme: dice.pick(['light', 'dark']) }, { reader: { font: i } }, { reader: { size: i } }]),
  }[kind]();
  const isWhole = kind === 'book' ? member.title : kind !== 'userSettings';
  return { kind, id, type: isWhole && dice.chance(25) ? 'create' : 'update', data: member };
}

async function play(seed) {
  const user = new User(), dice = new Dice('history', seed);
  const devices = SKEWS.map((skew, n) => new Device(user, new Dice('device', seed, n), skew));
  const edits = [], touched = new Map(); // by what was edited: the device, and when
  const background = [];
  try {
    for (const { service } of devices) await service.sync(); // it knows its skew, unless a fault was in the way
    for (const device of devices)
      for (device.faults = false; !(await device.service.sync()).ok;) await sleep(100);
    for (const device of devices) device.faults = true;
    for (let i = 0; i < EDITS; i++) {
      const device = dice.pick(devices), edit = randomEdit(dice, dice.below(5), i), name = edit.kind + edit.id;
      if (dice.chance(15)) device.offline = !device.offline;
      if (dice.chance(40)) background.push(device.service.sync());
      await sleep(dice.below(2 * PAUSE));
      const last = touched.get(name);
      if (last && last.device !== device && Date.now() - last.at < APART) continue;
      const at = Date.now();
      await device.service.queueOperation(edit.kind, edit.id, edit.type, edit.data);
      touched.set(name, { device, at });
      edits.push({ ...edit, at, stamp: at, place: i, policy: 'merge' });
    }
    for (const device of devices) Object.assign(device, { offline: false, faults: false });
    await Promise.all(background);
    // A failed operation waits for some seconds before it is sent again.
    await until('all edits are sent', async () => {
      const rounds = await Promise.all(devices.map(({ service }) => service.sync()));
      const states = await Promise.all(devices.map(({ service }) => service.getStatus()));
      return rounds.every(({ ok }) => ok) && states.every(({ pendingOperations }) => pendingOperations === 0);
    }, 60);
    for (const { service } of devices) assert.equal((await service.sync()).ok, true);
    const expected = {};
    for (const [name, { status, data }] of new Model(edits).entities) if (status === 'live') expected[name] = data;
    for (const [n, device] of devices.entries()) {
      assert.deepEqual(await device.service.operations.getReview(), [], `seed ${seed}, device ${n}`);
      assert.deepEqual(await device.library(), expected, `seed ${seed}, device ${n}`);
    }
    return edits.length;
  } catch (error) {
    error.message += `\nto repeat it: BOOKY_SEED=${seed}\n${edits.map((edit) => JSON.stringify(edit)).join('\n')}`;
    throw error;
  }
}

test('random histories with wrong clocks, joined edits and lost answers end as the person made them', async (t) => {
  const first = Number(process.env.BOOKY_SEED ?? randomInt(2 ** 31));
  const seeds = Array.from({ length: HISTORIES }, (_, i) => first + i);
  const counts = await Promise.all(seeds.map(play));
  t.diagnostic(`${counts.reduce((sum, n) => sum + n, 0)} edits in ${seeds.length} histories`);
});
