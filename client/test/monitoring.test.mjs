// When rounds happen: the interval, edits, the network, other tabs.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, json, makeClock, pending, Server, settle, until } from './lib.mjs';

afterEach(closeAll);

const rounds = ({ server }) => server.of('/changes').length;
const tabs = (count, options = {}) => {
  const first = device({ server: new Server(), clock: makeClock(), ...options });
  return [first, ...Array.from({ length: count - 1 }, () => device({ server: first.server, clock: first.clock, database: first.database, ...options }))];
};
const leads = async (d) => {
  const before = rounds(d);
  d.service.startMonitoring();
  await until('the first round', () => rounds(d) > before);
  await settle();
};

/** Web Locks as a browser has them: one holder of a name, the others in their order. */
function withLocks(t) {
  const held = new Set(), queue = [];
  const next = () => {
    for (const entry of [...queue]) {
      if (held.has(entry.name)) continue;
      queue.splice(queue.indexOf(entry), 1);
      held.add(entry.name);
      entry.run();
    }
  };
  const locks = {
    request: (name, { signal }, work) =>
      new Promise((resolve, reject) => {
        const entry = { name, run: () => Promise.resolve(work()).then(resolve, reject).finally(() => (held.delete(name), next())) };
        signal.addEventListener('abort', () => {
          const at = queue.indexOf(entry);
          if (at < 0) return;
          queue.splice(at, 1);
          reject(signal.reason);
        });
        queue.push(entry);
        setImmediate(next);
      }),
  };
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: { onLine: true, locks }, configurable: true, writable: true });
  t.after(() => (before ? Object.defineProperty(globalThis, 'navigator', before) : delete globalThis.navigator));
}

test('monitoring syncs at once and then every 30 seconds', async () => {
  const [d] = tabs(1);
  await leads(d);
  await d.clock.advance(29_900);
  assert.equal(rounds(d), 1);
  await d.clock.advance(200);
  assert.equal(rounds(d), 2);
  await d.clock.advance(300_000);
  assert.equal(rounds(d), 12);
});

test('the interval is an option', async () => {
  const [d] = tabs(1, { interval: 5000 });
  await leads(d);
  await d.clock.advance(15_100);
  assert.equal(rounds(d), 4);
});

test('an option that is undefined is absent', async () => {
  const [d] = tabs(1, { interval: undefined, batchSize: undefined });
  await leads(d);
  for (let i = 0; i < 11; i++) await book(d, `b${i}`);
  await d.clock.advance(30_100);
  assert.deepEqual(d.server.of('/operations').map(({ body }) => body.operations.length), [10, 1]);
});

test('stopMonitoring stops; startMonitoring starts again, and twice is once', async () => {
  const [d] = tabs(1);
  await leads(d);
  d.service.stopMonitoring();
  await d.clock.advance(300_000);
  assert.equal(rounds(d), 1);
  await leads(d);
  d.service.startMonitoring();
  await d.clock.advance(30_100);
  assert.equal(rounds(d), 3);
});

test('an edit is sent within a second, and those of a busy person every ten', async () => {
  const [d] = tabs(1, { batchSize: 50 });
  await leads(d);
  await d.clock.advance(15_000);
  await book(d, 'b1');
  await d.clock.advance(1000);
  assert.equal(d.server.of('/operations').length, 1);
  for (let i = 0; i < 20; i++) {
    await book(d, `c${i}`);
    await d.clock.advance(500);
  }
  assert.ok(d.server.of('/operations').length <= 2);
  await d.clock.advance(10_000);
  assert.deepEqual(await pending(d), []);
});

test('without monitoring nothing is sent unasked', async () => {
  const [d] = tabs(1);
  await book(d, 'b1');
  await d.clock.advance(300_000);
  assert.equal(d.server.requests.length, 0);
});

test('calls while a round is under way share the next one', async () => {
  const [d] = tabs(1);
  const first = d.service.sync();
  await until('the first is under way', () => rounds(d) === 1);
  const results = await Promise.all([first, d.service.sync(), d.service.sync(), d.service.sync()]);
  assert.equal(rounds(d), 2);
  assert.equal(results[1], results[3]);
});

test('back online: known by an answer, told to subscribers, who may sync', async () => {
  const [d] = tabs(1);
  const heard = [];
  const unsubscribe = d.service.subscribe((online) => {
    heard.push(online);
    if (online) void d.service.sync();
  });
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await d.service.sync();
  await d.service.sync();
  assert.deepEqual([heard, d.service.getOnlineStatus()], [[false], false]);
  d.server.always = undefined;
  await d.service.sync();
  await settle();
  assert.deepEqual([heard, d.service.getOnlineStatus()], [[false, true], true]);
  unsubscribe();
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await d.service.sync();
  assert.deepEqual(heard, [false, true]);
});

test('an error of the server is an answer: we are online', async () => {
  const [d] = tabs(1);
  d.server.always = () => json(500, { success: false, error: 'SYNC_FAILED', message: 'm' });
  await d.service.sync();
  assert.equal(d.service.getOnlineStatus(), true);
});

test('the browser says online: a round at once; it says offline: believed until an answer comes', async (t) => {
  const target = new EventTarget();
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.removeEventListener = target.removeEventListener.bind(target);
  t.after(() => (delete globalThis.addEventListener, delete globalThis.removeEventListener));
  const [d] = tabs(1);
  await leads(d);
  target.dispatchEvent(new Event('offline'));
  assert.equal(d.service.getOnlineStatus(), false);
  target.dispatchEvent(new Event('online'));
  await until('a round', () => rounds(d) === 2);
  await settle();
  assert.equal(d.service.getOnlineStatus(), true);
  d.service.stopMonitoring();
  target.dispatchEvent(new Event('online'));
  await settle();
  assert.equal(rounds(d), 2);
});

for (const [how, setUp] of [['Web Locks', withLocks], ['a lease', () => {}]]) {
  test(`${how}: one tab leads, and only it polls`, async (t) => {
    setUp(t);
    const [a, b, c] = tabs(3);
    await leads(a);
    b.service.startMonitoring();
    c.service.startMonitoring();
    await a.clock.advance(60_100);
    assert.equal(rounds(a), 3);
  });

  test(`${how}: when the leader goes, another takes over`, async (t) => {
    setUp(t);
    const [a, b] = tabs(2);
    await leads(a);
    b.service.startMonitoring();
    await settle();
    await a.service.close();
    await b.clock.advance(3000);
    await until('the other leads', () => rounds(a) === 2);
    await b.clock.advance(30_100);
    assert.equal(rounds(a), 3);
  });

  test(`${how}: a follower's sync is done by the leader, and answered`, async (t) => {
    setUp(t);
    const [a, b] = tabs(2);
    await leads(a);
    b.service.startMonitoring();
    await book(b, 'b');
    const result = await b.service.sync();
    assert.deepEqual([result.ok, result.sent], [true, 1]);
    assert.equal(a.server.rows.size, 1);
  });

  test(`${how}: a tab that does not monitor is served by the leader too, and alone it works itself`, async (t) => {
    setUp(t);
    const [a, b] = tabs(2);
    assert.equal((await b.service.sync()).ok, true);
    await leads(a);
    assert.equal((await b.service.sync()).ok, true);
    assert.equal(rounds(a), 3);
  });
}

test('an edit in a follower is sent by the leader within a second', async () => {
  const [a, b] = tabs(2);
  await leads(a);
  b.service.startMonitoring();
  await a.clock.advance(15_000);
  await book(b, 'b');
  await until('the leader hears of it', async () => (await a.clock.advance(100), a.server.rows.size));
  assert.equal(rounds(a), 2);
});

test('all tabs hear of changes, of status and of being offline', async () => {
  const [a, b] = tabs(2);
  const lists = [], online = [];
  await leads(a);
  b.service.startMonitoring();
  b.store.observe('book', (list) => lists.push(list.length));
  b.service.subscribe((value) => online.push(value));
  a.server.write('book', 'x', { title: 'X' });
  await a.service.sync();
  await until('the other tab has it', () => lists.at(-1) === 1);
  await book(a, 'y');
  await until('an edit too', () => lists.at(-1) === 2);
  a.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await a.service.sync();
  await until('offline too', () => online.at(-1) === false);
  assert.equal(b.service.getOnlineStatus(), false);
  assert.ok(b.told('status').length > 0);
});

test('a tab that slept through its lease stops leading', async () => {
  const [a, b] = tabs(2);
  await leads(a);
  b.service.startMonitoring();
  await settle();
  a.clock.jump(11_000); // the lease is over, and a did not notice
  await a.clock.advance(2100);
  await until('the other leads', () => rounds(a) >= 2);
  await a.clock.advance(10_000);
  const before = rounds(a);
  await a.clock.advance(30_000);
  assert.ok(rounds(a) - before <= 2, 'only one polls');
});

test('two leaders at once lose nothing: a page is written only against its cursor', async () => {
  const [a, b] = tabs(2);
  for (let i = 0; i < 900; i++) a.server.write('book', `b${i}`, { title: `${i}` });
  let other;
  a.server.answers.push(async (request) => {
    const page = a.server.handle(request); // the first tab falls asleep over its first page,
    a.clock.jump(11_000);
    other = b.service.sync(); // and another pulls everything
    await a.clock.advance(3000);
    await other;
    a.server.write('book', 'b0', { title: 'newer' });
    await b.service.sync();
    return page;
  });
  assert.equal((await a.service.sync()).ok, true);
  assert.equal((await other).received, 900);
  assert.equal((await a.store.list('book')).length, 900);
  assert.equal((await a.store.get('book', 'b0')).title, 'newer');
});

test('closed: nothing more happens, and the signal closes too', async () => {
  const abort = new AbortController();
  const [d] = tabs(1, { signal: abort.signal });
  await leads(d);
  abort.abort();
  await d.service.close();
  await d.clock.advance(300_000);
  assert.equal(rounds(d), 1);
  await until('no timer is left', () => d.clock.waiting() === 0);
});

test('close while the leader has not answered: who waits hears of it', async () => {
  const [a, b] = tabs(2);
  await leads(a);
  b.service.startMonitoring();
  await settle();
  a.server.always = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const waits = b.service.sync();
  await settle();
  await b.service.close();
  assert.equal((await waits).error.code, 'STOPPED');
});

test('where locks are forbidden a tab leads without', async (t) => {
  withLocks(t);
  navigator.locks.request = () => Promise.reject(new DOMException('no', 'SecurityError'));
  const [d] = tabs(1);
  assert.equal((await d.service.sync()).ok, true);
  await leads(d);
  await d.clock.advance(30_100);
  assert.equal(rounds(d), 3);
});
