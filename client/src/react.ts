'use client';
// React hooks. They render what is known at once, and again when it changes.

import { useMemo, useSyncExternalStore } from 'react';
import { syncService } from './index.js';
import { entitySource, listSource, statusSource } from './observed.js';
import type { ListQuery, Observed, Of, Source } from './observed.js';
import type { Entity, SyncService, SyncStatus } from './types.js';

function useSource<T>(make: () => Source<T>, deps: unknown[]): T {
  const { subscribe, get } = useMemo(make, deps);
  return useSyncExternalStore(subscribe, get, get);
}

/** The entities of a kind, or those that a query selects. The query may be a new object on each render. */
export const useEntities = <T = never, E extends Entity = Entity>(
  entity: E, query?: ListQuery<Of<T, E>>, service: SyncService = syncService,
): Observed<Of<T, E>[]> =>
  useSource(() => listSource<Of<T, E>>(service, entity, query), [service, entity, JSON.stringify(query)]);

/** One entity. Its data is undefined while it does not exist. */
export const useEntity = <T = never, E extends Entity = Entity>(
  entity: E, id: string, service: SyncService = syncService,
): Observed<Of<T, E> | undefined> =>
  useSource(() => entitySource<Of<T, E>>(service, entity, id), [service, entity, id]);

/** What `getStatus()` returns, kept current. */
export const useSyncStatus = (service: SyncService = syncService): SyncStatus =>
  useSource(() => statusSource(service), [service]);
