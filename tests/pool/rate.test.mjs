// rate.requests: an exact limit per user, over all pools of one database.
import assert from 'node:assert/strict';
import test from 'node:test';

import { sleep, startPool, User } from './pool.mjs';

test('the limit counts requests per user over two pools, refuses the next one, and ends with its window', async (t) => {
  const settings = { 'rate.requests': 5, 'rate.window': 4, 'pool.workers': 2 };
  const a = await startPool(t, settings), b = await startPool(t, settings), user = new User(a), other = new User(b);
  const from = Date.now();
  for (let i = 1; i <= 5; i++) {
    const reply = await user.read({ socket: (i % 2 ? a : b).socket });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['ratelimit-policy'], '"default";q=5;w=4');
    const [, left, seconds] = /^"default";r=(\d+);t=(\d+)$/.exec(reply.headers.ratelimit);
    assert.equal(Number(left), 5 - i);
    assert.ok(seconds >= 1 && seconds <= 4, reply.headers.ratelimit);
  }
  let wait;
  for (const pool of [a, b]) {
    const reply = await user.write(undefined, { socket: pool.socket });
    assert.equal(reply.status, 429, reply.text);
    assert.match(reply.headers.ratelimit, /^"default";r=0;t=\d$/);
    assert.equal(reply.headers['ratelimit-policy'], '"default";q=5;w=4');
    wait = Number(reply.headers['retry-after']);
    assert.ok(wait >= 1 && wait <= 4);
    assert.deepEqual([reply.json.success, reply.json.requestId], [false, reply.headers['x-request-id']]);
    assert.equal((await pool.metrics()).value('booky_sync_rate_limited_total'), 1);
  }
  assert.equal((await other.read()).status, 200, 'another user is not affected');
  for (const uri of ['/api/health', '/api/sync/health', '/api/sync/config']) {
    const reply = await user.request({ uri, socket: a.socket });
    assert.equal(reply.status, 200, `${uri} needs no user and is not limited`);
    assert.equal(reply.headers.ratelimit, undefined);
  }
  assert.ok(Date.now() - from < 4000, 'all requests were in one window');
  await sleep(wait * 1000 + 50);
  const reply = await user.read();
  assert.equal(reply.status, 200, 'Retry-After was right');
  assert.match(reply.headers.ratelimit, /^"default";r=4;/);
});

test('of simultaneous requests exactly as many are accepted as the limit allows', async (t) => {
  const pool = await startPool(t, { 'rate.requests': 20, 'rate.window': 60 }), user = new User(pool);
  const replies = await Promise.all(Array.from({ length: 50 }, () => user.read()));
  assert.deepEqual([200, 429].map((status) => replies.filter((reply) => reply.status === status).length), [20, 30]);
});

test('without rate.requests there is no limit and no rate limit header', async (t) => {
  const pool = await startPool(t), reply = await new User(pool).read();
  assert.deepEqual([reply.status, reply.headers.ratelimit, reply.headers['ratelimit-policy']],
    [200, undefined, undefined]);
});
