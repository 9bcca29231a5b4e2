// @booky/sync: the queue, the store and the sync of one person's library in a browser.

import { createSyncService } from './service.js';
import type { SyncOptions } from './types.js';

export { createSyncService };
export { SyncError } from './types.js';
export type { Condition, Direction, Query, Results } from './query.js';
export type * from './types.js';

/** For apps that need only one service. Call `configure` before its first use. */
export const syncService = /* @__PURE__ */ createSyncService();

const operationsOf = (service: typeof syncService) => service.operations;
export const syncOperations = /* @__PURE__ */ operationsOf(syncService);

export const configure = (options: SyncOptions): void => syncService.configure(options);
