// What the tests of the client share: a device with a clock of its own, and a server of a few lines that can be told to
// fail. The tests run what is published: dist/.
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { randomUUID, webcrypto } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { createSyncService } from '../dist/index.js';
import '../dist/events.js';
import '../dist/lease.js';
import '../dist/remote.js';

globalThis.crypto ??= webcrypto; // what every browser has, and Node 18 has not

export const START = Date.parse('2024-01-15T10:30:00Z');

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Lets everything happen that needs no timer of the clock. */
export async function settle() {
  for (let i = 0; i < 120; i++) await turn();
}

/** Real time: until `probe` gives something. */
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
    /** The person sets the clock: nothing that waits is due for it. */
    jump(ms) {
      now += ms;
      for (const timer of timers) timer.at += ms;
    },
    /** Time goes by. */
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
export const error = (status, code, headers) => json(status, { success: false, error: code, message: `says ${code}` }, headers);
export const html = (status = 200) => new Response('<html>Welcome to our hotel</html>', { status, headers: { 'Content-Type': 'text/html' } });

/** One person's library, with a clock that counts. `answers` is a list of functions that are asked before it: what they
 *  return (a Response, or undefined) is the answer; each is used once. `always` is one that stays. */
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
    const body = init.body && (typeof init.body === 'string' ? init.body : gunzipSync(Buffer.from(init.body)).toString());
    const request = {
      method: init.method ?? 'GET', path: pathname.replace('/api/sync', ''), query: Object.fromEntries(searchParams),
      headers: init.headers, body: body && JSON.parse(body), signal: init.signal,
    };
    this.requests.push(request);
    const answer = (await this.answers.shift()?.(request)) ?? (await this.always?.(request)) ?? this.handle(request);
    await turn();
    return answer;
  };

  of = (path) => this.requests.filter((request) => request.path === path);

  handle({ path, query, body }) {
    if (path === '/operations') return json(200, { success: true, results: body.operations.map((op) => this.apply(op)), syncedAt: this.stamp });
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

  changes({ since, cursor, limit = 1000, entities }) {
    const from = cursor ?? since;
    const all = [...this.rows.values()]
      .filter((row) => row.data.updatedAt > from && !(since && row.deleted) && (!entities || entities.split(',').includes(row.type)))
      .sort((a, b) => (a.data.updatedAt < b.data.updatedAt ? -1 : 1));
    const page = all.slice(0, limit), hasMore = all.length > page.length;
    const last = hasMore ? page[page.length - 1].data.updatedAt : new Date(this.stamp).toISOString();
    return json(200, { success: true, changes: page, cursor: last, hasMore });
  }
}

const open = [];

/** A device, or with the `database` and `server` of another a tab of it. `events` holds what it told, as [name, event]. */
export function device(options = {}) {
  const { server = new Server(), clock = makeClock(), database = randomUUID(), ...more } = options;
  const service = createSyncService({ baseUrl: 'https://sync.test/api/sync', token: 'token', fetch: server.fetch, clock, database, realtime: false, ...more });
  const events = [];
  for (const name of ['status', 'progress', 'change', 'conflict', 'review', 'error']) service.on(name, (event) => events.push([name, event]));
  open.push(service);
  return { service, server, clock, database, events, store: service.store, operations: service.operations, told: (name) => events.filter((e) => e[0] === name).map((e) => e[1]) };
}

/** For `afterEach`. */
export async function closeAll() {
  await Promise.all(open.splice(0).map((service) => service.close()));
}

export const book = (d, id, data = { title: id }) => d.service.queueOperation('book', id, 'create', data);
export const edit = (d, id, data) => d.service.queueOperation('book', id, 'update', data);
export const gone = (d, id) => d.service.queueOperation('book', id, 'delete');
export const pending = (d) => d.operations.getPendingOperations();
export const sent = (server) => server.of('/operations').map(({ body }) => body.operations.map(({ id }) => id));
