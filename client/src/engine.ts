// What needs the network, and what an app can wait for: a module of its own, so that an app can store and show edits
// before it is loaded. It is loaded at once, because there may be no network when it is needed.

import type { Context } from './context.js';
import { makeHttp } from './http.js';
import { makeSizer } from './sizes.js';
import { SyncError } from './types.js';

export { makeStream, parseEvents } from './events.js';
export { lease } from './lease.js';
export { openMemory } from './memory.js';
export { makePull } from './pull.js';
export { makeRemote } from './remote.js';
export { makeRounds } from './rounds.js';
export { makeSender } from './send.js';

/** Adds to the context what the core does without. */
export function equip(ctx: Context, setOnline: (online: boolean) => void): void {
  const { clock } = ctx;
  Object.assign(ctx, { up: makeSizer(clock), down: makeSizer(clock), http: makeHttp(ctx, setOnline) });
}

/** Queries and `inspect`. Rejects with OFFLINE if views.js cannot be loaded. */
export const loadViews = () =>
  import('./views.js').catch((error) => {
    throw new SyncError('OFFLINE', `views.js cannot be loaded: ${error}`);
  });
