// TLS, HTTP/2, HSTS and redirection with the shipped site file. The site has two certificates, RSA and ECDSA.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import test, { after, before } from 'node:test';
import tls from 'node:tls';
import { HOST, Site, values } from './lib.mjs';

const CIPHERS = [
  'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-RSA-CHACHA20-POLY1305',
];

let site;
before(async () => (site = await Site.start()));
after(() => site?.stop());

// Resolves to the connection's protocol, cipher and ALPN, or to the code of the failure.
async function handshake(options) {
  try {
    const socket = await site.connect(options);
    const got = { protocol: socket.getProtocol(), cipher: socket.getCipher().name, alpn: socket.alpnProtocol };
    socket.destroy();
    return got;
  } catch (error) {
    return error.code;
  }
}

const only = (version, ciphers = 'ALL:@SECLEVEL=0') => ({ minVersion: version, maxVersion: version, ciphers });

test('TLS 1.2 and 1.3 are supported', async () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'])
    assert.equal((await handshake({ minVersion: version, maxVersion: version })).protocol, version);
  assert.equal((await handshake({})).protocol, 'TLSv1.3');
});

for (const version of ['TLSv1', 'TLSv1.1']) {
  test(`${version} is refused`, async (t) => {
    // Check with another server whether this node supports the version.
    const [key, cert] = ['key', 'crt'].map((end) => readFileSync(`${site.folder}/rsa.${end}`));
    const old = tls.createServer({ key, cert, ...only(version) }, (socket) => socket.end()).listen(0, '127.0.0.1');
    old.on('tlsClientError', () => {});
    await once(old, 'listening');
    const able = await new Promise((resolve) => {
      const socket = tls.connect({ port: old.address().port, host: '127.0.0.1', rejectUnauthorized: false,
        ...only(version) }, () => resolve(true));
      socket.on('error', () => resolve(false));
    });
    old.close();
    if (!able) return t.skip(`this OpenSSL does not support ${version}`);
    assert.equal(await handshake(only(version)), 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
  });
}

test('TLS 1.2 accepts exactly the six ciphers of the site', async () => {
  const taken = [];
  const names = tls.getCiphers().filter((name) => !name.startsWith('tls_')).map((name) => name.toUpperCase());
  for (const name of names) {
    const got = await handshake(only('TLSv1.2', `${name}:@SECLEVEL=0`));
    if (got.cipher) taken.push(got.cipher);
  }
  assert.ok(names.length > 20 && names.includes('AES128-SHA') &&
    names.includes('DHE-RSA-AES128-GCM-SHA256'), String(names));
  assert.deepEqual(taken.sort(), CIPHERS);
});

test('exactly three curves are accepted', async () => {
  for (const curve of ['X25519', 'prime256v1', 'secp384r1'])
    assert.equal((await handshake({ ecdhCurve: curve })).protocol, 'TLSv1.3', curve);
  for (const curve of ['secp521r1', 'X448'])
    assert.equal(typeof (await handshake({ ecdhCurve: curve })), 'string', curve);
});

test('ALPN selects HTTP/2 if the client supports it', async () => {
  assert.equal((await handshake({ ALPNProtocols: ['h2', 'http/1.1'] })).alpn, 'h2');
  assert.equal((await handshake({ ALPNProtocols: ['http/1.1', 'h2'] })).alpn, 'h2');
  assert.equal((await handshake({ ALPNProtocols: ['http/1.1'] })).alpn, 'http/1.1');
  assert.equal((await handshake({})).alpn, false);
});

test('a request over HTTP/2 reaches the pool with its body', async () => {
  const client = site.h2();
  const stream = client.request({ ':method': 'POST', ':path': '/api/sync/operations', 'x-request-id': 'over-http2' });
  stream.end('{"operations":[]}');
  const [headers] = await once(stream, 'response');
  stream.resume();
  await once(stream, 'end');
  client.close();
  assert.equal(headers[':status'], 200);
  assert.equal(headers['x-request-id'], 'over-http2');
  const [{ params, body }] = site.taken();
  assert.equal(String(body), '{"operations":[]}');
  assert.equal(params.CONTENT_LENGTH, '17');
  assert.equal(params.SERVER_PROTOCOL, 'HTTP/2.0');
  assert.equal(params.HTTPS, 'on');
});

test('every reply has HSTS, also errors', async () => {
  for (const [target, status] of [['/api/sync/status', 200], ['/api/health', 200], ['/nowhere', 404],
    [`/${'x'.repeat(20000)}`, 414]]) {
    const reply = await site.request(target);
    assert.equal(reply.status, status);
    // A request with a too long request line has named no host yet, so nginx takes the default one of the site.
    assert.deepEqual(values(reply, 'strict-transport-security'), ['max-age=63072000'], target);
  }
  site.pool.answer = () => ({ status: 401, body: '{}' });
  assert.deepEqual(values(await site.request('/api/sync/status'), 'strict-transport-security'), ['max-age=63072000']);
});

test('HSTS is not sent for localhost', async () => {
  for (const host of ['localhost', '127.0.0.1:8443']) {
    assert.deepEqual(values(await site.request('/api/health', { headers: { host } }), 'strict-transport-security'), []);
  }
});

test('plain HTTP is redirected to HTTPS with a 308 and does not reach the pool', async () => {
  site.taken();
  const reply = await new Promise((resolve, reject) => {
    http.get({ host: '127.0.0.1', port: site.plain, path: '/api/sync/changes?since=1', headers: { host: HOST } },
      resolve).on('error', reject);
  });
  reply.resume();
  assert.equal(reply.statusCode, 308);
  assert.equal(reply.headers.location, `https://${HOST}/api/sync/changes?since=1`);
  assert.deepEqual(site.taken(), []);
});

test('plain HTTP on the TLS port does not reach the pool', async () => {
  site.taken();
  const socket = net.connect(site.port, '127.0.0.1');
  socket.end(`GET /api/sync/status HTTP/1.1\r\nHost: ${HOST}\r\nAuthorization: Bearer t\r\n\r\n`);
  let text = '';
  for await (const chunk of socket) text += chunk;
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.deepEqual(site.taken(), []);
});
