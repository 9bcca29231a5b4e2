// The client of docs/api.md ("A client in 60 lines"), taken from the page and run: devices of one user, lost replies,
// and cursors that are no longer valid.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { pathToFileURL } from 'node:url';
import { User, origin, sql } from '../http/lib.mjs';
import { source } from './document.mjs';

const [, text] = source('docs/api.md').match(/^```js device\n(.*?)^```$/ms);
const folder = mkdtempSync(path.join(tmpdir(), 'device-'));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(path.join(folder, 'device.mjs'), text);
const { Device } = await import(pathToFileURL(path.join(folder, 'device.mjs')));

// Replies that get lost: the request is made, but its reply does not reach the device.
const online = globalThis.fetch;
let losing = false;
globalThis.fetch = async (url, options) => {
  const reply = await online(url, options);
  if (!losing || options.method === 'GET') return reply;
  await reply.text();
  throw new TypeError('the reply is lost');
};
async function lose(work) {
  losing = true;
  await assert.rejects(work(), /lost/);
  losing = false;
}

// A device whose disk is a text. restart() makes the device anew from that text.
class Phone {
  refused = [];
  constructor(user, deviceId) {
    Object.assign(this, { user, deviceId, disk: undefined });
    this.restart();
  }
  restart() {
    this.device = new Device({
      url: `${origin}/api/sync`,
      token: async () => this.user.token,
      deviceId: this.deviceId,
      save: async (state) => (this.disk = JSON.stringify(state)),
      ...(this.disk && { state: JSON.parse(this.disk) }),
      onRefused: (operation, { message }) => this.refused.push(message),
      keep: () => false,
    });
  }
  edit(...operation) {
    return this.device.edit(...operation);
  }
  sync() {
    return this.device.sync();
  }
  // Everything that the person sees, without the members that the server adds.
  shown() {
    const kinds = ['book', 'rating', 'tag', 'collection', 'readingLog', 'userSettings'];
    return Object.fromEntries(kinds.flatMap((kind) =>
      this.device.list(kind).map(({ createdAt, updatedAt, ...data }) => [`${kind} ${data.id}`, data])).sort());
  }
}

const pair = () => {
  const user = new User();
  return { user, a: new Phone(user, 'a'), b: new Phone(user, 'b') };
};

// Fails unless both see the same after they have synced, and have nothing left to send.
async function checkSame(a, b) {
  for (const one of [a, b, a, b]) await one.sync();
  assert.deepEqual(a.shown(), b.shown());
  for (const { device } of [a, b]) assert.deepEqual(device.state.waiting, []);
}

test('it has sixty lines', () => assert.equal(text.trimEnd().split('\n').length, 60));

test('an edit is shown at once, and another device gets it', async () => {
  const { a, b } = pair();
  await a.edit('create', 'book', 'b1', { title: 'Tehanu', externalIds: { isbn: '1' } });
  await a.edit('create', 'rating', 'r1', { bookId: 'b1', stars: 4 });
  await a.edit('update', 'userSettings', 'settings', { theme: 'dark' });
  const expected = {
    'book b1': { id: 'b1', title: 'Tehanu', externalIds: { isbn: '1' } },
    'rating r1': { id: 'r1', bookId: 'b1', stars: 4 },
    'userSettings settings': { id: 'settings', theme: 'dark' },
  };
  assert.deepEqual(a.shown(), expected);
  await a.sync();
  assert.deepEqual(a.shown(), expected);
  await b.sync();
  assert.deepEqual(b.shown(), expected);
  await b.edit('delete', 'rating', 'r1');
  await b.edit('update', 'book', 'b1', { externalIds: { oclc: '2' } });
  delete expected['rating r1'];
  expected['book b1'].externalIds.oclc = '2';
  assert.deepEqual(b.shown(), expected);
  await checkSame(a, b);
  assert.deepEqual(a.shown(), expected);
});

test('an edit whose reply is lost takes effect once, also after a restart and if the entity has changed since',
  async () => {
    const { a, b } = pair();
    await a.edit('create', 'book', 'b1', { title: 'Tehanu' });
    await checkSame(a, b);
    await b.edit('update', 'book', 'b1', { notes: 'from b' });
    await a.edit('update', 'book', 'b1', { genre: 'from a' });
    await a.edit('create', 'tag', 't1', { name: 'Earthsea' });
    await b.sync();
    await lose(() => a.sync());
    assert.equal(a.device.state.waiting.length, 2);
    await b.sync();
    await b.edit('update', 'book', 'b1', { genre: 'later' });
    await b.edit('delete', 'tag', 't1');
    await b.sync();
    a.restart();
    await a.sync();
    const expected = { 'book b1': { id: 'b1', title: 'Tehanu', notes: 'from b', genre: 'later' } };
    assert.deepEqual(a.shown(), expected);
    await checkSame(a, b);
    assert.deepEqual(a.shown(), expected);
    assert.deepEqual([...a.refused, ...b.refused], []);
  });

test('what can never be applied is told and not sent again', async () => {
  const { a, b } = pair();
  await a.edit('create', 'rating', 'r1', { bookId: 'b1', stars: 11 });
  await a.sync();
  assert.equal(a.refused.length, 1);
  assert.deepEqual([a.shown(), a.device.state.waiting], [{}, []]);
  await checkSame(a, b);
});

test('after a 410 the device sends what waits, pulls everything and drops what the server does not have', async () => {
  const { user, a, b } = pair();
  for (const id of ['b1', 'b2']) await a.edit('create', 'book', id, { title: id });
  await checkSame(a, b);
  await a.edit('delete', 'book', 'b2');
  await a.sync();
  await sql(`DELETE FROM entities WHERE user_id = '${user.id}' AND entity_id = 'b2'`);
  await sql(`UPDATE clocks SET horizon = clock + 1 WHERE user_id = '${user.id}'`);
  await b.edit('update', 'book', 'b1', { notes: 'waits' });
  await b.sync();
  const expected = { 'book b1': { id: 'b1', title: 'b1', notes: 'waits' } };
  assert.deepEqual(b.shown(), expected);
  await checkSame(b, a);
  assert.deepEqual(a.shown(), expected);
});

test('after an erasure a device has nothing', async () => {
  const { user, a, b } = pair();
  await a.edit('create', 'book', 'b1', { title: 'Tehanu' });
  await checkSame(a, b);
  await user.request('/account', { method: 'DELETE' });
  await checkSame(a, b);
  assert.deepEqual(a.shown(), {});
});

// A small random number generator, so that a failure can be repeated.
const dice = (seed) => (sides) => {
  seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
  return Math.floor((seed / 2 ** 32) * sides);
};

for (let seed = 1; seed <= 6; seed++)
  test(`three devices with random edits, lost replies and restarts see the same in the end: seed ${seed}`, async () => {
    const roll = dice(seed);
    const user = new User();
    const phones = ['a', 'b', 'c'].map((name) => new Phone(user, name));
    for (let step = 0; step < 80; step++) {
      const phone = phones[roll(3)];
      const id = `b${roll(3)}`;
      const data = { [['notes', 'genre', 'language'][roll(3)]]: `${step}`, own: { [`m${roll(2)}`]: step } };
      const what = roll(8);
      if (what === 0) phone.restart();
      else if (what === 1 && phone.device.state.waiting.length > 0) await lose(() => phone.sync());
      else if (what === 2) await phone.sync();
      else if (what === 3) await phone.edit('delete', 'book', id);
      else if (what === 4) await phone.edit('create', 'book', id, { title: `title ${step}`, ...data });
      else await phone.edit('update', 'book', id, data);
    }
    for (const phone of [...phones, ...phones]) await phone.sync();
    const complete = (phone) => Object.entries(phone.shown()).filter(([, { title }]) => title);
    for (const phone of phones) assert.deepEqual(complete(phone), complete(phones[0]));
    const { changes } = await user.pull();
    assert.deepEqual(complete(phones[0]).map(([, { id }]) => id),
      changes.filter(({ deleted }) => !deleted).map(({ data }) => data.id).sort());
  });
