// The types of the public interface: options, events, arguments and results.

import type { Data, DataOf, Edit, Entity, OperationType, Transaction, TransactionOptions } from './edits.js';
import type { Entities, EntityData } from './entities.js';
import type { Query, Results } from './query.js';

export type * from './edits.js';
export type {
  Book, Collection, Entities, EntityData, Instant, Rating, ReadingLog, Tag, UserSettings,
} from './entities.js';

export type ConflictPolicy = 'merge' | 'local' | 'server' | 'manual';
export type Resolution = 'keep_local' | 'keep_server' | 'merge';

/** An edit that waits to be sent to the server. */
export interface Operation {
  id: string;
  type: OperationType;
  entity: Entity;
  entityId: string;
  data?: Data;
  /** When the person made the edit (RFC 3339). Later than the timestamp of any earlier edit on this device. */
  timestamp: string;
  /** The `updatedAt` of the entity on which the edit was made. */
  baseVersion?: string;
  conflictResolution?: ConflictPolicy;
  /** The id of the transaction that it belongs to. */
  transaction?: string;
  /** The server applies all operations of the transaction or none. */
  atomic?: boolean;
  synced: false;
  /** How many attempts to send it have failed. */
  attempts: number;
}

/** An edit that the client has stopped sending. Call `retry` or `drop`. */
export interface ReviewItem extends Operation {
  /** The error code of the server, such as `VALIDATION_ERROR`; `SYNC_FAILED` after the last attempt. */
  error: string;
  message: string;
}

export interface ConflictInfo {
  id: string;
  entity: Entity;
  entityId: string;
  reason: string;
  /** `open`: a person must decide by `resolveConflict`. */
  status: 'open' | 'resolved';
  resolution?: string | null;
  localData: any;
  serverData: any;
  /** When each side was edited; 1970 (time 0) if the server does not know. */
  localTimestamp: Date;
  serverTimestamp: Date;
  /** With the reasons `one_per_book` and `same_name`: the id of the other entity. */
  otherId?: string;
}

/** An entity that changed. A deleted one has only `id` and, if known, `updatedAt` in `data`. */
export interface Change {
  type: Entity;
  deleted?: boolean;
  data: EntityData;
}

export interface SyncStatus {
  /** `error`: the last round failed, or operations are on the review list. `offline`: the server did not answer. */
  status: 'ready' | 'syncing' | 'offline' | 'error';
  isOnline: boolean;
  /** When this device last completed a round (everything due sent, everything pulled); null if it never did. */
  lastSync: string | null;
  pendingOperations: number;
  /** How many operations are on the review list. */
  review: number;
  /** How many open conflicts this device knows. */
  conflicts: number;
}

export interface SyncResult {
  /** Whether everything due was sent and everything new was pulled. */
  ok: boolean;
  sent: number;
  received: number;
  /** Set when `ok` is false. */
  error?: SyncProblem;
  /** After a full sync with mode `replace`: the id of the server's snapshot of the previous state. */
  snapshot?: string;
}

export interface SyncProblem {
  code: string;
  message: string;
  /** The invalid items of a rejected upload. `path` is as in the upload, for example `tags[1].name`. */
  details?: { path: string; message: string }[] | undefined;
}

export type ResyncReason = 'deletions_forgotten' | 'erased' | 'restored' | 'other_server';

/** What was done because the server could not continue the history of this device. */
export interface ResyncInfo {
  reason: ResyncReason;
  /** How many entities and deletions this device has sent back to the server. */
  sent: number;
  /** How many of them the server has refused, for example for the quota. They are on the review list. */
  refused: number;
  /** How many entities were removed from this device, and after an erasure how many edits. */
  dropped: number;
}

/** Where the data of this device is. */
export interface StorageInfo {
  /**
   * `memory`: IndexedDB is forbidden or missing, so the data ends with the page. `outdated`: a newer version of the app
   * has changed the database, and this page must be reloaded.
   */
  kind: 'indexeddb' | 'memory' | 'outdated';
  reason?: string;
}

/** What sync has done with some entities, so that an app can show it. */
export interface Activity {
  /**
   * `queued`: a person edited them here. `sent`: these edits were sent. `confirmed`: the server has accepted them.
   * `refused`: it has not, and they are on the review list. `received`: other devices have changed them. `conflict`: a
   * conflict was found or settled.
   */
  kind: 'queued' | 'sent' | 'confirmed' | 'refused' | 'received' | 'conflict';
  entities: { entity: Entity; entityId: string }[];
  /** With `confirmed`: the milliseconds between the request and its results. */
  ms?: number;
  /** With `conflict`: how it was settled; `open` if a person must decide. */
  resolution?: string;
}

export interface SyncEvents {
  status: SyncStatus;
  /** With `push`, `done` of `total` operations were sent; with `pull`, `done` of `total` changes were received. */
  progress: { phase: 'push' | 'pull'; done: number; total?: number };
  /** Which entities changed in the store; an empty list means all. `local`: by an edit, `remote`: by the server. */
  change: { source: 'local' | 'remote'; entities: { entity: Entity; entityId: string }[] };
  conflict: ConflictInfo;
  review: ReviewItem;
  /** The server was restored or moved, or the account erased, and this device has pulled everything again. */
  resync: ResyncInfo;
  /** Emitted at the first use if the data is in memory, and when a newer version of the app changes the database. */
  storage: StorageInfo;
  activity: Activity;
  error: SyncProblem;
}

/** The library of a person in the form that `POST /full` takes. */
export interface Library {
  books?: Data[];
  ratings?: Data[];
  tags?: Data[];
  collections?: Data[];
  readings?: Data[];
  settings?: Data;
}

export interface FullSyncOptions {
  /** What to send before the pull: the local store or a given library. Default: nothing. */
  upload?: 'local' | Library;
  /** `merge` (default) deletes nothing. `replace` makes the server's library equal to the given one. */
  mode?: 'merge' | 'replace';
}

/** The clock and the random numbers of the client; tests replace them. Times are in milliseconds. */
export interface Clock {
  now(): number;
  setTimeout(fn: () => void, ms: number): any;
  clearTimeout(timer: any): void;
  /** From 0 to 1, for jitter. */
  random(): number;
}

export interface SyncOptions {
  /** The base URL of the API. Default: `/api/sync`. */
  baseUrl?: string;
  /**
   * The access token, or a function that returns it. The function is called at the first use and before each request,
   * and with `true` after a 401. Without a token nothing is sent. Return null if nobody is signed in. If the function
   * throws or rejects, for example because there is no network, the service is offline and tries again.
   */
  token?: string | ((refresh: boolean) => string | null | undefined | Promise<string | null | undefined>);
  /** Called when the server rejected a new token too. */
  onUnauthorized?: () => void;
  /** The time between two rounds in milliseconds. Default: 30,000. */
  interval?: number;
  /** The largest number of operations in one request while the queue is short. Default: 10. */
  batchSize?: number;
  /** Selective sync: pull only these kinds. Default: all. */
  entities?: Entity[];
  /** The name of the IndexedDB database. Each user of the browser needs their own. Default: `booky-sync`. */
  database?: string;
  /** Default: a random id, made once and kept in the database. */
  deviceId?: string;
  /** Whether to receive change notifications by `GET {baseUrl}/events`. Default: true. */
  realtime?: boolean;
  /** The conflict policy, sent with each operation. Default: the server's setting. */
  conflictResolution?: ConflictPolicy;
  /** Decides an open conflict. Return undefined to leave it to a person. */
  resolveConflict?: (conflict: ConflictInfo) =>
    | { resolution: Resolution; data?: Data } | undefined | void
    | Promise<{ resolution: Resolution; data?: Data } | undefined | void>;
  /** Receives each change of the server at least once, before the client records that it has pulled it. */
  apply?: (changes: Change[]) => void | Promise<void>;
  /**
   * The account was erased, and these edits were made since. Return true to keep them; they start a new library.
   * Default: they are dropped like everything from before.
   */
  onErased?: (erasedAt: Date, edits: Operation[]) => boolean | Promise<boolean>;
  fetch?: typeof fetch;
  clock?: Clock;
  /** Logs each round to the console, unless there is a `logger`. */
  debug?: boolean;
  logger?: Partial<Record<'debug' | 'warn', (message: string, detail?: unknown) => void>>;
  /** When it is aborted, the service is closed as by `close()`. */
  signal?: AbortSignal;
}

export interface SyncOperations {
  /** The operations that wait to be sent, oldest first. */
  getPendingOperations(): Promise<Operation[]>;
  /** The operations that the client has stopped sending. */
  getReview(): Promise<ReviewItem[]>;
  /** Sends an operation of the review list again; without an id, all. `data` replaces the data of the operation. */
  retry(id?: string, data?: Data): Promise<void>;
  /** Removes an operation from the review list without sending it. */
  drop(id: string): Promise<void>;
  /** The conflicts that this device knows: all open ones and the last 100 resolved ones. */
  getConflicts(): Promise<ConflictInfo[]>;
  /**
   * Fetches the open conflicts of all devices from the server; with `settled`, the latest resolved ones too. Returns
   * what `getConflicts` then returns.
   */
  fetchConflicts(options?: { settled?: boolean }): Promise<ConflictInfo[]>;
  /**
   * Rejects with `CONFLICT_DETECTED` if the entity has changed since. Then show its current state and decide again,
   * with the `updatedAt` of that state as `baseVersion`.
   */
  resolveConflict(id: string, resolution: Resolution, mergedData?: Data, baseVersion?: string): Promise<void>;
}

/** The members of T by name, and those beneath them by their path. */
export type Member<T> = (keyof T & string) | `${keyof T & string}.${string}`;

export interface Store {
  get<E extends Entity>(entity: E, id: string): Promise<Entities[E] | undefined>;
  get<T>(entity: Entity, id: string): Promise<T | undefined>;
  list<E extends Entity>(entity: E): Promise<Entities[E][]>;
  list<T>(entity: Entity): Promise<T[]>;
  /** Calls `fn` with the list now and after each change in any tab. Returns a function that ends this. */
  observe<E extends Entity>(entity: E, fn: (list: Entities[E][]) => void): () => void;
  observe<T>(entity: Entity, fn: (list: T[]) => void): () => void;
  observeOne<E extends Entity>(entity: E, id: string, fn: (data: Entities[E] | undefined) => void): () => void;
  observeOne<T>(entity: Entity, id: string, fn: (data: T | undefined) => void): () => void;
  /**
   * Selects from the entities of a kind. Await the results, or observe them. If the query is invalid, awaiting rejects
   * with a TypeError.
   */
  query<E extends Entity>(entity: E, query?: Query<Member<Entities[E]>>): Results<Entities[E]>;
  query<T>(entity: Entity, query?: Query<Member<T>>): Results<T>;
}

export interface SyncService {
  /** Sets options. Throws after the first use of the service, unless it was closed. */
  configure(options: SyncOptions): void;
  /**
   * Another person has signed in: ends everything of the former user and goes on with these options, usually a `token`
   * and a `database`. Listeners and observers stay. Rejects with `USER_CHANGED` if the database belongs to another
   * user.
   */
  switchUser(options: SyncOptions): Promise<void>;
  /** Syncs now, and from then on periodically, after edits and when the server has changes. */
  startMonitoring(): void;
  stopMonitoring(): void;
  /** Runs one round: sends, then pulls. Never rejects. Failures are retried automatically. */
  sync(): Promise<SyncResult>;
  /** Sends the queue, then pulls everything from the beginning. */
  fullSync(options?: FullSyncOptions): Promise<SyncResult>;
  getStatus(): Promise<SyncStatus>;
  /** Adds an edit to the queue. When it resolves, the edit is stored durably. */
  queueOperation<E extends Entity, T extends OperationType>(
    entity: E, entityId: string, type: T, ...data: DataOf<E, T>
  ): Promise<Operation>;
  /** Adds several edits, all or none. With `atomic`, they are a transaction. */
  queueOperations(edits: Edit[], options?: TransactionOptions): Promise<Operation[]>;
  /**
   * Calls `work`, which may be asynchronous, and adds the edits that it makes by `tx`: all of them, or none if it
   * throws. They are sent in one request.
   */
  transaction(
    work: (tx: Transaction) => unknown, options?: TransactionOptions,
  ): Promise<Operation[]>;
  /** Adds elements at the end of a list, such as `bookIds` of a collection. Other devices' additions are kept. */
  addTo: Transaction<Promise<Operation>>['addTo'];
  /** Removes elements from a list. */
  removeFrom: Transaction<Promise<Operation>>['removeFrom'];
  /** Calls `listener` when `getOnlineStatus()` changes. Returns a function that ends this. */
  subscribe(listener: (isOnline: boolean) => void): () => void;
  /** Whether the server is reachable, as far as the client knows. */
  getOnlineStatus(): boolean;
  /** Adds a listener for events of all tabs. Returns a function that removes it. */
  on<K extends keyof SyncEvents>(name: K, listener: (event: SyncEvents[K]) => void): () => void;
  /**
   * Describes the state of this device for a bug report, as JSON: status, queue, storage, clock, the last rounds and
   * errors. It has neither the token nor the contents of entities.
   */
  inspect(): Promise<Record<string, unknown>>;
  readonly store: Store;
  readonly operations: SyncOperations;
  /** Deletes all data of the user, for sign-out. Rejects with `UNSENT` if edits are unsent and `force` is not set. */
  clear(options?: { force?: boolean }): Promise<void>;
  /** Stops the service and closes the database. */
  close(): Promise<void>;
}

/** `code` is the server's, or one of the client, which README.md lists, such as OFFLINE. */
export class SyncError extends Error implements SyncProblem {
  /** `wait`: the milliseconds to wait before another try, if the server has said so. */
  constructor(public code: string, message: string, public details?: SyncProblem['details'], public wait?: number) {
    super(message);
    this.name = 'SyncError';
  }
}
