// @booky/sync: the queue, the store and the sync of one person's library in a browser.

import { createSyncService } from './service.js';
import type { SyncOptions } from './types.js';

export { createSyncService };
export { SyncError } from './types.js';
export type * from './types.js';

/** The service of an app that needs only one. `configure` it before the first use. */
export const syncService = createSyncService();

export const syncOperations = syncService.operations;

export const configure = (options: SyncOptions): void => syncService.configure(options);
