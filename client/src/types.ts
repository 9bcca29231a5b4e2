// What an app sees: options, events, and the shapes that go in and out.

export type Entity = 'book' | 'rating' | 'tag' | 'collection' | 'readingLog' | 'userSettings';
export type OperationType = 'create' | 'update' | 'delete';
export type ConflictPolicy = 'merge' | 'local' | 'server' | 'manual';
export type Resolution = 'keep_local' | 'keep_server' | 'merge';

/** JSON: what `data` may hold. */
export type Data = Record<string, any>;

/** An entity as the store gives it: the server's members with the queued edits laid over them. */
export interface EntityData {
  id: string;
  createdAt?: string;
  updatedAt?: string;
  [member: string]: any;
}

/** An edit that waits to be sent. */
export interface Operation {
  id: string;
  type: OperationType;
  entity: Entity;
  entityId: string;
  data?: Data;
  /** When the person did it: RFC 3339, later than any other of this device. */
  timestamp: string;
  /** The version of the entity that the edit was made on. */
  baseVersion?: string;
  conflictResolution?: ConflictPolicy;
  synced: false;
  /** How often the server failed on it. */
  attempts: number;
}

/** An edit that the client has stopped sending: `retry` or `drop` it. */
export interface ReviewItem extends Operation {
  /** The code of the server (`VALIDATION_ERROR`, …), or `SYNC_FAILED` after the last attempt. */
  error: string;
  message: string;
}

export interface ConflictInfo {
  id: string;
  entity: Entity;
  entityId: string;
  reason: string;
  /** `open`: a person must decide, with `resolveConflict`. */
  status: 'open' | 'resolved';
  resolution?: string | null;
  localData: any;
  serverData: any;
  /** When each side was edited; time 0 where the server knows none. */
  localTimestamp: Date;
  serverTimestamp: Date;
  /** Of `one_per_book` and `same_name`: the other entity. */
  otherId?: string;
}

/** One entity that changed. Deleted ones have an id and a version only. */
export interface Change {
  type: Entity;
  deleted?: boolean;
  data: EntityData;
}

export interface SyncStatus {
  /** `error`: the last round failed, or something waits for review. `offline`: the server did not answer. */
  status: 'ready' | 'syncing' | 'offline' | 'error';
  isOnline: boolean;
  /** When this device last had sent and pulled everything; null: never. */
  lastSync: string | null;
  pendingOperations: number;
  review: number;
  /** Open ones that this device knows of. */
  conflicts: number;
}

export interface SyncResult {
  /** Everything due was sent and everything new was pulled. */
  ok: boolean;
  sent: number;
  received: number;
  /** Why not ok. */
  error?: SyncProblem;
  /** Of a full sync that replaced something: the server's snapshot of the state before. */
  snapshot?: string;
}

export interface SyncProblem {
  code: string;
  message: string;
  /** Items of a refused upload, as the server names them. */
  details?: { path: string; message: string }[];
}

export interface SyncEvents {
  status: SyncStatus;
  /** `done` operations of `total` are sent, or `done` changes are pulled. */
  progress: { phase: 'push' | 'pull'; done: number; total?: number };
  /** What changed in the store (an empty list: everything), and whether a person did it here or it came from the server. */
  change: { source: 'local' | 'remote'; entities: { entity: Entity; entityId: string }[] };
  conflict: ConflictInfo;
  review: ReviewItem;
  error: SyncProblem;
}

/** The library of a person, as `POST /full` takes it. */
export interface Library {
  books?: Data[];
  ratings?: Data[];
  tags?: Data[];
  collections?: Data[];
  readings?: Data[];
  settings?: Data;
}

export interface FullSyncOptions {
  /** What to send before everything is pulled anew: the local store, or a library of the app's own. */
  upload?: 'local' | Library;
  /** `merge` (default) deletes nothing. `replace`, of a given library only: the server becomes exactly that. */
  mode?: 'merge' | 'replace';
}

/** Time, so that tests can own it. All in milliseconds. */
export interface Clock {
  now(): number;
  setTimeout(fn: () => void, ms: number): any;
  clearTimeout(timer: any): void;
  /** 0 to 1, for jitter. */
  random(): number;
}

export interface SyncOptions {
  /** The API: default `/api/sync`. */
  baseUrl?: string;
  /** The access token, or how to get it. Asked before every request, and with `true` after a 401. None: nobody is signed in. */
  token?: string | ((refresh: boolean) => string | null | undefined | Promise<string | null | undefined>);
  /** The server refused a fresh token. */
  onUnauthorized?: () => void;
  /** Between two rounds: default 30,000 ms. */
  interval?: number;
  /** Operations in one request: default 10. */
  batchSize?: number;
  /** Selective sync: only these kinds are pulled. Default: all. */
  entities?: Entity[];
  /** The IndexedDB database: default `booky-sync`. One for each user who shares the browser. */
  database?: string;
  /** Default: made once and kept. */
  deviceId?: string;
  /** Hears of changes by GET {base}/events. Default true. */
  realtime?: boolean;
  /** Sent with each operation; default: the server's. */
  conflictResolution?: ConflictPolicy;
  /** Decides an open conflict; undefined leaves it to a person. */
  resolveConflict?: (
    conflict: ConflictInfo,
  ) => { resolution: Resolution; data?: Data } | undefined | void | Promise<{ resolution: Resolution; data?: Data } | undefined | void>;
  /** Receives every change of the server before it is counted as pulled, at least once. */
  apply?: (changes: Change[]) => void | Promise<void>;
  fetch?: typeof fetch;
  clock?: Clock;
  logger?: Partial<Record<'debug' | 'warn', (message: string, detail?: unknown) => void>>;
  /** Aborted: the same as `close()`. */
  signal?: AbortSignal;
}

export interface SyncOperations {
  /** What waits to be sent, oldest first. */
  getPendingOperations(): Promise<Operation[]>;
  getReview(): Promise<ReviewItem[]>;
  /** Sends an operation of the review list again, or all of them; with `data`, corrected. */
  retry(id?: string, data?: Data): Promise<void>;
  /** Forgets an operation of the review list. */
  drop(id: string): Promise<void>;
  getConflicts(): Promise<ConflictInfo[]>;
  /** Asks the server for the open conflicts of all devices. */
  fetchConflicts(): Promise<ConflictInfo[]>;
  /**
   * Rejects with `CONFLICT_DETECTED` when the entity has moved on: look again, and decide again with the `updatedAt` of what
   * was looked at as `baseVersion`.
   */
  resolveConflict(id: string, resolution: Resolution, mergedData?: Data, baseVersion?: string): Promise<void>;
}

export interface Store {
  get<T = EntityData>(entity: Entity, id: string): Promise<T | undefined>;
  list<T = EntityData>(entity: Entity): Promise<T[]>;
  /** Calls `fn` with the list now and whenever it changed, in any tab. Returns the way to stop it. */
  observe<T = EntityData>(entity: Entity, fn: (list: T[]) => void): () => void;
  observeOne<T = EntityData>(entity: Entity, id: string, fn: (data: T | undefined) => void): () => void;
}

export interface SyncService {
  /** Sets the options; only before the first use. */
  configure(options: SyncOptions): void;
  startMonitoring(): void;
  stopMonitoring(): void;
  /** One round now: send, then pull. Never rejects; what failed is tried again by itself. */
  sync(): Promise<SyncResult>;
  /** Sends what is queued, then pulls everything anew. */
  fullSync(options?: FullSyncOptions): Promise<SyncResult>;
  getStatus(): Promise<SyncStatus>;
  /** When it resolves, the operation is on the disk. */
  queueOperation(entity: Entity, entityId: string, type: OperationType, data?: Data): Promise<Operation>;
  subscribe(listener: (isOnline: boolean) => void): () => void;
  getOnlineStatus(): boolean;
  on<K extends keyof SyncEvents>(name: K, listener: (event: SyncEvents[K]) => void): () => void;
  readonly store: Store;
  readonly operations: SyncOperations;
  /** Forgets everything of this user, at sign-out. Rejects while something is unsent, unless `force`. */
  clear(options?: { force?: boolean }): Promise<void>;
  /** Stops for good and closes the database. */
  close(): Promise<void>;
}

/** `code` is the server's, or one of the client's own: OFFLINE, UNAUTHORIZED, RATE_LIMITED, USER_CHANGED, UNSENT, … */
export class SyncError extends Error implements SyncProblem {
  /** `wait`: milliseconds until it is worth another try, where the server has said it. */
  constructor(public code: string, message: string, public details?: SyncProblem['details'], public wait?: number) {
    super(message);
    this.name = 'SyncError';
  }
}
