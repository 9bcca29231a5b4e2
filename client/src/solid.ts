// Solid accessors. Arguments may be accessors.

import { type Accessor, createEffect, createSignal, onCleanup } from 'solid-js';
import { syncService } from './index.js';
import { entitySource, listSource, statusSource } from './observed.js';
import type { ListQuery, Observed, Of, Source } from './observed.js';
import type { Entity, SyncService, SyncStatus } from './types.js';

type MaybeAccessor<T> = T | Accessor<T>;
const access = <T>(value: MaybeAccessor<T>): T => (typeof value === 'function' ? (value as Accessor<T>)() : value);

function createSource<T>(make: () => Source<T>, initial: T): Accessor<T> {
  const [value, setValue] = createSignal(initial);
  createEffect(() => {
    const source = make(), set = () => void setValue(() => source.get());
    set();
    onCleanup(source.subscribe(set));
  });
  return value;
}

/** The entities of a kind, or those that a query selects. */
export const createEntities = <T = never, E extends Entity = Entity>(
  entity: MaybeAccessor<E>, query?: MaybeAccessor<ListQuery<Of<T, E>>>, service: SyncService = syncService,
): Accessor<Observed<Of<T, E>[]>> =>
  createSource(() => listSource<Of<T, E>>(service, access(entity), access(query)), { data: [], loading: true });

/** One entity. Its data is undefined while it does not exist. */
export const createEntity = <T = never, E extends Entity = Entity>(
  entity: MaybeAccessor<E>, id: MaybeAccessor<string>, service: SyncService = syncService,
): Accessor<Observed<Of<T, E> | undefined>> =>
  createSource(() => entitySource<Of<T, E>>(service, access(entity), access(id)), { data: undefined, loading: true });

/** What `getStatus()` returns, kept current. */
export const createSyncStatus = (service: SyncService = syncService): Accessor<SyncStatus> =>
  createSource(() => statusSource(service), statusSource(service).get());
