// Users under load, each with two devices that check the server's promises.
//
// The writer sends one operation after the other and repeats each under its id until it is acknowledged. Meanwhile the
// reader pulls by cursor or from the beginning, or gets the digest. Every reply must hold everything that had been
// acknowledged to the user before the request, and nothing may be older than in an earlier reply.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';

import { mint } from '../http/lib.mjs';
import { sleep, until } from './hosts.mjs';

const BOOKS = 25;
const ca = readFileSync(process.env.BOOKY_TEST_CA);
export const stampOf = (cursor) => Number(Buffer.from(cursor, 'base64url').toString().split(' ')[2]);
const ms = (instant) => new Date(instant).getTime();

export class User {
  constructor(load, name = `ha-${randomUUID()}`) {
    Object.assign(this, { load, id: name, token: mint({ userId: name }), operations: [], acknowledged: new Map(),
      lastAck: Date.now(), stamp: 0, waits: {} });
    this.agent = new https.Agent({ ca, keepAlive: true, servername: 'localhost' });
    this.startOver();
  }

  // Resets the state of the reader.
  startOver() {
    this.cursor = undefined;
    this.seen = new Map();
    this.seenStamp = 0;
  }

  // Resolves to { status, json }; status 0 means no answer.
  request(method, path, body) {
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' };
      const options = { method, headers, agent: this.agent, timeout: 20_000 };
      const req = https.request(this.load.url + path, options, (res) => {
        let text = '';
        res.on('data', (chunk) => (text += chunk));
        res.on('error', () => resolve({ status: 0 }));
        res.on('close', () => {
          try {
            resolve({ status: res.statusCode, json: JSON.parse(text) });
          } catch {
            resolve({ status: 0 });
          }
        });
      });
      req.on('timeout', () => req.destroy());
      // The server may have just closed a kept connection. Retry on a new one, as every HTTP client does.
      req.on('error', () => resolve(req.reusedSocket ? this.request(method, path, body) : { status: 0 }));
      req.end(body);
    });
  }

  // Opens an event stream; `pokes` holds the received cursors.
  stream() {
    const stream = { pokes: [] };
    const headers = { authorization: `Bearer ${this.token}`, accept: 'text/event-stream' };
    const options = { headers, ca, servername: 'localhost', agent: false };
    const req = https.request(`${this.load.url}/api/sync/events?deviceId=${randomUUID()}`, options, (res) => {
      stream.status = res.statusCode;
      res.setEncoding('utf8').on('data', (text) =>
        stream.pokes.push(...[...text.matchAll(/^data: ?(.*)$/gm)].map(([, data]) => JSON.parse(data).cursor)));
      res.on('error', () => {});
    });
    req.on('error', () => {});
    req.end();
    stream.close = () => req.destroy();
    return stream;
  }

  // Repeats a request until the application answers it, or until it is no longer wanted. Counts the failures.
  async insist(method, path, body, wanted = () => true) {
    for (;;) {
      this.waits[method] = new Date();
      const reply = await this.request(method, path, body);
      if (reply.status === 200 || reply.status === 410) return reply;
      assert.ok(reply.status === 0 || reply.status >= 500,
        `${method} ${path}: ${reply.status} ${JSON.stringify(reply.json)}`);
      this.load.failed.push(reply.status);
      if (!wanted()) return { status: 0 };
      await sleep(this.load.pause);
    }
  }

  async write() {
    for (let n = 1; this.load.running; n++) {
      const entityId = `b${n % BOOKS}`;
      const operation = { id: randomUUID(), type: 'create', entity: 'book', entityId,
        data: { title: `Book ${n}`, pageCount: n }, timestamp: new Date().toISOString() };
      const { status, json } = await this.insist('POST', '/api/sync/operations',
        JSON.stringify({ operations: [operation] }), () => this.load.running);
      if (status === 0) return;
      const [result] = json.results;
      assert.equal(result.status, 'success', JSON.stringify(result));
      this.operations.push({ id: operation.id, entityId, n, stamp: ms(result.updatedAt), at: Date.now() });
      this.acknowledged.set(entityId, n);
      this.stamp = ms(result.updatedAt);
      this.load.gap(this, Date.now());
      await sleep(10);
    }
  }

  async read() {
    while (this.load.running) {
      const path = ['/digest', '/changes?since=1970-01-01T00:00:00Z'][Math.floor(Math.random() * 8)] ??
        (this.cursor ? `/changes?cursor=${this.cursor}` : '/changes?since=1970-01-01T00:00:00Z');
      const known = new Map(this.acknowledged), stamp = this.stamp, asked = Date.now();
      const { status, json } = await this.insist('GET', `/api/sync${path}`, undefined, () => this.load.running);
      if (status === 0) return;
      this.load.reads++;
      if (status === 410) {
        this.load.resyncs++;
        this.startOver();
        continue;
      }
      const what = `${this.id}: ${path}, asked at ${asked}`;
      const shown = path.includes('since') ? new Map() : this.seen;
      for (const { data } of json.changes ?? []) {
        const before = this.seen.get(data.id);
        assert.ok(!before || (data.pageCount >= before.n && ms(data.updatedAt) >= before.stamp),
          `${what}: ${data.id} went back from ${JSON.stringify(before)} to ${JSON.stringify(data)}`);
        const now = { n: data.pageCount, stamp: ms(data.updatedAt) };
        this.seen.set(data.id, now);
        shown.set(data.id, now);
      }
      if (json.changes) for (const [id, n] of known) assert.ok(shown.get(id)?.n >= n,
        `${what}: ${id} is ${JSON.stringify(shown.get(id))}, acknowledged was ${n}`);
      const reached = stampOf(json.cursor);
      assert.ok(reached >= this.seenStamp && reached >= stamp,
        `${what}: the cursor stands at ${reached}, seen was ${this.seenStamp}, acknowledged ${stamp}`);
      this.seenStamp = reached;
      if (json.changes) this.cursor = json.cursor;
      await sleep(15);
    }
  }
}

export class Load {
  // `pause`: milliseconds before a failed request is repeated.
  constructor(url, { users = 5, pause = 50 } = {}) {
    Object.assign(this, { url, pause, running: true, failed: [], reads: 0, resyncs: 0, outage: 0 });
    this.users = Array.from({ length: users }, () => new User(this));
    this.done = Promise.all(this.users.flatMap((user) => [user.write(), user.read()]));
    this.done.catch((error) => (this.broken = error)); // thrown by progress() and stop()
  }

  // Records the longest time between two acknowledgements of a user.
  gap(user, now) {
    this.outage = Math.max(this.outage, now - user.lastAck);
    user.lastAck = now;
  }

  get writes() {
    return this.users.reduce((sum, user) => sum + user.operations.length, 0);
  }

  // Waits until every user has `count` more acknowledged writes.
  async progress(count = 5, seconds = 30) {
    const before = this.users.map((user) => user.operations.length);
    const written = () => this.users.map((user, i) => user.operations.length - before[i]);
    await until('everybody writes again', () => {
      if (this.broken) throw this.broken;
      return written().every((n) => n >= count);
    }, seconds).catch((error) => {
      error.message += `; written: ${written()}; failed: ${this.failed}; now: ${new Date().toISOString()}; ` +
        `last requests: ${JSON.stringify(this.users.map((user) => user.waits))}`;
      throw error;
    });
  }

  // Runs `work` under load; resolves to its cost: { outage in ms, failed: statuses of failed requests, 0 for no answer
  // }.
  async during(work) {
    this.failed = [];
    this.outage = 0;
    await work();
    await this.progress();
    return { outage: this.outage, failed: this.failed };
  }

  async stop() {
    this.running = false;
    await this.done;
  }
}

// Compares the acknowledged operations of `users` with the database and returns the missing ones. The others must be
// stored as they were acknowledged, and each book must hold its last operation.
export function compare(users, db) {
  const rows = db.sql(`SELECT user_id || ' ' || operation_id, processed_at FROM booky.ledger`).split('\n')
    .map((line) => line.split('|'));
  const ledger = new Map(rows), missing = [];
  for (const user of users)
    for (const operation of user.operations) {
      const stamp = ledger.get(`${user.id} ${operation.id}`);
      if (stamp === undefined) missing.push(operation);
      else assert.equal(Number(stamp), operation.stamp, `${operation.id} was applied again`);
    }
  const books = new Map(db.sql(`SELECT user_id || ' ' || entity_id, data ->> 'pageCount' FROM booky.entities`)
    .split('\n').map((line) => line.split('|')));
  for (const user of users)
    for (const [entityId, n] of user.acknowledged)
      if (missing.length === 0) assert.equal(Number(books.get(`${user.id} ${entityId}`)), n, `${user.id} ${entityId}`);
  return missing;
}
