// Users at work, each with two devices that hold the server to its word.
//
// The writer sends one operation after the other, each under one id until it is acknowledged. The reader, meanwhile, pulls by
// cursor, from the beginning, and asks for the digest; whatever it gets must hold everything that had been acknowledged to
// the user when it asked, and nothing may be older than what it got before.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';

import { mint } from '../http/lib.mjs';
import { sleep, until } from './hosts.mjs';

const BOOKS = 25;
const ca = readFileSync(process.env.BOOKY_TEST_CA);
const stampOf = (cursor) => Number(Buffer.from(cursor, 'base64url').toString().split(' ')[2]);
const ms = (instant) => new Date(instant).getTime();

export class User {
  constructor(load, name = `ha-${randomUUID()}`) {
    Object.assign(this, { load, id: name, token: mint({ userId: name }), operations: [], acknowledged: new Map(), lastAck: Date.now(), stamp: 0 });
    this.agent = new https.Agent({ ca, keepAlive: true, servername: 'localhost' });
    this.startOver();
  }

  // What the reader knows: nothing.
  startOver() {
    this.cursor = undefined;
    this.seen = new Map();
    this.seenStamp = 0;
  }

  // Resolves to { status, json }; status 0 when there was no answer.
  request(method, path, body) {
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' };
      const req = https.request(this.load.url + path, { method, headers, agent: this.agent, timeout: 20_000 }, (res) => {
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
      // A kept connection that the server has just closed: a new one is tried, as every HTTP client does.
      req.on('error', () => resolve(req.reusedSocket ? this.request(method, path, body) : { status: 0 }));
      req.end(body);
    });
  }

  // An event stream: `pokes` holds the cursors that came.
  stream() {
    const stream = { pokes: [] };
    const headers = { authorization: `Bearer ${this.token}`, accept: 'text/event-stream' };
    const req = https.request(`${this.load.url}/api/sync/events?deviceId=${randomUUID()}`, { headers, ca, servername: 'localhost', agent: false }, (res) => {
      stream.status = res.statusCode;
      res.setEncoding('utf8').on('data', (text) => stream.pokes.push(...[...text.matchAll(/^data: ?(.*)$/gm)].map(([, data]) => JSON.parse(data).cursor)));
      res.on('error', () => {});
    });
    req.on('error', () => {});
    req.end();
    stream.close = () => req.destroy();
    return stream;
  }

  // The same until it is answered by the application, or nobody wants to know any more; what failed is counted.
  async insist(method, path, body, wanted = () => true) {
    for (;;) {
      const reply = await this.request(method, path, body);
      if (reply.status === 200 || reply.status === 410) return reply;
      assert.ok(reply.status === 0 || reply.status >= 500, `${method} ${path}: ${reply.status} ${JSON.stringify(reply.json)}`);
      this.load.failed.push(reply.status);
      if (!wanted()) return { status: 0 };
      await sleep(50);
    }
  }

  async write() {
    for (let n = 1; this.load.running; n++) {
      const entityId = `b${n % BOOKS}`;
      const operation = { id: randomUUID(), type: 'create', entity: 'book', entityId, data: { title: `Book ${n}`, pageCount: n }, timestamp: new Date().toISOString() };
      const { status, json } = await this.insist('POST', '/api/sync/operations', JSON.stringify({ operations: [operation] }), () => this.load.running);
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
      const path = ['/digest', '/changes?since=1970-01-01T00:00:00Z'][Math.floor(Math.random() * 8)] ?? (this.cursor ? `/changes?cursor=${this.cursor}` : '/changes?since=1970-01-01T00:00:00Z');
      const told = new Map(this.acknowledged), stamp = this.stamp, asked = Date.now();
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
        assert.ok(!before || (data.pageCount >= before.n && ms(data.updatedAt) >= before.stamp), `${what}: ${data.id} went back from ${JSON.stringify(before)} to ${JSON.stringify(data)}`);
        const now = { n: data.pageCount, stamp: ms(data.updatedAt) };
        this.seen.set(data.id, now);
        shown.set(data.id, now);
      }
      if (json.changes) for (const [id, n] of told) assert.ok(shown.get(id)?.n >= n, `${what}: ${id} is ${JSON.stringify(shown.get(id))}, acknowledged was ${n}`);
      const reached = stampOf(json.cursor);
      assert.ok(reached >= this.seenStamp && reached >= stamp, `${what}: the cursor stands at ${reached}, seen was ${this.seenStamp}, acknowledged ${stamp}`);
      this.seenStamp = reached;
      if (json.changes) this.cursor = json.cursor;
      await sleep(15);
    }
  }
}

export class Load {
  constructor(url, users = 5) {
    Object.assign(this, { url, running: true, failed: [], reads: 0, resyncs: 0, outage: 0 });
    this.users = Array.from({ length: users }, () => new User(this));
    this.done = Promise.all(this.users.flatMap((user) => [user.write(), user.read()]));
    this.done.catch((error) => (this.broken = error)); // told by progress() and stop()
  }

  // The longest time that a user waited from one acknowledgement to the next.
  gap(user, now) {
    this.outage = Math.max(this.outage, now - user.lastAck);
    user.lastAck = now;
  }

  get writes() {
    return this.users.reduce((sum, user) => sum + user.operations.length, 0);
  }

  // Until every user has `count` more acknowledged writes.
  async progress(count = 5, seconds = 30) {
    const before = this.users.map((user) => user.operations.length);
    await until('everybody writes again', () => {
      if (this.broken) throw this.broken;
      return this.users.every((user, i) => user.operations.length >= before[i] + count);
    }, seconds);
  }

  // Runs `work` under load and tells what it cost: { outage (ms), failed (their statuses; 0: no answer) }.
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

// What was acknowledged to `users` against what stands in the database: the operations that are missing. Each that is there
// must be there as it was acknowledged, and the last of each book in the book.
export function compare(users, db) {
  const rows = db.sql(`SELECT user_id || ' ' || operation_id, processed_at FROM booky.ledger`).split('\n').map((line) => line.split('|'));
  const ledger = new Map(rows), missing = [];
  for (const user of users)
    for (const operation of user.operations) {
      const stamp = ledger.get(`${user.id} ${operation.id}`);
      if (stamp === undefined) missing.push(operation);
      else assert.equal(Number(stamp), operation.stamp, `${operation.id} was applied again`);
    }
  const books = new Map(db.sql(`SELECT user_id || ' ' || entity_id, data ->> 'pageCount' FROM booky.entities`).split('\n').map((line) => line.split('|')));
  for (const user of users)
    for (const [entityId, n] of user.acknowledged)
      if (missing.length === 0) assert.equal(Number(books.get(`${user.id} ${entityId}`)), n, `${user.id} ${entityId}`);
  return missing;
}
