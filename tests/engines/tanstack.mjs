// TanStack DB: the options of a collection whose rows are one kind of Booky Sync.
//
//   const books = createCollection(bookyCollectionOptions({ kind: 'book', booky }));
//
// A row has `id`, the members of the entity, and the server's `createdAt` and `updatedAt`.
import { difference, timeOfEdit } from './booky.mjs';

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const content = ({ id, createdAt, updatedAt, ...members }) =>
  Object.fromEntries(Object.entries(members).filter(([name]) => !name.startsWith('$'))); // `$…` is TanStack DB's

export function bookyCollectionOptions({ kind, booky, retryTime = 5000 }) {
  let cursor, source, lastTime = 0, queue = Promise.resolve();

  // One request after the other, so that edits arrive in their order. An edit that cannot be sent yet is sent again
  // until the server answers: TanStack DB takes an edit back whose handler fails.
  const inTurn = (work) => (queue = queue.catch(() => {}).then(work));
  const untilAnswered = async (work) => {
    for (let wait = retryTime; ; wait = Math.min(2 * wait, 12 * retryTime))
      try {
        return await work();
      } catch (error) {
        if (!error.unavailable) throw error;
        await pause(wait);
      }
  };

  const held = () => source.collection.toArray.filter((row) => row.updatedAt).map((row) =>
    ({ type: kind, data: { id: row.id, updatedAt: row.updatedAt, ...content(row) } }));

  async function pull() {
    const { changes, cursor: next, complete } = await booky.pull({ cursor, kinds: kind, held });
    source.begin();
    if (complete) source.truncate();
    for (const { deleted, data } of changes)
      source.write(deleted ? { type: 'delete', key: data.id } : { type: 'update', value: data }); // or insert
    source.commit();
    cursor = next;
  }

  // Handles inserts, updates and deletions. TanStack DB shows the edits until this resolves; by then, a pull has
  // brought what the server made of them.
  const send = ({ transaction }) => {
    const operations = transaction.mutations.map(({ type, mutationId, key, original, modified, createdAt }) => {
      lastTime = Math.max(timeOfEdit(original.updatedAt, createdAt.getTime()), lastTime + 1);
      return {
        id: mutationId, type: { insert: 'create' }[type] ?? type, entity: kind, entityId: key, timestamp: lastTime,
        baseVersion: original.updatedAt,
        data: type === 'delete' ? undefined : difference(kind, content(original), content(modified)) ?? {},
      };
    });
    return inTurn(() => untilAnswered(() => booky.push(operations)).then(() => untilAnswered(pull)));
  };

  return {
    id: kind, getKey: ({ id }) => id, onInsert: send, onUpdate: send, onDelete: send,
    sync: {
      rowUpdateMode: 'full',
      sync(callbacks) {
        source = callbacks;
        inTurn(() => untilAnswered(pull)).then(callbacks.markReady);
      },
    },
    utils: { pull: () => inTurn(pull) }, // call it at each poke, and every few minutes; it rejects without a connection
  };
}
