// What the parts of one service share.

import type { Database } from './database.js';
import type { Http } from './http.js';
import type { Clock, ConflictInfo, SyncEvents, SyncOptions } from './types.js';

export const DEFAULTS = {
  baseUrl: '/api/sync',
  interval: 30_000,
  batchSize: 10,
  database: 'booky-sync',
  realtime: true,
};

export interface Context {
  options: SyncOptions & typeof DEFAULTS;
  db: Database;
  clock: Clock;
  http: Http;
  /** Aborted when the service is closed. */
  closing: AbortSignal;
  /** To the listeners of all tabs. */
  emit<K extends keyof SyncEvents>(name: K, event: SyncEvents[K]): void;
  deviceId(): Promise<string>;
}

export const conflictOf = (conflict: any): ConflictInfo => ({
  ...conflict,
  localTimestamp: new Date(conflict.localTimestamp),
  serverTimestamp: new Date(conflict.serverTimestamp),
});

export type Release = () => void;

/** A UUID, or outside secure contexts, where browsers offer none, about a hundred random bits. */
export const makeId = (): string => globalThis.crypto?.randomUUID?.() ?? `${Math.random()}-${Math.random()}`;
