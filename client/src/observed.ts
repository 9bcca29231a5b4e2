// What the entries for frameworks share: a value that is observed, with what is known of it.

import type { Query } from './query.js';
import type { Entities, Entity, Member, SyncProblem, SyncService, SyncStatus } from './types.js';

/** What is known of a value. The object stays the same until something changes. */
export interface Observed<T> {
  data: T;
  /** Nothing has been read yet. */
  loading: boolean;
  /** Why it could not be read, such as USER_CHANGED. It is absent again after a successful read. */
  error?: SyncProblem;
}

export interface Source<T> {
  get(): T;
  /** Calls `notify` when `get()` has another value. Returns a function that ends this. */
  subscribe(notify: () => void): () => void;
}

/** The type that the app names, or that of the kind. */
export type Of<T, E extends Entity> = [T] extends [never] ? Entities[E] : T;
export type ListQuery<T> = Query<Member<T>>;

const START: SyncStatus = {
  status: 'ready', isOnline: true, lastSync: null, pendingOperations: 0, review: 0, conflicts: 0,
};
const NONE: never[] = [];

/** An observer is not told why nothing can be read. `probe` reads, and is rejected with the reason. */
function observed<T>(
  initial: T, observe: (fn: (data: T) => void) => () => void, probe: () => PromiseLike<unknown>,
): Source<Observed<T>> {
  let state: Observed<T> = { data: initial, loading: true };
  return {
    get: () => state,
    subscribe(notify) {
      let subscribed = true;
      const set = (next: Observed<T>) => {
        if (!subscribed || (!state.loading && !state.error && !next.error && state.data === next.data)) return;
        state = next;
        notify();
      };
      const stop = observe((data) => set({ data, loading: false }));
      probe().then(undefined, (error) => set({ data: state.data, loading: false, error }));
      return () => {
        subscribed = false;
        stop();
      };
    },
  };
}

export const entitySource = <T>({ store }: SyncService, entity: Entity, id: string) =>
  observed<T | undefined>(
    undefined, (fn) => store.observeOne<T>(entity, id, fn), () => store.get(entity, id),
  );

export const listSource = <T>({ store }: SyncService, entity: Entity, query?: ListQuery<T>) =>
  observed<T[]>(
    NONE,
    (fn) => (query ? store.query<T>(entity, query).observe(fn) : store.observe<T>(entity, fn)),
    () => (query ? store.query<T>(entity, { ...query, limit: 0 }) : store.get(entity, '')),
  );

export function statusSource(service: SyncService): Source<SyncStatus> {
  let status = START;
  return {
    get: () => status,
    subscribe(notify) {
      const set = (now: SyncStatus) => {
        status = now;
        notify();
      };
      void service.getStatus().then(set, () => {});
      return service.on('status', set);
    },
  };
}
