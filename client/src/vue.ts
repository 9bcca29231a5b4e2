// Vue composables. Arguments may be refs or getters; the results are refs.

import { type MaybeRefOrGetter, type Ref, shallowReactive, toRefs, toValue, watchEffect } from 'vue';
import { syncService } from './index.js';
import { entitySource, listSource, statusSource } from './observed.js';
import type { ListQuery, Observed, Of, Source } from './observed.js';
import type { Entity, SyncService, SyncStatus } from './types.js';

export type Refs<T> = { readonly [K in keyof T]-?: Readonly<Ref<T[K]>> };

function useSource<T extends object>(make: () => Source<T>, initial: T): Refs<T> {
  const state = shallowReactive<any>(initial);
  watchEffect((onCleanup) => {
    const source = make(), set = () => Object.assign(state, { error: undefined }, source.get());
    set();
    onCleanup(source.subscribe(set));
  });
  return toRefs(state) as Refs<T>;
}

/** The entities of a kind, or those that a query selects. */
export const useEntities = <T = never, E extends Entity = Entity>(
  entity: MaybeRefOrGetter<E>, query?: MaybeRefOrGetter<ListQuery<Of<T, E>>>, service: SyncService = syncService,
): Refs<Observed<Of<T, E>[]>> =>
  useSource(() => listSource<Of<T, E>>(service, toValue(entity), toValue(query)), { data: [], loading: true });

/** One entity. Its data is undefined while it does not exist. */
export const useEntity = <T = never, E extends Entity = Entity>(
  entity: MaybeRefOrGetter<E>, id: MaybeRefOrGetter<string>, service: SyncService = syncService,
): Refs<Observed<Of<T, E> | undefined>> =>
  useSource(() => entitySource<Of<T, E>>(service, toValue(entity), toValue(id)), { data: undefined, loading: true });

/** What `getStatus()` returns, kept current. */
export const useSyncStatus = (service: SyncService = syncService): Refs<SyncStatus> =>
  useSource(() => statusSource(service), statusSource(service).get());
