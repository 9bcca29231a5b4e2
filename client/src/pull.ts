// Fetches changes from the server, page by page. A page is written in one transaction with the cursor that follows it,
// and only if the stored cursor is still the one that the page was requested with.
//
// Without a cursor (first pull, 410, fullSync) the pull is a resync. It reads everything, marks each row that it meets
// with its id (`gen`), and at the end removes the rows that it has not met, because with `initial` the server
// leaves out old deletions. An interrupted resync continues where it stopped. It cannot lose waiting edits: they are
// not in the rows. After a 410, resync.ts first does what the reason of the 410 requires; until that is done, the old
// cursor and everything else stay.

import type { Context } from './context.js';
import type { Row, Tx } from './database.js';
import { errorOf } from './http.js';
import { makeId } from './ids.js';
import { forgetDeletions, prepare } from './resync.js';
import { changeOf, compare, unmetRows, unpatched } from './rows.js';
import { type Change, type Entity, type ResyncInfo, SyncError } from './types.js';

const PAGE = 500;
const DAY = 86_400_000;
const BEGINNING = '1970-01-01T00:00:00Z';

interface Position {
  cursor?: string;
  /** The id of the resync in progress. */
  gen?: string;
  /** How many changes the previous pages had, and how many all pages have. */
  done: number;
  total?: number;
  /** The rest of this pull comes whole: a patch came for an entity that this device does not hold exactly. */
  whole?: boolean;
  /** What a 410 caused so far; reported when the resync is complete. */
  resync?: ResyncInfo;
}

/** An entity whose latest version was written by this device, with that version, until another device wrote it. */
export type Lost = Pick<Row, 'type' | 'id' | 'seen'>;

export type Pull = ReturnType<typeof makePull>;

/** `lost` is called with the entities of this device that other devices have overwritten. */
export function makePull(ctx: Context, lost: (entities: Lost[]) => void) {
  const { db, options, clock } = ctx;
  const kinds = options.entities && [...options.entities].sort();
  const key = `pull:${kinds ?? ''}`; // each selection of kinds has its own cursor

  const position = (tx: Tx): Promise<Position | undefined> => tx.get('meta', key);
  const read = () => db.read(position);
  /** Makes the next pull a resync; `resync` is what a 410 required before. What is still required comes first. */
  const restart = (resync?: ResyncInfo) =>
    db.write(async (tx) => {
      if (!resync && (await tx.get('meta', 'resync'))) return;
      tx.put('meta', { gen: makeId(), done: 0, resync }, key);
      tx.delete('meta', 'resync');
    });

  async function page(at: Position): Promise<{ more: boolean; received: number }> {
    const query = new URLSearchParams(at.cursor ? { cursor: at.cursor } : { since: BEGINNING, initial: 'true' });
    query.set('limit', `${PAGE}`);
    query.set('maxBytes', `${ctx.down.size}`);
    query.set('times', 'true');
    if (!at.done) query.set('count', 'true'); // of the first page: counting takes time
    if (at.cursor && !at.gen && !at.whole) query.set('delta', 'true');
    if (kinds) query.set('entities', `${kinds}`);
    const reply = await ctx.down.use(() => ctx.http.call('GET', `/changes?${query}`)), { body } = reply;
    if (reply.status === 410 && at.cursor) {
      const { reason = 'deletions_forgotten', until, erasedAt } = body;
      await db.write((tx) => tx.put('meta', { reason, until, erasedAt }, 'resync'));
      return { more: true, received: 0 };
    }
    if (reply.status !== 200) throw errorOf(reply);
    const { changes, cursor, hasMore, remaining } = body;
    if (!Array.isArray(changes) || typeof cursor !== 'string')
      throw new SyncError('OFFLINE', 'the reply has no changes');
    const completed = at.gen && !hasMore ? at.gen : undefined; // the resync that this page completes

    const findChanges = async (tx: Tx) => {
      const whole = await unpatched(tx, changes);
      if (!whole) return undefined;
      const found = await compare(tx, whole, at.gen);
      const inPage = ({ type, id }: Row) =>
        changes.some((change: Change) => change.type === type && change.data.id === id);
      const unmet = completed
        ? (await unmetRows(tx, completed, options.entities)).filter((row) => !inPage(row))
        : [];
      const removed = unmet.map((row) => changeOf({ ...row, deleted: true, updatedAt: '' }));
      return { ...found, unmet, news: [...found.news, ...removed] };
    };
    if (options.apply) {
      const { news = [] } = (await db.read(findChanges)) ?? {};
      if (news.length) await options.apply(news);
    }
    const done = at.done + changes.length;
    // Other devices may write meanwhile. A server that does not count leaves the total open.
    const total = Math.max(done, hasMore ? at.total ?? done + remaining : done) || undefined;
    let resync: ResyncInfo | undefined, tidy = false;
    const written = await db.write(async (tx) => {
      await ctx.time.store(tx);
      const now = await position(tx);
      if (now?.cursor !== at.cursor || now?.gen !== at.gen) return undefined; // another tab has written this page
      const found = await findChanges(tx);
      if (!found) {
        tx.put('meta', { ...at, whole: true }, key);
        return undefined;
      }
      for (const row of found.rows) tx.put('rows', row);
      for (const { type, id } of found.unmet) tx.delete('rows', [type, id]);
      const next = hasMore ? { ...at, cursor, done, total } : { cursor, done: 0 };
      tx.put('meta', next, key);
      if (completed && at.resync) resync = { ...at.resync, dropped: at.resync.dropped + found.unmet.length };
      const since = (await tx.get('meta', 'tidied')) ?? 0;
      tidy = !hasMore && clock.now() - since > DAY;
      if (tidy) tx.put('meta', clock.now(), 'tidied');
      tidy &&= since > 0;
      if (found.lost.length) lost(found.lost);
      return found;
    });
    if (!written) return { more: true, received: 0 };
    const { news, unknown, foreign } = written;
    if (changes.length) ctx.emit('progress', { phase: 'pull', done, total });
    const keys = (list: Change[]) => list.map(({ type, data }) => ({ entity: type as Entity, entityId: data.id }));
    const changed = keys([...news, ...unknown]);
    if (changed.length) ctx.emit('change', { source: 'remote', entities: changed });
    if (foreign.length) ctx.emit('activity', { kind: 'received', entities: keys(foreign) });
    if (resync) ctx.emit('resync', resync);
    if (tidy) await forgetDeletions(ctx);
    return { more: !!hasMore, received: news.length };
  }

  return {
    restart,
    cursor: async () => (await read())?.cursor,
    last: () =>
      db.read(async (tx) => ({ cursor: (await position(tx))?.cursor, lastSync: await tx.get('meta', 'lastSync') })),
    /**
     * Pulls some pages. Returns whether there are more. Calls `received` for each page with the number of new changes.
     */
    async pull(received: (count: number) => void, pages = Infinity): Promise<boolean> {
      for (let more = true; more; ) {
        const due = await db.read((tx) => tx.get('meta', 'resync'));
        if (due) {
          await restart(await prepare(ctx, due));
          return true; // the queue is sent before everything is pulled
        }
        if (!pages--) return true;
        if (!(await read())) await restart();
        const result = await page((await read())!);
        received(result.received);
        more = result.more;
      }
      return false;
    },
  };
}
