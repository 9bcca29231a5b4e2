// Stores in the form that Svelte subscribes to by `$`.

import { syncService } from './index.js';
import { entitySource, listSource, statusSource } from './observed.js';
import type { ListQuery, Observed, Of, Source } from './observed.js';
import type { Entity, SyncService, SyncStatus } from './types.js';

export interface Readable<T> {
  subscribe(run: (value: T) => void): () => void;
}

const readable = <T>(make: () => Source<T>): Readable<T> => ({
  subscribe(run) {
    const source = make();
    run(source.get());
    if (typeof document === 'undefined') return () => {}; // rendered on a server
    return source.subscribe(() => run(source.get()));
  },
});

/** The entities of a kind, or those that a query selects. */
export const entities = <T = never, E extends Entity = Entity>(
  entity: E, query?: ListQuery<Of<T, E>>, service: SyncService = syncService,
): Readable<Observed<Of<T, E>[]>> => readable(() => listSource<Of<T, E>>(service, entity, query));

/** One entity. Its data is undefined while it does not exist. */
export const entity = <T = never, E extends Entity = Entity>(
  kind: E, id: string, service: SyncService = syncService,
): Readable<Observed<Of<T, E> | undefined>> => readable(() => entitySource<Of<T, E>>(service, kind, id));

/** What `getStatus()` returns, kept current. */
export const syncStatus = (service: SyncService = syncService): Readable<SyncStatus> =>
  readable(() => statusSource(service));
