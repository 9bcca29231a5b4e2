// The service that an app uses. Its core is made at the first use, and again for another user. No browser API is used
// before that, so the package can be imported on a server.

import { type Core, type Events, makeCore } from './core.js';
import { makeEmitter } from './emitter.js';
import { makeRecorder } from './recorder.js';
import type { AnyStore } from './store.js';
import type { AnyEdit, Operation, SyncOptions, SyncService, TransactionOptions } from './types.js';

/** Makes a service. Without options it waits for `configure`, or uses the defaults. */
export function createSyncService(options: SyncOptions = {}): SyncService {
  const emitter = makeEmitter<Events>();
  let core: Core | undefined;
  const use = () => (core ??= makeCore(options, emitter));

  // Observers go on after the user has changed, with the library of the new user.
  const observers = new Set<() => void>();
  const observing = (start: () => () => void) => {
    let stop = start();
    const restart = () => {
      stop();
      stop = start();
    };
    observers.add(restart);
    return () => {
      observers.delete(restart);
      stop();
    };
  };
  const store: AnyStore = {
    get: (...key) => use().store.get(...key),
    list: (entity) => use().store.list(entity),
    observe: (...args) => observing(() => use().store.observe(...args)),
    observeOne: (...args) => observing(() => use().store.observeOne(...args)),
    query: (entity, query) => ({
      then: (...handlers) => use().store.query(entity, query).then(...handlers),
      observe: (fn) => observing(() => use().store.query(entity, query).observe(fn)),
    }),
  };

  const add = (edits: AnyEdit[], one?: boolean, how?: TransactionOptions): Promise<Operation[]> =>
    use().edited(use().queue.add(edits, one, how));
  const addOne = (edit: AnyEdit) => add([edit]).then(([op]) => op);
  const { addTo, removeFrom } = makeRecorder(addOne);

  return {
    configure(more) {
      if (core && !core.isClosed()) throw new Error('configure: the service is in use already');
      core = undefined;
      options = { ...options, ...more };
    },
    async switchUser(more) {
      const monitoring = core?.isMonitoring();
      await core?.close();
      core = undefined;
      options = { ...options, ...more };
      await use().checkOwner();
      for (const restart of observers) restart();
      if (monitoring) use().startMonitoring();
    },
    startMonitoring: () => use().startMonitoring(),
    stopMonitoring: () => core?.stopMonitoring(),
    sync: () => use().sync(),
    fullSync: (full) => use().fullSync(full),
    getStatus: () => use().getStatus(),
    queueOperation: (entity, entityId, type, data?: any) => addOne({ entity, entityId, type, data }),
    queueOperations: (edits, how) => add(edits, false, how),
    async transaction(work, how) {
      const edits: AnyEdit[] = [];
      let ended = false;
      try {
        await work(makeRecorder((edit) => {
          if (ended) throw new Error('the transaction has ended');
          edits.push(edit);
        }));
      } finally {
        ended = true;
      }
      return add(edits, true, how);
    },
    addTo, removeFrom,
    subscribe: (listener) => emitter.on('online', listener),
    getOnlineStatus: () => use().isOnline(),
    on: emitter.on,
    inspect: () => use().inspect(),
    store,
    operations: {
      getPendingOperations: () => use().queue.pending(),
      getReview: () => use().queue.review(),
      retry: (id, data) => use().edited(use().engine().then((it) => it.retry(id, data))),
      drop: (id) => use().edited(use().engine().then((it) => it.drop(id))),
      getConflicts: () => use().conflicts(),
      fetchConflicts: (how) => use().fetchConflicts(how?.settled),
      resolveConflict: (...decision) => use().resolveConflict(...decision),
    },
    clear: (how) => use().clear(how?.force),
    close: async () => core?.close(),
  };
}
