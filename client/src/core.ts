// The core of a service: puts the parts together, runs rounds of push and pull, decides when, and reports to the app.

import { makeBudget } from './budget.js';
import type { Context } from './context.js';
import { openDatabase, STORES, type Tx } from './database.js';
import type { Emitter } from './emitter.js';
import type { Stream } from './events.js';
import { deviceIdOf } from './ids.js';
import { joinTabs } from './leader.js';
import { hidden, withDefaults } from './options.js';
import { makeOwner } from './owner.js';
import { makeQueue } from './queue.js';
import { nothing, problemOf } from './rounds.js';
import { makeStore } from './store.js';
import { makeTime } from './time.js';
import {
  type ConflictInfo, type Data, type FullSyncOptions, type Resolution, type StorageInfo, SyncError,
  type SyncEvents, type SyncOptions, type SyncProblem, type SyncResult, type SyncStatus,
} from './types.js';

const EDIT_DELAY = 250; // from an edit to the round that sends it, so that edits that follow soon are sent with it
const LOGGED = 20; // rounds and errors that `inspect` shows

/** The events for the app, and the one behind `subscribe`. */
export type Events = SyncEvents & { online: boolean };

type Engine = typeof import('./engine.js');
/** What `inspect` shows of the past. */
type RoundLog = SyncResult & { at: number; ms: number };
type ErrorLog = SyncProblem & { at: number };

export type Core = ReturnType<typeof makeCore>;

/** `engine`: how engine.js is loaded, if not by an import. */
export function makeCore(given: SyncOptions & { engine?(): Promise<Engine> }, emitter: Emitter<Events>) {
  const options = withDefaults(given);
  const { clock, database, interval } = options;
  const log: SyncOptions['logger'] =
    options.logger ?? (options.debug ? { debug: console.log, warn: console.warn } : undefined);
  const closing = new AbortController();
  let storage: StorageInfo = { kind: 'indexeddb' };
  const rounds: RoundLog[] = [], errors: ErrorLog[] = [];
  const remember = <T>(list: T[], entry: T) => void (list.push(entry) > LOGGED && list.shift());
  const db = openDatabase(
    database,
    (info) => {
      if (storage.kind === info.kind) return;
      storage = info;
      if (info.kind === 'memory') tabs.isolate();
      else stopMonitoring(); // another tab can lead
      emitter.emit('storage', info);
    },
    async () => (await loadEngine()).openMemory(database),
  );
  let online = typeof navigator === 'undefined' || navigator.onLine !== false;
  let monitoring = false, syncing = false, failed: SyncProblem | undefined;
  let edited = false;
  let timer: any, timerAt = Infinity;
  const noticed = nothing();

  // Events

  const emitHere = <K extends keyof Events>(name: K, event: Events[K]) => {
    emitter.emit(name, event);
    if (name === 'change') store.changed((event as SyncEvents['change']).entities);
  };
  const emit = <K extends keyof Events>(name: K, event: Events[K]) => {
    if (name === 'conflict' && (event as ConflictInfo).status === 'open') noticed.undecided.push(event as ConflictInfo);
    if (name === 'error') {
      log?.warn?.('sync failed', event);
      remember(errors, { at: clock.now(), ...(event as SyncProblem) });
    }
    emitHere(name, event);
    tabs.broadcast({ name, event });
    const { source, entities } = event as SyncEvents['change'];
    if (source === 'remote') noticed.changed.push(...entities);
    if (name === 'change' && source === 'local' && entities[0]) emit('activity', { kind: 'queued', entities });
    const { entity, entityId, status, resolution } = event as ConflictInfo, about = [{ entity, entityId }];
    if (name === 'conflict') emit('activity', { kind: name, entities: about, resolution: resolution ?? status });
    if (name === 'review') emit('activity', { kind: 'refused', entities: about });
  };
  const setOnline = (now: boolean, everywhere = true) => {
    if (online === now) return;
    online = now;
    (everywhere ? emit : emitter.emit)('online', now);
    void report();
  };

  // Parts

  const deviceId = async (): Promise<string> => {
    const known = options.deviceId ?? (await db.read((tx) => tx.get('meta', 'deviceId')));
    return known ?? db.write(deviceIdOf);
  };

  const budget = makeBudget(clock);
  const shared = { options, db, clock, time: makeTime(clock), budget, closing: closing.signal };
  // What the engine adds to the context is there when it is used.
  const ctx = { ...shared, owner: makeOwner(shared), unmarked: new Set<string>(), emit, deviceId } as Context;
  const queue = makeQueue(ctx);
  const store = makeStore(ctx, async (query) => (await loadViews()).compile(query));

  const openEngine = async () => {
    const it = await (given.engine?.() ?? import('./engine.js'));
    it.equip(ctx, setOnline);
    it.loadViews?.().catch(() => {}); // like the engine: at once, while there is a network
    const pull = it.makePull(ctx, (entities) => noticed.lost.push(...entities));
    const parts = { ...it.makeSender(ctx), pull, remote: it.makeRemote(ctx, store, pull) };
    return { ...it, ...parts, round: it.makeRounds(ctx, parts, noticed) };
  };
  let engine: ReturnType<typeof openEngine> | undefined;
  const loadEngine = () =>
    (engine ??= openEngine().catch((error) => {
      engine = undefined;
      setOnline(false);
      throw new SyncError('OFFLINE', `engine.js cannot be loaded: ${error}`);
    }));
  const loadViews = async () => (await loadEngine()).loadViews();

  let stream: Promise<Stream> | undefined;
  const pulledTo = async () => (await loadEngine()).pull.cursor();
  const onServerChange = async (cursor?: string) => {
    if (!cursor || cursor !== (await pulledTo())) void sync();
  };
  const setStream = (on: boolean) => {
    if (on) stream ??= loadEngine().then(({ makeStream }) => makeStream(ctx, pulledTo, onServerChange));
    stream?.then((it) => (on === tabs.leading ? it[on ? 'start' : 'stop']() : 0)).catch((error) => {
      stream = undefined;
      log?.warn?.('no event stream', error);
    });
  };

  const tabs = joinTabs(`booky-sync:${database}`, ctx, {
    lease: async () => (await loadEngine()).lease,
    elected(leading) {
      if (leading) void sync();
      else cancel();
      if (options.realtime) setStream(leading);
    },
    async answer({ full, edits, ask }) {
      if (edits) scheduleEdits();
      return edits || ask ? undefined : full ? fullSync(full) : sync();
    },
    received(message) {
      if (message.cleared) restartLeader();
      else if (message.name === 'online') setOnline(message.event, false);
      else emitHere(message.name, message.event);
    },
  });

  // Status

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

  // Schedule: one timer, for the earliest round that was asked for

  const cancel = () => {
    clock.clearTimeout(timer);
    timerAt = Infinity;
  };
  const schedule = (ms: number) => {
    const at = clock.now() + ms;
    if (closing.signal.aborted || !(at < timerAt)) return; // the negation also catches NaN, which schedules nothing
    cancel();
    timerAt = at;
    timer = clock.setTimeout(() => {
      cancel();
      void sync();
    }, ms);
  };
  const scheduleEdits = () => {
    edited = true;
    if (tabs.leading) schedule(Math.max(EDIT_DELAY, budget.wait(2)));
    else if (monitoring) void tabs.run({ edits: true }, async () => void sync());
  };

  // Rounds

  const round = async (full?: FullSyncOptions): Promise<SyncResult> => {
    const result: SyncResult = { ok: true, sent: 0, received: 0 };
    const start = clock.now();
    cancel();
    edited = false;
    syncing = true;
    void report();
    const { error, wait } = await loadEngine()
      .then((it) => it.round(result, full))
      .catch((error) => ({ error, wait: NaN }));
    syncing = false;
    failed = error && problemOf(error);
    if (error) {
      result.ok = false;
      result.error = failed;
      if (!closing.signal.aborted) emit('error', failed!);
    }
    const round = { at: start, ms: clock.now() - start, ...result };
    remember(rounds, round);
    log?.debug?.('round', round);
    if (tabs.leading) schedule(interval);
    schedule(wait);
    await loadEngine().then((it) => it.due()).then(schedule, () => {});
    void report();
    return result;
  };

  // Rounds run one after the other. Calls of `sync` during a round share the next one.
  // The database is opened first: in memory it is this tab's alone.
  let tail: Promise<unknown> = db.read(async () => {}).catch(() => {}), next: Promise<SyncResult> | undefined;
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

  // Start and stop

  const onOnline = () => void sync();
  const onOffline = () => setOnline(false);
  const onHide = () => void (edited && sync()); // there may be no later moment to send
  const onVisibility = () => (hidden() ? onHide() : onOnline());
  const browserEvents = (how: 'addEventListener' | 'removeEventListener') => {
    globalThis[how]?.('online', onOnline);
    globalThis[how]?.('offline', onOffline);
    globalThis[how]?.('pagehide', onHide);
    globalThis.document?.[how]?.('visibilitychange', onVisibility);
  };
  /** A tab that can be seen makes sure that the leader works: a suspended one does not answer. */
  let watching: any;
  const watch = () => {
    if (!tabs.leading && !hidden()) void tabs.run({ ask: true }, async () => {});
    watching = clock.setTimeout(watch, interval);
  };

  const unsent = async (tx: Tx) => (await tx.count('queue')) + (await tx.count('review'));
  /** After clear: what this tab knows of the user is void, also its stream. */
  const restartLeader = () => {
    ctx.owner.forget();
    if (!monitoring) return;
    tabs.resign();
    tabs.campaign();
  };

  const stopMonitoring = () => {
    monitoring = false;
    browserEvents('removeEventListener');
    clock.clearTimeout(watching);
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
  loadEngine().catch(() => {}); // tried again when it is needed

  return {
    queue, store, engine: loadEngine, conflicts, getStatus, sync, fullSync, stopMonitoring, close,
    isOnline: () => online,
    isMonitoring: () => monitoring,
    isClosed: () => closing.signal.aborted,
    checkOwner: ctx.owner.check,
    startMonitoring() {
      if (monitoring) return;
      monitoring = true;
      browserEvents('addEventListener');
      tabs.campaign();
      watch();
    },
    /** Waits for a change of the queue, then reports the status and schedules a round. */
    async edited<T>(work: Promise<T>): Promise<T> {
      const value = await work;
      void report();
      scheduleEdits();
      return value;
    },
    async inspect() {
      const state = { storage, rounds, errors, monitoring, leading: tabs.leading, getStatus };
      return (await loadViews()).inspect(ctx, state);
    },
    async fetchConflicts(settled?: boolean) {
      await (await loadEngine()).remote.fetchConflicts(settled);
      void report();
      return conflicts();
    },
    async resolveConflict(...decision: [id: string, resolution: Resolution, mergedData?: Data, baseVersion?: string]) {
      await (await loadEngine()).remote.resolveConflict(...decision);
      void sync();
    },
    clear: (force?: boolean) =>
      serial(async () => {
        if (force || !(await db.read(unsent))) tabs.resign(); // ends the stream of this user
        await db.write(async (tx) => {
          const count = await unsent(tx);
          if (count && !force) throw new SyncError('UNSENT', `${count} operations are not sent`);
          const deviceId = await tx.get('meta', 'deviceId');
          for (const store of STORES) tx.clear(store);
          tx.put('meta', deviceId, 'deviceId');
        });
        failed = undefined;
        Object.assign(noticed, nothing());
        restartLeader();
        tabs.broadcast({ cleared: true });
        emit('change', { source: 'local', entities: [] });
        void report();
      }),
  };
}
