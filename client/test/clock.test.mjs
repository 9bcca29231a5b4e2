// Clocks that are wrong: the timestamps of edits.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { book, closeAll, device, edit, error, makeClock, pending, Server, START } from './lib.mjs';

afterEach(closeAll);

const YEARS = 2 * 365 * 86_400_000;
const times = (ops) => ops.map(({ timestamp }) => Date.parse(timestamp));

/** A server that tells its time, and replaces timestamps that are more than five minutes ahead. */
function timedServer(now) {
  const server = new Server(), handle = server.handle.bind(server);
  server.accepted = [];
  server.handle = (request) => {
    const reply = handle(request);
    if (request.path !== '/operations') return reply;
    server.stamp = Math.max(server.stamp, now());
    return reply.json().then((body) => {
      request.body.operations.forEach(({ entityId, timestamp }, i) => {
        const ahead = Date.parse(timestamp) > now() + 300_000;
        server.accepted.push([entityId, ahead ? Date.parse(body.results[i].updatedAt) : Date.parse(timestamp)]);
        if (ahead) body.results[i].timestampAdjusted = true;
      });
      return new Response(JSON.stringify({ ...body, serverTime: new Date(now()).toISOString() }));
    });
  };
  return server;
}
/** A device whose clock is `error` milliseconds ahead of that of its server. */
function skewed(error) {
  const clock = makeClock(START + error), start = clock.now();
  let turned = 0;
  const server = timedServer(() => START + clock.now() - start - turned);
  const d = device({ clock, server });
  /** Sets the clock of the device; the time goes on as before. */
  d.turn = (ms) => (clock.jump(ms), (turned += ms));
  return Object.assign(d, { realNow: () => START + clock.now() - start - turned });
}

test('a wrong clock: the first pull tells the second, so the edits after it have the time of the server', async () => {
  for (const wrong of [-300_000, YEARS]) {
    const d = skewed(wrong);
    d.server.always = ({ path }) => {
      if (path !== '/changes') return undefined;
      const reply = d.server.changes({});
      reply.headers.set('Date', new Date(d.realNow()).toUTCString());
      return reply;
    };
    await d.service.sync();
    const [at, now] = [Date.parse((await edit(d, 'b', { title: 'B' })).timestamp), d.realNow()];
    assert.ok(Math.abs(at - now) <= 1000, `${at}, ${now}`);
  }
});

test('a slow clock: a correction is later than the version that the person saw', async () => {
  const d = skewed(-300_000);
  d.server.write('book', 'b', { title: 'with a typo' });
  await d.service.sync();
  const { updatedAt } = await d.store.get('book', 'b');
  const { timestamp, baseVersion } = await edit(d, 'b', { title: 'corrected' });
  assert.ok(timestamp > updatedAt, `${timestamp}, ${updatedAt}`);
  assert.equal(baseVersion, updatedAt);
});

test('a slow clock: a correction is later than the version of the own edit before it', async () => {
  const d = skewed(-300_000);
  await book(d, 'b');
  d.server.answers.push(() => undefined, () => error(503, 'SYNC_FAILED'));
  await d.service.sync();
  const sent = d.server.rows.get('book b').data.updatedAt;
  assert.ok((await edit(d, 'b', { title: 'again' })).timestamp > sent);
});

for (const [name, wrong] of [['five minutes slow', -300_000], ['an hour fast', 3_600_000], ['right', 0]])
  test(`a clock that is ${name}: after the first reply, edits have the time of the server, in all tabs`, async () => {
    const d = skewed(wrong);
    await book(d, 'a');
    await d.service.sync();
    await d.clock.advance(60_000);
    const { timestamp } = await book(d, 'b');
    assert.ok(Math.abs(Date.parse(timestamp) - d.realNow()) < 1000, timestamp);
    const tab = device({ server: d.server, clock: d.clock, database: d.database });
    assert.ok(Math.abs(Date.parse((await book(tab, 'c')).timestamp) - d.realNow()) < 1000);
    await d.service.close();
  });

test('the skew is not taken from the duration of a request', async () => {
  const d = skewed(0);
  await book(d, 'a');
  d.server.answers.push(() => void d.clock.jump(20_000)); // the request is slow
  await d.service.sync();
  assert.equal(Date.parse((await book(d, 'b')).timestamp), d.clock.now());
});

test('years ahead for one edit, then right: the queue is brought down before it is sent, in its order', async () => {
  const d = skewed(YEARS);
  await edit(d, 'b', { title: 'made in the future' });
  d.turn(-YEARS);
  await d.clock.advance(60_000);
  await edit(d, 'b', { title: 'corrected' });
  await book(d, 'c');
  const before = d.realNow();
  assert.equal((await d.service.sync()).ok, true);
  const sent = d.server.accepted.map(([, at]) => at);
  assert.ok(sent.every((at) => at <= before && at > before - 1000), sent.join());
  assert.deepEqual([...sent].sort(), sent);
  assert.equal(d.server.rows.get('book b').data.title, 'corrected');
  assert.deepEqual(times([await book(d, 'd')]), [before + 1].map((at) => Math.max(at, d.realNow())));
});

test('years ahead and sent: later edits of the entity wait for the answer and are later than it', async () => {
  const d = skewed(YEARS);
  await edit(d, 'b', { title: 'made in the future' });
  d.server.answers.push(() => Promise.reject(new TypeError('fetch failed')));
  await d.service.sync();
  const [{ timestamp }] = await pending(d);
  d.turn(-YEARS);
  await edit(d, 'b', { title: 'corrected' });
  await book(d, 'c');
  assert.equal((await d.service.sync()).ok, true);
  const requests = d.server.of('/operations').map(({ body }) => body.operations.map(({ entityId }) => entityId));
  assert.deepEqual(requests.filter((ids) => ids.length), [['b'], ['b', 'c'], ['b']]);
  const [first, other, second] = d.server.accepted;
  assert.equal(d.server.of('/operations').at(2).body.operations[0].timestamp, timestamp, 'its bytes do not change');
  assert.ok(second[1] > first[1], `${second}, ${first}`);
  assert.ok(second[1] <= d.realNow() + 300_000 && other[1] <= d.realNow());
});

test('a clock that is still years ahead: what is sent after the first reply is not ahead', async () => {
  const d = skewed(YEARS);
  for (let i = 0; i < 15; i++) await book(d, `b${i}`);
  await d.service.sync();
  await d.service.sync();
  assert.ok(d.server.accepted.every(([, at]) => at <= d.realNow() + 1000), d.server.accepted.join());
  assert.ok(Date.parse((await book(d, 'x')).timestamp) <= d.realNow() + 1000);
});

test('years ahead: clear forgets the time, too', async () => {
  const d = skewed(YEARS);
  await book(d, 'a');
  d.turn(-YEARS);
  await d.service.clear({ force: true });
  assert.equal(Date.parse((await book(d, 'b')).timestamp), d.realNow());
});

test('a clock that was set back wrongly: without the time of the server nothing is brought down', async () => {
  const d = skewed(0);
  const { timestamp } = await book(d, 'a');
  d.turn(-86_400_000);
  d.server.always = () => Promise.reject(new TypeError('fetch failed'));
  assert.equal((await d.service.sync()).error.code, 'OFFLINE');
  assert.deepEqual((await pending(d)).map((op) => op.timestamp), [timestamp]);
  d.server.always = undefined;
  assert.equal((await d.service.sync()).ok, true);
  assert.equal(d.server.accepted[0][1], Date.parse(timestamp));
});
