// A device: a service with its own database, and a network connection that can be cut. The page only cuts and restores
// the connection. The client itself finds out that it is offline or online again.

import { createSyncService } from '../src/index.js';
import type { ConflictPolicy, SyncService } from '../src/types.js';
import { makeNotifier } from './notifier.js';

export interface Config {
  user: string;
  token: string;
}

/** A request and the milliseconds until its reply began. */
export interface Trip {
  at: number;
  ms: number;
}

const MINUTE = 60_000;

const STORED = 'booky-demo-config';

/** The user that `./dev up` created for this page. Without a network, as it was last. */
export async function readConfig(): Promise<Config> {
  const response = await fetch('/demo/config.json', { cache: 'no-store' }).catch(() => undefined);
  if (response?.ok) {
    const text = await response.text();
    localStorage.setItem(STORED, text);
    return JSON.parse(text);
  }
  const stored = localStorage.getItem(STORED);
  if (response || !stored) throw new Error(`/demo/config.json: ${response?.status ?? 'there is no network'}`);
  return JSON.parse(stored);
}

export class Device {
  readonly service: SyncService;
  readonly id: string;
  /** Notified when the connection, the round trips or the waiting time have changed. */
  readonly changes = makeNotifier();
  connected: boolean;
  /** The round trips of the last minute. */
  trips: Trip[] = [];
  /** Until when the server has asked to wait, in milliseconds since 1970. */
  waitUntil = 0;
  /** Aborted while the connection is cut. */
  private connection = new AbortController();
  private readonly cutKey: string;

  constructor(
    readonly key: string,
    readonly name: string,
    private config: Config,
    policy: ConflictPolicy,
  ) {
    this.id = `demo-${key}`;
    // In localStorage, so that all windows are cut off together, also after a reload.
    this.cutKey = `booky-demo-${config.user}-${key}-cut`;
    this.connected = !localStorage.getItem(this.cutKey);
    if (!this.connected) this.connection.abort();
    addEventListener('storage', ({ key }) => key === this.cutKey && this.apply(!localStorage.getItem(this.cutKey)));
    this.service = createSyncService({
      database: `booky-demo-${config.user}-${key}`,
      deviceId: this.id,
      conflictResolution: policy,
      interval: 10_000,
      fetch: this.fetch,
      token: this.token,
    });
    this.service.on('error', () => void this.readWait());
    this.service.on('status', ({ status }) => status === 'ready' && this.waitUntil && this.setWait(0));
  }

  /** From now on, edits have this policy. */
  setPolicy = (conflictResolution: ConflictPolicy) => this.service.switchUser({ conflictResolution });

  /** Restores the connection, or cuts it together with the requests in progress. Then starts a round at once. */
  connect(connected: boolean): void {
    if (connected) localStorage.removeItem(this.cutKey);
    else localStorage.setItem(this.cutKey, '1');
    this.apply(connected);
  }

  /** A request that the client has no method for. */
  async api(method: string, path: string): Promise<any> {
    const headers = { Authorization: `Bearer ${await this.token(false)}` };
    const response = await this.fetch(`/api/sync${path}`, { method, headers });
    const body = await response.json();
    if (!response.ok) throw new Error(body.message);
    return body;
  }

  private token = async (refresh: boolean) => (refresh ? (this.config = await readConfig()) : this.config).token;

  private apply(connected: boolean) {
    if (connected === this.connected) return;
    this.connected = connected;
    if (connected) this.connection = new AbortController();
    else this.connection.abort();
    this.changes.notify();
    void this.service.sync();
  }

  private async readWait() {
    const { waitUntil } = await this.service.inspect();
    this.setWait(typeof waitUntil === 'string' ? Date.parse(waitUntil) : 0);
  }

  private setWait(until: number) {
    this.waitUntil = until;
    this.changes.notify();
  }

  private fetch: typeof fetch = async (input, init) => {
    const lost = () => new TypeError('the connection is cut');
    const abort = new AbortController(),
      cut = this.connection.signal;
    if (cut.aborted) throw lost();
    const end = () => abort.abort(lost());
    cut.addEventListener('abort', end);
    init?.signal?.addEventListener('abort', () => abort.abort(init.signal!.reason));
    const at = Date.now(),
      start = performance.now();
    const response = await fetch(input, { ...init, signal: abort.signal });
    if (`${input}`.includes('/events')) return response; // a stream, which begins when it pleases
    this.trips = [...this.trips.filter((trip) => trip.at > at - MINUTE), { at, ms: performance.now() - start }];
    this.changes.notify();
    return response;
  };
}
