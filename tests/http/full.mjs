// Shared by the tests of POST /full: sample libraries, and the counts of a reply.
import { Owner } from './owner.mjs';

export const counts = ({ created, updated, deleted, unchanged }) => ({ created, updated, deleted, unchanged });
export const some = (numbers) => ({ created: 0, updated: 0, deleted: 0, unchanged: 0, ...numbers });

// Member of the request: the kind, an item that is stored before, and one that replaces it.
export const kinds = {
  books: ['book', { id: 'x1', title: 'Before', notes: 'n' }, { id: 'x2', title: 'After' }],
  ratings: ['rating', { id: 'x1', bookId: 'b1', stars: 3 }, { id: 'x2', bookId: 'b2', stars: 4.5, review: 'good' }],
  tags: ['tag', { id: 'x1', name: 'Before', color: '#112233' }, { id: 'x2', name: 'After' }],
  collections: ['collection', { id: 'x1', name: 'Before' },
    { id: 'x2', name: 'After', isSmart: true, smartRules: { all: [] } }],
  readings: ['readingLog', { id: 'x1', bookId: 'b1', status: 'read' },
    { id: 'x2', bookId: 'b2', status: 'dnf', startedAt: null }],
};

export const everything = () => ({
  ...Object.fromEntries(Object.entries(kinds).map(([name, [, before]]) => [name, [before]])),
  settings: { theme: 'dark', dateFormat: 'iso', notificationPreferences: { email: true } },
});

export async function ownerOf(library) {
  const owner = new Owner();
  await owner.replace(library);
  return owner;
}

export const rating = (id, bookId, stars, more) => ({ id, bookId, stars, ...more });

export const seed = { books: [{ id: 'kept', title: 'Kept' }] };
