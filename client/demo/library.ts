// What the page knows of books: the entities it puts together, and the edits it makes.

import type { EntityData, SyncService } from '../src/types.js';

export interface Book {
  id: string;
  title: string;
  authors: string[];
  year?: number;
  notes: string;
  tags: string[];
  stars?: number;
  status?: string;
}

export const STATUSES: [string, string][] = [
  ['want_to_read', 'Want to read'], ['currently_reading', 'Reading'], ['read', 'Read'], ['dnf', 'Given up'],
];

export const starsOf = (stars: number) => '★'.repeat(Math.floor(stars)) + (stars % 1 ? '½' : '');

export const KINDS = ['book', 'rating', 'readingLog', 'tag'] as const;
export type Lists = Record<(typeof KINDS)[number], EntityData[]>;

const { compare } = new Intl.Collator('en');

/** The books of a device with their ratings and reading logs, by title. */
export function booksOf({ book, rating, readingLog }: Lists): Book[] {
  const stars = new Map(rating.map(({ bookId, stars }) => [bookId, stars]));
  const status = new Map(readingLog.map(({ bookId, status }) => [bookId, status]));
  return book
    .map(({ id, title = '', authors, publishedYear, notes, tags }) => ({
      id, title, authors: authors ?? [], year: publishedYear ?? undefined, notes: notes ?? '', tags: tags ?? [],
      stars: stars.get(id), status: status.get(id),
    }))
    .sort((a, b) => compare(a.title, b.title) || (a.id < b.id ? -1 : 1));
}

const own = (list: string[]) => [...new Set(list.map((name) => name.trim()).filter(Boolean))];
export const splitNames = (text: string) => own(text.split(','));

/** A tag is an entity of its own; its id follows from its name, so that both devices mean the same one. */
async function addTags(service: SyncService, names: string[]) {
  for (const name of names) {
    const id = `tag-${encodeURIComponent(name.toLowerCase())}`;
    if (!(await service.store.get('tag', id))) await service.queueOperation('tag', id, 'create', { name });
  }
}

export async function addBook(service: SyncService, data: { title: string; tags?: string[]; [member: string]: unknown }): Promise<string> {
  const id = `book-${crypto.randomUUID()}`;
  await service.queueOperation('book', id, 'create', { ...data, addedAt: new Date().toISOString() });
  await addTags(service, data.tags ?? []);
  return id;
}

export async function editBook(service: SyncService, id: string, data: { tags?: string[]; [member: string]: unknown }) {
  await service.queueOperation('book', id, 'update', data);
  await addTags(service, data.tags ?? []);
}

export const rate = (service: SyncService, bookId: string, stars: number | undefined) =>
  stars
    ? service.queueOperation('rating', `rating-${bookId}`, 'create', { bookId, stars })
    : service.queueOperation('rating', `rating-${bookId}`, 'delete');

const MOMENTS: Record<string, string> = { currently_reading: 'startedAt', read: 'finishedAt' };

export function setStatus(service: SyncService, bookId: string, status: string | undefined) {
  if (!status) return service.queueOperation('readingLog', `reading-${bookId}`, 'delete');
  const moment = MOMENTS[status] && { [MOMENTS[status]]: new Date().toISOString() };
  return service.queueOperation('readingLog', `reading-${bookId}`, 'create', { bookId, status, ...moment });
}

export async function deleteBook(service: SyncService, { id, stars, status }: Book) {
  if (stars) await rate(service, id, undefined);
  if (status) await setStatus(service, id, undefined);
  await service.queueOperation('book', id, 'delete');
}

type Sample = [title: string, author: string, year: number, tags: string[], stars?: number, status?: string];
const SAMPLES: Sample[] = [
  ['The Dispossessed', 'Ursula K. Le Guin', 1974, ['science fiction', 'utopia'], 5, 'read'],
  ['Middlemarch', 'George Eliot', 1871, ['classic'], 4.5, 'currently_reading'],
  ['The Master and Margarita', 'Mikhail Bulgakov', 1967, ['classic', 'satire'], undefined, 'want_to_read'],
  ['Invisible Cities', 'Italo Calvino', 1972, ['short'], 4, 'read'],
  ['Austerlitz', 'W. G. Sebald', 2001, ['memory'], 4.5, 'read'],
  ['The Left Hand of Darkness', 'Ursula K. Le Guin', 1969, ['science fiction'], 4.5, 'read'],
  ['Pedro Páramo', 'Juan Rulfo', 1955, ['short', 'classic'], undefined, 'want_to_read'],
  ['Flights', 'Olga Tokarczuk', 2007, ['memory'], 4, 'currently_reading'],
  ['Infinite Jest', 'David Foster Wallace', 1996, ['satire'], 3, 'dnf'],
  ['A Wizard of Earthsea', 'Ursula K. Le Guin', 1968, ['fantasy'], 5, 'read'],
];

/** Adds the next few samples that the device does not have yet; when it has all, copies of them. */
export async function addSamples(service: SyncService, count: number): Promise<void> {
  const have = new Set((await service.store.list('book')).map(({ title }) => title));
  const fresh = SAMPLES.filter(([title]) => !have.has(title));
  for (const [title, author, publishedYear, tags, stars, status] of (fresh.length ? fresh : SAMPLES).slice(0, count)) {
    const id = await addBook(service, { title, authors: [author], publishedYear, tags });
    if (stars) await rate(service, id, stars);
    if (status) await setStatus(service, id, status);
  }
}
