// Must compile: the snippets of the published document as printed there, and uses of the whole public interface.
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

import {
  configure, createSyncService, SyncError, type ConflictInfo, type Query, type Results, type SyncStatus,
} from '@booky/sync';
import { useEntities, useEntity, useSyncStatus } from '@booky/sync/react';
import { enableBackgroundSync, handleBackgroundSync } from '@booky/sync/service-worker';
import * as solid from '@booky/sync/solid';
import * as svelte from '@booky/sync/svelte';
import * as vue from '@booky/sync/vue';

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
    onErased: async (erasedAt, edits) => erasedAt.getTime() > 0 && edits.length > 0,
    fetch,
    debug: true,
    logger: console,
    signal: abort.signal,
  });
  const off: () => void = sync.on('conflict', (conflict: ConflictInfo) => conflict.localTimestamp.getTime());
  sync.on('resync', ({ reason, sent, refused, dropped }) => [reason === 'restored', sent + refused + dropped]);
  sync.on('storage', ({ kind, reason }) => kind === 'memory' && reason?.length);
  sync.on('activity', ({ kind, entities, ms = 0 }) => [kind, entities[0]?.entityId, ms]);
  const report: string = JSON.stringify(await sync.inspect());
  console.log(report);
  sync.on('status', (status: SyncStatus) => status.isOnline);
  sync.on('progress', ({ phase, done, total = 0 }) => [phase, done / total]);
  // @ts-expect-error: no such event
  sync.on('nothing', () => {});
  // @ts-expect-error: no such kind
  await sync.queueOperation('author', 'a', 'create', {});
  // @ts-expect-error: milliseconds
  createSyncService({ interval: '30s' });
  await sync.switchUser({ token: 'another', database: 'booky-bob' });
  const settled: ConflictInfo[] = await sync.operations.fetchConflicts({ settled: true });
  console.log(settled);
  const title: string | undefined = (await sync.store.get<Book>('book', 'b'))?.title;
  const books: Book[] = await sync.store.list<Book>('book');
  const query: Query<keyof Book> = { where: { title: { words: 'sea*' } }, orderBy: { title: 'desc' }, limit: 10 };
  const found: Results<Book> = sync.store.query<Book>('book', query);
  const stop: () => void = found.observe((results: Book[]) => console.log(results.length));
  console.log(await found, stop, await sync.store.query('book', { where: { 'rating.stars': { gte: 3, lt: 5 } } }));
  const keys = [{ title: 'desc' }, 'id'] as const;
  await sync.store.query<Book>('book', { search: { words: 'sea', in: ['title'] }, orderBy: keys, offset: 1 });
  await sync.store.query<Book>('book', { where: { id: { in: ['a', 'b'] }, title: null, 'title.part': 'x' } });
  // @ts-expect-error: no such member
  await sync.store.query<Book>('book', { where: { tilte: 'x' } });
  // @ts-expect-error: no such condition
  await sync.store.query<Book>('book', { where: { title: { like: 'x' } } });
  // @ts-expect-error: no such direction
  await sync.store.query<Book>('book', { orderBy: { title: 'up' } });
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
  const { data, loading, error } = useEntities<Book>('book', { where: { title: { startsWith: 'a' } }, limit: 9 });
  // @ts-expect-error: no such member
  useEntities<Book>('book', { orderBy: 'pages' });
  const books: Book[] = data;
  const book: Book | undefined = useEntity<Book>('book', 'b').data;
  const tag: string | undefined = useEntities('tag', { orderBy: 'name' }).data[0]?.name;
  return [status, tag, books, book, loading satisfies boolean, error?.code satisfies string | undefined];
}

export function frameworks(id: () => string) {
  const { data, error } = vue.useEntities<Book>('book', () => ({ orderBy: 'title' }));
  const name: string | undefined = vue.useEntity('tag', id).data.value?.name;
  const one: Book | undefined = vue.useEntity<Book>('book', id).data.value;
  const list: () => { data: Book[] } = solid.createEntities<Book>('book');
  const waiting: number = solid.createSyncStatus()().pendingOperations;
  svelte.entities<Book>('book', { limit: 5 }).subscribe(({ data }) => data[0].title satisfies string);
  return [name, data.value satisfies readonly Book[], error.value?.code, one, list, waiting];
}

export function background(database: string): () => void {
  handleBackgroundSync({ baseUrl: '/api/sync', token: async () => (await fetch('/session/token')).text() });
  return enableBackgroundSync(database);
}
