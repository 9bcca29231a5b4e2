// The collections; the selected one filters the books.
import { type Collection, syncService } from '@booky/sync';
import { useEntities } from '@booky/sync/react';
import { AddForm } from './add-form.js';

export function Collections({ selected, select }: { selected: string | undefined; select: (id?: string) => void }) {
  const { data: collections } = useEntities<Collection>('collection', { orderBy: 'name' });
  const add = (name: string) => syncService.queueOperation('collection', crypto.randomUUID(), 'create', { name });
  const remove = (id: string) => syncService.queueOperation('collection', id, 'delete').then(() => select(undefined));
  return (
    <section aria-labelledby="collections">
      <h2 id="collections">Collections</h2>
      <p className="row" role="group" aria-labelledby="collections">
        <button aria-pressed={!selected} onClick={() => select(undefined)}>All books</button>
        {collections.map(({ id, name, bookIds }) => (
          <button key={id} aria-pressed={id === selected} onClick={() => select(id)}>
            {name} ({bookIds?.length ?? 0})
          </button>
        ))}
      </p>
      {selected && <p><button onClick={() => remove(selected)}>Delete the selected collection</button></p>}
      <AddForm labels={['New collection']} action="Add collection" add={add} />
    </section>
  );
}
