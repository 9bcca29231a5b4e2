// CORS: the allowed origins, on every kind of reply.
import assert from 'node:assert/strict';
import test, { after, before, beforeEach } from 'node:test';
import { Site, checkError, values } from './lib.mjs';

const APP = 'https://app.example.org';
const PREFLIGHT = { origin: APP, 'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization,content-type' };
const EXPOSED = 'Date, Retry-After, ETag, X-Request-Id, RateLimit, RateLimit-Policy';

let site;
let closed; // cors.conf as shipped
before(async () => {
  // Enable the two rows that cors.conf gives as examples.
  site = await Site.start(
    { rate: 'rate', changes: { 'cors.conf': [['# "https://app', '"https://app'], ['# "~^https', '"~^https']] } });
  closed = await Site.start();
});
after(async () => {
  await site?.stop();
  await closed?.stop();
});
beforeEach(() => {
  site.taken();
  site.pool.answer = () => ({ status: 200, body: '{}' });
});

const list = (text) => text.split(/, */).map((name) => name.toLowerCase()).sort();

// Sends a preflight with some fields changed; `undefined` leaves a field out.
const preflight = (target, fields = {}, where = site) => {
  const headers = Object.fromEntries(
    Object.entries({ ...PREFLIGHT, ...fields }).filter(([, value]) => value !== undefined));
  return where.request(target, { method: 'OPTIONS', headers });
};

function checkAllowed(reply, origin = APP) {
  assert.deepEqual(values(reply, 'access-control-allow-origin'), [origin]);
  assert.deepEqual(values(reply, 'access-control-expose-headers'), [EXPOSED]);
  assert.ok(values(reply, 'vary').includes('Origin'), String(values(reply, 'vary')));
  assert.deepEqual(values(reply, 'access-control-allow-credentials'), []);
}

function checkNotAllowed(reply) {
  for (const name of reply.raw.filter((_, i) => i % 2 === 0)) assert.doesNotMatch(name, /^access-control-/i);
  assert.ok(values(reply, 'vary').includes('Origin'), 'a cache must not give this reply to another origin');
}

for (const target of ['/api/sync/operations', '/sync/operations', '/api/sync/full', '/sync/full', '/api/sync',
  '/api/sync/changes?since=2020-01-01']) {
  test(`nginx answers a preflight for ${target}`, async () => {
    const reply = await preflight(target);
    assert.equal(reply.status, 204, reply.text);
    assert.equal(reply.text, '');
    checkAllowed(reply);
    assert.deepEqual(list(reply.headers['access-control-allow-methods']), ['delete', 'get', 'post']);
    assert.deepEqual(list(reply.headers['access-control-allow-headers']),
      ['authorization', 'content-encoding', 'content-type', 'if-match', 'if-none-match', 'last-event-id',
        'x-request-id']);
    assert.deepEqual(values(reply, 'access-control-max-age'), ['7200']);
    assert.deepEqual(site.taken(), []);
  });
}

test('preflights do not count against the rate limit', async () => {
  for (let i = 0; i < 120; i++) assert.equal((await preflight('/api/sync/operations')).status, 204);
  assert.equal((await site.request('/api/sync/status')).status, 200);
});

const others = {
  'another origin': { origin: 'https://evil.example' },
  'an origin with an allowed one as its prefix': { origin: `${APP}.evil.example` },
  'an origin with an allowed one as its suffix': { origin: 'https://evil.example/https://app.example.org' },
  'an allowed host over plain HTTP': { origin: 'http://app.example.org' },
  'an allowed host on another port': { origin: `${APP}:8443` },
  'another character in place of a dot': { origin: 'https://appxexample.org' },
  'the origin null': { origin: 'null' },
  'an empty origin': { origin: '' },
  'no origin': { origin: undefined },
};
for (const [name, fields] of Object.entries(others)) {
  test(`a preflight goes to the application and is not allowed: ${name}`, async () => {
    site.pool.answer = () => ({ status: 405, body: '{}' });
    const reply = await preflight('/api/sync/operations', fields);
    assert.equal(reply.status, 405);
    checkNotAllowed(reply);
    assert.equal(site.taken().length, 1);
  });
}

for (const method of [undefined, '']) {
  test(`a preflight of an allowed origin for the method ${method} goes to the application`, async () => {
    site.pool.answer = () => ({ status: 405, body: '{}' });
    const reply = await preflight('/api/sync/operations', { 'access-control-request-method': method });
    assert.equal(reply.status, 405);
    checkAllowed(reply);
    assert.equal(site.taken().length, 1);
  });
}

test('a request with another method than OPTIONS is no preflight, whatever its fields', async () => {
  assert.equal((await site.request('/api/sync/operations', { method: 'POST', headers: PREFLIGHT, body: '{}' })).status,
    200);
  assert.equal(site.taken().length, 1);
});

test('the reply names an origin that a pattern allows, not the pattern', async () => {
  const origin = 'https://staging-2.example.org';
  checkAllowed(await site.request('/api/sync/status', { headers: { origin } }), origin);
  checkAllowed(await preflight('/api/sync/status', { origin }), origin);
});

for (const status of [200, 207, 304, 400, 401, 404, 409, 413, 429, 500, 503]) {
  test(`a ${status} of the application has CORS fields for allowed origins only`, async () => {
    site.pool.answer = () => (
      { status, headers: { 'Retry-After': '2' }, body: status === 304 ? '' : '{"success":false}' });
    const token = `cors-${status}`;
    for (const target of ['/api/sync/status', '/api/sync/full', '/api/health']) {
      const reply = await site.request(target, { token, headers: { origin: APP } });
      assert.equal(reply.status, status);
      assert.deepEqual(values(reply, 'x-content-type-options'), ['nosniff']);
      checkAllowed(reply);
      checkNotAllowed(await site.request(target, { token, headers: { origin: 'https://evil.example' } }));
      checkNotAllowed(await site.request(target, { token }));
    }
  });
}

// Refusals of nginx itself, for the allowed origin, for another one, and for none.
const refusals = {
  '404 outside of the API': [404, 'NOT_FOUND', (headers) => site.request('/other', { headers })],
  '413': [413, 'PAYLOAD_TOO_LARGE', (headers) =>
    site.request('/api/sync/operations', { method: 'POST', headers: { ...headers, 'content-length': 13 << 20 } })],
  '414': [414, 'VALIDATION_ERROR', (headers) => site.request(`/api/sync/${'x'.repeat(20000)}`, { headers }),
    'before it reads the fields'],
  '431': [431, 'VALIDATION_ERROR', (headers) =>
    site.request('/api/sync/status', { headers: { ...headers, 'x-long': 'x'.repeat(20000) } })],
  '502': [502, 'SYNC_FAILED', (headers) => {
    site.pool.answer = () => 'die';
    return site.request('/api/sync/status', { token: 'e30.cors-502.s', headers });
  }],
  '429': [429, 'RATE_LIMITED', async (headers) => {
    const token = 'e30.cors-429.s';
    const replies = await Promise.all(
      Array.from({ length: 101 }, () => site.request('/api/sync/status', { token, headers })));
    return replies.find((reply) => reply.status === 429);
  }],
};
for (const [name, [status, error, ask, early]] of Object.entries(refusals)) {
  test(`a ${name} of nginx has CORS fields for allowed origins only`, async () => {
    const allowed = await ask({ origin: APP });
    checkError(allowed, status, error);
    if (early) checkNotAllowed(allowed);
    else checkAllowed(allowed);
    checkNotAllowed(checkedError(await ask({ origin: 'https://evil.example' }), status, error));
    checkNotAllowed(checkedError(await ask({}), status, error));
  });
}

function checkedError(reply, status, error) {
  checkError(reply, status, error);
  return reply;
}

test('no origin is allowed with the files as shipped', async () => {
  for (const origin of [APP, 'https://staging-2.example.org', 'https://api.example.org', 'null']) {
    checkNotAllowed(await closed.request('/api/sync/status', { headers: { origin } }));
    const reply = await preflight('/api/sync/status', { origin }, closed);
    assert.equal(reply.status, 200);
    checkNotAllowed(reply);
  }
});
