// Earlier states of the library, which the server keeps for 30 days: look at one, and restore it.

import { useEffect, useState } from 'react';
import { useEntities } from '../src/react.js';
import type { EntityData } from '../src/types.js';
import type { Device } from './device.js';
import { announce, Dialog, WorkButton } from './ui.jsx';
import { dateOf, number, plural, time } from './words.js';

interface Snapshot {
  id: string;
  createdAt: string;
  expiresAt: string;
  entities: number;
  kinds: string[];
}

const SHOWN = 200;

function Contents({ device, createdAt }: { device: Device; createdAt: string }) {
  const { data: now } = useEntities('book', undefined, device.service);
  const [books, setBooks] = useState<EntityData[]>(),
    [problem, setProblem] = useState('');
  useEffect(() => {
    device.api('GET', '/export?snapshots=true').then(
      ({ snapshots }) => setBooks(booksIn(snapshots, createdAt)),
      (error) => setProblem(error.message),
    );
  }, [createdAt]);
  if (!books) return <p role="status">{problem || 'Reading…'}</p>;
  const current = new Map(now.map((book) => [book.id, book]));
  const gone = books.filter((book) => !current.has(book.id)).length;
  const then = new Set(books.map((book) => book.id)),
    added = now.filter((book) => !then.has(book.id)).length;
  return (
    <>
      <p>
        {plural(books.length, 'book')} then, {number(now.length)} now. Restoring it brings back {number(gone)} and
        removes {number(added)}.
      </p>
      <ul className="titles" tabIndex={0} aria-label="Books in this state">
        {books.slice(0, SHOWN).map(({ id, title }) => (
          <li key={id} data-gone={!current.has(id)}>
            {title}
            {!current.has(id) && <small> not there now</small>}
          </li>
        ))}
        {books.length > SHOWN && <li>and {number(books.length - SHOWN)} more</li>}
      </ul>
    </>
  );
}

/** The books of the snapshot of that time in an export. */
const booksIn = (items: { snapshot: string; type: string; id: string; data: any }[], createdAt: string): EntityData[] =>
  items
    .filter(({ snapshot, type }) => type === 'book' && Date.parse(snapshot) === Date.parse(createdAt))
    .map(({ id, data }) => ({ ...data, id }))
    .sort((a, b) => (a.title < b.title ? -1 : 1));

export function SnapshotsDialog({ device, close }: { device: Device; close(): void }) {
  const [list, setList] = useState<Snapshot[]>(),
    [open, setOpen] = useState(''),
    [problem, setProblem] = useState('');
  useEffect(() => {
    device.api('GET', '/snapshots').then(
      ({ snapshots }) => setList(snapshots),
      (error) => setProblem(error.message),
    );
  }, []);
  const restore = async ({ id, createdAt }: Snapshot) => {
    await device.api('POST', `/snapshots/${id}/restore`);
    close();
    announce(`${device.name}: the library is as it was at ${time(createdAt)}`);
    await device.service.sync();
  };
  return (
    <Dialog title="Earlier states" fallback={device.key} onClose={close}>
      <p>
        The server keeps the library as it was before it was replaced, for 30 days. A restore can be undone: it keeps
        the present state too.
      </p>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      {list && !list.length && <p className="none">None yet. “Start over” makes one.</p>}
      <ul className="list">
        {list?.map((it) => (
          <li key={it.id} className="snapshot">
            <span>
              <strong>
                {dateOf(it.createdAt)}, {time(it.createdAt)}
              </strong>
              <small> {plural(it.entities, 'item')}</small>
            </span>
            <button
              type="button"
              aria-expanded={open === it.id}
              onClick={() => setOpen(open === it.id ? '' : it.id)}
              aria-label={`Look at ${time(it.createdAt)}`}
            >
              Look
            </button>
            <WorkButton work={() => restore(it)} className="primary" aria-label={`Restore ${time(it.createdAt)}`}>
              Restore
            </WorkButton>
            {open === it.id && <Contents device={device} createdAt={it.createdAt} />}
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
