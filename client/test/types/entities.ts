// Must compile: edits and reads whose types follow the kind of the entity.
import {
  createSyncService, type Book, type Collection, type Data, type Entity, type Operation, type OperationType,
  type ReadingLog,
} from '@booky/sync';

interface Shelf {
  id: string;
  shelfNumber: number;
}

export async function reads() {
  const { store } = createSyncService();
  const books: Book[] = await store.list('book');
  const title: string | undefined = (await store.get('book', 'b'))?.title;
  const stars: number[] = (await store.list('rating')).map((rating) => rating.stars);
  const status: ReadingLog['status'] | undefined = (await store.get('readingLog', 'r'))?.status;
  const theme: 'light' | 'dark' | 'system' | null | undefined = (await store.get('userSettings', 'settings'))?.theme;
  store.observe('collection', (list) => list satisfies Collection[]);
  store.observeOne('tag', 't', (tag) => tag?.name satisfies string | undefined);
  const own: Shelf[] = await store.list<Shelf>('collection');
  store.observe('collection', (list: Shelf[]) => list);
  store.observeOne<Shelf>('collection', 'c', (shelf) => shelf?.shelfNumber);
  // @ts-expect-error: a rating has a number of stars
  const wrong: string | undefined = (await store.get('rating', 'r'))?.stars;
  return [books, title, stars, status, theme, own, wrong];
}

export async function edits(entity: Entity, type: OperationType, data: Data) {
  const sync = createSyncService();
  await sync.queueOperation('book', 'b', 'create', { title: 'T', addedAt: new Date(), shelf: 'own', notes: undefined });
  await sync.queueOperation('book', 'b', 'update', { subtitle: null, tags: { $add: ['a'], $remove: ['b'] } });
  await sync.queueOperation('collection', 'c', 'update', { bookIds: ['b1'] });
  await sync.queueOperation('tag', 't', 'delete');
  await sync.queueOperation(entity, 'x', type, data);
  await sync.queueOperation('book', 'x', type, data);
  // @ts-expect-error: a book needs a title
  await sync.queueOperation('book', 'b', 'create', { subtitle: 'S' });
  // @ts-expect-error: an update needs data
  await sync.queueOperation('book', 'b', 'update');
  // @ts-expect-error: the title cannot be removed
  await sync.queueOperation('book', 'b', 'update', { title: null });
  // @ts-expect-error: no such status
  await sync.queueOperation('readingLog', 'r', 'update', { status: 'burnt' });
  // @ts-expect-error: the members of a tag are no sets
  await sync.queueOperation('tag', 't', 'update', { name: { $add: ['a'] } });

  const added: Operation = await sync.addTo('collection', 'c', 'bookIds', 'b1', 'b2');
  await sync.removeFrom('book', 'b', 'tags', 'a');
  const operations: Operation[] = await sync.queueOperations([
    { entity: 'rating', entityId: 'r', type: 'create', data: { bookId: 'b', stars: 4.5 } },
    { entity: 'rating', entityId: 'q', type: 'delete' },
  ], { atomic: true });
  await sync.transaction(async (tx) => {
    tx.create('rating', 'r', { bookId: 'b', stars: 4 });
    tx.update('book', 'b', { notes: null });
    tx.delete('tag', 't');
    tx.addTo('collection', 'c', 'bookIds', 'b');
    // @ts-expect-error: a rating needs stars
    tx.create('rating', 's', { bookId: 'b' });
  }, { atomic: true });
  return [added, operations, operations[0]?.transaction satisfies string | undefined];
}
