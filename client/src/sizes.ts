// The sizes of requests and replies, in characters. They follow what the line carries: one that takes long is followed
// by a smaller one, so that little is lost if the line breaks; one that is fast, by a larger one.

import type { Clock } from './types.js';

export const SLOW = 15_000; // milliseconds
const FAST = 3000;
const SMALLEST = 16_000, FIRST = 1_000_000, LARGEST = 4_000_000;

export interface Sizer {
  size: number;
  /** Does `work`, a request of about this size, and adapts the size. */
  use<T>(work: () => Promise<T>): Promise<T>;
}

export const makeSizer = (clock: Clock): Sizer => ({
  size: FIRST,
  async use(work) {
    const start = clock.now();
    let done = false;
    try {
      const result = await work();
      done = true;
      return result;
    } finally {
      const ms = clock.now() - start;
      if (ms > SLOW) this.size = Math.max(this.size / 2, SMALLEST);
      else if (done && ms < FAST) this.size = Math.min(this.size * 2, LARGEST);
    }
  },
});
