// /metrics, /pool and /ping are for this machine only. The address of a client is that of its connection, or the one
// that a trusted proxy sends by the PROXY protocol; header fields of the client do not count.
import assert from 'node:assert/strict';
import test, { after, before, beforeEach } from 'node:test';
import { Site, checkError } from './lib.mjs';

let site;
before(async () => (site = await Site.start()));
after(() => site?.stop());
beforeEach(() => {
  site.taken();
  site.status.requests.length = 0;
});

const targets = ['/metrics', '/pool', '/pool?json', '/pool?full', '/pool?html', '/ping'];
const asked = () => site.status.requests.splice(0);

for (const target of targets) {
  test(`${target} is answered to this machine from the pool's status socket`, async () => {
    site.status.answer = () => ({ headers: { 'Content-Type': 'text/plain; version=0.0.4' }, body: 'pong\n' });
    for (const place of [{}, { from: '127.0.0.77' }, { as: '127.0.0.1' }, { as: '::1' }]) {
      const reply = await site.request(target, place);
      assert.equal(reply.status, 200, JSON.stringify(place));
      assert.equal(reply.text, 'pong\n');
      assert.match(reply.headers['content-type'], /^text\/plain/);
      const [{ params }] = asked();
      assert.equal(params.REQUEST_URI, target);
      assert.equal(params.REQUEST_METHOD, 'GET');
    }
    assert.deepEqual(site.taken(), []);
  });

  test(`${target} is a 404 for other machines, whatever their header fields`, async () => {
    const unknown = checkError(await site.request('/nowhere', { as: '198.51.100.7' }), 404, 'NOT_FOUND');
    for (const as of ['198.51.100.7', '10.0.0.1', '192.168.1.1', '128.0.0.1', '2001:db8::1', '::2', 'fe80::1']) {
      for (const name of [undefined, 'x-forwarded-for', 'x-real-ip', 'forwarded', 'x-client-ip', 'true-client-ip',
        'x-forwarded-host', 'host']) {
        const value = name === 'forwarded' ? 'for=127.0.0.1' : '127.0.0.1';
        const reply = await site.request(target, { as, headers: name ? { [name]: value } : {} });
        const body = checkError(reply, 404, 'NOT_FOUND');
        assert.deepEqual({ ...body, requestId: '' }, { ...unknown, requestId: '' },
          'the same reply as for an unknown path');
      }
    }
    assert.deepEqual(asked(), []);
  });
}

test('the reply to another machine does not reveal whether the pool is up', async () => {
  const down = await Site.start();
  try {
    await down.status.close();
    checkError(await down.request('/metrics'), 503, 'SYNC_FAILED');
    checkError(await down.request('/metrics', { as: '198.51.100.7' }), 404, 'NOT_FOUND');
    await down.status.listen();
  } finally {
    await down.stop();
  }
});

test("no other spelling of these paths reaches the pool's status socket", async () => {
  for (const target of ['/metrics/', '/metrics/x', '/metricsx', '/pool/', '/api/metrics', '/api/sync/../../nowhere',
    '/METRICS', '/ping%00', '/.booky-error']) {
    const reply = await site.request(target, { as: '198.51.100.7' });
    assert.ok(reply.status === 404 || reply.status === 400, `${target}: ${reply.status}`);
    assert.equal(reply.json.success, false);
  }
  // nginx normalizes these to the same path, so they must be refused in the same way.
  for (const target of ['/%6detrics', '//metrics', '/./metrics', '/api/../metrics', '/api/sync/../../metrics',
    '/metrics%3fx'])
    checkError(await site.request(target, { as: '198.51.100.7' }), 404, 'NOT_FOUND');
  assert.deepEqual(asked(), []);
  assert.deepEqual(site.taken(), []);
});

test('the pool gets the address of the connection', async () => {
  const places = [{}, { from: '127.0.0.9' }, { as: '198.51.100.7' }, { as: '2001:db8::1' }];
  for (const place of places) {
    await site.request('/api/sync/status', { ...place, headers: { 'x-forwarded-for': '203.0.113.9' } });
    assert.equal(site.taken()[0].params.REMOTE_ADDR, place.as ?? place.from ?? '127.0.0.1');
  }
});
