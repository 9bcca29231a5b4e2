// The snippets of the published document, as they are printed there, must compile; and the rest of the surface.
import { syncOperations } from "@booky/sync"
import { syncService } from "./services/syncService"

export async function published() {
  // Start automatic sync monitoring
  syncService.startMonitoring()

  // Manual sync trigger
  await syncService.sync()

  // Force full sync
  await syncService.fullSync()

  // Get current sync status
  const status = await syncService.getStatus()

  // Queue an operation for sync
  await syncService.queueOperation("book", "book-123", "update", {
    title: "Updated Title",
  })

  // Get pending operations count
  const pending = (await syncOperations.getPendingOperations()).length

  // Subscribe to online/offline changes
  const unsubscribe = syncService.subscribe((isOnline) => {
    if (isOnline) {
      console.log("Back online - syncing...")
      syncService.sync()
    } else {
      console.log("Offline - operations will be queued")
    }
  })

  // Check online status
  const isOnline = syncService.getOnlineStatus()

  return [status.pendingOperations, pending, unsubscribe, isOnline] satisfies [number, number, () => void, boolean]
}

import { configure, createSyncService, SyncError, type ConflictInfo, type SyncStatus } from '@booky/sync';
import { useEntities, useEntity, useSyncStatus } from '@booky/sync/react';

interface Book {
  id: string;
  title: string;
}

export async function surface() {
  configure({ token: 'static' });
  const abort = new AbortController();
  const sync = createSyncService({
    baseUrl: 'https://api.booky.app/api/sync',
    token: async (refresh) => (refresh ? 'fresh' : undefined),
    onUnauthorized: () => {},
    interval: 30_000,
    batchSize: 10,
    entities: ['book', 'rating'],
    database: 'booky-alice',
    deviceId: 'phone',
    realtime: false,
    conflictResolution: 'manual',
    resolveConflict: (conflict) => (conflict.reason === 'stale' ? { resolution: 'keep_local' } : undefined),
    apply: (changes) => changes.forEach(({ type, deleted, data }) => console.log(type, deleted, data.id)),
    fetch,
    logger: console,
    signal: abort.signal,
  });
  const off: () => void = sync.on('conflict', (conflict: ConflictInfo) => conflict.localTimestamp.getTime());
  sync.on('status', (status: SyncStatus) => status.isOnline);
  sync.on('progress', ({ phase, done, total = 0 }) => [phase, done / total]);
  // @ts-expect-error: no such event
  sync.on('nothing', () => {});
  // @ts-expect-error: no such kind
  await sync.queueOperation('author', 'a', 'create', {});
  // @ts-expect-error: milliseconds
  createSyncService({ interval: '30s' });
  const title: string | undefined = (await sync.store.get<Book>('book', 'b'))?.title;
  const books: Book[] = await sync.store.list<Book>('book');
  try {
    await sync.operations.resolveConflict('1-0', 'merge', { title: 'T' });
  } catch (error) {
    if (error instanceof SyncError) console.log(error.code, error.details?.[0].path);
  }
  const result = await sync.fullSync({ upload: { books }, mode: 'replace' });
  return [off, title, result.snapshot];
}

export function Component() {
  const status: SyncStatus = useSyncStatus();
  const books: Book[] = useEntities<Book>('book');
  const book: Book | undefined = useEntity<Book>('book', 'b');
  return [status, books, book];
}
