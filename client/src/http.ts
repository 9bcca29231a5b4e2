// One request to the server. It ends with a reply of our server or with a SyncError that says why there is none. The
// outcome decides whether the service counts as online. A reply that is truncated, or that is not from our server (for
// example the page of a captive portal), counts as no reply.

import type { Budget } from './budget.js';
import type { Database } from './database.js';
import { hidden, type Options } from './options.js';
import type { Owner } from './owner.js';
import { LONGEST_WAIT, retryAfter } from './retry.js';
import type { Time } from './time.js';
import { type Clock, SyncError } from './types.js';

const SILENCE = 60_000; // milliseconds without a byte from the server
const UPLOAD = 5; // characters in a millisecond: an upload may be as slow as this
/** The reason of an abort that says nothing about the network. */
export const STOPPED = 'the service was stopped';
const KEEPALIVE = 60_000; // characters; browsers refuse more than 64 KiB
const GZIP_FROM = 8192; // characters

export interface Reply {
  status: number;
  body: any;
}

export interface Http {
  /** Sends with a token, and once more with a new one after a 401. Throws while a wait imposed by the server lasts. */
  send(
    path: string, init: RequestInit & { headers?: Record<string, string> },
  ): Promise<{ status: number; wait?: number; response: Response }>;
  /** Resolves to a reply of our server. nginx may send a 5xx or a 413 without JSON; the body is then {}. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Resolves to the body of a 200 and throws on any other status. */
  callOk(...request: Parameters<Http['call']>): Promise<any>;
}

interface Needs {
  options: Options;
  db: Database;
  clock: Clock;
  time: Time;
  budget: Budget;
  closing: AbortSignal;
  owner: Owner;
}

async function gzip(text: string): Promise<{ body: BodyInit; headers: Record<string, string> }> {
  if (text.length < GZIP_FROM || typeof CompressionStream === 'undefined') return { body: text, headers: {} };
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'));
  return { body: await new Response(stream).arrayBuffer(), headers: { 'Content-Encoding': 'gzip' } };
}

/** The text of a reply. Calls `alive` for each piece of it. */
async function textOf(response: Response, alive: () => void): Promise<string> {
  alive();
  const reader = response.body?.getReader?.();
  if (!reader) return response.text();
  const decoder = new TextDecoder();
  let text = '';
  for (let piece; !(piece = await reader.read()).done; alive()) text += decoder.decode(piece.value, { stream: true });
  return text + decoder.decode();
}

/** The error that a reply without success reports. */
export const errorOf = ({ status, body }: Reply) =>
  new SyncError(
    body.error ?? (status === 413 ? 'PAYLOAD_TOO_LARGE' : 'SYNC_FAILED'),
    body.message ?? `the server answered ${status}`, body.details,
  );

export function makeHttp(needs: Needs, setOnline: (online: boolean) => void): Http {
  const { options, db, clock, time, budget, closing, owner } = needs;
  const offline = (message: string) => {
    setOnline(false);
    return new SyncError('OFFLINE', message);
  };

  const rateLimited = (wait: number) =>
    new SyncError('RATE_LIMITED', `the server asks to wait ${wait} ms`, undefined, wait);

  // Waits are in the database, so that they apply to all tabs.
  const storeWait = (wait: number) => {
    owner.waitUntil = clock.now() + wait;
    return db.write((tx) => tx.put('meta', owner.waitUntil, 'retryAt')).catch(() => {}); // the disk may be full
  };

  const checkWait = async () => {
    const until = Math.max(owner.waitUntil, (await db.read((tx) => tx.get('meta', 'retryAt'))) ?? 0);
    const now = clock.now();
    if (until > now && until - now <= LONGEST_WAIT) throw rateLimited(until - now);
  };

  const send: Http['send'] = async (path, init) => {
    if (closing.aborted) throw new SyncError('STOPPED', STOPPED);
    await checkWait();
    let response: Response | undefined, last: string | undefined;
    for (const refresh of [false, true]) {
      const token = await owner.token(refresh).catch((error) => {
        throw error.code === 'OFFLINE' ? offline(error.message) : error;
      });
      if (token === last) break;
      last = token;
      budget.take();
      const fetcher = options.fetch ?? fetch; // not called as a method: the browser's fetch rejects any other `this`
      try {
        response = await fetcher(options.baseUrl + path, {
          cache: 'no-store',
          ...init,
          headers: { ...init.headers, Authorization: `Bearer ${token}` },
        });
      } catch (error) {
        throw init.signal?.reason === STOPPED ? new SyncError('STOPPED', STOPPED) : offline(`no answer: ${error}`);
      }
      if (response.status !== 401) break;
    }
    const { status, headers } = response!;
    if (status === 401) {
      options.onUnauthorized?.();
      throw new SyncError('UNAUTHORIZED', 'the server refuses the token');
    }
    const wait = retryAfter(headers.get('Retry-After'), clock.now());
    if (status === 429) {
      await storeWait(wait ?? options.interval);
      throw rateLimited(wait ?? options.interval);
    }
    return { status, wait, response: response! };
  };

  const call: Http['call'] = async (method, path, body, headers) => {
    const abort = new AbortController();
    let timer: any;
    const waitFor = (ms: number) => {
      clock.clearTimeout(timer);
      timer = clock.setTimeout(() => abort.abort(), ms);
    };
    const stop = () => abort.abort(STOPPED);
    closing.addEventListener('abort', stop);
    try {
      const json = body === undefined ? '' : JSON.stringify(body), sent = json ? await gzip(json) : undefined;
      const at = clock.now();
      waitFor(Math.max(SILENCE, json.length / UPLOAD)); // there is no news of an upload before the reply
      const { status, wait, response } = await send(path, {
        method,
        headers: { ...(sent && { 'Content-Type': 'application/json' }), ...sent?.headers, ...headers },
        body: sent?.body,
        keepalive: hidden() && json.length > 0 && json.length < KEEPALIVE, // it goes on when the page is closed
        signal: abort.signal,
      });
      let reply: any;
      try {
        reply = JSON.parse(await textOf(response, () => waitFor(SILENCE)));
      } catch {} // truncated, or not JSON
      if (status === 503 && wait) await storeWait(wait);
      if (typeof reply?.success === 'boolean') {
        time.learn(reply.serverTime, at, response.headers.get('Date'));
        setOnline(true);
      }
      else if (status < 500 && status !== 413) {
        const type = response.headers.get('Content-Type') ?? '';
        // An address that has never answered as the API does is probably wrong; else it is a captive portal.
        if (/html/.test(type) && !(await db.read((tx) => tx.get('meta', 'lastSync'))))
          throw new SyncError('NOT_THE_API', `${options.baseUrl + path} answers with ${status} ${type}: see baseUrl`);
        throw offline(`the reply (${status}) is not the server's`);
      }
      return { status, body: reply ?? {} };
    } finally {
      clock.clearTimeout(timer);
      closing.removeEventListener('abort', stop);
    }
  };

  const callOk: Http['callOk'] = async (...request) => {
    const reply = await call(...request);
    if (reply.status !== 200) throw errorOf(reply);
    return reply.body;
  };

  return { send, call, callOk };
}
