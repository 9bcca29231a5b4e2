// When to try again. The published schedule has five retries: at once, then after 1, 2, 4 and 8 seconds. After the last
// one a person decides.

import type { Clock } from './types.js';

const DELAYS = [0, 1000, 2000, 4000, 8000];

export const RETRIES = DELAYS.length;

/** The longest wait, in milliseconds, that a server can ask for or that a clock that was set back can cause. */
export const LONGEST_WAIT = 3_600_000;

/** `ms` changed by up to a fifth, so that devices that failed together do not retry together. */
export const jitter = (ms: number, clock: Clock) => ms * (0.8 + 0.4 * clock.random());

/** How long to wait after `failures` failures in a row. */
export const delayAfter = (failures: number, clock: Clock) => jitter(DELAYS[Math.min(failures, RETRIES) - 1], clock);

/** Retry-After, in seconds or as an HTTP date, as milliseconds from now. */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (!header) return undefined;
  const ms = /^\s*\d+\s*$/.test(header) ? +header * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST_WAIT);
}
