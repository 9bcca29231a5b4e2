// Books to try things with.

import type { Data, SyncResult, SyncService } from '../src/types.js';
import { addBook } from './library.js';

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

/** Adds `count` samples that the device does not have yet, or copies of samples if it has them all. */
export async function addSamples(service: SyncService, count: number): Promise<void> {
  const have = new Set((await service.store.list('book')).map(({ title }) => title));
  const fresh = SAMPLES.filter(([title]) => !have.has(title));
  for (const [title, author, publishedYear, tags, stars, status] of (fresh.length ? fresh : SAMPLES).slice(0, count))
    await addBook(service, { title, authors: [author], publishedYear, tags, notes: '' }, stars, status);
}

/** The samples in place of the whole library. The server keeps the former state as a snapshot. */
export function startOver(service: SyncService): Promise<SyncResult> {
  const tags = [...new Set(SAMPLES.flatMap(([, , , tags]) => tags))];
  const books: Data[] = [],
    ratings: Data[] = [],
    readings: Data[] = [];
  for (const [i, [title, author, publishedYear, tags, stars, status]] of SAMPLES.entries()) {
    const id = `book-sample-${i}`,
      addedAt = new Date().toISOString();
    books.push({ id, title, authors: [author], publishedYear, tags, addedAt });
    if (stars) ratings.push({ id: `rating-${id}`, bookId: id, stars });
    if (status) readings.push({ id: `reading-${id}`, bookId: id, status });
  }
  const library = {
    books,
    ratings,
    readings,
    collections: [],
    tags: tags.map((name) => ({ id: `tag-${encodeURIComponent(name)}`, name })),
  };
  return service.fullSync({ upload: library, mode: 'replace' });
}

const FIRST = [
  'Silent',
  'Distant',
  'Golden',
  'Lost',
  'Northern',
  'Broken',
  'Hidden',
  'Winter',
  'Burning',
  'Second',
  'Endless',
  'Paper',
  'Salt',
  'Glass',
  'Borrowed',
  'Quiet',
  'Crooked',
  'Wandering',
  'Iron',
  'Small',
];
const LAST = [
  'Garden',
  'River',
  'Letters',
  'House',
  'Atlas',
  'Mirror',
  'Orchard',
  'Harbour',
  'Station',
  'Archive',
  'Mountain',
  'Library',
  'Island',
  'Theatre',
  'Bridge',
  'Weather',
  'Map',
  'Clock',
  'Forest',
  'Voyage',
];
const PLACES = [
  'of Lisbon',
  'of the North',
  'at Dusk',
  'in Spring',
  'of Stone',
  'by the Sea',
  'of Names',
  'in Exile',
  'of Bees',
  'without End',
  'of Rain',
  'after Dark',
  'of Maps',
  'on the Hill',
  'of Ash',
  'in Translation',
  'of Light',
  'for Beginners',
  'of Tides',
  'in Two Parts',
  'of Echoes',
  'at Noon',
  'of Dust',
  'in Miniature',
  'of the Owl',
];
const AUTHORS = [
  'Amara Diallo',
  'Jonas Lind',
  'Mei Tanaka',
  'Rosa Quintero',
  'Pavel Novak',
  'Ines Almeida',
  'Tomas Berg',
  'Leila Haddad',
  'Owen Price',
  'Nadia Rahman',
  'Clara Fontaine',
  'Yusuf Kaya',
  'Greta Holm',
];
const TAGS = ['novel', 'essays', 'history', 'travel', 'poetry', 'science', 'crime', 'nature'];

/** 10,000 different books: each first word with each last word and each place. */
export const manyBooks = (): Data[] =>
  FIRST.flatMap((first, i) =>
    LAST.flatMap((last, j) =>
      PLACES.map((place, k) => {
        const n = (i * LAST.length + j) * PLACES.length + k;
        return {
          id: `book-many-${n}`,
          title: `The ${first} ${last} ${place}`,
          authors: [AUTHORS[(n * 7 + i) % AUTHORS.length]],
          publishedYear: 1900 + ((n * 31) % 125),
          tags: [TAGS[(n * 5 + k) % TAGS.length]],
          addedAt: new Date(Date.UTC(2024, 0, 1) + n * 60_000).toISOString(),
        };
      }),
    ),
  );
