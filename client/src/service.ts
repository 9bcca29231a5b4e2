// The service: rounds of push and pull, when they happen, and what the app is told. Nothing of the browser is touched
// before the first use, so importing it on a server is safe.

import { type Context, DEFAULTS, makeId } from './context.js';
import { openDatabase, STORES } from './database.js';
import { makeEmitter, type Emitter } from './emitter.js';
import type { Stream } from './events.js';
import { makeHttp } from './http.js';
import { joinTabs } from './leader.js';
import { makePull } from './pull.js';
import { makeQueue } from './queue.js';
import { delayAfter, RETRIES } from './retry.js';
import { makeStore } from './store.js';
import type {
  Clock, ConflictInfo, Data, FullSyncOptions, Resolution, SyncEvents, SyncOptions, SyncProblem, SyncResult, SyncService, SyncStatus,
} from './types.js';
import { SyncError } from './types.js';

const EDIT_DELAY = 1000; // an edit is sent soon, so that the next one can go with it,
const EDIT_GAP = 10_000; // and a person who edits without a pause stays within the published rate limit

type Events = SyncEvents & { online: boolean };

const realClock: Clock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: () => Math.random(),
};

const described = (error: any): SyncProblem => ({
  code: error instanceof SyncError ? error.code : error?.name ?? 'Error',
  message: error?.message ?? `${error}`,
  ...(error?.details && { details: error.details }),
});

function build(given: SyncOptions, emitter: Emitter<Events>) {
  const options = { ...given } as Context['options'];
  for (const key in DEFAULTS) (options as any)[key] ??= (DEFAULTS as any)[key]; // undefined is absent
  const { database, interval, logger: log, clock = realClock } = options;
  const closing = new AbortController();
  const db = openDatabase(database);
  let online = typeof navigator === 'undefined' || navigator.onLine !== false;
  let monitoring = false, syncing = false, failed: SyncProblem | undefined;
  let failures = 0, lastRound = -Infinity;
  let timer: any, timerAt = Infinity;
  let undecided: ConflictInfo[] = [];

  const here = <K extends keyof Events>(name: K, event: Events[K]) => {
    emitter.emit(name, event);
    if (name === 'change') store.changed((event as SyncEvents['change']).entities);
  };
  const emit = <K extends keyof Events>(name: K, event: Events[K]) => {
    if (name === 'conflict' && (event as ConflictInfo).status === 'open') undecided.push(event as ConflictInfo);
    if (name === 'error') log?.warn?.('sync failed', event);
    here(name, event);
    tabs.tell({ name, event });
  };
  const setOnline = (now: boolean, tell = true) => {
    if (online === now) return;
    online = now;
    (tell ? emit : emitter.emit)('online', now);
    void report();
  };

  const deviceId = async (): Promise<string> =>
    options.deviceId ??
    db.write(async (tx) => {
      const id = (await tx.get('meta', 'deviceId')) ?? makeId();
      tx.put('meta', id, 'deviceId');
      return id;
    });

  const c: Context = { options, db, clock, emit, deviceId, closing: closing.signal, http: undefined! };
  c.http = makeHttp(c, setOnline);
  const queue = makeQueue(c), store = makeStore(c), pull = makePull(c);
  const ring = async (cursor?: string) => {
    if (!cursor || cursor !== (await pull.cursor())) void sync();
  };
  // A chunk of its own, fetched by the tab that leads. Where it cannot be loaded, the polls do, and the next leader tries again.
  let stream: Promise<Stream> | undefined;
  const listen = (on: boolean) => {
    if (on) stream ??= import('./events.js').then(({ makeStream }) => makeStream(c, pull.cursor, ring));
    stream?.then((it) => (on === tabs.leading ? it[on ? 'start' : 'stop']() : 0)).catch((error) => {
      stream = undefined;
      log?.warn?.('no real time', error);
    });
  };
  const tabs = joinTabs(`booky-sync:${database}`, c, {
    elected(leading) {
      if (leading) void sync();
      if (options.realtime) listen(leading);
    },
    answer: ({ full }) => (full ? fullSync(full) : sync()),
    heard(message) {
      if (message.poke) poke();
      else if (message.name === 'online') setOnline(message.event, false);
      else here(message.name, message.event);
    },
  });

  const conflicts = (): Promise<ConflictInfo[]> => db.read((tx) => tx.all('conflicts'));

  const getStatus = async (): Promise<SyncStatus> => {
    const [pendingOperations, review, lastSync, known] = await db.read((tx) =>
      Promise.all([tx.count('queue'), tx.count('review'), tx.get('meta', 'lastSync'), tx.all('conflicts')]));
    return {
      status: syncing ? 'syncing' : !online ? 'offline' : failed || review ? 'error' : 'ready',
      isOnline: online,
      lastSync: lastSync === undefined ? null : new Date(lastSync).toISOString(),
      pendingOperations,
      review,
      conflicts: known.filter(({ status }) => status === 'open').length,
    };
  };
  const report = () => getStatus().then((status) => closing.signal.aborted || emit('status', status), () => {});

  // When the next round is

  const cancel = () => {
    clock.clearTimeout(timer);
    timerAt = Infinity;
  };
  const schedule = (ms: number) => {
    const at = clock.now() + ms;
    if (closing.signal.aborted || !(at < timerAt)) return; // also when there is nothing to wait for (NaN)
    cancel();
    timerAt = at;
    timer = clock.setTimeout(() => {
      cancel();
      void sync();
    }, ms);
  };
  const poke = () => {
    if (tabs.leading) schedule(Math.max(EDIT_DELAY, lastRound + EDIT_GAP - clock.now()));
    else if (monitoring) tabs.tell({ poke: true });
  };

  // Rounds

  // What is rare, and needs the network anyway, is a chunk of its own.
  const remote = async () => (await import('./remote.js')).makeRemote(c, store, pull);

  const decide = async () => {
    const list = undecided;
    undecided = [];
    for (const conflict of options.resolveConflict ? list : []) {
      const decision = await options.resolveConflict!(conflict);
      if (decision) await (await remote()).resolveConflict(conflict.id, decision.resolution, decision.data);
    }
  };

  const round = async (full?: FullSyncOptions): Promise<SyncResult> => {
    const result: SyncResult = { ok: true, sent: 0, received: 0 };
    let error: any, fault = false;
    cancel();
    lastRound = clock.now();
    syncing = true;
    void report();
    try {
      const upload = full?.upload && (await (await remote()).uploader(full, result)); // reads the store before a pull changes it
      try {
        await queue.push((n) => (result.sent = n));
        failures = 0;
      } catch (e) {
        // A fault of the server with some operations need not keep us from hearing what is new.
        if (upload || ['OFFLINE', 'UNAUTHORIZED', 'RATE_LIMITED', 'USER_CHANGED', 'STOPPED'].includes((e as SyncError).code)) throw e;
        error = e;
        failures++;
        fault = (e as SyncError).code === 'SYNC_FAILED';
      }
      await decide().catch((e) => emit('error', described(e)));
      await upload?.();
      if (full) await pull.restart();
      await pull.pull((n) => (result.received += n));
      if (!error) await db.write((tx) => tx.put('meta', clock.now(), 'lastSync'));
    } catch (e) {
      error = e;
    }
    syncing = false;
    failed = error && described(error);
    if (error) {
      result.ok = false;
      result.error = failed;
      if (!closing.signal.aborted) emit('error', failed!);
    }
    log?.debug?.('round', result);
    if (tabs.leading) schedule(interval);
    schedule(error?.wait ?? (fault ? (failures > RETRIES ? interval : delayAfter(failures, clock)) : NaN));
    await queue.due().then(schedule, () => {});
    void report();
    return result;
  };

  // One round at a time; all who ask while one is under way share the next.
  let tail: Promise<unknown> = Promise.resolve(), next: Promise<SyncResult> | undefined;
  const serial = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = tail.then(work);
    tail = turn.catch(() => {});
    return turn;
  };
  const sync = () =>
    (next ??= serial(() => {
      next = undefined;
      return tabs.run({}, () => round());
    }));
  const fullSync = (full: FullSyncOptions = {}) => serial(() => tabs.run({ full }, () => round(full)));

  const wake = () => void sync();
  const away = () => setOnline(false);
  const hear = (how: 'addEventListener' | 'removeEventListener') => {
    globalThis[how]?.('online', wake);
    globalThis[how]?.('offline', away);
  };

  const stopMonitoring = () => {
    monitoring = false;
    hear('removeEventListener');
    tabs.resign();
    cancel();
  };

  const close = async () => {
    if (closing.signal.aborted) return;
    closing.abort();
    stopMonitoring();
    tabs.close();
    await tail;
    db.close();
  };
  options.signal?.addEventListener('abort', close);

  return {
    queue, store, conflicts, getStatus, sync, stopMonitoring, close,
    isOnline: () => online,
    startMonitoring() {
      if (monitoring) return;
      monitoring = true;
      hear('addEventListener');
      tabs.stand();
    },
    fullSync,
    async edited<T>(work: Promise<T>): Promise<T> {
      const value = await work;
      void report();
      poke();
      return value;
    },
    async fetchConflicts() {
      await (await remote()).fetchConflicts();
      void report();
      return conflicts();
    },
    async resolveConflict(...decision: [id: string, resolution: Resolution, mergedData?: Data, baseVersion?: string]) {
      await (await remote()).resolveConflict(...decision);
      void sync();
    },
    clear: (force?: boolean) =>
      serial(async () => {
        await db.write(async (tx) => {
          const unsent = (await tx.count('queue')) + (await tx.count('review'));
          if (unsent && !force) throw new SyncError('UNSENT', `${unsent} operations are not sent`);
          const kept = ['deviceId', 'last'], values = await Promise.all(kept.map((key) => tx.get('meta', key)));
          for (const store of STORES) tx.clear(store);
          kept.forEach((key, i) => tx.put('meta', values[i], key));
        });
        failed = undefined;
        emit('change', { source: 'local', entities: [] });
        void report();
      }),
  };
}

/** A service of its own. Without options it waits for `configure`, or takes the defaults. */
export function createSyncService(options: SyncOptions = {}): SyncService {
  const emitter = makeEmitter<Events>();
  let core: ReturnType<typeof build> | undefined;
  const use = () => (core ??= build(options, emitter));
  return {
    configure(more) {
      if (core) throw new Error('configure: the service is in use already');
      options = { ...options, ...more };
    },
    startMonitoring: () => use().startMonitoring(),
    stopMonitoring: () => core?.stopMonitoring(),
    sync: () => use().sync(),
    fullSync: (full) => use().fullSync(full),
    getStatus: () => use().getStatus(),
    queueOperation: (...edit) => use().edited(use().queue.add(...edit)),
    subscribe: (listener) => emitter.on('online', listener),
    getOnlineStatus: () => use().isOnline(),
    on: emitter.on,
    get store() {
      return use().store;
    },
    operations: {
      getPendingOperations: () => use().queue.pending(),
      getReview: () => use().queue.review(),
      retry: (id, data) => use().edited(use().queue.retry(id, data)),
      drop: (id) => use().edited(use().queue.drop(id)),
      getConflicts: () => use().conflicts(),
      fetchConflicts: () => use().fetchConflicts(),
      resolveConflict: (...decision) => use().resolveConflict(...decision),
    },
    clear: (how) => use().clear(how?.force),
    close: async () => core?.close(),
  };
}
