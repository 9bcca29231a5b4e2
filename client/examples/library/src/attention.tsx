// What a person must decide, and what sync has done.
import { type ConflictInfo, type ReviewItem, syncOperations as operations, syncService } from '@booky/sync';
import { useEffect, useState } from 'react';
import { show } from './text.js';

const nameOf = (data: any, entity: string) => data?.title ?? data?.name ?? `(${entity})`;
const headingOf = ({ otherId, serverData, entity }: ConflictInfo) =>
  `Two ${otherId ? 'with the name' : 'versions of'} ${nameOf(serverData, entity)}`;
const membersOf = ({ localData, serverData }: ConflictInfo) =>
  Object.keys(localData ?? {}).map((name) => [name, show(localData[name]), show(serverData?.[name])] as const)
    .filter(([name, edit, server]) => name !== 'bookIds' && edit !== server);

/** Of two collections with one name, the first one gets the books of the other one. */
async function unite({ entityId, otherId }: ConflictInfo) {
  const books = (await syncService.store.get('collection', entityId))?.bookIds ?? [];
  await syncService.transaction((tx) => {
    if (books.length) tx.addTo('collection', otherId!, 'bookIds', ...books);
    tx.delete('collection', entityId);
  }, { atomic: true });
}

export function Attention() {
  const [conflicts, setConflicts] = useState<ConflictInfo[]>([]), [refused, setRefused] = useState<ReviewItem[]>([]);
  useEffect(() => {
    const load = async () => {
      setConflicts((await operations.getConflicts()).filter(({ status }) => status === 'open'));
      setRefused(await operations.getReview());
    };
    void load();
    void operations.fetchConflicts().catch(() => {}); // those of other devices; there may be no network
    return syncService.on('status', () => void load().catch(() => {})); // the user may have signed out
  }, []);
  if (!conflicts.length && !refused.length) return null;
  return (
    <section aria-labelledby="attention">
      <h2 id="attention">Please decide</h2>
      {conflicts.map((conflict) => (
        <article key={conflict.id}>
          <h3>{headingOf(conflict)}</h3>
          {conflict.reason === 'same_name' && <p>The one that you do not choose is deleted.</p>}
          <ul>
            {membersOf(conflict).map(([name, edit, server]) => <li key={name}>{name}: {edit} (server: {server})</li>)}
          </ul>
          <p className="row">
            {conflict.entity === 'collection' && conflict.otherId &&
              <button onClick={() => unite(conflict)}>Make one of both</button>}
            <button onClick={() => operations.resolveConflict(conflict.id, 'keep_local')}>Use the edit</button>
            <button onClick={() => operations.resolveConflict(conflict.id, 'keep_server')}>Keep the server’s</button>
          </p>
        </article>
      ))}
      {refused.map(({ id, type, entity, data, message }) => (
        <article key={id}>
          <h3>The {type} of {nameOf(data, entity)} was refused</h3>
          <p>{message}</p>
          <p className="row">
            <button onClick={() => operations.retry(id)}>Try again</button>
            <button onClick={() => operations.drop(id)}>Drop the edit</button>
          </p>
        </article>
      ))}
    </section>
  );
}

export function Activity() {
  const [lines, setLines] = useState<{ id: string; text: string }[]>([]);
  useEffect(() => syncService.on('activity', async ({ kind, entities: [first, ...more], ms, resolution }) => {
    const entity = first && (await syncService.store.get(first.entity, first.entityId).catch(() => undefined));
    const what = first ? nameOf(entity, first.entity) + (more.length ? ` and ${more.length} more` : '') : 'all';
    const text = `${new Date().toLocaleTimeString('en-GB')} ${kind}: ${what} ${resolution ?? (ms ? `(${ms} ms)` : '')}`;
    setLines((lines) => [{ id: crypto.randomUUID(), text }, ...lines].slice(0, 10));
  }), []);
  const report = async () => navigator.clipboard.writeText(JSON.stringify(await syncService.inspect(), null, 2));
  return (
    <section aria-labelledby="activity">
      <h2 id="activity">Activity</h2>
      <ol>{lines.map(({ id, text }) => <li key={id}>{text}</li>)}</ol>
      <p><button onClick={report}>Copy a report for support</button></p>
    </section>
  );
}
