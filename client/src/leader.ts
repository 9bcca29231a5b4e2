// Leader election among the tabs that share a database: only the leader talks to the server. It holds a Web Lock, which
// the browser gives to the next tab when the leader's tab ends. Browsers without Web Locks use a lease in the database,
// which must be renewed. The other tabs ask the leader to work for them and receive its events by BroadcastChannel. The
// leader acknowledges that at once, and again while it works. A leader that does not was suspended by the system, which
// does not free its lock: then the other tab works itself, and takes the lock away if it can be seen. A hidden leader
// gives the lock to a tab that can be seen. For a moment there may be two leaders. That costs requests but no data: the
// server applies an operation once, and a page is written only if its cursor is still current.

import type { Context } from './context.js';
import { makeId } from './ids.js';
import type { lease, Release } from './lease.js';
import { hidden } from './options.js';

const ACK = 1000; // between two acknowledgements
const SILENT = 3000; // without one for so long, the leader is suspended
const HANDOVER = 5000; // a leader that gave the lock away waits so long before it campaigns again

export interface Tabs {
  readonly leading: boolean;
  /** Becomes the leader as soon as there is no other, and remains it until `resign`. */
  campaign(): void;
  resign(): void;
  /** Shares nothing with other tabs from now on. */
  isolate(): void;
  /**
   * Runs `work` if this tab leads or becomes the leader. Otherwise resolves to what the leader's `answer(request)`
   * returns.
   */
  run<T>(request: unknown, work: () => Promise<T>): Promise<T>;
  /** Calls `received` in all other tabs. */
  broadcast(message: unknown): void;
  close(): void;
}

export interface TabHandlers {
  /** Loads the lease, for browsers older than 2022. */
  lease(): Promise<typeof lease>;
  /** This tab has become the leader, or has ceased to be it. */
  elected(leading: boolean): void;
  /** Does for another tab what it asked for in `run`. */
  answer(request: any): Promise<unknown>;
  received(message: any): void;
}

export function joinTabs(name: string, { db, clock }: Pick<Context, 'db' | 'clock'>, handlers: TabHandlers): Tabs {
  const me = makeId();
  // By the id of the request: takes the acknowledgements and the result of the leader.
  const asked = new Map<string, { alive(): void; end(result: any): unknown }>();
  const waiting = new Set<() => void>(); // work that this tab does itself when it is elected
  let campaigning: AbortController | undefined, release: Release | undefined, later: any;
  let closed = false, alone = false, working = 0;

  let channel = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(name);
  (channel as any)?.unref?.(); // in Node an open channel would keep the process alive
  const post = (message: unknown) => closed || channel?.postMessage(message);
  const acknowledge = (id: string, busy: () => unknown) => {
    if (!busy()) return;
    post({ ack: id });
    clock.setTimeout(() => acknowledge(id, busy), ACK);
  };
  if (channel)
    channel.onmessage = async ({ data }) => {
      const { ask, ack, answered } = data;
      if (ask && release) {
        let done = false;
        acknowledge(ask, () => !done && !closed);
        const result = await handlers.answer(data.request);
        done = true;
        post({ answered: ask, result });
        if (campaigning && data.visible && hidden()) {
          resign();
          later = clock.setTimeout(() => campaign(), HANDOVER);
        }
      } else if (ask) acknowledge(ask, () => working);
      else if (ack) asked.get(ack)?.alive();
      else if (answered) asked.get(answered)?.end(data.result);
      else if (data.tell) handlers.received(data.tell);
    };

  const lost = () => {
    if (!release) return;
    resign();
    campaign();
  };

  const webLock = (signal: AbortSignal, steal?: boolean) =>
    new Promise<Release>((resolve, reject) => {
      let held = false;
      navigator.locks
        .request(name, steal ? { steal } : { signal }, () => {
          held = true;
          return new Promise<void>(resolve); // the lock is held until this promise is resolved
        })
        .catch((error) => (held ? lost() : reject(error))); // another tab has taken it away
    });

  const acquire = async (signal: AbortSignal, steal?: boolean): Promise<Release> => {
    try {
      if (alone) return () => {};
      if (typeof navigator !== 'undefined' && navigator.locks) return await webLock(signal, steal);
      return await (await handlers.lease())(db, clock, me, signal, lost);
    } catch (error) {
      if (signal.aborted) throw error;
      return () => {}; // locks are forbidden or the lease cannot be loaded: lead without a lock
    }
  };

  const flush = () => waiting.forEach((go) => go());

  function campaign(steal?: boolean) {
    if (campaigning && !steal) return;
    campaigning?.abort();
    const mine = (campaigning = new AbortController());
    acquire(mine.signal, steal).then((free) => {
      if (mine.signal.aborted) return free();
      release = free;
      handlers.elected(true);
      flush();
    }, () => {});
  }

  function resign() {
    clock.clearTimeout(later);
    campaigning?.abort();
    campaigning = undefined;
    if (release) {
      release();
      release = undefined;
      handlers.elected(false);
    }
    flush(); // there may be no other tab to do the waiting work
  }

  return {
    get leading() {
      return !!release;
    },
    campaign: () => campaign(),
    resign,
    run<T>(request: unknown, work: () => Promise<T>) {
      if (release) return work();
      return new Promise<T>((resolve) => {
        const id = makeId(), abort = new AbortController();
        let timer: any;
        const end = (result: T | Promise<T>) => {
          resolve(result);
          clock.clearTimeout(timer);
          waiting.delete(go);
          abort.abort();
          asked.delete(id);
          return result;
        };
        const go = () => void end(work());
        const alive = () => {
          clock.clearTimeout(timer);
          timer = clock.setTimeout(() => {
            go();
            if (campaigning && !release && !hidden()) campaign(true);
          }, SILENT);
        };
        asked.set(id, { alive, end });
        waiting.add(go);
        alive();
        if (!campaigning)
          acquire(abort.signal)
            .then(async (free) => {
              working++;
              if (asked.has(id)) await end(work());
              working--;
              free();
            })
            .catch(() => {});
        post({ ask: id, request, visible: !hidden() });
      });
    },
    isolate() {
      const campaigned = campaigning;
      resign();
      channel?.close();
      channel = undefined;
      alone = true;
      if (campaigned) campaign();
    },
    broadcast: (message) => post({ tell: message }),
    close() {
      closed = true;
      resign();
      channel?.close();
    },
  };
}
