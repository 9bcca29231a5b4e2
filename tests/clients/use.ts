// What an app does with a generated client: it sends operations of each kind and pulls them. `adapter` is the file of
// the generator, so this file is compiled once for each.
import { type Change, type Operation, connect } from './adapter';

const operations: Operation[] = [
  { id: '1', type: 'create', entity: 'book', entityId: 'b', data: { title: 'Tehanu', pageCount: 226, shelf: 'A' } },
  { id: '2', type: 'create', entity: 'rating', entityId: 'r', data: { bookId: 'b', stars: 4.5 } },
  { id: '3', type: 'create', entity: 'tag', entityId: 't', data: { name: 'Earthsea' } },
  { id: '4', type: 'create', entity: 'collection', entityId: 'c', data: { name: 'Utopias', isSmart: false } },
  { id: '5', type: 'create', entity: 'readingLog', entityId: 'l', data: { bookId: 'b', status: 'read' } },
  { id: '6', type: 'update', entity: 'userSettings', data: { theme: 'dark' } },
  { id: '7', type: 'update', entity: 'book', entityId: 'b', data: { notes: 'lent' }, baseVersion: null },
  { id: '8', type: 'delete', entity: 'tag', entityId: 'unknown' },
];

// The compiler refuses each of these.
const refused: Operation[] = [
  // @ts-expect-error a create without a required member
  { type: 'create', entity: 'book', entityId: 'b', data: { pageCount: 226 } },
  // @ts-expect-error a member of a wrong type
  { type: 'update', entity: 'rating', entityId: 'r', data: { stars: '4' } },
  // @ts-expect-error a word that is none of the choices
  { type: 'update', entity: 'userSettings', data: { theme: 'blue' } },
  // @ts-expect-error an update without data
  { type: 'update', entity: 'tag', entityId: 't' },
  // @ts-expect-error an entity without an id
  { type: 'delete', entity: 'tag' },
  // @ts-expect-error a kind that does not exist
  { type: 'delete', entity: 'shelf', entityId: 's' },
];

// `type` selects the type of `data`, and `deleted` tells a deletion from an entity.
function describe(change: Change): string {
  if ('patch' in change) return 'a delta, which only a pull with delta=true returns';
  if (change.deleted) {
    // @ts-expect-error a deletion has no content
    const title: string = change.data.title;
    return `${change.type} deleted ${title} ${change.data.deletedAt.slice(-1)}`;
  }
  if (change.data.createdAt > change.data.updatedAt) return 'a version before the creation';
  switch (change.type) {
    case 'book': {
      // @ts-expect-error only a rating has stars
      const stars: number = change.data.stars;
      return `book ${change.data.title.trim()} ${change.data.pageCount?.toFixed()} ${change.data.shelf} ${stars}`;
    }
    case 'rating':
      return `rating ${change.data.bookId.trim()} ${change.data.stars.toFixed(2)}`;
    case 'tag':
      return `tag ${change.data.name.trim()}`;
    case 'collection':
      return `collection ${change.data.name.trim()} ${change.data.isSmart === false}`;
    case 'readingLog':
      return `readingLog ${change.data.bookId.trim()} ${change.data.status satisfies string}`;
    case 'userSettings':
      return `userSettings ${change.data.theme satisfies string | null | undefined}`;
  }
}

export async function use(baseUrl: string, token: string): Promise<string[]> {
  const client = connect(baseUrl, token);
  const results = (await client.send('generated', operations)) ?? [];
  const first = await client.pull();
  await client.send('generated', [{ type: 'delete', entity: 'tag', entityId: 't' }]);
  const second = await client.pull(first?.cursor);
  return [
    ...results.map((result) => (result.status === 'failed' ? result.message : `${result.id} ${result.status}`)),
    ...(first?.changes ?? []).map(describe).sort(),
    ...(second?.changes ?? []).map(describe),
    `${await connect(baseUrl, 'not-a-token').status()} ${await client.status()} ${await client.health()}`,
    `${refused.length}`,
  ];
}
