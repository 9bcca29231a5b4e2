// Shared by the tests of the client against the real server, through nginx over TLS. Only IndexedDB is simulated, in
// memory. The tests need BOOKY_URL and a key as tests/http/ does, and NODE_EXTRA_CA_CERTS for the certificate.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { createSyncService } from '../../dist/index.js';

const open = [];

/** Closes all devices. */
export const closeAll = () => Promise.all(open.splice(0).map((service) => service.close()));

/** A device of the user, which syncs when it is told to. */
export function device(user, options = {}) {
  const service = createSyncService({
    baseUrl: `${process.env.BOOKY_URL}/sync`, token: user.token, database: randomUUID(), realtime: false, ...options,
  });
  open.push(service);
  return service;
}

/** A round that must succeed. */
export async function synced(service) {
  const result = await service.sync();
  assert.equal(result.ok, true, JSON.stringify(result.error));
  return result;
}
