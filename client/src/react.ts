// React: what the store and the status say, as hooks. They render what is known at once and again when it changes.

import { useMemo, useSyncExternalStore } from 'react';
import { syncService } from './index.js';
import type { Entity, EntityData, SyncService, SyncStatus } from './types.js';

const START: SyncStatus = { status: 'ready', isOnline: true, lastSync: null, pendingOperations: 0, review: 0, conflicts: 0 };
const NONE: never[] = [];

function useObserved<T>(initial: T, observe: (fn: (value: T) => void) => () => void, deps: unknown[]): T {
  const source = useMemo(() => {
    let value = initial;
    return {
      subscribe: (notify: () => void) =>
        observe((now) => {
          value = now;
          notify();
        }),
      get: () => value,
    };
  }, deps);
  return useSyncExternalStore(source.subscribe, source.get, () => initial);
}

/** Online or not, what waits, what needs a person. */
export const useSyncStatus = (service: SyncService = syncService): SyncStatus =>
  useObserved(
    START,
    (fn) => {
      void service.getStatus().then(fn, () => {});
      return service.on('status', fn);
    },
    [service],
  );

/** One entity; undefined while it is not known or does not exist. */
export const useEntity = <T = EntityData>(entity: Entity, id: string, service: SyncService = syncService): T | undefined =>
  useObserved<T | undefined>(undefined, (fn) => service.store.observeOne<T>(entity, id, fn), [service, entity, id]);

/** All entities of a kind. */
export const useEntities = <T = EntityData>(entity: Entity, service: SyncService = syncService): T[] =>
  useObserved<T[]>(NONE, (fn) => service.store.observe<T>(entity, fn), [service, entity]);
