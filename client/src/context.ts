// What the parts of one service share.

import type { Budget } from './budget.js';
import type { Database } from './database.js';
import type { Http } from './http.js';
import type { Options } from './options.js';
import type { Owner } from './owner.js';
import type { Sizer } from './sizes.js';
import type { Time } from './time.js';
import type { Clock, SyncEvents } from './types.js';

export interface Context {
  options: Options;
  db: Database;
  clock: Clock;
  time: Time;
  budget: Budget;
  owner: Owner;
  /** Requests, and the sizes of uploads and of pages. They are added when the engine is loaded. */
  http: Http;
  up: Sizer;
  down: Sizer;
  /** The ids of operations that were sent while the disk was full, so that they could not be marked as tried. */
  unmarked: Set<string>;
  /** Aborted when the service is closed. */
  closing: AbortSignal;
  /** Sends the event to the listeners in all tabs. */
  emit<K extends keyof SyncEvents>(name: K, event: SyncEvents[K]): void;
  deviceId(): Promise<string>;
}
