// Makes ids, and normalizes the ids of entities.

import type { Tx } from './database.js';
import type { Entity } from './types.js';

/** A UUID. Outside secure contexts browsers cannot make one; the id is then about a hundred random bits. */
export const makeId = (): string => globalThis.crypto?.randomUUID?.() ?? `${Math.random()}-${Math.random()}`;

/** The settings of a user are one entity, which the server calls `settings`. */
export const entityIdOf = (entity: Entity, id: string) => (entity === 'userSettings' ? 'settings' : id);

/** The stored id of this device; made if there is none, or if `renew`. */
export async function deviceIdOf(tx: Tx, renew?: unknown): Promise<string> {
  const known = renew === true ? undefined : await tx.get('meta', 'deviceId'), id = known ?? makeId();
  if (!known) tx.put('meta', id, 'deviceId');
  return id;
}

/** The id of an operation: of the device and random, so that the copies of a cloned device can be told apart. */
export const operationId = (deviceId: string) => `${deviceId.slice(0, 64)}:${makeId()}`;
