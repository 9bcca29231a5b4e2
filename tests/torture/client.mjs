// Requests of one user, some of which the client aborts.
import https from 'node:https';
import { ca, mint, origin } from '../http/lib.mjs';

const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 64 });
const TIMEOUT = 30_000;

// Sends one request; resolves to { status, headers, text } or { lost: reason }. `abort` says when the client gives up:
// undefined (never), 'body' (while it sends the body), or milliseconds after it has sent the request.
function send(target, { method, headers, body, abort }) {
  return new Promise((resolve) => {
    const req = https.request(origin + target, { method, headers, agent, timeout: TIMEOUT }, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', (error) => resolve({ lost: error.message }));
      res.on('close', () => resolve(res.complete ? { status: res.statusCode, headers: res.headers,
        text: Buffer.concat(chunks).toString() } : { lost: 'half a reply' }));
    });
    req.on('timeout', () => req.destroy(new Error('no answer')));
    req.on('error', (error) => resolve({ lost: error.message }));
    if (abort === 'body') {
      req.setHeader('content-length', Buffer.byteLength(body));
      req.write(body.slice(0, body.length / 2), () => req.destroy(new Error('aborted')));
      return;
    }
    req.end(body, () => abort !== undefined && setTimeout(() => req.destroy(new Error('aborted')), abort));
  });
}

export class Client {
  constructor(name, record, dice) {
    this.name = name;
    this.record = record;
    this.dice = dice;
    this.token = mint({ userId: name, exp: Math.floor(Date.now() / 1000) + 86_400 });
  }

  // Resolves to the result of Record.read for the reply, or to { lost } if there was none. With `whole` it is never
  // aborted.
  async call(target, { method = 'GET', body, headers = {}, expected = [], whole = false } = {}) {
    const { record, dice } = this;
    const text = body === undefined ? undefined : JSON.stringify(body);
    const abort = whole || !dice.chance(record.abortPercent) ? undefined : dice.chance(20) && text ? 'body'
      : dice.below(40);
    record.count('requests');
    const reply = await send(`/api/sync${target}`, {
      method, abort, body: text,
      headers: { authorization: `Bearer ${this.token}`, ...(text && { 'content-type': 'application/json' }),
        ...headers },
    });
    if (reply.lost) {
      record.count('requests without an answer');
      return reply;
    }
    return record.read(`${method} ${target}`, this.name, reply, expected);
  }

  post(target, body, options) {
    return this.call(target, { method: 'POST', body, ...options });
  }
}
