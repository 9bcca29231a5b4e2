// One request. It ends in a reply of our server or in a SyncError that says why there is none; whether we are online is
// what came of it. A reply that is cut off or not ours (the page of a hotel's network) is no reply.

import type { Context } from './context.js';
import { LONGEST_WAIT, retryAfter } from './retry.js';
import { SyncError } from './types.js';

const TIMEOUT = 60_000;
/** The reason of an abort that says nothing about the network. */
export const STOPPED = 'the service was stopped';
const GZIP_FROM = 8192; // characters

export interface Reply {
  status: number;
  body: any;
}

export interface Http {
  /** Sends with a token, and once more with a fresh one after a 401. Waits that the server imposed hold in all tabs. */
  send(path: string, init: RequestInit & { headers?: Record<string, string> }): Promise<{ status: number; wait?: number; response: Response }>;
  /** `body` is JSON of our server. Only a 5xx, a 413 may come without: then it is {}. */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** The body of a 200; anything else is thrown. */
  ask(...request: Parameters<Http['call']>): Promise<any>;
}

/** Whose token it is, as the server reads it; undefined when it is no JWT. */
function userOf(token: string): string | undefined {
  try {
    const claims = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    return claims.userId ?? claims.sub;
  } catch {
    return undefined;
  }
}

async function gzip(text: string): Promise<{ body: BodyInit; headers: Record<string, string> }> {
  if (text.length < GZIP_FROM || typeof CompressionStream === 'undefined') return { body: text, headers: {} };
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'));
  return { body: await new Response(stream).arrayBuffer(), headers: { 'Content-Encoding': 'gzip' } };
}

export function makeHttp(c: Context, setOnline: (online: boolean) => void): Http {
  const { options, clock, db } = c;
  const offline = (message: string) => {
    setOnline(false);
    return new SyncError('OFFLINE', message);
  };

  const limited = (wait: number) => new SyncError('RATE_LIMITED', `the server asks to wait ${wait} ms`, undefined, wait);

  const getToken = async (refresh: boolean) => {
    const { token } = options;
    const value = typeof token === 'function' ? await token(refresh) : token;
    if (!value) throw new SyncError('UNAUTHORIZED', 'there is no token');
    const user = userOf(value);
    if (!user) return value;
    // Edits of one person must not end up in the library of another who signs in later.
    await db.write(async (tx) => {
      const known = await tx.get('meta', 'user');
      if (known && known !== user)
        throw new SyncError('USER_CHANGED', 'the database is another user\'s: clear() it, or use another');
      tx.put('meta', user, 'user');
    });
    return value;
  };

  const impose = (wait: number) => db.write((tx) => tx.put('meta', clock.now() + wait, 'retryAt'));

  const checkWait = async () => {
    const until = (await db.read((tx) => tx.get('meta', 'retryAt'))) ?? 0;
    const now = clock.now();
    if (until > now && until - now <= LONGEST_WAIT) throw limited(until - now);
  };

  const send: Http['send'] = async (path, init) => {
    if (c.closing.aborted) throw new SyncError('STOPPED', STOPPED);
    await checkWait();
    let response: Response | undefined, last: string | undefined;
    for (const refresh of [false, true]) {
      const token = await getToken(refresh);
      if (token === last) break;
      last = token;
      const fetcher = options.fetch ?? fetch; // called bare: a window's fetch wants no other `this`
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
      await impose(wait ?? options.interval);
      throw limited(wait ?? options.interval);
    }
    return { status, wait, response: response! };
  };

  const call: Http['call'] = async (method, path, body, headers) => {
    const abort = new AbortController();
    const timer = clock.setTimeout(() => abort.abort(), TIMEOUT);
    const stop = () => abort.abort(STOPPED);
    c.closing.addEventListener('abort', stop);
    try {
      const sent = body === undefined ? undefined : await gzip(JSON.stringify(body));
      const { status, wait, response } = await send(path, {
        method,
        headers: { ...(sent && { 'Content-Type': 'application/json' }), ...sent?.headers, ...headers },
        body: sent?.body,
        signal: abort.signal,
      });
      let reply: any;
      try {
        reply = JSON.parse(await response.text());
      } catch {} // cut off, or not JSON
      if (status === 503 && wait) await impose(wait);
      if (typeof reply?.success === 'boolean') setOnline(true);
      else if (status < 500 && status !== 413) throw offline(`an answer that is not the server's (${status})`);
      return { status, body: reply ?? {} };
    } finally {
      clock.clearTimeout(timer);
      c.closing.removeEventListener('abort', stop);
    }
  };

  const ask: Http['ask'] = async (...request) => {
    const reply = await call(...request);
    if (reply.status !== 200) throw problem(reply);
    return reply.body;
  };

  return { send, call, ask };
}

/** What a reply that is not a success says. */
export const problem = ({ status, body }: Reply) =>
  new SyncError(body.error ?? 'SYNC_FAILED', body.message ?? `the server answered ${status}`, body.details);
