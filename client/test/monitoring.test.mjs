// When rounds run: interval, edits, network, other tabs.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, json, makeClock, pending, Server, settle, until } from './lib.mjs';

afterEach(closeAll);

const rounds = ({ server }) => server.of('/changes').length;
const tabs = (count, options = {}) => {
  const first = device({ server: new Server(), clock: makeClock(), ...options });
  const { server, clock, database } = first;
  const others = Array.from({ length: count - 1 }, () => device({ server, clock, database, ...options }));
  return [first, ...others];
};
/** Starts monitoring and waits for the first round of the tab, which is then the leader. */
const becomeLeader = async (d) => {
  const before = rounds(d);
  d.service.startMonitoring();
  await until('the first round', () => rounds(d) > before);
  await settle();
};

/** Simulates the Web Locks of a browser: each name has one holder; the others wait in order. */
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
        const run = () => Promise.resolve(work()).then(resolve, reject).finally(() => {
          held.delete(name);
          next();
        });
        const entry = { name, run };
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
  const value = { onLine: true, locks };
  Object.defineProperty(globalThis, 'navigator', { value, configurable: true, writable: true });
  t.after(() => (before ? Object.defineProperty(globalThis, 'navigator', before) : delete globalThis.navigator));
}

test('monitoring runs a round at once and then every 30 seconds', async () => {
  const [d] = tabs(1);
  await becomeLeader(d);
  await d.clock.advance(29_900);
  assert.equal(rounds(d), 1);
  await d.clock.advance(200);
  assert.equal(rounds(d), 2);
  await d.clock.advance(300_000);
  assert.equal(rounds(d), 12);
});

test('the interval is an option', async () => {
  const [d] = tabs(1, { interval: 5000 });
  await becomeLeader(d);
  await d.clock.advance(15_100);
  assert.equal(rounds(d), 4);
});

test('an option that is undefined has its default', async () => {
  const [d] = tabs(1, { interval: undefined, batchSize: undefined });
  await becomeLeader(d);
  for (let i = 0; i < 11; i++) await book(d, `b${i}`);
  await d.clock.advance(30_100);
  assert.deepEqual(d.server.of('/operations').map(({ body }) => body.operations.length), [10, 1]);
});

test('stopMonitoring ends the rounds; startMonitoring starts them again, also if called twice', async () => {
  const [d] = tabs(1);
  await becomeLeader(d);
  d.service.stopMonitoring();
  await d.clock.advance(300_000);
  assert.equal(rounds(d), 1);
  await becomeLeader(d);
  d.service.startMonitoring();
  await d.clock.advance(30_100);
  assert.equal(rounds(d), 3);
});

test('an edit is sent within 300 ms', async () => {
  const [d] = tabs(1);
  await becomeLeader(d);
  for (let i = 0; i < 10; i++) {
    await book(d, `b${i}`);
    await d.clock.advance(300);
    assert.equal(d.server.rows.size, i + 1);
  }
});

test('steady edits are sent within the published limit: a burst, then the steady rate', async () => {
  const [d] = tabs(1);
  await becomeLeader(d);
  const at = [];
  d.server.always = () => void at.push(d.clock.now());
  for (let i = 0; i < 900; i++) {
    await edit(d, 'b', { notes: `${i}` });
    await d.clock.advance(1000);
  }
  // The limiter of the server: a hundred at once, then one every nine seconds.
  let left = 100, last = at[0];
  for (const time of at) {
    left = Math.min(100, left + (time - last) / 9000) - 1;
    assert.ok(left > 0, `the limit is exceeded after ${at.indexOf(time)} requests`);
    last = time;
  }
  assert.ok(at.length > 100);
  await d.clock.advance(60_000);
  assert.deepEqual(await pending(d), []);
});

test('without monitoring nothing is sent automatically', async () => {
  const [d] = tabs(1);
  await book(d, 'b1');
  await d.clock.advance(300_000);
  assert.equal(d.server.requests.length, 0);
});

test('calls during a round share the next one', async () => {
  const [d] = tabs(1);
  const first = d.service.sync();
  await until('the first round has begun', () => rounds(d) === 1);
  const results = await Promise.all([first, d.service.sync(), d.service.sync(), d.service.sync()]);
  assert.equal(rounds(d), 2);
  assert.equal(results[1], results[3]);
});

test('an answer means online; subscribers are notified and may call sync', async () => {
  const [d] = tabs(1);
  const states = [];
  const unsubscribe = d.service.subscribe((online) => {
    states.push(online);
    if (online) void d.service.sync();
  });
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await d.service.sync();
  await d.service.sync();
  assert.deepEqual([states, d.service.getOnlineStatus()], [[false], false]);
  d.server.always = undefined;
  await d.service.sync();
  await settle();
  assert.deepEqual([states, d.service.getOnlineStatus()], [[false, true], true]);
  unsubscribe();
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await d.service.sync();
  assert.deepEqual(states, [false, true]);
});

test('an error reply of the server means online', async () => {
  const [d] = tabs(1);
  d.server.always = () => json(500, { success: false, error: 'SYNC_FAILED', message: 'm' });
  await d.service.sync();
  assert.equal(d.service.getOnlineStatus(), true);
});

test('the browser event online starts a round; the event offline means offline until an answer comes', async (t) => {
  const target = new EventTarget();
  globalThis.addEventListener = target.addEventListener.bind(target);
  globalThis.removeEventListener = target.removeEventListener.bind(target);
  t.after(() => (delete globalThis.addEventListener, delete globalThis.removeEventListener));
  const [d] = tabs(1);
  await becomeLeader(d);
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
  test(`${how}: only the leader polls`, async (t) => {
    setUp(t);
    const [a, b, c] = tabs(3);
    await becomeLeader(a);
    b.service.startMonitoring();
    c.service.startMonitoring();
    await a.clock.advance(60_100);
    assert.equal(rounds(a), 3);
  });

  test(`${how}: when the leader closes, another tab takes over`, async (t) => {
    setUp(t);
    const [a, b] = tabs(2);
    await becomeLeader(a);
    b.service.startMonitoring();
    await settle();
    await a.service.close();
    await b.clock.advance(3000);
    await until('the other tab leads', () => rounds(a) === 2);
    await b.clock.advance(30_100);
    assert.equal(rounds(a), 3);
  });

  test(`${how}: the sync of another tab is done by the leader, and the result is returned`, async (t) => {
    setUp(t);
    const [a, b] = tabs(2);
    await becomeLeader(a);
    b.service.startMonitoring();
    await book(b, 'b');
    const result = await b.service.sync();
    assert.deepEqual([result.ok, result.sent], [true, 1]);
    assert.equal(a.server.rows.size, 1);
  });

  test(`${how}: a tab without monitoring uses the leader, and works itself if there is none`, async (t) => {
    setUp(t);
    const [a, b] = tabs(2);
    assert.equal((await b.service.sync()).ok, true);
    await becomeLeader(a);
    assert.equal((await b.service.sync()).ok, true);
    assert.equal(rounds(a), 3);
  });
}

test('an edit in another tab is sent by the leader within a second', async () => {
  const [a, b] = tabs(2);
  await becomeLeader(a);
  b.service.startMonitoring();
  await a.clock.advance(15_000);
  await book(b, 'b');
  await until('the leader has sent it', async () => {
    await a.clock.advance(100);
    return a.server.rows.size;
  });
  assert.equal(rounds(a), 2);
});

test('changes, status and being offline are reported in all tabs', async () => {
  const [a, b] = tabs(2);
  const lists = [], online = [];
  await becomeLeader(a);
  b.service.startMonitoring();
  b.store.observe('book', (list) => lists.push(list.length));
  b.service.subscribe((value) => online.push(value));
  a.server.write('book', 'x', { title: 'X' });
  await a.service.sync();
  await until('the other tab has it', () => lists.at(-1) === 1);
  await book(a, 'y');
  await until('the other tab has the edit', () => lists.at(-1) === 2);
  a.server.always = () => Promise.reject(new TypeError('fetch failed'));
  await a.service.sync();
  await until('the other tab is offline', () => online.at(-1) === false);
  assert.equal(b.service.getOnlineStatus(), false);
  assert.ok(b.emitted('status').length > 0);
});

test('a tab that did not renew its lease stops leading', async () => {
  const [a, b] = tabs(2);
  await becomeLeader(a);
  b.service.startMonitoring();
  await settle();
  a.clock.jump(11_000); // the lease expires, and no timer of a runs
  await a.clock.advance(2100);
  await until('the other tab leads', () => rounds(a) >= 2);
  await a.clock.advance(10_000);
  const before = rounds(a);
  await a.clock.advance(30_000);
  assert.ok(rounds(a) - before <= 2, 'only one polls');
});

test('two leaders at once lose nothing: a page is written only if its cursor is current', async () => {
  const [a, b] = tabs(2);
  for (let i = 0; i < 900; i++) a.server.write('book', `b${i}`, { title: `${i}` });
  let other;
  a.server.answers.push(async (request) => {
    const page = a.server.handle(request);
    a.clock.jump(11_000); // the first tab is suspended while it waits for its first page,
    other = b.service.sync(); // and another tab pulls everything
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

test('after close nothing happens any more; the signal closes the service', async () => {
  const abort = new AbortController();
  const [d] = tabs(1, { signal: abort.signal });
  await becomeLeader(d);
  abort.abort();
  await d.service.close();
  await d.clock.advance(300_000);
  assert.equal(rounds(d), 1);
  await until('no timer is left', () => d.clock.waiting() === 0);
});

test('closing a tab that waits for the leader ends its sync with STOPPED', async () => {
  const [a, b] = tabs(2);
  await becomeLeader(a);
  b.service.startMonitoring();
  await settle();
  a.server.always = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  const waits = b.service.sync();
  await settle();
  await b.service.close();
  assert.equal((await waits).error.code, 'STOPPED');
});

test('if locks are forbidden, a tab leads without one', async (t) => {
  withLocks(t);
  navigator.locks.request = () => Promise.reject(new DOMException('no', 'SecurityError'));
  const [d] = tabs(1);
  assert.equal((await d.service.sync()).ok, true);
  await becomeLeader(d);
  await d.clock.advance(30_100);
  assert.equal(rounds(d), 3);
});
