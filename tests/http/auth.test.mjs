// Authentication: every invalid token is refused in the one error shape, with a reason that holds no secret.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { User, book, checkError, kid, mint, request, seconds, secret, signers, state } from './lib.mjs';

const ask = (authorization) => request('/api/sync/status',
  { headers: authorization === undefined ? {} : { authorization } });
const bearer = (token) => ask(`Bearer ${token}`);
const person = () => ({ userId: `u-${randomUUID()}` });
const good = mint(person());
const [head, claims, signature] = good.split('.');
const other = signature[5] === 'A' ? 'B' : 'A';

// Case: the Authorization header.
const addresses = { jku: 'https://evil.example/keys', x5u: 'file:///etc/passwd' };
const ownKey = { kty: 'oct', k: Buffer.from('x'.repeat(32)).toString('base64url') };
const refused = {
  'another scheme': 'Basic dXNlcjpwYXNz',
  'a token without a scheme': good,
  'Bearer without a token': 'Bearer ',
  'text that is no token': 'Bearer not.a token',
  'two parts': `Bearer ${head}.${claims}`,
  'four parts': `Bearer ${good}.${signature}`,
  'a header that is not JSON': `Bearer ${Buffer.from('{"alg":').toString('base64url')}.${claims}.${signature}`,
  'a signature with one letter changed':
    `Bearer ${head}.${claims}.${signature.slice(0, 5)}${other}${signature.slice(6)}`,
  'claims with one letter changed':
    `Bearer ${head}.${claims.slice(0, -2)}${claims.at(-2) === 'Q' ? 'R' : 'Q'}${claims.at(-1)}.${signature}`,
  'no signature': `Bearer ${head}.${claims}.`,
  'another key': `Bearer ${mint(person(), { key: 'x'.repeat(32) })}`,
  'an empty key': `Bearer ${mint(person(), { key: '' })}`,
  'algorithm none': `Bearer ${mint(person(), { alg: 'none' })}`,
  'algorithm None with a signature': `Bearer ${mint(person(), { header: { alg: 'None' } })}`,
  'algorithm HS512 with our key': `Bearer ${mint(person(), { alg: 'HS512' })}`,
  'a header that says HS512 over an HS256 signature': `Bearer ${mint(person(), { header: { alg: 'HS512' } })}`,
  'a header that says RS256 over an HS256 signature': `Bearer ${mint(person(), { header: { alg: 'RS256' } })}`,
  'no algorithm': `Bearer ${mint(person(), { header: { alg: undefined } })}`,
  'an unknown key id': `Bearer ${mint(person(), { header: { kid: 'nobody' } })}`,
  'a key id that is a path': `Bearer ${mint(person(), { header: { kid: `../keys.d/${kid}` } })}`,
  'critical extensions': `Bearer ${mint(person(), { header: { crit: ['exp'] } })}`,
  'an expired token': `Bearer ${mint({ ...person(), exp: seconds(-120) })}`,
  'a token without an expiry': `Bearer ${mint({ ...person(), exp: undefined })}`,
  'an expiry in words': `Bearer ${mint({ ...person(), exp: 'tomorrow' })}`,
  'a token that is not valid yet': `Bearer ${mint({ ...person(), nbf: seconds(120) })}`,
  'a refresh token': `Bearer ${mint({ ...person(), type: 'refresh' })}`,
  'a type that is null': `Bearer ${mint({ ...person(), type: null })}`,
  'no user': `Bearer ${mint({})}`,
  'a user that is a number': `Bearer ${mint({ userId: 7 })}`,
  'an empty user': `Bearer ${mint({ userId: '', sub: 'somebody' })}`,
  'a user name that is too long': `Bearer ${mint({ userId: 'x'.repeat(256) })}`,
  'a user name with a line break': `Bearer ${mint({ userId: 'a\nb' })}`,
  'a user that is an object': `Bearer ${mint({ userId: { id: 'x' } })}`,
  'a list of users': `Bearer ${mint({ userId: ['x', 'y'] })}`,
  'a user that is true': `Bearer ${mint({ userId: true })}`,
  'a user name with NUL': `Bearer ${mint({ userId: 'a\0b' })}`,
  'two users': `Bearer ${mint(`{"userId":"a","userId":"b","exp":${seconds(60)}}`)}`,
  'the user twice, once with an escape in the name':
    `Bearer ${mint(`{"userId":"a","user\\u0049d":"b","exp":${seconds(60)}}`)}`,
  'two expiries': `Bearer ${mint(`{"userId":"a","exp":1,"exp":${seconds(60)}}`)}`,
  'an expiry beyond the numbers': `Bearer ${mint('{"userId":"a","exp":1e400}')}`,
  'an expiry in a list': `Bearer ${mint({ ...person(), exp: [seconds(60)] })}`,
  'a negative expiry': `Bearer ${mint({ ...person(), exp: -1 })}`,
  'a not-before time in words': `Bearer ${mint({ ...person(), nbf: 'now' })}`,
  'a type that is a number': `Bearer ${mint({ ...person(), type: 1 })}`,
  'a list of types': `Bearer ${mint({ ...person(), type: ['access'] })}`,
  'claims that are a list': `Bearer ${mint(`[{"userId":"a","exp":${seconds(60)}}]`)}`,
  'claims that are text': `Bearer ${mint('"userId"')}`,
  'claims followed by another object': `Bearer ${mint(`{"userId":"a","exp":${seconds(60)}} {}`)}`,
  'claims nested 5,000 levels deep': `Bearer ${mint(`{"userId":"a","exp":${seconds(60)},"x":${'['.repeat(5000)}`)}`,
  'claims in Latin-1': `Bearer ${mint(Buffer.from(`{"userId":"\xe9","exp":${seconds(60)}}`, 'latin1'))}`,
  'a lone surrogate as the user': `Bearer ${mint(`{"userId":"\\ud800","exp":${seconds(60)}}`)}`,
  'an empty key id': `Bearer ${mint(person(), { header: { kid: '' } })}`,
  'a key id that is null': `Bearer ${mint(person(), { header: { kid: null } })}`,
  'a list of key ids': `Bearer ${mint(person(), { header: { kid: [kid] } })}`,
  'a key id of five thousand letters': `Bearer ${mint(person(), { header: { kid: kid.repeat(1700) } })}`,
  'a key id with the suffix of its file': `Bearer ${mint(person(), { header: { kid: `${kid}.hmac` } })}`,
  'a key id that is a device file, and an empty key':
    `Bearer ${mint(person(), { key: '', header: { kid: '/dev/null' } })}`,
  'a key id with SQL': `Bearer ${mint(person(), { header: { kid: "x' UNION SELECT 'key'--" }, key: 'key' })}`,
  'two key ids': `Bearer ${mint(person(), { header: `{"alg":"HS256","kid":"${kid}","kid":"nobody"}` })}`,
  'two algorithms': `Bearer ${mint(person(), { header: `{"alg":"none","alg":"HS256","kid":"${kid}"}` })}`,
  'a list of algorithms': `Bearer ${mint(person(), { header: { alg: ['HS256'] } })}`,
  'a key in its own header': `Bearer ${mint(person(), { key: 'x'.repeat(32), header: { jwk: ownKey } })}`,
  'the address of a key in its header': `Bearer ${mint(person(), { key: 'x'.repeat(32), header: addresses })}`,
  'padding after the parts': `Bearer ${head}=.${claims}==.${signature}=`,
  'a blank in the middle': `Bearer ${head}.${claims.slice(0, 9)} ${claims.slice(9)}.${signature}`,
  'a list of tokens': `Bearer ${good}, Bearer ${good}`,
  'a token that is too long': `Bearer ${mint({ ...person(), padding: 'x'.repeat(8192) })}`,
};

for (const [name, authorization] of Object.entries(refused))
  test(`a token is refused with 401: ${name}`, async () => {
    const reply = await ask(authorization);
    const { message } = checkError(reply, 401, 'UNAUTHORIZED');
    assert.match(reply.headers['www-authenticate'],
      /^Bearer realm="booky", error="invalid_token", error_description="[^"\\]+"$/);
    assert.ok(!message.includes(secret) && !message.includes(signature));
  });

test('a request without a token is refused with 401 and a challenge that has no error code', async () => {
  const reply = await ask(undefined);
  checkError(reply, 401, 'UNAUTHORIZED');
  assert.equal(reply.headers['www-authenticate'], 'Bearer realm="booky"');
});

test('every endpoint checks the token before the rest of the request, below both base paths', async () => {
  for (const base of ['/api/sync', '/sync']) {
    checkError(await request(`${base}/operations`, { method: 'POST', body: 'not JSON' }), 401, 'UNAUTHORIZED');
    checkError(await request(`${base}/changes`), 401, 'UNAUTHORIZED');
    checkError(await request(`${base}/changes?since=0`), 401, 'UNAUTHORIZED');
    checkError(await request(`${base}/status`), 401, 'UNAUTHORIZED');
  }
});

test('a token in the query is ignored, so the request is refused with 401', async () => {
  checkError(await request(`/api/sync/status?access_token=${good}&token=${good}`), 401, 'UNAUTHORIZED');
});

test('health needs no token and ignores an invalid one', async () => {
  for (const path of ['/api/health', '/api/sync/health', '/sync/health']) {
    const reply = await request(path);
    assert.equal(reply.status, 200, path);
    assert.equal(reply.json.success, true);
    assert.equal(reply.json.status, 'ok');
    assert.equal((await request(path, { token: 'nonsense' })).status, 200);
    assert.equal((await request(path, { method: 'HEAD' })).status, 200);
    const refused = await request(path, { method: 'POST' });
    assert.deepEqual([refused.status, refused.headers.allow], [405, 'GET, HEAD']);
  }
  for (const path of ['/health', '/api', '/api/healthy', '/api/health/', '/api/status', '/api/config', '/api+/health'])
    assert.equal((await request(path, { token: good })).status, 404, path);
});

const accepted = {
  'the scheme in lower case': `bearer ${good}`,
  'type access': `Bearer ${mint({ ...person(), type: 'access' })}`,
  'typ at+jwt': `Bearer ${mint(person(), { header: { typ: 'at+jwt' } })}`,
  'no typ': `Bearer ${mint(person(), { header: { typ: undefined } })}`,
  'issuer and audience when none is configured':
    `Bearer ${mint({ ...person(), iss: 'https://id.example.org', aud: ['a', 'b'] })}`,
  'expired a moment ago, within the leeway for clocks': `Bearer ${mint({ ...person(), exp: seconds(-5) })}`,
  'a user in the sub claim alone': `Bearer ${mint({ sub: `u-${randomUUID()}` })}`,
  'a user name with non-ASCII letters and quotes': `Bearer ${mint({ userId: `Zoë O'Brien <${randomUUID()}>; --` })}`,
};

for (const [name, authorization] of Object.entries(accepted))
  test(`a token is accepted: ${name}`, async () => {
    const reply = await ask(authorization);
    assert.equal(reply.status, 200, reply.text);
  });

test('userId names the user, and sub does when there is no userId', async () => {
  const user = new User();
  await user.apply(book('b1'));
  const pull = async (claims) => {
    const { json } = await request('/api/sync/changes?since=0', { token: mint(claims) });
    return json.changes.length;
  };
  assert.equal(await pull({ sub: user.id }), 1);
  assert.equal(await pull({ userId: user.id, sub: 'somebody' }), 1);
  assert.equal(await pull({ userId: `u-${randomUUID()}`, sub: user.id }), 0);
});

// Public keys: private/KID.pem holds the private half of keys.d/KID.pem (./dev check makes them).

const algorithms = { rs: 'RS256', es: 'ES256' };

for (const [name, alg] of Object.entries(algorithms)) {
  const file = path.join(state ?? '', 'private', `${name}.pem`);

  test(`a token signed with the private key is accepted with ${alg}`, async () => {
    const key = readFileSync(file);
    assert.equal((await bearer(mint(person(), { alg, key, header: { kid: name } }))).status, 200);
  });

  test(`a token signed with anything else is refused with ${alg}`, async () => {
    const key = readFileSync(file);
    const open = readFileSync(path.join(path.dirname(process.env.BOOKY_TEST_KEY), `${name}.pem`), 'latin1');
    const stranger = alg === 'RS256' ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const tokens = {
      'a key of a stranger': mint(person(),
        { alg, key: stranger.privateKey.export({ type: 'pkcs8', format: 'pem' }), header: { kid: name } }),
      'the public key as an HMAC secret': mint(person(), { alg: 'HS256', key: open, header: { kid: name } }),
      'the same without its last line break': mint(person(),
        { alg: 'HS256', key: open.trimEnd(), header: { kid: name } }),
      'our HMAC secret under the name of the public key': mint(person(), { header: { kid: name } }),
      'the private key under the name of the HMAC secret': mint(person(), { alg, key }),
      'the right key without a key id': mint(person(), { alg, key, header: { kid: undefined } }),
      'no signature': mint(person(), { alg, signer: signers.none, header: { kid: name } }),
      'a signature of zeros': mint(person(),
        { alg, signer: () => Buffer.alloc(alg === 'RS256' ? 256 : 64), header: { kid: name } }),
    };
    for (const [what, token] of Object.entries(tokens)) checkError(await bearer(token), 401, 'UNAUTHORIZED', what);
  });
}
