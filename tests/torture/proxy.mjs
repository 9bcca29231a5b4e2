// A proxy between the pool and PostgreSQL, on unix sockets, which cuts a connection at a COMMIT of a write: before the
// server gets it, at the same moment, or after the server has executed it but before the pool gets the answer.
import { chmodSync } from 'node:fs';
import net from 'node:net';

const writes = new Set(['ledger_write', 'entities_write', 'queue_add']);
const COMMITTED = Buffer.from('C\0\0\0\x0bCOMMIT\0', 'latin1');

// Reads the messages of a client and calls `message(type, body)` for each, which may stop the stream.
class Reader {
  constructor(message) {
    this.message = message;
    this.rest = Buffer.alloc(0);
    this.started = false;
  }

  // Returns { pass, stop }: the bytes to pass on, and the result of message() if it was not undefined.
  take(chunk) {
    const bytes = this.rest.length > 0 ? Buffer.concat([this.rest, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const head = this.started ? 1 : 0; // the first message has no type
      if (bytes.length < at + head + 4) break;
      const end = at + head + bytes.readUInt32BE(at + head);
      if (bytes.length < end) break;
      const type = head ? String.fromCharCode(bytes[at]) : 'startup';
      this.started ||= bytes.readUInt16BE(at + 4) === 3; // otherwise it requests encryption or cancellation
      const stop = this.message(type, bytes.subarray(at + head + 4, end));
      if (stop) return { pass: bytes.subarray(0, stop === 'before' ? at : bytes.length), stop };
      at = end;
    }
    this.rest = bytes.subarray(at);
    return { pass: bytes.subarray(0, at) };
  }
}

// The name of the statement in a Bind message: portal, then statement, each with a terminating zero.
const statementOf = (body) => {
  const from = body.indexOf(0) + 1;
  return body.toString('latin1', from, body.indexOf(0, from));
};

export class Proxy {
  constructor(path, target) {
    this.target = target;
    this.pairs = new Set();
    this.armed = undefined;
    this.away = false;
    this.cuts = { before: 0, during: 0, after: 0 };
    this.server = net.createServer((client) => this.connect(client));
    this.listening = new Promise((resolve, reject) => this.server.on('error', reject).listen(path, resolve))
      .then(() => chmodSync(path, 0o777));
  }

  // Cuts the next COMMIT of a write as `how` says: 'before', 'during' or 'after'; undefined disarms.
  arm(how) {
    this.armed = how;
  }

  // Simulates a network failure: all connections are cut and new ones refused until back().
  leave() {
    this.away = true;
    for (const end of this.pairs) end();
  }

  back() {
    this.away = false;
  }

  close() {
    this.leave();
    return new Promise((resolve) => this.server.close(resolve));
  }

  connect(client) {
    if (this.away) return client.destroy();
    const server = net.connect(this.target);
    const end = () => {
      this.pairs.delete(end);
      client.destroy();
      server.destroy();
    };
    this.pairs.add(end);
    for (const socket of [client, server]) socket.on('error', end).on('close', end);

    let wrote = false, answer; // `answer`: the withheld answer of the server to a COMMIT
    const reader = new Reader((type, body) => {
      if (type !== 'B') return undefined;
      const statement = statementOf(body);
      if (statement === 'begin') wrote = false;
      if (writes.has(statement)) wrote = true;
      if (statement !== 'commit' || !wrote || !this.armed) return undefined;
      const how = this.armed;
      this.armed = undefined;
      this.cuts[how]++;
      return how;
    });
    client.on('data', (chunk) => {
      if (answer !== undefined) return server.write(chunk);
      const { pass, stop } = reader.take(chunk);
      if (stop === 'after') answer = Buffer.alloc(0);
      if (stop !== 'before' && stop !== 'during') return server.write(pass);
      // Bytes that are written before a socket is closed still arrive.
      return server.write(pass, () => end());
    });
    server.on('data', (chunk) => {
      if (answer === undefined) return client.write(chunk);
      answer = Buffer.concat([answer, chunk]);
      return answer.includes(COMMITTED) && end();
    });
  }
}
