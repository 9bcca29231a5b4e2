// Tabs that are hidden, closed or suspended by the system.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, makeClock, pending, Server, settle, until } from './lib.mjs';

afterEach(closeAll);

const rounds = ({ server }) => server.of('/changes').length;

/** A page whose visibility the test controls. */
function withPage(t) {
  const page = Object.assign(new EventTarget(), { visibilityState: 'visible' }), win = new EventTarget();
  globalThis.document = page;
  globalThis.addEventListener = win.addEventListener.bind(win);
  globalThis.removeEventListener = win.removeEventListener.bind(win);
  t.after(() => {
    for (const name of ['document', 'addEventListener', 'removeEventListener']) delete globalThis[name];
  });
  page.show = (state) => {
    page.visibilityState = state;
    page.dispatchEvent(new Event('visibilitychange'));
  };
  page.close = () => win.dispatchEvent(new Event('pagehide'));
  return page;
}

/** A monitoring device that leads. `inits` collects what it passes to fetch. */
async function leading(options = {}) {
  const server = options.server ?? new Server(), inits = [];
  const fetch = (url, init) => (inits.push(init), server.fetch(url, init));
  const d = device({ server, fetch, ...options });
  const before = rounds(d);
  d.service.startMonitoring();
  await until('the first round', () => rounds(d) > before);
  await settle();
  return Object.assign(d, { inits });
}

test('an edit is sent at once when the page is hidden, and the request outlives the page', async (t) => {
  const page = withPage(t), d = await leading();
  await book(d, 'b');
  page.show('hidden');
  await until('the edit is sent', () => d.server.rows.size);
  const post = d.inits.find(({ method }) => method === 'POST');
  assert.equal(post.keepalive, true);
  assert.equal(d.inits[0].keepalive, false);
  await settle();
});

test('an edit is sent at once on pagehide; without an edit nothing is requested', async (t) => {
  const page = withPage(t), d = await leading(), before = d.server.requests.length;
  page.close();
  page.show('hidden');
  await settle();
  assert.equal(d.server.requests.length, before);
  page.visibilityState = 'visible';
  await book(d, 'b');
  page.close();
  await until('the edit is sent', () => d.server.rows.size);
  await settle();
});

test('a request that is too large for keepalive is made without it', async (t) => {
  const page = withPage(t), d = await leading();
  await book(d, 'b', { title: 'T', description: 'x'.repeat(70_000) });
  page.show('hidden');
  await until('the edit is sent', () => d.server.rows.size);
  assert.equal(d.inits.find(({ method }) => method === 'POST').keepalive, false);
  await settle();
});

test('a page that becomes visible starts a round', async (t) => {
  const page = withPage(t), d = await leading();
  page.show('hidden');
  await settle();
  const before = rounds(d);
  page.show('visible');
  await until('a round', () => rounds(d) > before);
  await settle();
  d.service.stopMonitoring();
  page.show('visible');
  await settle();
  assert.equal(rounds(d), before + 1);
});

/** Simulates Web Locks with `steal`, and channels of which each can be suspended. */
function withTabs(t) {
  const queue = [], channels = [];
  let holder;
  const next = () => {
    if (holder || !queue.length) return;
    const entry = (holder = queue.shift());
    Promise.resolve(entry.work()).then(entry.resolve, entry.reject).finally(() => {
      if (holder === entry) holder = undefined;
      next();
    });
  };
  const request = (name, { signal, steal }, work) =>
    new Promise((resolve, reject) => {
      const entry = { work, resolve, reject };
      if (steal) {
        holder?.reject(new DOMException('stolen', 'AbortError'));
        holder = undefined;
        queue.unshift(entry);
      } else queue.push(entry);
      signal?.addEventListener('abort', () => {
        if (!queue.includes(entry)) return;
        queue.splice(queue.indexOf(entry), 1);
        reject(signal.reason);
      });
      setImmediate(next);
    });
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  const value = { onLine: true, locks: { request } };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true, writable: true });
  const Real = globalThis.BroadcastChannel;
  globalThis.BroadcastChannel = class extends Real {
    constructor(name) {
      super(name);
      channels.push(this);
    }
  };
  t.after(() => {
    globalThis.BroadcastChannel = Real;
    before ? Object.defineProperty(globalThis, 'navigator', before) : delete globalThis.navigator;
  });
  return channels;
}

test('a suspended leader: another tab works itself after three seconds, and takes the lead', async (t) => {
  const channels = withTabs(t), a = await leading();
  const heard = channels[0].onmessage;
  channels[0].onmessage = null; // the system suspends it: it hears nothing, and its clock stands still
  const b = device({ server: a.server, database: a.database, clock: makeClock() });
  b.service.startMonitoring();
  await book(b, 'b');
  const round = b.service.sync();
  await settle();
  const before = rounds(a);
  await b.clock.advance(3100);
  assert.equal((await round).ok, true);
  assert.deepEqual([a.server.rows.size, await pending(b)], [1, []]);
  await settle();
  await b.clock.advance(31_000);
  assert.ok(rounds(a) >= before + 2, 'it polls');
  channels[0].onmessage = heard; // it goes on, and finds that it no longer leads
  const now = rounds(a);
  await a.clock.advance(100_000);
  assert.equal(rounds(a), now);
});

test('a suspended leader is noticed by a tab that only waits, within an interval', async (t) => {
  const channels = withTabs(t), a = await leading();
  const b = device({ server: a.server, database: a.database, clock: makeClock() });
  b.service.startMonitoring();
  await settle();
  await b.clock.advance(10_000);
  const before = rounds(a);
  channels[0].onmessage = null;
  await b.clock.advance(70_000);
  assert.ok(rounds(a) > before);
});

test('a leader that works for long is not taken for suspended', async (t) => {
  withTabs(t);
  const a = await leading();
  const b = device({ server: a.server, database: a.database, clock: a.clock });
  b.service.startMonitoring();
  await settle();
  a.server.answers.push(() => new Promise((resolve) => a.clock.setTimeout(() => resolve(), 20_000)));
  const before = a.server.requests.length, round = b.service.sync();
  await settle();
  await a.clock.advance(19_000);
  assert.equal(a.server.requests.length, before + 1, 'the other tab waits');
  await a.clock.advance(2000);
  assert.equal((await round).ok, true);
});

test('a hidden leader hands over to a tab that can be seen', async (t) => {
  const page = withPage(t);
  withTabs(t);
  const inits = { a: 0, b: 0 };
  const server = new Server(), clock = makeClock();
  const tab = (name, more) =>
    device({ server, clock, ...more, fetch: (...request) => (inits[name]++, server.fetch(...request)) });
  const a = tab('a');
  a.service.startMonitoring();
  await until('a leads', () => inits.a);
  await settle();
  const b = tab('b', { database: a.database });
  // Both tabs share the page of this test. What `b` posts is posted by a visible page; then the page is hidden.
  const { postMessage } = BroadcastChannel.prototype;
  let first = true;
  BroadcastChannel.prototype.postMessage = function (message) {
    postMessage.call(this, message);
    if (message.ask && first) page.visibilityState = 'hidden';
    if (message.ask) first = false;
  };
  t.after(() => (BroadcastChannel.prototype.postMessage = postMessage));
  b.service.startMonitoring();
  await until('b leads', () => inits.b);
  page.visibilityState = 'visible';
  await settle();
  const before = inits.a;
  await clock.advance(100_000);
  assert.equal(inits.a, before);
  await edit(a, 'b', { notes: 'n' });
  await clock.advance(300);
  await until('b sends it', () => server.rows.size);
  assert.equal(inits.a, before);
});
