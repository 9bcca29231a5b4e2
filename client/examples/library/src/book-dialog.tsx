// One book: its members and its collections.
import { type Book, type Collection, syncService } from '@booky/sync';
import { useEntities, useEntity } from '@booky/sync/react';
import { type FormEvent, useEffect, useRef } from 'react';

export function BookDialog({ id, close }: { id: string; close: (deleted: boolean) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const { data: book, loading } = useEntity<Book>('book', id);
  const opened = useRef<Book>(); // as the form shows it
  opened.current ??= book;
  const { data: collections } = useEntities<Collection>('collection', { orderBy: 'name' });
  useEffect(() => dialog.current?.showModal(), []);
  const end = () => dialog.current?.close(); // the focus returns to where it was
  useEffect(() => (loading || book ? undefined : end()), [loading, book]); // deleted, perhaps on another device

  const save = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = [...new FormData(event.currentTarget)] as [string, string][];
    // Only what the person has changed: meanwhile, another device may have changed the rest.
    const changed = fields.filter(([name, value]) => value !== (opened.current?.[name] ?? ''));
    const patch = Object.fromEntries(changed.map(([name, value]) => [name, value || null]));
    if (changed.length) await syncService.queueOperation('book', id, 'update', patch);
    end();
  };
  const put = (collection: string, on: boolean) =>
    syncService[on ? 'addTo' : 'removeFrom']('collection', collection, 'bookIds', id);

  return (
    <dialog ref={dialog} aria-labelledby="book" onClose={() => close(!book)}>
      <h2 id="book">{book?.title}</h2>
      {book && (
        <form onSubmit={save}>
          <label>Title <input name="title" required defaultValue={book.title} /></label>
          <label>Notes <textarea name="notes" rows={3} defaultValue={book.notes ?? ''} /></label>
          {collections.length > 0 && <fieldset>
            <legend>Collections</legend>
            {collections.map(({ id: collection, name, bookIds }) => (
              <label key={collection} className="check">
                <input type="checkbox" checked={!!bookIds?.includes(id)}
                  onChange={(event) => put(collection, event.target.checked)} />
                {name}
              </label>
            ))}
          </fieldset>}
          <p className="row">
            <button>Save</button>
            <button type="button" onClick={end}>Cancel</button>
            <button type="button" onClick={() => syncService.queueOperation('book', id, 'delete')}>Delete book</button>
          </p>
        </form>
      )}
    </dialog>
  );
}
