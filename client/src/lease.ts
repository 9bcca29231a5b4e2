// Leadership in browsers without Web Locks: a lease in the database, which must be renewed.

import type { Database } from './database.js';
import type { Clock } from './types.js';

const LEASE = 10_000;

export type Release = () => void;

/**
 * Waits until the lease is free, then takes and renews it. `lost` is called when another tab has taken it because this
 * tab did not renew it in time.
 */
export async function lease(
  db: Database, clock: Clock, me: string, signal: AbortSignal, lost: () => void,
): Promise<Release> {
  const renew = () =>
    db.write(async (tx) => {
      const held = await tx.get('meta', 'lease'), now = clock.now();
      if (held && held.tab !== me && held.until > now && held.until <= now + LEASE) return false;
      tx.put('meta', { tab: me, until: now + LEASE }, 'lease');
      return true;
    });

  while (!(await renew())) {
    await new Promise<void>((resolve) => clock.setTimeout(resolve, LEASE / 5));
    if (signal.aborted) throw signal;
  }
  let released = false;
  const beat = async () => {
    if (await renew().catch(() => false)) timer = clock.setTimeout(beat, LEASE / 3);
    else if (!released) lost();
  };
  let timer = clock.setTimeout(beat, LEASE / 3);
  return () => {
    released = true;
    clock.clearTimeout(timer);
    void db
      .write(async (tx) => {
        if ((await tx.get('meta', 'lease'))?.tab === me) tx.delete('meta', 'lease');
      })
      .catch(() => {});
  };
}
