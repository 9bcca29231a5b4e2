// The requests that this tab may still make within the published limit: a burst, then one every nine seconds. Edits and
// streams wait for it; the polls are few. A part of the limit is left to the app and to other tabs with the same token.

import type { Clock } from './types.js';

const BURST = 80, REFILL = 9000;

export interface Budget {
  take(): void;
  /** How long to wait, in milliseconds, until `count` requests may be made. */
  wait(count: number): number;
}

export function makeBudget(clock: Clock): Budget {
  let left = BURST, at = clock.now();
  const fill = () => {
    const now = clock.now();
    left = Math.min(BURST, left + Math.max(0, now - at) / REFILL);
    at = now;
    return left;
  };
  return {
    take: () => void (left = Math.max(0, fill() - 1)),
    wait: (count) => Math.max(0, (count - fill()) * REFILL),
  };
}
