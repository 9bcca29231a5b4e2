// A round: sends the queue and pulls, by turns, then looks after the conflicts that this has brought to light.

import type { Context } from './context.js';
import type { Lost, Pull } from './pull.js';
import type { makeRemote } from './remote.js';
import { delayAfter, RETRIES } from './retry.js';
import type { makeSender } from './send.js';
import type { ConflictInfo, FullSyncOptions, SyncEvents, SyncProblem, SyncResult } from './types.js';

const FRESH = 60_000; // if the last round is longer ago, the account may have been erased: pull before sending
const FATAL = ['OFFLINE', 'NOT_THE_API', 'UNAUTHORIZED', 'RATE_LIMITED', 'USER_CHANGED', 'STOPPED'];
const BATCHES = 5, PAGES = 3; // sent and pulled in one turn

/** What the next round must look after. */
export interface Noticed {
  /** Entities of this device that others have overwritten. */
  lost: Lost[];
  /** By the server, since the last round that ended well. */
  changed: SyncEvents['change']['entities'];
  /** Open conflicts that options.resolveConflict has not been asked about. */
  undecided: ConflictInfo[];
}

export const nothing = (): Noticed => ({ lost: [], changed: [], undecided: [] });

export const problemOf = (error: any): SyncProblem => ({
  code: typeof error?.code === 'string' ? error.code : error?.name ?? 'Error',
  message: error?.message ?? `${error}`,
  ...(error?.details && { details: error.details }),
});

type Parts = ReturnType<typeof makeSender> & { pull: Pull; remote: ReturnType<typeof makeRemote> };

export function makeRounds(ctx: Context, { push, revive, pull, remote }: Parts, noticed: Noticed) {
  const { db, clock, options } = ctx;
  let starting = true, failures = 0;

  const decide = async () => {
    const list = noticed.undecided;
    noticed.undecided = [];
    for (const conflict of options.resolveConflict ? list : []) {
      const decision = await options.resolveConflict!(conflict);
      if (decision) await remote.resolveConflict(conflict.id, decision.resolution, decision.data);
    }
  };

  /** Runs a round and counts in `result`. Returns the error, and how long to wait before another try, or NaN. */
  return async (result: SyncResult, full?: FullSyncOptions): Promise<{ error?: any; wait: number }> => {
    let error: any, fault = false;
    try {
      const conflicts: ConflictInfo[] = await db.read((tx) => tx.all('conflicts'));
      const open = conflicts.filter(({ status }) => status === 'open');
      // Reads the local store before a pull changes it.
      const upload = full?.upload && (await remote.uploader(full, result));
      const received = (n: number) => (result.received += n);
      const { cursor, lastSync } = await pull.last();
      const stale = cursor && !(Math.abs(clock.now() - lastSync) < FRESH);
      let pulled = stale && !(await pull.pull(received, 1));
      await revive(starting);
      starting = false;
      // By turns, so that neither a long queue nor a long pull keeps the other waiting.
      for (let more = true, all = full; more; ) {
        const before = result.sent;
        more = false;
        try {
          if (!error) {
            more = (await db.read((tx) => tx.count('queue'))) > 0 && (await push((n) => (result.sent += n), BATCHES));
            failures = 0;
          }
        } catch (e: any) {
          // A pull is still useful when the server failed on some operations.
          if (upload || FATAL.includes(e.code)) throw e;
          error = e;
          failures++;
          fault = e.code === 'SYNC_FAILED';
        }
        await decide().catch((e) => ctx.emit('error', problemOf(e)));
        if (all && !more) {
          await upload?.(); // when the whole queue was sent
          await pull.restart();
          all = undefined;
          pulled = false;
        }
        if (!pulled || result.sent > before) pulled = !(await pull.pull(received, PAGES));
        more ||= !pulled;
      }
      if (noticed.lost.length) await remote.tellLost(noticed.lost);
      noticed.lost = [];
      noticed.changed = open[0] ? await remote.checkOpen(open, noticed.changed) : [];
      if (!error) await db.write((tx) => tx.put('meta', clock.now(), 'lastSync'));
    } catch (e) {
      error = e;
    }
    const retry = fault ? (failures > RETRIES ? options.interval : delayAfter(failures, clock)) : NaN;
    return { error, wait: error?.wait ?? retry };
  };
}
