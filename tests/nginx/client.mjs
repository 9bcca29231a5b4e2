// HTTPS requests to the server under test, with its own certificate; as small as the tests need.
import https from 'node:https';
import { readFileSync } from 'node:fs';

export const base = new URL(process.env.BOOKY_URL); // …/api
export const ca = readFileSync(process.env.BOOKY_TEST_CA);

const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 8 });

// Resolves to { status, headers, raw, text, json }; `raw` lists names and values in the order received.
export function request(path, { method = 'GET', headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const req = https.request(new URL(path, base), { method, headers, agent }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        let json;
        try {
          json = JSON.parse(text);
        } catch {}
        resolve({ status: res.statusCode, headers: res.headers, raw: res.rawHeaders, text, json });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}

// The API's error shape, one request id in header and body, and nothing to be stored.
export function checkError(assert, reply, status, error) {
  assert.equal(reply.status, status, reply.text);
  assert.match(reply.headers['content-type'], /^application\/json/);
  assert.equal(reply.json?.success, false, reply.text);
  assert.equal(reply.json.error, error);
  assert.ok(reply.json.message.length > 0);
  const ids = reply.raw.filter((_, i) => i % 2 === 1 && /^x-request-id$/i.test(reply.raw[i - 1]));
  assert.deepEqual(ids, [reply.json.requestId], 'one X-Request-Id, the same as in the body');
}
