// Shared by the tests of the client: devices, a clock that the test controls, and a small server that fails on demand.
// The tests use dist/, which is what is published.
import assert from 'node:assert/strict';
import { randomUUID, webcrypto } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { createSyncService } from '../dist/index.js';
import '../dist/engine.js';
import '../dist/views.js';

if (!process.env.BOOKY_MEMORY) await import('fake-indexeddb/auto');

globalThis.crypto ??= webcrypto; // Node 18 does not have it; every browser does

export const START = Date.parse('2024-01-15T10:30:00Z');

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Waits until all work is done that needs no timer of the test's clock. */
export async function settle() {
  for (let i = 0; i < 120; i++) await turn();
}

/** Waits in real time until `probe` returns a truthy value, and returns that. */
export async function until(what, probe) {
  for (const end = Date.now() + 10_000; Date.now() < end; await turn()) {
    const found = await probe();
    if (found) return found;
  }
  return assert.fail(`did not happen: ${what}`);
}

export function makeClock(start = START) {
  let now = start, timers = [];
  return {
    now: () => now,
    random: () => 0.5, // no jitter
    setTimeout(fn, ms) {
      const timer = { fn, at: now + Math.max(ms, 0) };
      timers.push(timer);
      return timer;
    },
    clearTimeout: (timer) => (timers = timers.filter((other) => other !== timer)),
    /** Sets the clock as a person does. No timer becomes due. */
    jump(ms) {
      now += ms;
      for (const timer of timers) timer.at += ms;
    },
    /** Lets time pass: timers that become due are run. */
    async advance(ms) {
      await settle();
      for (const end = now + ms; ; ) {
        const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) {
          now = end;
          return settle();
        }
        timers = timers.filter((timer) => timer !== next);
        now = Math.max(now, next.at);
        next.fn();
        await settle();
      }
    },
    waiting: () => timers.length,
  };
}

export const json = (status, body, headers = {}) =>
  new Response(JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } });
export const error = (status, code, headers) =>
  json(status, { success: false, error: code, message: `says ${code}` }, headers);
/** The page of a captive portal. */
export const html = (status = 200) =>
  new Response('<html>Welcome to our hotel</html>', { status, headers: { 'Content-Type': 'text/html' } });
/** The reply of the server to /operations. */
export const reply = (results) => json(200, { success: true, results });

/**
 * A server with the library of one person. Its versions are a counter. For each request it takes the first function
 * from `answers`, and then `always`, which stays. The first Response that one of them returns is the reply; if neither
 * returns one, the server handles the request itself.
 */
export class Server {
  rows = new Map();
  stamp = START;
  requests = [];
  answers = [];
  seen = new Map();

  version() {
    return new Date(++this.stamp).toISOString();
  }

  /** Another device writes. */
  write(type, id, data) {
    const row = this.rows.get(`${type} ${id}`)?.data ?? { id, createdAt: new Date(START).toISOString() };
    this.rows.set(`${type} ${id}`, { type, data: { ...row, ...data, updatedAt: this.version() } });
  }

  remove(type, id) {
    const updatedAt = this.version();
    this.rows.set(`${type} ${id}`, { type, deleted: true, data: { id, updatedAt, deletedAt: updatedAt } });
  }

  fetch = async (url, init = {}) => {
    const { pathname, searchParams } = new URL(url, 'https://sync.test');
    const unzip = (bytes) => gunzipSync(Buffer.from(bytes)).toString();
    const body = init.body && (typeof init.body === 'string' ? init.body : unzip(init.body));
    const request = {
      method: init.method ?? 'GET',
      path: pathname.replace('/api/sync', ''),
      query: Object.fromEntries(searchParams),
      headers: init.headers, body: body && JSON.parse(body), signal: init.signal,
    };
    this.requests.push(request);
    const planned = (await this.answers.shift()?.(request)) ?? (await this.always?.(request));
    const answer = planned ?? this.handle(request);
    await turn();
    return answer;
  };

  /** The requests to `path` so far. */
  of = (path) => this.requests.filter((request) => request.path === path);

  handle({ path, query, body }) {
    if (path === '/operations') {
      const results = body.operations.map((op) => this.apply(op));
      return json(200, { success: true, results, syncedAt: this.stamp });
    }
    if (path === '/changes') return this.changes(query);
    if (path === '/full') return json(200, { success: true, syncedAt: this.stamp });
    return error(404, 'NOT_FOUND');
  }

  apply(op) {
    const { id, type, entity, entityId, data } = op;
    if (this.seen.has(id)) return { ...this.seen.get(id), duplicate: true };
    if (type === 'delete') this.remove(entity, entityId);
    else this.write(entity, entityId, data);
    const result = { id, status: 'success', entity, entityId, updatedAt: new Date(this.stamp).toISOString() };
    this.seen.set(id, result);
    return result;
  }

  changes({ since, cursor, limit = 1000, entities, count }) {
    const from = cursor ?? since;
    const all = [...this.rows.values()]
      .filter((row) => row.data.updatedAt > from && !(since && row.deleted))
      .filter((row) => !entities || entities.split(',').includes(row.type))
      .sort((a, b) => (a.data.updatedAt < b.data.updatedAt ? -1 : 1));
    const page = all.slice(0, limit), hasMore = all.length > page.length;
    const last = hasMore ? page[page.length - 1].data.updatedAt : new Date(this.stamp).toISOString();
    const remaining = count ? all.length - page.length : undefined;
    return json(200, { success: true, changes: page, cursor: last, hasMore, remaining });
  }
}

const open = [];

/**
 * A device. With the `database` and `server` of another device it is another tab of that device. `events` collects what
 * it emits, as [name, event].
 */
export function device(options = {}) {
  const { server = new Server(), clock = makeClock(), database = randomUUID(), ...rest } = options;
  const { createSyncService: create = createSyncService, ...more } = rest; // of another version of the client
  const service = create({
    baseUrl: 'https://sync.test/api/sync', token: 'token', fetch: server.fetch, clock, database, realtime: false,
    ...more,
  });
  const events = [];
  for (const name of ['status', 'progress', 'change', 'conflict', 'review', 'resync', 'storage', 'activity', 'error'])
    service.on(name, (event) => events.push([name, event]));
  open.push(service);
  const emitted = (name) => events.filter((e) => e[0] === name).map((e) => e[1]);
  return {
    service, server, clock, database, events, emitted, store: service.store, operations: service.operations,
  };
}

/** Closes all devices. For `afterEach`. */
export async function closeAll() {
  await Promise.all(open.splice(0).map((service) => service.close()));
}

/** A token of that user. */
export const jwt = (userId) => `h.${Buffer.from(JSON.stringify({ userId })).toString('base64url')}.s`;
export const book = (d, id, data = { title: id }) => d.service.queueOperation('book', id, 'create', data);
export const edit = (d, id, data) => d.service.queueOperation('book', id, 'update', data);
export const remove = (d, id) => d.service.queueOperation('book', id, 'delete');
export const pending = (d) => d.operations.getPendingOperations();
/** The ids of the operations in each request to /operations. */
export const sent = (server) => server.of('/operations').map(({ body }) => body.operations.map(({ id }) => id));
