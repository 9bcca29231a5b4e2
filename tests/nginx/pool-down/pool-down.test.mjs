// What nginx answers while no worker pool is there.
import assert from 'node:assert/strict';
import test from 'node:test';
import { checkError, request } from '../../http/lib.mjs';

for (const path of ['/api/sync/status', '/sync/status', '/api/health']) {
  test(`${path} is a JSON 502 that asks to retry`, async () => {
    const reply = await request(path);
    checkError(reply, 502, 'SYNC_FAILED');
    assert.equal(reply.headers['retry-after'], '2');
  });
}
