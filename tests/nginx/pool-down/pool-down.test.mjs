// The replies of nginx while the pool is down.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkError, request } from '../../http/lib.mjs';

for (const path of ['/api/sync/status', '/sync/status', '/api/health']) {
  test(`${path} is answered with a JSON 503 and Retry-After`, async () => {
    const reply = await request(path);
    assert.match(checkError(reply, 503, 'SYNC_FAILED').message, /has not begun/);
    assert.equal(reply.headers['retry-after'], '2');
  });
}
