// The options of a service, with defaults filled in.

import type { Clock, SyncOptions } from './types.js';

const systemClock: Clock = {
  now: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (timer) => clearTimeout(timer),
  random: () => Math.random(),
};

/** Whether the page is hidden. The system may suspend it at any moment. */
export const hidden = () => typeof document !== 'undefined' && document.visibilityState === 'hidden';

const DEFAULTS = {
  baseUrl: '/api/sync',
  interval: 30_000,
  batchSize: 10,
  database: 'booky-sync',
  realtime: true,
  clock: systemClock,
};

export type Options = SyncOptions & typeof DEFAULTS;

/** A member that is undefined counts as absent. */
export function withDefaults(given: SyncOptions): Options {
  const options: any = { ...given };
  for (const key in DEFAULTS) options[key] ??= (DEFAULTS as any)[key];
  options.baseUrl = options.baseUrl.replace(/\/+$/, '');
  return options;
}
