// The state of a device for a bug report. It names neither entities nor their contents, and has no token.

import type { Context } from './context.js';
import { SCHEMA, type StoredOperation } from './database.js';
import type { StorageInfo, SyncProblem, SyncStatus } from './types.js';

declare const VERSION: string; // build.mjs

interface State {
  storage: StorageInfo;
  getStatus(): Promise<SyncStatus>;
  rounds: { at: number; error?: SyncProblem }[];
  errors: ({ at: number } & SyncProblem)[];
  monitoring: boolean;
  leading: boolean;
}

const text = (ms?: number) => (ms === undefined ? undefined : new Date(ms).toISOString());
/** The message of an exception in the code of the app may quote contents. Those of the client and the server do not. */
const problem = ({ code, message }: SyncProblem) => ({ code, ...(/^[A-Z_]+$/.test(code) && { message }) });
const problemOf = ({ code, name, message }: any) => problem({ code: code ?? name, message });
const tally = (names: (string | undefined)[]) =>
  names.reduce<Record<string, number>>((counts, name = 'none') => ({ ...counts, [name]: (counts[name] ?? 0) + 1 }), {});

/** What the database says. */
async function inspectStored(ctx: Context, getStatus: State['getStatus']) {
  const kinds = ctx.options.entities, deviceId = await ctx.deviceId(), status = await getStatus();
  const names = ['skew', 'retryAt', `pull:${kinds ? [...kinds].sort() : ''}`, 'resync'];
  const [queue, review, rows, conflicts, [skew, retryAt, pull, resync]] = await ctx.db.read((tx) =>
    Promise.all([
      tx.all('queue'), tx.all('review'), tx.all('rows'), tx.all('conflicts'),
      Promise.all(names.map((name) => tx.get('meta', name))),
    ]));
  const operations: StoredOperation[] = queue;
  return {
    deviceId, status, skew,
    queue: {
      waiting: operations.length,
      oldest: operations.length ? text(Math.min(...operations.map(({ timestamp }) => timestamp))) : undefined,
      types: tally(operations.map(({ entity, type }) => `${entity} ${type}`)),
      tried: operations.filter(({ tried }) => tried).length,
      errors: tally(operations.map(({ error }) => error)),
    },
    review: tally(review.map(({ error }) => error)),
    entities: tally(rows.map(({ type, deleted }) => (deleted ? `${type} deleted` : type))),
    conflicts: tally(conflicts.map(({ status }) => status)),
    pull: pull && { begun: !!pull.cursor, complete: !pull.gen, done: pull.done, total: pull.total },
    resync: resync?.reason,
    waitUntil: text(retryAt),
  };
}

export async function inspect(ctx: Context, state: State): Promise<Record<string, unknown>> {
  const { options, clock, time, budget, up, down } = ctx;
  const { baseUrl, database, interval, batchSize, realtime, entities, conflictResolution } = options;
  const stored = await inspectStored(ctx, state.getStatus).catch((error) => ({ unreadable: problemOf(error) }));
  const manager = globalThis.navigator?.storage;
  const { usage, quota } = (await manager?.estimate?.().catch(() => undefined)) ?? {};
  return JSON.parse(JSON.stringify({
    version: VERSION, schema: SCHEMA.length, at: text(clock.now()), userAgent: globalThis.navigator?.userAgent,
    options: { baseUrl, database, interval, batchSize, realtime, entities, conflictResolution },
    monitoring: state.monitoring, leading: state.leading,
    ...stored,
    ...(time.known && { skew: time.skew }),
    storage: { ...state.storage, persisted: await manager?.persisted?.().catch(() => undefined), usage, quota },
    budget: { wait: budget.wait(1) }, sizes: { up: up.size, down: down.size },
    rounds: state.rounds.map(({ at, error, ...round }) => ({ at: text(at), ...round, error: error && problem(error) })),
    errors: state.errors.map((error) => ({ at: text(error.at), ...problem(error) })),
  }));
}
