// Several tabs, one database: one of them leads, that is, talks to the server. The leader holds a Web Lock, which the
// browser hands on when its tab goes away; where there are none, a lease in the database that must be renewed. The others
// ask the leader to work for them and hear by BroadcastChannel. Two leaders for a moment (a tab that slept through its
// lease) would cost requests, not data: the server takes an operation once, and a page is written against its cursor.

import { type Context, makeId, type Release } from './context.js';

export interface Tabs {
  readonly leading: boolean;
  /** Leads as soon as nobody else does, until `resign`. */
  stand(): void;
  resign(): void;
  /** Does `work` as the leader, or has it done: whoever leads calls `answer(request)`. */
  run<T>(request: unknown, work: () => Promise<T>): Promise<T>;
  tell(message: unknown): void;
  close(): void;
}

export interface TabHandlers {
  /** This tab leads from now on, or no longer. */
  elected(leading: boolean): void;
  answer(request: any): Promise<unknown>;
  heard(message: any): void;
}

export function joinTabs(name: string, { db, clock }: Pick<Context, 'db' | 'clock'>, handlers: TabHandlers): Tabs {
  const me = makeId();
  const asked = new Map<string, (result: any) => void>();
  const waiting = new Set<() => void>(); // what to do when this tab is elected
  let standing: AbortController | undefined, release: Release | undefined, closed = false;

  const channel = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel(name);
  (channel as any)?.unref?.(); // Node: a channel is no reason to stay
  const post = (message: unknown) => closed || channel?.postMessage(message);
  if (channel)
    channel.onmessage = async ({ data }) => {
      if (data.ask && release) post({ answered: data.ask, result: await handlers.answer(data.request) });
      else if (data.answered) asked.get(data.answered)?.(data.result);
      else if (data.tell) handlers.heard(data.tell);
    };

  const webLock = (signal: AbortSignal) =>
    new Promise<Release>((resolve, reject) => {
      navigator.locks.request(name, { signal }, () => new Promise<void>(resolve)).catch(reject); // held until it is resolved
    });

  const acquire = async (signal: AbortSignal): Promise<Release> => {
    try {
      if (typeof navigator !== 'undefined' && navigator.locks) return await webLock(signal);
      const { lease } = await import('./lease.js'); // a chunk for browsers from before 2022
      return await lease(db, clock, me, signal, () => {
        if (!release) return;
        resign();
        stand();
      });
    } catch (error) {
      if (signal.aborted) throw error;
      return () => {}; // locks are forbidden here, or the chunk cannot be loaded: lead without
    }
  };

  const flush = () => waiting.forEach((go) => go());

  function stand() {
    if (standing) return;
    const mine = (standing = new AbortController());
    acquire(mine.signal).then((free) => {
      if (mine.signal.aborted) return free();
      release = free;
      handlers.elected(true);
      flush();
    }, () => {});
  }

  function resign() {
    standing?.abort();
    standing = undefined;
    if (release) {
      release();
      release = undefined;
      handlers.elected(false);
    }
    flush(); // there may be nobody else
  }

  return {
    get leading() {
      return !!release;
    },
    stand,
    resign,
    run<T>(request: unknown, work: () => Promise<T>) {
      if (release) return work();
      return new Promise<T>((resolve) => {
        const id = makeId(), abort = new AbortController();
        const end = (result: T | Promise<T>) => {
          resolve(result);
          waiting.delete(go);
          abort.abort();
          asked.delete(id);
          return result;
        };
        const go = () => void end(work());
        asked.set(id, end);
        waiting.add(go);
        if (!standing)
          acquire(abort.signal)
            .then(async (free) => {
              if (asked.has(id)) await end(work());
              free();
            })
            .catch(() => {});
        post({ ask: id, request });
      });
    },
    tell: (message) => post({ tell: message }),
    close() {
      closed = true;
      resign();
      channel?.close();
    },
  };
}
