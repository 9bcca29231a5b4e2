// Leadership where there are no Web Locks: a lease in the database, which must be renewed.

import type { Release } from './context.js';
import type { Database } from './database.js';
import type { Clock } from './types.js';

const LEASE = 10_000;

/** Waits until the lease is free. `lost` is called when another tab has taken it, because this one slept. */
export async function lease(db: Database, clock: Clock, me: string, signal: AbortSignal, lost: () => void): Promise<Release> {
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
  let freed = false;
  const beat = async () => {
    if (await renew().catch(() => false)) timer = clock.setTimeout(beat, LEASE / 3);
    else if (!freed) lost();
  };
  let timer = clock.setTimeout(beat, LEASE / 3);
  return () => {
    freed = true;
    clock.clearTimeout(timer);
    void db
      .write(async (tx) => {
        if ((await tx.get('meta', 'lease'))?.tab === me) tx.delete('meta', 'lease');
      })
      .catch(() => {});
  };
}
