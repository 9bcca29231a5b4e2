// Sync without a page: the browser wakes a service worker when the network returns (Background Sync), and from time to
// time (Periodic Background Sync). The worker opens the database that the page uses; its name is in the tag of the
// registration. The worker asks the app for the token, so no token is stored.

import { equip, lease, makePull, makeRemote, makeRounds, makeSender } from './engine.js';
import { createSyncService, syncService } from './index.js';
import type { SyncOptions, SyncService } from './types.js';

const PREFIX = 'booky-sync:';
const HALF_A_DAY = 43_200_000;
// What a round needs. The worker has neither streams nor queries, and needs no database in memory.
const engine = { equip, lease, makePull, makeRemote, makeRounds, makeSender } as typeof import('./engine.js');

/** In the worker: syncs when the browser asks for it. */
export function handleBackgroundSync(options: SyncOptions): void {
  const run = async (database: string) => {
    const fixed = { database, realtime: false, engine: async () => engine }; // a worker must not load modules
    const service = createSyncService({ ...options, ...fixed });
    try {
      const { pendingOperations, lastSync } = await service.getStatus();
      if (!pendingOperations && !lastSync) return; // the person has signed out
      const { error } = await service.sync();
      if (error) throw new Error(error.message); // the browser tries again later
    } finally {
      await service.close();
    }
  };
  for (const name of ['sync', 'periodicsync'])
    addEventListener(name, (event: any) => {
      if (event.tag.startsWith(PREFIX)) event.waitUntil(run(event.tag.slice(PREFIX.length)));
    });
}

/**
 * In the page: lets the browser wake the worker while edits wait, and twice a day if the person has allowed it. Returns
 * a function that ends this, for sign-out. Does nothing in browsers without Background Sync.
 */
export function enableBackgroundSync(database = 'booky-sync', service: SyncService = syncService): () => void {
  const workers = navigator.serviceWorker, tag = PREFIX + database;
  const withWorker = (work: (registration: any) => unknown) =>
    void Promise.resolve(workers?.ready).then(work).catch(() => {}); // the browser may refuse
  let waiting = 0;
  // A page that can be seen and has a network sends the edits itself.
  const register = () => {
    if (waiting && (document.visibilityState === 'hidden' || !service.getOnlineStatus()))
      withWorker((registration) => registration.sync?.register(tag));
  };
  const stop = service.on('status', ({ pendingOperations }) => {
    waiting = pendingOperations;
    register();
  });
  document.addEventListener('visibilitychange', register);
  withWorker((registration) => registration.periodicSync?.register(tag, { minInterval: HALF_A_DAY }));
  return () => {
    stop();
    document.removeEventListener('visibilitychange', register);
    withWorker((registration) => registration.periodicSync?.unregister(tag));
  };
}
