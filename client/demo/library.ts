// The books as the page shows them, put together from several entities, and the edits that the page makes.

import type {
  Book as BookEntity,
  Collection,
  Entity,
  EntityData,
  Rating,
  ReadingLog,
  SyncService,
} from '../src/types.js';
import { HIDDEN } from './words.js';

export interface Book {
  id: string;
  data: BookEntity;
  title: string;
  authors: string;
  notes: string;
  tags: string[];
  stars?: number;
  status?: string;
}

// A book can have several reading logs: the unfinished one is its state, else the one that was finished last.
const finishOf = ({ finishedAt }: ReadingLog) => (finishedAt ? new Date(finishedAt).getTime() : Infinity);
export const newestFirst = (logs: ReadingLog[]) => [...logs].sort((a, b) => finishOf(b) - finishOf(a));
const currentOf = (logs: ReadingLog[]) => newestFirst(logs)[0];

/** Joins the books with their ratings and reading logs. */
export function joinBooks(books: BookEntity[], ratings: Rating[], logs: ReadingLog[]): Book[] {
  const stars = new Map(ratings.map(({ bookId, stars }) => [bookId, stars]));
  const status = new Map(
    newestFirst(logs)
      .reverse()
      .map(({ bookId, status }) => [bookId, status]),
  );
  return books.map((data) => ({
    id: data.id,
    data,
    title: data.title ?? '',
    authors: (data.authors ?? []).join(', '),
    notes: data.notes ?? '',
    tags: data.tags ?? [],
    stars: stars.get(data.id),
    status: status.get(data.id),
  }));
}

/** A tag is compared without case, so that it has no twin. */
export const tagKey = (name: string) => name.trim().toLowerCase();

/** The names in a list with commas, each once, as the tags that exist are written. */
export function splitTags(text: string, known: EntityData[]): string[] {
  const written = new Map(known.map(({ name }) => [tagKey(`${name}`), `${name}`]));
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  return [...new Map(names.map((name) => [tagKey(name), written.get(tagKey(name)) ?? name])).values()];
}

const dataOf = ({ id, createdAt, updatedAt, ...data }: EntityData): any => data;

type Tx = Parameters<Parameters<SyncService['transaction']>[0]>[0];

/** A tag is an entity. Its id is made from its name, so that both devices make the same one. */
async function addTags(service: SyncService, tx: Tx, names: string[]) {
  for (const name of names) {
    const id = `tag-${encodeURIComponent(tagKey(name))}`;
    if (!(await service.store.get('tag', id))) tx.create('tag', id, { name });
  }
}

/** What the form changes. */
export interface Draft {
  title: string;
  authors: string[];
  publishedYear: number | null;
  tags: string[];
  notes: string;
  genre?: string;
}

export const addBook = (service: SyncService, data: Draft, stars?: number, status?: string) => {
  const id = `book-${crypto.randomUUID()}`;
  return service
    .transaction(async (tx) => {
      tx.create('book', id, { ...data, addedAt: new Date().toISOString() });
      await addTags(service, tx, data.tags);
      if (stars) tx.create('rating', `rating-${id}`, { bookId: id, stars });
      if (status) tx.create('readingLog', `reading-${id}`, readingOf(id, status));
    })
    .then(() => id);
};

export const editBook = (service: SyncService, id: string, data: Partial<Draft>) =>
  service.transaction(async (tx) => {
    tx.update('book', id, data);
    await addTags(service, tx, data.tags ?? []);
  });

export const rate = (service: SyncService, bookId: string, stars: number | undefined) =>
  stars
    ? service.queueOperation('rating', `rating-${bookId}`, 'create', { bookId, stars })
    : service.queueOperation('rating', `rating-${bookId}`, 'delete');

function readingOf(bookId: string, status: string): any {
  const moment = ({ currently_reading: 'startedAt', read: 'finishedAt' } as Record<string, string>)[status];
  return { bookId, status, ...(moment && { [moment]: new Date().toISOString() }) };
}

export const logsOf = (service: SyncService, bookId: string) =>
  service.store.query('readingLog', { where: { bookId } }) as PromiseLike<ReadingLog[]>;

/** A finished reading stays in the history: another one begins a log of its own. */
export async function setStatus(service: SyncService, bookId: string, status: string | undefined) {
  const current = currentOf(await logsOf(service, bookId));
  if (!status) return current && service.queueOperation('readingLog', current.id, 'delete');
  const again = current?.finishedAt && ['currently_reading', 'want_to_read'].includes(status);
  const id = !current ? `reading-${bookId}` : again ? `reading-${bookId}-${crypto.randomUUID()}` : current.id;
  return service.queueOperation('readingLog', id, 'create', readingOf(bookId, status));
}

/** Collections of one name have one id, so that two devices that make it offline make the same one. */
export async function addToCollection(service: SyncService, name: string, bookIds: string[]) {
  const id = `collection-${encodeURIComponent(tagKey(name))}`;
  if (!(await service.store.get('collection', id)))
    await service.queueOperation('collection', id, 'create', { name, bookIds });
  else if (bookIds.length) await service.addTo('collection', id, 'bookIds', ...bookIds);
}

/** Deletes a book with what belongs to it. Returns a function that brings everything back. */
export async function deleteBook(service: SyncService, id: string): Promise<() => Promise<unknown>> {
  const book = await service.store.get('book', id);
  const rating = await service.store.get('rating', `rating-${id}`),
    logs = await logsOf(service, id);
  const shelves = (await service.store.list('collection')).filter(({ bookIds }: Collection) => bookIds?.includes(id));
  await service.transaction((tx) => {
    if (rating) tx.delete('rating', rating.id);
    for (const log of logs) tx.delete('readingLog', log.id);
    for (const shelf of shelves) tx.removeFrom('collection', shelf.id, 'bookIds', id);
    tx.delete('book', id);
  });
  return () =>
    service.transaction((tx) => {
      if (book) tx.create('book', id, dataOf(book));
      if (rating) tx.create('rating', rating.id, dataOf(rating));
      for (const log of logs) tx.create('readingLog', log.id, dataOf(log));
      for (const shelf of shelves) tx.addTo('collection', shelf.id, 'bookIds', id);
    });
}

/** What an edit did to one entity. */
export interface Part {
  entity: Entity;
  entityId: string;
  before?: EntityData;
  after?: EntityData;
  fields: { name: string; before: unknown; after: unknown }[];
}

/** The members that differ between two states of an entity. */
export function fieldsOf(before: EntityData | undefined, after: EntityData | undefined): Part['fields'] {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  return names
    .filter((name) => !HIDDEN.includes(name))
    .map((name) => ({ name, before: before?.[name], after: after?.[name] }))
    .filter((field) => JSON.stringify(field.before ?? null) !== JSON.stringify(field.after ?? null));
}

/** Takes an edit back by another edit: writes what was there before. */
export const undo = (service: SyncService, parts: Part[]) =>
  service.transaction((tx) => {
    for (const { entity, entityId, before, after, fields } of parts)
      if (before && !after) tx.create(entity, entityId, dataOf(before));
      else if (!before && after) tx.delete(entity, entityId);
      else tx.update(entity, entityId, Object.fromEntries(fields.map((f) => [f.name, f.before ?? null])) as any);
  });
