// Operations that belong together, and the review list, on which an atomic transaction stays together too.

import type { Context } from './context.js';
import type { Config, StoredOperation, Tx } from './database.js';
import { makeId } from './ids.js';
import { all, keysOf, wire, WINDOW } from './operations.js';
import { type Data, SyncError } from './types.js';

const LIMITS = { operations: WINDOW, bodyBytes: 10_485_760 }; // if the server has not said
const ENVELOPE = 2000; // bytes of a request without its operations, at most

/** The operations in units that are sent in one request: the parts of a transaction follow each other. */
export function unitsOf(ops: StoredOperation[]): StoredOperation[][] {
  const units: StoredOperation[][] = [];
  for (const op of ops) {
    const last = units[units.length - 1];
    if (op.transaction && last?.[0].transaction === op.transaction) last.push(op);
    else units.push([op]);
  }
  return units;
}

/** The chosen operations of `ops`, with the others of their atomic transactions. */
export const withGroups = (ops: StoredOperation[], chosen: (op: StoredOperation) => boolean) => {
  const groups = new Set(ops.filter((op) => op.atomic && chosen(op)).map(({ transaction }) => transaction));
  return ops.filter((op) => chosen(op) || (op.atomic && groups.has(op.transaction)));
};

/** Throws if the operations of a transaction are too large for one request. */
export function checkSize(ops: StoredOperation[], limits?: Config['limits']): void {
  const { operations, bodyBytes } = { ...LIMITS, ...limits }, most = Math.min(operations, WINDOW);
  const bytes = new Blob([JSON.stringify(ops.map(wire))]).size + ENVELOPE;
  if (ops.length > most || bytes > bodyBytes)
    throw new SyncError('PAYLOAD_TOO_LARGE', `a transaction of ${ops.length} operations and ${bytes} bytes is too ` +
      `large: the server takes ${most} operations and ${bodyBytes} bytes in one request`);
}

/** The review list. The operations of an atomic transaction leave it together. */
export function makeReview({ db, clock, emit }: Context) {
  /** Takes operations from the list. What the person sees may change by that. */
  const take = async (chosen: (op: StoredOperation) => boolean, use?: (tx: Tx, op: StoredOperation) => void) => {
    const taken = await db.write(async (tx) => {
      const ops = withGroups(await all(tx, 'review'), chosen);
      for (const op of ops) {
        tx.delete('review', op.seq);
        use?.(tx, op);
      }
      return ops;
    });
    if (taken.length) emit('change', { source: 'local', entities: keysOf(taken) });
  };

  return {
    /** Sends again what was given up for a fault of the server: an hour later, or `now`. */
    revive: (now: boolean) =>
      take(
        (op) => op.error === 'SYNC_FAILED' && (now || op.nextAt <= clock.now()),
        (tx, { error, message, ...op }) => void tx.put('queue', { ...op, nextAt: 0 }),
      ),
    retry(id?: string, data?: Data) {
      const chosen = (op: StoredOperation) => id === undefined || id === op.id;
      return take(chosen, (tx, { error, message, ...op }) => {
        const corrected = data && chosen(op);
        // The server does not remember an operation that failed, so it may be sent again under its id, also with other
        // data. It needs a new id if the server has another operation under this one, or if it is sent with other data
        // after an unknown outcome. An atomic transaction does not tell which of its ids is in use.
        const renew = error === 'OPERATION_ID_REUSED' || (error === 'SYNC_FAILED' ? corrected : op.atomic);
        tx.put('queue', { ...op, ...(corrected && { data }), id: renew ? makeId() : op.id, attempts: 0, nextAt: 0 });
      });
    },
    drop: (id: string) => take((op) => op.id === id),
    /** The time in milliseconds until the next retry is due; Infinity if none is. */
    due: async () => {
      const waits = (await db.read((tx) => all(tx, 'queue', WINDOW))).map((op) => op.nextAt - clock.now());
      return Math.min(...waits.filter((wait) => wait > 0));
    },
  };
}
