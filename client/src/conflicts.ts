// The conflicts that this device has stored.

import type { Tx } from './database.js';
import type { ConflictInfo } from './types.js';

const KEPT = 100; // resolved conflicts; open ones are all kept

/** A conflict as the server sends it, in the form that is stored and shown to the app. */
export const conflictOf = (conflict: any): ConflictInfo => ({
  ...conflict,
  localTimestamp: new Date(conflict.localTimestamp),
  serverTimestamp: new Date(conflict.serverTimestamp),
});

/** Stores the conflicts that are not stored yet and returns them. Removes the oldest resolved ones. */
export async function addConflicts(tx: Tx, conflicts: ConflictInfo[]): Promise<ConflictInfo[]> {
  const added: ConflictInfo[] = [];
  for (const conflict of conflicts) {
    if (await tx.get('conflicts', conflict.id)) continue;
    tx.put('conflicts', conflict);
    added.push(conflict);
  }
  const all: ConflictInfo[] = added.length ? await tx.all('conflicts') : [];
  for (const { id } of all.filter(({ status }) => status !== 'open').slice(0, -KEPT)) tx.delete('conflicts', id);
  return added;
}
