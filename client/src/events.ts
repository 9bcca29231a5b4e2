// The doorbell: GET {base}/events says that there is something new, a pull brings it. So a lost event costs time, never
// data, and where there is no stream the polls do. EventSource cannot send a token, hence fetch.

import type { Context } from './context.js';
import { STOPPED } from './http.js';
import { jitter } from './retry.js';
import type { SyncError } from './types.js';

const SILENCE = 60_000; // the server pings every 25 s
const LONGEST = 60_000; // between two tries
const NOT_OFFERED = 600_000;

export interface Stream {
  start(): void;
  stop(): void;
}

/** Takes text as it comes; calls `event` for each complete event, and `retry` when the server says when to come back. */
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

/** `cursor` tells where the last pull ended: the server rings at once when there is something later. */
export function makeStream(c: Context, cursor: () => Promise<string | undefined>, ring: (cursor?: string) => void): Stream {
  const { clock } = c;
  let running: AbortController | undefined, failures = 0;

  /** Listens until the stream ends; returns how long to wait before the next. */
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
      const known = await cursor();
      const { status, wait, response } = await c.http.send(`/events?deviceId=${encodeURIComponent(await c.deviceId())}`, {
        headers: { Accept: 'text/event-stream', ...(known && { 'Last-Event-ID': known }) },
        signal: abort.signal,
      });
      const { body } = response;
      const streams = /^text\/event-stream/.test(response.headers.get('Content-Type') ?? '') && body?.getReader;
      if (!streams || status !== 200) {
        abort.abort(STOPPED); // whatever it is, it need not be read
        if ([500, 502, 504].includes(status)) throw status;
        return wait ? jitter(wait, clock) : NOT_OFFERED;
      }
      let again = 1000;
      const parse = parseEvents(
        (data) => {
          let cursor;
          try {
            cursor = JSON.parse(data).cursor;
          } catch {}
          ring(cursor);
        },
        (ms) => (again = ms),
      );
      const reader = body.getReader(), decoder = new TextDecoder();
      abort.signal.addEventListener('abort', () => reader.cancel().catch(() => {})); // a stream that is made by hand hears no signal
      for (let chunk; !(chunk = await reader.read()).done; ) {
        alive();
        failures = 0;
        parse(decoder.decode(chunk.value, { stream: true }));
      }
      return jitter(again, clock);
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
        wait = Math.max(jitter(Math.min(1000 * 2 ** failures++, LONGEST), clock), (error as SyncError).wait ?? 0);
      }
      if (signal.aborted) return;
      await new Promise<void>((resolve) => {
        const timer = clock.setTimeout(resolve, wait);
        signal.addEventListener('abort', () => (clock.clearTimeout(timer), resolve()));
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
