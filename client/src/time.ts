// The time of the server, as far as this device can know it. Replies to writes carry `serverTime`, which was read
// between sending and receiving. So it bounds the error of the device's clock from both sides. The estimate moves only
// if it is outside these bounds, and is therefore as exact as the fastest reply. Until the first write, the field
// `Date` of a reply tells the second.

import type { Tx } from './database.js';
import type { Clock } from './types.js';

/** Milliseconds. Timestamps that are further ahead come from a wrong clock, not from edits in quick succession. */
export const AHEAD = 1000;
const SECOND = 1000;

export interface Time {
  /** What to add to the clock of the device to get the time of the server. */
  skew: number;
  /** A reply has told the time since this service was started: exactly, or the second. */
  known: boolean;
  roughly: boolean;
  now(): number;
  /** Learns from a reply to a request that was sent at `sent` by the clock of the device. */
  learn(serverTime: unknown, sent: number, date?: string | null): void;
  /** Stores the skew, for the edits. A stored one is more exact than a second. */
  store(tx: Tx): Promise<void>;
}

export const makeTime = (clock: Clock): Time => ({
  skew: 0,
  known: false,
  roughly: false,
  now() {
    return clock.now() + this.skew;
  },
  learn(serverTime, sent, date) {
    const exact = typeof serverTime === 'string', at = Date.parse(exact ? serverTime : date ?? '');
    if (Number.isNaN(at) || (this.known && !exact)) return;
    this.skew = Math.min(Math.max(this.skew, at - clock.now()), at + (exact ? 0 : SECOND) - sent);
    this.known ||= exact;
    this.roughly = true;
  },
  async store(tx) {
    const stored = (await tx.get('meta', 'skew')) ?? 0;
    if (this.known || (this.roughly && Math.abs(stored - this.skew) > SECOND)) tx.put('meta', this.skew, 'skew');
  },
});
