// The dialogs to add or edit a book, and for the settings.

import { type FormEvent, useState } from 'react';
import { useEntities, useEntity } from '../src/react.js';
import type { Collection, ReadingLog } from '../src/types.js';
import type { Device } from './device.js';
import {
  type Book,
  addBook,
  addToCollection,
  deleteBook,
  type Draft,
  editBook,
  newestFirst,
  splitTags,
} from './library.js';
import { dateOf, STATUSES } from './words.js';
import { Dialog, Field, offerUndo, useChosen } from './ui.jsx';

/** The members that the form has. */
type Member = Exclude<keyof Draft, 'genre'>;

function Shelf({ device, shelf, book }: { device: Device; shelf: Collection; book: string }) {
  const [inside, choose] = useChosen(!!shelf.bookIds?.includes(book));
  const toggle = ({ target: { checked } }: { target: { checked: boolean } }) => {
    choose(checked);
    void device.service[checked ? 'addTo' : 'removeFrom']('collection', shelf.id, 'bookIds', book);
  };
  return (
    <label className="check">
      <input type="checkbox" checked={inside} onChange={toggle} />
      {shelf.name}
    </label>
  );
}

function Shelves({ device, book }: { device: Device; book: string }) {
  const { data } = useEntities<Collection>('collection', { orderBy: 'name' }, device.service);
  const [name, setName] = useState('');
  const add = () => {
    if (name.trim()) void addToCollection(device.service, name.trim(), [book]);
    setName('');
  };
  return (
    <fieldset>
      <legend>Collections</legend>
      {data.map((shelf: Collection) => (
        <Shelf key={shelf.id} device={device} shelf={shelf} book={book} />
      ))}
      <span className="row">
        <input
          aria-label="New collection"
          placeholder="New collection"
          value={name}
          maxLength={200}
          onChange={(event) => setName(event.target.value)}
          onKeyDown={(event) => event.key === 'Enter' && (event.preventDefault(), add())}
        />
        <button type="button" onClick={add}>
          Add to it
        </button>
      </span>
    </fieldset>
  );
}

function History({ device, book }: { device: Device; book: string }) {
  const { data: logs } = useEntities('readingLog', { where: { bookId: book } }, device.service);
  const format = useEntity('userSettings', 'settings', device.service).data?.dateFormat ?? undefined;
  const words = ({ status, startedAt, finishedAt }: ReadingLog) =>
    [
      STATUSES.find(([word]) => word === status)?.[1],
      startedAt && `since ${dateOf(`${startedAt}`, format)}`,
      finishedAt && `finished ${dateOf(`${finishedAt}`, format)}`,
    ]
      .filter(Boolean)
      .join(', ');
  if (!logs.length) return null;
  return (
    <fieldset>
      <legend>Readings</legend>
      <ul className="history">
        {newestFirst(logs).map((log) => (
          <li key={log.id}>{words(log)}</li>
        ))}
      </ul>
    </fieldset>
  );
}

export function BookDialog({ device, book, close }: { device: Device; book?: Book; close(): void }) {
  const { service, name } = device;
  const { data: known } = useEntities('tag', undefined, service);
  const before: Record<Member, string> = {
    title: book?.title ?? '',
    authors: book?.authors ?? '',
    publishedYear: `${book?.data.publishedYear ?? ''}`,
    tags: book?.tags.join(', ') ?? '',
    notes: book?.notes ?? '',
  };
  const [draft, setDraft] = useState(before),
    [start] = useState(before);
  const props = (name: Member) => ({
    value: draft[name],
    autoComplete: 'off',
    onChange: (event: { target: { value: string } }) => setDraft({ ...draft, [name]: event.target.value }),
  });
  const save = (event: FormEvent) => {
    event.preventDefault();
    const data: Draft = {
      title: draft.title.trim(),
      authors: draft.authors
        .split(',')
        .map((it) => it.trim())
        .filter(Boolean),
      publishedYear: draft.publishedYear ? +draft.publishedYear : null,
      tags: splitTags(draft.tags, known),
      notes: draft.notes,
    };
    // The edit has only the fields that were changed here: another device may have changed the others.
    const changed = (Object.keys(data) as Member[]).filter((name) => draft[name] !== start[name]);
    if (!book) void addBook(service, data);
    else if (changed.length) void editBook(service, book.id, Object.fromEntries(changed.map((it) => [it, data[it]])));
    close();
  };
  const remove = async () => {
    close();
    const undo = await deleteBook(service, book!.id);
    offerUndo(`${book!.title} was deleted on the ${name.toLowerCase()}.`, undo);
  };
  return (
    <Dialog title={book ? `Edit on ${name}` : `New book on ${name}`} fallback={`library-${device.key}`} onClose={close}>
      <form onSubmit={save}>
        <Field label="Title">{(id) => <input id={id} required maxLength={500} {...props('title')} />}</Field>
        <Field label="Authors">
          {(id) => <input id={id} placeholder="separated by commas" {...props('authors')} />}
        </Field>
        <Field label="Year">
          {(id) => <input id={id} inputMode="numeric" pattern="-?[0-9]{1,4}" {...props('publishedYear')} />}
        </Field>
        <Field label="Tags">{(id) => <input id={id} placeholder="separated by commas" {...props('tags')} />}</Field>
        <Field label="Notes">{(id) => <textarea id={id} rows={3} {...props('notes')} />}</Field>
        {book && <Shelves device={device} book={book.id} />}
        {book && <History device={device} book={book.id} />}
        <div className="row actions">
          <button className="primary">{book ? 'Save' : 'Add'}</button>
          <button type="button" onClick={close}>
            Cancel
          </button>
          {book && (
            <button type="button" className="quiet" onClick={remove}>
              Delete book
            </button>
          )}
        </div>
      </form>
    </Dialog>
  );
}

const SETTINGS: [name: string, label: string, options: [string, string][]][] = [
  [
    'theme',
    'Theme',
    [
      ['system', 'As the system'],
      ['light', 'Light'],
      ['dark', 'Dark'],
    ],
  ],
  [
    'ratingDisplay',
    'Ratings',
    [
      ['stars', '★★★★'],
      ['numbers', '4 of 5'],
    ],
  ],
  [
    'dateFormat',
    'Dates',
    [
      ['long', '5 May 2024'],
      ['iso', '2024-05-05'],
    ],
  ],
];

export function SettingsDialog({ device, close }: { device: Device; close(): void }) {
  const { data } = useEntity('userSettings', 'settings', device.service);
  const set = (name: string, value: string) =>
    device.service.queueOperation('userSettings', 'settings', 'create', { [name]: value });
  return (
    <Dialog title={`Settings on ${device.name}`} fallback={device.key} onClose={close}>
      <p>Settings are synced too: change them here, and they change on the other device.</p>
      {SETTINGS.map(([name, label, options]) => (
        <Field key={name} label={label}>
          {(id) => (
            <select
              id={id}
              value={`${data?.[name] ?? options[0][0]}`}
              onChange={(event) => void set(name, event.target.value)}
            >
              {options.map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          )}
        </Field>
      ))}
      <div className="row actions">
        <button type="button" className="primary" onClick={close}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
