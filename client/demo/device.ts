// A device: a service of its own, with its own database, and a connection that can be cut. Cutting it is all that the
// page does: that the device is offline, and that it is online again, the client finds out by itself.

import { createSyncService } from '../src/index.js';
import type { ConflictPolicy, SyncService } from '../src/types.js';

interface Config {
  user: string;
  token: string;
}

/** The user that `./dev up` made for this page. */
export async function readConfig(): Promise<Config> {
  const response = await fetch('/demo/config.json', { cache: 'no-store' });
  if (!response.ok) throw new Error(`/demo/config.json: ${response.status}`);
  return response.json();
}

export class Device {
  service!: SyncService;
  connected = true;
  /** Called with each new service: at first, and when the policy changes. */
  opened: (service: SyncService) => void = () => {};
  private cut = new AbortController();

  constructor(readonly key: string, readonly name: string, private config: Config) {}

  open(policy: ConflictPolicy): void {
    this.service = createSyncService({
      database: `booky-demo-${this.config.user}-${this.key}`,
      deviceId: `demo-${this.key}`,
      conflictResolution: policy,
      interval: 10_000,
      fetch: this.fetch,
      token: async (refresh) => (refresh ? (this.config = await readConfig()) : this.config).token,
    });
    this.opened(this.service);
    this.service.startMonitoring();
  }

  async reopen(policy: ConflictPolicy): Promise<void> {
    await this.service.close();
    this.open(policy);
  }

  /** Cuts the connection, what is under way included, or mends it. A device that notices tries at once, as with a real network. */
  connect(connected: boolean): void {
    if (connected === this.connected) return;
    this.connected = connected;
    if (connected) this.cut = new AbortController();
    else this.cut.abort();
    void this.service.sync();
  }

  private fetch: typeof fetch = async (input, init) => {
    const lost = () => new TypeError('the connection is cut');
    const abort = new AbortController(), cut = this.cut.signal;
    if (cut.aborted) throw lost();
    cut.addEventListener('abort', () => abort.abort(lost()));
    init?.signal?.addEventListener('abort', () => abort.abort(init.signal!.reason));
    return fetch(input, { ...init, signal: abort.signal });
  };
}
