// What is new on the server, page by page. A page and the cursor behind it are written together, and only if the cursor is
// still the one that the page was asked with.
//
// Without a cursor (a first pull, a 410, fullSync) the pull is a resync: it goes through everything, marks each row with
// its number (`gen`), and at the end removes the rows that it did not meet, as nobody tells a new device of old deletions.
// A resync that is interrupted goes on where it was. Queued edits are in no row, so it cannot harm them.

import { type Context, makeId } from './context.js';
import type { Row, Tx } from './database.js';
import { absorb, changeOf, lost } from './store.js';
import type { Change, Entity } from './types.js';
import { SyncError } from './types.js';

const PAGE = 500;
const BEGINNING = '1970-01-01T00:00:00Z';

interface Position {
  cursor?: string;
  /** The number of the resync that is under way. */
  gen?: string;
  /** Changes of the pages before. */
  done: number;
}

export type Pull = ReturnType<typeof makePull>;

export function makePull(c: Context) {
  const { db, options } = c;
  const kinds = options.entities && [...options.entities].sort();
  const key = `pull:${kinds ?? ''}`; // a cursor for each selection

  const position = (tx: Tx): Promise<Position | undefined> => tx.get('meta', key);
  const read = () => db.read(position);
  /** The next pull is a resync. */
  const restart = () => db.write((tx) => tx.put('meta', { gen: makeId(), done: 0 }, key));

  async function page(at: Position): Promise<{ more: boolean; received: number }> {
    const query = new URLSearchParams(at.cursor ? { cursor: at.cursor } : { since: BEGINNING });
    query.set('limit', `${PAGE}`);
    if (kinds) query.set('entities', `${kinds}`);
    const reply = await c.http.ask('GET', `/changes?${query}`).catch((error) => {
      if (error.code !== 'RESYNC_REQUIRED' || !at.cursor) throw error;
    });
    if (!reply) {
      await restart();
      return { more: true, received: 0 };
    }
    const { changes, cursor, hasMore } = reply;
    if (!Array.isArray(changes) || typeof cursor !== 'string') throw new SyncError('OFFLINE', 'an answer without changes');
    const last = at.gen && !hasMore ? at.gen : undefined;

    const look = async (tx: Tx) => {
      const found = await absorb(tx, changes, at.gen);
      const here = ({ type, id }: Row) => changes.some((change: Change) => change.type === type && change.data.id === id);
      const gone = last ? (await lost(tx, last, options.entities)).filter((row) => !here(row)) : [];
      const removed = gone.filter((row) => !row.deleted).map((row) => changeOf({ ...row, deleted: true, updatedAt: '' }));
      return { ...found, gone, news: [...found.news, ...removed] };
    };
    if (options.apply) {
      const { news } = await db.read(look);
      if (news.length) await options.apply(news);
    }
    const total = at.done + changes.length;
    const news = await db.write(async (tx) => {
      const now = await position(tx);
      if (now?.cursor !== at.cursor || now?.gen !== at.gen) return []; // another tab was faster
      const found = await look(tx);
      for (const row of found.rows) tx.put('rows', row);
      for (const { type, id } of found.gone) tx.delete('rows', [type, id]);
      tx.put('meta', last || !at.gen ? { cursor, done: hasMore ? total : 0 } : { cursor, gen: at.gen, done: total }, key);
      return found.news;
    });
    if (changes.length) c.emit('progress', { phase: 'pull', done: total });
    if (news.length) c.emit('change', { source: 'remote', entities: news.map(({ type, data }) => ({ entity: type as Entity, entityId: data.id })) });
    return { more: !!hasMore, received: news.length };
  }

  return {
    restart,
    cursor: async () => (await read())?.cursor,
    /** Pulls until there is no more, and tells how many changes of each page were news. */
    async pull(received: (count: number) => void): Promise<void> {
      for (let more = true; more; ) {
        if (!(await read())) await restart();
        const result = await page((await read())!);
        received(result.received);
        more = result.more;
      }
    },
  };
}
