// Change notifications: GET {base}/events says that there are changes, and a pull fetches them. A lost event therefore
// costs time but no data. Without a stream the polls find the changes. EventSource cannot send a token, so this file
// uses fetch.

import type { Context } from './context.js';
import { STOPPED } from './http.js';
import { jitter, LONGEST_WAIT } from './retry.js';
import type { SyncError } from './types.js';

const SILENCE = 60_000; // a stream that is silent for so long is dead: the server pings every 25 s
const LONGEST = 60_000; // the longest wait after failures
const LONGEST_CUT = 300_000; // the longest wait if the network cuts streams soon after they began
const STABLE = 60_000; // a stream that lasts so long ends a series of failures
const NOT_OFFERED = 600_000; // the wait when the server offers no stream

export interface Stream {
  start(): void;
  stop(): void;
}

/**
 * Returns a parser that takes text in pieces. It calls `event` for each complete event, and `retry` when the server
 * says how long to wait before the next connection.
 */
export function parseEvents(event: (data: string) => void, retry: (ms: number) => void): (text: string) => void {
  let rest = '', data = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    for (const raw of lines) {
      const line = raw.replace(/\r$/, '');
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line)!;
      if (name === 'data') data += (data && '\n') + value;
      else if (name === 'retry' && /^\d+$/.test(value)) retry(+value);
      else if (!line) {
        if (data) event(data);
        data = '';
      }
    }
  };
}

/**
 * `pulledTo` gives the cursor of the last pull; when there are later changes the server sends an event at once.
 * `notify` is called for each event, with the cursor of the change.
 */
export function makeStream(
  ctx: Context, pulledTo: () => Promise<string | undefined>, notify: (cursor?: string) => void,
): Stream {
  const { clock } = ctx;
  let running: AbortController | undefined, failures = 0, refusals = 0;

  const backOff = (longest: number) => jitter(Math.min(1000 * 2 ** failures++, longest), clock);

  /** Listens until the stream ends. Returns how long to wait before the next one. */
  async function listen(signal: AbortSignal): Promise<number> {
    const abort = new AbortController();
    let timer: any;
    const alive = () => {
      clock.clearTimeout(timer);
      timer = clock.setTimeout(() => abort.abort(), SILENCE);
    };
    const stop = () => abort.abort(STOPPED);
    signal.addEventListener('abort', stop);
    try {
      alive();
      const cursor = await pulledTo(), device = encodeURIComponent(await ctx.deviceId());
      const { status, wait, response } = await ctx.http.send(`/events?deviceId=${device}`, {
        headers: { Accept: 'text/event-stream', ...(cursor && { 'Last-Event-ID': cursor }) },
        signal: abort.signal,
      });
      const { body } = response;
      const streams = /^text\/event-stream/.test(response.headers.get('Content-Type') ?? '') && body?.getReader;
      if (!streams || status !== 200) {
        abort.abort(STOPPED); // the body is of no interest
        if ([500, 502, 504].includes(status)) throw status; // as if there were no network
        // A service that is away or full is asked less and less.
        return Math.min(jitter(wait ?? NOT_OFFERED, clock) * 2 ** refusals++, LONGEST_WAIT);
      }
      refusals = 0;
      const opened = clock.now();
      let again = 1000;
      const parse = parseEvents(
        (data) => {
          let cursor;
          try {
            cursor = JSON.parse(data).cursor;
          } catch {}
          notify(cursor);
        },
        (ms) => (again = ms),
      );
      const reader = body.getReader(), decoder = new TextDecoder();
      // An app's own `fetch` may return a body that does not react to the signal.
      abort.signal.addEventListener('abort', () => reader.cancel().catch(() => {}));
      for (let chunk; !(chunk = await reader.read()).done; ) {
        alive();
        if (clock.now() - opened > STABLE) failures = 0;
        parse(decoder.decode(chunk.value, { stream: true }));
      }
      return Math.max(jitter(again, clock), backOff(LONGEST_CUT));
    } finally {
      clock.clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  async function loop(signal: AbortSignal) {
    while (!signal.aborted) {
      let wait: number;
      try {
        wait = await listen(signal);
      } catch (error) {
        wait = Math.max(backOff(LONGEST), (error as SyncError).wait ?? 0);
      }
      if (signal.aborted) return;
      await new Promise<void>((resolve) => {
        const end = () => {
          clock.clearTimeout(timer);
          signal.removeEventListener('abort', end);
          resolve();
        };
        const timer = clock.setTimeout(end, Math.max(wait, ctx.budget.wait(1)));
        signal.addEventListener('abort', end);
      });
    }
  }

  return {
    start() {
      if (running) return;
      running = new AbortController();
      void loop(running.signal);
    },
    stop() {
      running?.abort();
      running = undefined;
    },
  };
}
