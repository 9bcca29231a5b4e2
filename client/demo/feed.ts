// What has happened on a device, as people see it: their edits and how far they have come, the edits of other devices,
// and how conflicts ended. It is made from the events of the client.

import type { Activity, ConflictInfo, EntityData, SyncEvents } from '../src/types.js';
import type { Device } from './device.js';
import { fieldsOf, type Part, undo } from './library.js';
import { makeNotifier } from './notifier.js';
import { bookIdOf, plural, textOf } from './words.js';

export const KIND_NAMES = {
  book: 'book',
  rating: 'rating',
  tag: 'tag',
  collection: 'collection',
  readingLog: 'reading',
  userSettings: 'settings',
} as const;

type Key = Activity['entities'][number];

/** How far an edit of this device has come. */
export type Progress = 'waiting' | 'sent' | 'confirmed' | 'refused' | 'open';

/** With a `sentAt`: the server may have it. An edit whose reply was lost waits again. */
const SENT: Progress[] = ['waiting', 'sent', 'confirmed'];

export interface Entry {
  id: number;
  at: number;
  /** `lost`: a later edit of another device was kept. `merged`: this device's edit was kept in a conflict. */
  kind: 'edit' | 'received' | 'lost' | 'merged' | 'bulk';
  /** The key of the device that wrote it; `other` if no device of this page did. */
  by: string;
  subject: string;
  /** With `bulk`: what happened. */
  text?: string;
  parts: Part[];
  progress?: Progress;
  sentAt?: number;
  /** The milliseconds from sending to the confirmation, and to the arrival on another device of this page. */
  ms?: number;
  arrival?: { name: string; ms: number; at: number };
  undone?: boolean;
}

const KEPT = 60,
  MANY = 40,
  RECENT = 120_000,
  DECISION = 10_000;
/** How long a field is marked that was written, in milliseconds; demo.css has the same duration. */
export const FLASH = 2500;
const REMEMBERED = 'booky-demo-titles';
let ids = 0;

const sameText = (a: unknown, b: unknown) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
const keyOf = ({ entity, entityId }: Key) => `${entity}/${entityId}`;

export class Feed {
  entries: Entry[] = [];
  readonly changes = makeNotifier();
  /** By book and member (the empty one is the whole book): who wrote it when, for the marks in the library. */
  readonly flashes = new Map<string, { by: string; at: number; n: number }>();
  /** The feeds of the other devices of this page. */
  others: Feed[] = [];
  /** How many edits of others have arrived. */
  arrivals = 0;
  private known = new Map<string, EntityData>();
  private titles = new Map<string, string>(Object.entries(JSON.parse(localStorage.getItem(REMEMBERED) ?? '{}')));
  private fresh = new Map<string, Part>(); // changes from the server that no activity has explained yet
  private work: Promise<unknown>;
  private editing = new Set<string>(); // edits that are in the store, but not yet in the list
  private rereading = 0;
  private syncing = false;
  private decided = new Map<string, number>(); // when a person has decided about an entity on this device

  constructor(readonly device: Device) {
    const { service } = device;
    this.work = this.readAll();
    service.on('change', (event) => {
      const at = Date.now();
      if (event.source === 'local') for (const key of event.entities) this.editing.add(keyOf(key));
      this.next(() => this.change(event, at));
    });
    service.on('activity', (event) => {
      const at = Date.now();
      this.next(() => this.activity(event, at), this.others);
    });
    service.on('status', ({ status }) => {
      this.syncing = status === 'syncing';
      this.next(() => this.ended());
    });
    service.on('conflict', (event) => {
      const at = Date.now();
      this.next(() => this.conflict(event, at), this.others);
    });
  }

  /** The title of a book, also of one that was deleted. */
  titleOf = (id: string) => this.titles.get(id) ?? this.others.find((it) => it.titles.has(id))?.titles.get(id) ?? id;

  nameOf = (entity: string, id: string, data?: EntityData | null): string => {
    const bookId = bookIdOf(entity, id, data ?? this.known.get(`${entity}/${id}`));
    if (bookId) return this.titles.has(bookId) ? this.titleOf(bookId) : (data?.title ?? this.titleOf(bookId));
    if (entity === 'userSettings') return 'Settings';
    return data?.name ?? this.known.get(`${entity}/${id}`)?.name ?? this.titleOf(id);
  };

  /** A person decides about this entity: the change that follows is theirs. */
  decides = (key: Key) => this.decided.set(keyOf(key), Date.now());

  async undo(entry: Entry) {
    entry.undone = true;
    this.changes.notify();
    await undo(this.device.service, entry.parts);
  }

  /** Runs the step after the earlier ones, and after those that `others` have been given until now. */
  private next(step: () => Promise<void>, others: Feed[] = []) {
    const earlier = Promise.all([this, ...others].map(({ work }) => work));
    this.work = earlier.then(step).catch((error) => console.error('the activity list:', error));
  }

  private async readAll() {
    const edited = [...this.editing].map((key): [string, EntityData | undefined] => [key, this.known.get(key)]);
    this.known.clear();
    for (const entity of Object.keys(KIND_NAMES) as (keyof typeof KIND_NAMES)[])
      for (const data of await this.device.service.store.list(entity)) this.keep(entity, data.id, data);
    // What the edits find before them.
    for (const [key, data] of edited)
      if (data) this.known.set(key, data);
      else this.known.delete(key);
    this.changes.notify();
  }

  private keep(entity: string, id: string, data: EntityData | undefined) {
    const key = `${entity}/${id}`,
      title = data?.title ?? data?.name;
    if (typeof title === 'string') this.titles.set(id, title);
    if (data) this.known.set(key, data);
    else {
      this.known.delete(key);
      this.remember(id);
    }
  }

  /** A deletion that waits has no data, and must still have a title after a reload. */
  private remember(id: string) {
    const title = this.titles.get(id);
    if (!title) return;
    const all = Object.entries({ ...JSON.parse(localStorage.getItem(REMEMBERED) ?? '{}'), [id]: title });
    localStorage.setItem(REMEMBERED, JSON.stringify(Object.fromEntries(all.slice(-100))));
  }

  private add(entry: Omit<Entry, 'id'>) {
    this.entries = [{ ...entry, id: ids++ }, ...this.entries].slice(0, KEPT);
    this.changes.notify();
  }

  /** Adds to the newest entry if that is of the same kind and moment. */
  private bulk(by: string, n: number, at: number) {
    const [last] = this.entries,
      verb = by === this.device.key ? 'Edited' : 'Received';
    const before = last?.kind === 'bulk' && last.by === by && at - last.at < 30_000 ? +last.subject : 0;
    if (before) this.entries = this.entries.slice(1);
    this.add({
      at,
      kind: 'bulk',
      by,
      subject: `${before + n}`,
      text: `${verb} ${plural(before + n, 'item')}`,
      parts: [],
    });
  }

  /** What has changed in these entities since they were read last. */
  private async read(keys: Key[]): Promise<Part[]> {
    const parts: Part[] = [];
    for (const { entity, entityId } of keys) {
      const before = this.known.get(`${entity}/${entityId}`);
      const after = (await this.device.service.store.get(entity, entityId)) as EntityData | undefined;
      this.keep(entity, entityId, after);
      const fields = fieldsOf(before, after);
      if (fields.length || !before !== !after) parts.push({ entity, entityId, before, after, fields });
    }
    return parts;
  }

  private subjectOf({ entity, entityId, before, after }: Part) {
    return this.nameOf(entity, entityId, after ?? before);
  }

  /** One entry for the parts of each book; a tag that was made for it goes with it. */
  private addParts(parts: Part[], entry: Omit<Entry, 'id' | 'subject' | 'parts'>) {
    const groups = new Map<string, Part[]>();
    const [first] = parts.filter(({ entity }) => entity !== 'tag');
    const added = new Set(parts.filter(({ entity, before }) => entity === 'book' && !before).map((it) => it.entityId));
    for (const part of parts) {
      const name = this.subjectOf(part.entity === 'tag' && first ? first : part);
      groups.set(name, [...(groups.get(name) ?? []), part]);
      const about = bookIdOf(part.entity, part.entityId, part.after ?? part.before) ?? part.entityId;
      // A book that was added is marked as a whole.
      for (const name of added.has(about) ? [''] : part.fields.map(({ name }) => name)) {
        const key = `${about}/${name}`,
          n = (this.flashes.get(key)?.n ?? 0) + 1;
        this.flashes.set(key, { by: entry.by, at: Date.now(), n });
      }
    }
    const order = Object.keys(KIND_NAMES);
    const rank = ({ entity }: Part) => (entity === 'tag' ? order.length : order.indexOf(entity)); // the book first
    for (const [subject, parts] of groups)
      this.add({ ...entry, subject, parts: parts.sort((a, b) => rank(a) - rank(b)) });
    setTimeout(() => this.changes.notify(), FLASH); // the marks end
  }

  private async change({ source, entities }: SyncEvents['change'], at: number) {
    if (!entities.length || entities.length > MANY) {
      for (const key of entities) this.editing.delete(keyOf(key));
      if (entities.length) this.bulk(source === 'local' ? this.device.key : 'other', entities.length, at);
      // Once, when the pages of a large pull have come.
      clearTimeout(this.rereading);
      this.rereading = window.setTimeout(() => this.next(() => this.readAll()), 500);
      return;
    }
    // An edit that was made meanwhile is not to be taken for a change of the server.
    const local = source === 'local';
    if (local) for (const key of entities) this.editing.delete(keyOf(key));
    const parts = await this.read(entities.filter((key) => local || !this.editing.has(keyOf(key))));
    if (!local) {
      for (const part of parts) this.fresh.set(keyOf(part), part);
      return;
    }
    // An edit is in the store a moment before it is told, so a change of the server may have been read with it.
    const found = new Set(parts.map(keyOf));
    for (const key of entities.map(keyOf)) {
      const part = this.fresh.get(key);
      if (part && !found.has(key)) parts.push(part);
      this.fresh.delete(key);
    }
    this.addParts(parts, { at, kind: 'edit', by: this.device.key, progress: 'waiting' });
  }

  private mine(keys: Key[], progress: Progress[]) {
    const names = new Set(keys.map(keyOf));
    return this.entries.filter(
      (entry) =>
        entry.progress && progress.includes(entry.progress) && entry.parts.some((part) => names.has(keyOf(part))),
    );
  }

  private async activity({ kind, entities, ms, resolution }: Activity, at: number) {
    if (kind === 'sent')
      for (const entry of this.mine(entities, ['waiting'])) Object.assign(entry, { progress: 'sent', sentAt: at });
    // A round that fails at once may end without a change of the status.
    if (kind === 'sent') setTimeout(() => this.next(() => this.ended()), 2000);
    if (kind === 'confirmed')
      for (const entry of this.mine(entities, ['waiting', 'sent']))
        if (entry.sentAt) Object.assign(entry, { progress: 'confirmed', ms });
    if (kind === 'refused') for (const entry of this.mine(entities, ['waiting', 'sent'])) entry.progress = 'refused';
    if (kind === 'conflict')
      for (const entry of this.mine(entities, ['sent', 'open']))
        entry.progress = resolution === 'open' ? 'open' : 'confirmed';
    if (kind === 'received' && entities.length <= MANY) this.received(entities, at);
    this.changes.notify();
  }

  /** If no round is running, what was on its way has no answer, so it waits again. */
  private async ended() {
    const unanswered = this.syncing ? [] : this.entries.filter(({ progress }) => progress === 'sent');
    for (const entry of unanswered) entry.progress = 'waiting';
    if (unanswered.length) this.changes.notify();
  }

  private received(entities: Key[], at: number) {
    const parts = entities.map((key) => this.fresh.get(keyOf(key))).filter((part): part is Part => !!part);
    for (const key of entities) this.fresh.delete(keyOf(key));
    // A decision about a conflict comes back as a change.
    const decided = entities.some((key) => at - (this.decided.get(keyOf(key)) ?? 0) < DECISION);
    let by = decided ? this.device.key : 'other';
    for (const other of decided ? [] : this.others)
      for (const entry of other.mine(entities, SENT)) {
        if (at - entry.at > RECENT || entry.arrival || !entry.sentAt) continue;
        by = other.device.key;
        entry.arrival = { name: this.device.name, ms: at - entry.sentAt, at };
        other.changes.notify();
      }
    if (!parts.length) return;
    // The last page of a large pull.
    const [last] = this.entries;
    if (by === 'other' && last?.kind === 'bulk' && at - last.at < 5000) return this.bulk(by, parts.length, at);
    this.arrivals += new Set(parts.map((part) => this.subjectOf(part))).size;
    this.addParts(parts, { at, kind: 'received', by });
  }

  /** Who has written the other side of a conflict of this device. */
  private rivalOf(conflict: ConflictInfo & { deviceId?: string }): string {
    const foreign = conflict.deviceId && conflict.deviceId !== this.device.id;
    const rival = foreign
      ? this.others.find(({ device }) => device.id === conflict.deviceId)
      : this.others.find((it) => it.mine([conflict], SENT).some(({ sentAt }) => sentAt));
    return rival?.device.key ?? 'other';
  }

  private async conflict(conflict: ConflictInfo & { deviceId?: string }, at: number) {
    const { entity, entityId, localData, serverData, status } = conflict;
    if (status === 'open') return; // it is in the list of what a person must decide
    const foreign = !!conflict.deviceId && conflict.deviceId !== this.device.id;
    const [mine, theirs] = foreign ? [serverData, localData] : [localData, serverData];
    const now = (await this.device.service.store.get(entity, entityId)) as EntityData | undefined;
    const written = (name: string, value: unknown) => textOf(name, value, this.titleOf);
    const base = { at, by: this.rivalOf(conflict), subject: this.nameOf(entity, entityId, now ?? theirs ?? mine) };
    if (!mine || !theirs) {
      // one side is a deletion
      const kept = !!now === !!mine;
      const part: Part = { entity, entityId, before: mine ?? undefined, after: theirs ?? undefined, fields: [] };
      this.add({ ...base, kind: kept ? 'merged' : 'lost', parts: kept ? [] : [part] });
      return;
    }
    const names = Object.keys((foreign ? theirs : mine) ?? {});
    // A value that stood there before the edit of this device was not written by the other one.
    const edits = this.mine([conflict], ['waiting', 'sent', 'confirmed']).flatMap(({ parts }) => parts);
    const untouched = (name: string) =>
      edits.some((part) => part.fields.some((f) => f.name === name && sameText(f.before, theirs[name])));
    const fields = fieldsOf(mine, theirs).filter(
      ({ name }) => names.includes(name) && name in mine && name in theirs && !untouched(name),
    );
    for (const kind of ['lost', 'merged'] as const) {
      const kept = kind === 'lost' ? theirs : mine;
      const some = fields.filter(({ name }) => written(name, now?.[name]) === written(name, kept[name]));
      if (!some.length) continue;
      const swapped = kind === 'lost' ? some : some.map((f) => ({ ...f, before: f.after, after: f.before }));
      this.add({ ...base, kind, parts: [{ entity, entityId, before: mine, after: theirs, fields: swapped }] });
    }
  }
}
