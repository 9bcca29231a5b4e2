// The books: search, order, the list, adding one.
import { type Book, type Collection, type Query, syncService } from '@booky/sync';
import { useEntities, useEntity } from '@booky/sync/react';
import { useRef, useState } from 'react';
import { AddForm } from './add-form.js';
import { BookDialog } from './book-dialog.js';
import { plural, show } from './text.js';
import { Window } from './window.js';

const ORDERS: Record<string, NonNullable<Query['orderBy']>> = {
  'Title': 'title',
  'Author': ['authors', 'title'],
  'Year, newest first': [{ publishedYear: 'desc' }, 'title'],
};

const addBook = (title: string, author: string) =>
  syncService.queueOperation('book', crypto.randomUUID(), 'create', { title, ...(author && { authors: [author] }) });

export function Books({ collection }: { collection: string | undefined }) {
  const [text, setText] = useState(''), [order, setOrder] = useState('Title'), [opened, setOpened] = useState<string>();
  const { data: selected } = useEntity<Collection>('collection', collection ?? '');
  const beginnings = text.split(/\s+/).map((word) => word && `${word}*`);
  const { data, loading, error } = useEntities<Book>('book', {
    search: { words: beginnings.join(' '), in: ['title', 'authors', 'notes'] },
    ...(collection && { where: { id: { in: selected?.bookIds ?? [] } } }),
    orderBy: ORDERS[order]!,
  });
  const books = useRef(data); // the former results are shown until the next ones are there
  if (!loading) books.current = data;
  const close = (deleted: boolean) => {
    setOpened(undefined);
    if (deleted) document.getElementById('books')!.focus(); // the row that had the focus is gone
  };

  return (
    <section aria-labelledby="books">
      <h2 id="books" tabIndex={-1}>Books</h2>
      <AddForm labels={['Title', 'Author']} action="Add book" add={addBook} />
      <p className="row">
        <label>Search <input type="search" value={text} onChange={(event) => setText(event.target.value)} /></label>
        <label>Sort by <select value={order} onChange={(event) => setOrder(event.target.value)}>
          {Object.keys(ORDERS).map((name) => <option key={name}>{name}</option>)}
        </select></label>
      </p>
      {error && <p role="alert">The library cannot be read: {error.message}</p>}
      <p role="status">{plural(books.current.length, 'book')}</p>
      <Window key={`${text} ${order} ${collection}`} label="List of books" items={books.current} row={(book) => (
        <>
          <button className="title" onClick={() => setOpened(book.id)}>{book.title}</button>
          <small>{[show(book.authors ?? []), book.publishedYear].filter(Boolean).join(', ')}</small>
        </>
      )} />
      {opened && <BookDialog id={opened} close={close} />}
    </section>
  );
}
