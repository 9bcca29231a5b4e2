// Operations in the forms in which they are shown, sent and compared.

import type { StoredOperation, Tx } from './database.js';
import type { Operation } from './types.js';

export const WINDOW = 1000; // how many of the oldest operations are considered for a batch

/** An operation in the form that the app is given. */
export function shown(stored: StoredOperation): Operation {
  const { seq, timestamp, lists, first, after, tried, nextAt, misses, renewed, ...op } = stored;
  return { ...op, timestamp: new Date(timestamp).toISOString(), synced: false };
}

/** An operation in the form that is sent. */
export const wire = (op: StoredOperation) => {
  const { id, type, entity, entityId, data, timestamp, baseVersion, conflictResolution } = op;
  return {
    id, type, entity, entityId, data, timestamp: new Date(timestamp).toISOString(), baseVersion, conflictResolution,
  };
};

/** The entities of these operations or edits, as events name them. */
export const keysOf = (ops: Pick<StoredOperation, 'entity' | 'entityId'>[]) =>
  ops.map(({ entity, entityId }) => ({ entity, entityId }));

export const all = (tx: Tx, store: string, count?: number): Promise<StoredOperation[]> =>
  tx.all(store, undefined, count);

/** A millisecond after the latest of the versions; 0 if there is none. */
export const laterThan = (...versions: (string | undefined)[]) =>
  Math.max(...versions.map((version) => (version ? Date.parse(version) + 1 : 0)));
