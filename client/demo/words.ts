// How values are written for people.

import type { EntityData } from '../src/types.js';

export const STATUSES: [string, string][] = [
  ['want_to_read', 'Want to read'],
  ['currently_reading', 'Reading'],
  ['read', 'Read'],
  ['dnf', 'Given up'],
];

const LABELS: Record<string, string> = {
  publishedYear: 'Year',
  readingStatus: 'Status',
  bookId: 'Book',
  bookIds: 'Books',
  pageCount: 'Pages',
  stars: 'Rating',
  startedAt: 'Started',
  finishedAt: 'Finished',
  ratingDisplay: 'Ratings as',
  dateFormat: 'Dates as',
};

/** The label of a member: `coverUrl` is "Cover url". */
export const labelOf = (member: string) =>
  LABELS[member] ?? member[0].toUpperCase() + member.slice(1).replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`);

/** Members that nobody edits. */
export const HIDDEN = ['id', 'createdAt', 'updatedAt', 'addedAt', 'bookId'];

export const starsOf = (stars: number) => '★'.repeat(Math.floor(stars)) + (stars % 1 ? '½' : '');

/** A value of a member as text; empty if there is none. `titleOf` finds the titles of books. */
export function textOf(name: string, value: unknown, titleOf: (id: string) => string = String): string {
  if (value === undefined || value === null) return '';
  if (name === 'stars') return starsOf(+value);
  if (name === 'status') return STATUSES.find(([word]) => word === value)?.[1] ?? `${value}`;
  if (name === 'bookIds' && Array.isArray(value)) return value.map((id) => titleOf(`${id}`)).join(', ');
  if (/At$/.test(name)) return dateOf(`${value}`);
  if (Array.isArray(value)) return value.map((item) => textOf('', item)).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : `${value}`;
}

/** The book that an entity is about, if it is about one. */
export const bookIdOf = (entity: string, id: string, data?: EntityData | null): string | undefined =>
  entity === 'book'
    ? id
    : entity === 'rating' || entity === 'readingLog'
      ? (data?.bookId ?? /(?:rating|reading)-(book-[\w-]{36})/.exec(id)?.[1])
      : undefined;

export const number = (n: number) => n.toLocaleString('en');
export const plural = (n: number, one: string, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;
export const time = (instant: string | number | Date) => new Date(instant).toLocaleTimeString('en-GB');
export const millis = (ms: number) =>
  ms < 9950 ? `${number(Math.round(ms))} ms` : `${number(Math.round(ms / 1000))} s`;
export const dateOf = (instant: string, format?: string) =>
  format === 'iso'
    ? instant.slice(0, 10)
    : new Date(instant).toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
export const quoted = (text: string) => {
  const short = text.length > 60 ? `${text.slice(0, 59)}…` : text;
  return short ? `“${short}”` : 'nothing';
};
