// The library of a device: search, order, collections, tags, and the list. Only the rows in view are in the page.

import { type RefObject, useDeferredValue, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { useEntities } from '../src/react.js';
import type { Book as BookEntity, Collection } from '../src/types.js';
import type { Device } from './device.js';
import type { Feed } from './feed.js';
import { type Book, addToCollection, joinBooks, tagKey } from './library.js';
import { Row } from './book.jsx';
import { number, plural } from './words.js';

const ORDERS = {
  title: ['Title', ['title']],
  author: ['Author', ['authors', 'title']],
  newest: ['Added last', [{ addedAt: 'desc' }, 'title']],
  year: ['Year', [{ publishedYear: 'desc' }, 'title']],
  rating: ['Rating', ['title']],
} as const;
type Order = keyof typeof ORDERS;

const SPARE = 4; // rows above and below those that can be seen
const CHIPS = 8; // tags that are always shown

/** The rows that can be seen, and the height of a row, which is larger where the list is narrow. */
function useWindow(ref: RefObject<HTMLElement>, count: number) {
  const [view, setView] = useState({ top: 0, height: 600, row: 84 });
  useLayoutEffect(() => {
    const list = ref.current!;
    const look = () => {
      const row = list.clientWidth < 520 ? 140 : 84;
      setView((old) => {
        const now = { top: list.scrollTop, height: list.clientHeight, row };
        return old.top === now.top && old.height === now.height && old.row === now.row ? old : now;
      });
    };
    const observer = new ResizeObserver(look);
    observer.observe(list);
    list.addEventListener('scroll', look, { passive: true });
    return () => {
      observer.disconnect();
      list.removeEventListener('scroll', look);
    };
  }, []);
  const first = Math.max(0, Math.floor(view.top / view.row) - SPARE);
  const last = Math.min(count, Math.ceil((view.top + view.height) / view.row) + SPARE);
  return { first, last, row: view.row };
}

interface Chip {
  key: string;
  name: string;
  count: number;
}

function Chips({
  label,
  chips,
  chosen,
  choose,
  drop,
}: {
  label: string;
  chips: Chip[];
  chosen: string;
  choose(key: string): void;
  drop?(name: string, book: string): void;
}) {
  const [all, setAll] = useState(false),
    [over, setOver] = useState('');
  if (!chips.length) return null;
  const shown = all ? chips : chips.filter(({ key }, i) => i < CHIPS || key === chosen);
  return (
    <div className="chips" role="group" aria-label={label}>
      {shown.map(({ key, name, count }) => (
        <button
          key={key}
          type="button"
          className="chip"
          aria-pressed={key === chosen}
          data-over={over === key}
          onClick={() => choose(key === chosen ? '' : key)}
          onDragOver={drop && ((event) => (event.preventDefault(), setOver(key)))}
          onDragLeave={() => setOver('')}
          onDrop={drop && ((event) => (setOver(''), drop(name, event.dataTransfer.getData('text/x-book'))))}
        >
          {name} <span className="count">{number(count)}</span>
        </button>
      ))}
      {chips.length > CHIPS && !all && (
        <button type="button" className="chip more" onClick={() => setAll(true)}>
          {chips.length - CHIPS} more
        </button>
      )}
    </div>
  );
}

/** `unsent`: the ids of the books with edits that wait. */
export function Shelf({
  device,
  feed,
  unsent,
  numbers,
  edit,
}: {
  device: Device;
  feed: Feed;
  unsent: Set<string>;
  numbers: boolean;
  edit(book: Book): void;
}) {
  const { service, name } = device;
  const [words, setWords] = useState(''),
    [order, setOrder] = useState<Order>('title');
  const [tag, setTag] = useState(''),
    [shelf, setShelf] = useState('');
  const search = words
    .match(/[\p{L}\p{N}]+/gu)
    ?.map((word) => `${word}*`)
    .join(' ');
  const all = useEntities('book', undefined, service).data;
  const { data: found } = useEntities<BookEntity>(
    'book',
    {
      ...(search && { search: { words: search, in: ['title', 'authors', 'tags', 'notes'] } }),
      orderBy: ORDERS[order][1] as any,
    },
    service,
  );
  const { data: ratings } = useEntities('rating', undefined, service);
  const { data: logs } = useEntities('readingLog', undefined, service);
  const { data: collections } = useEntities<Collection>('collection', { orderBy: 'name' }, service);

  const tags = useMemo(() => {
    const counts = new Map<string, Chip>();
    for (const { tags } of all)
      for (const name of tags ?? []) {
        const key = tagKey(`${name}`),
          chip = counts.get(key);
        if (chip) chip.count++;
        else counts.set(key, { key, name: `${name}`, count: 1 });
      }
    return [...counts.values()].sort((a, b) => b.count - a.count || (a.key < b.key ? -1 : 1));
  }, [all]);
  const chosen = collections.find(({ id }) => id === shelf);
  const chosenTag = tags.some(({ key }) => key === tag) ? tag : '';
  const books = useMemo(() => {
    const inShelf = chosen && new Set(chosen.bookIds ?? []);
    const wanted = found.filter(
      ({ id, tags }) =>
        (!inShelf || inShelf.has(id)) && (!chosenTag || tags?.some((name) => tagKey(`${name}`) === chosenTag)),
    );
    const joined = joinBooks(wanted, ratings, logs);
    return order === 'rating' ? joined.sort((a, b) => (b.stars ?? 0) - (a.stars ?? 0)) : joined;
  }, [found, ratings, logs, chosen, chosenTag, order]);
  const shown = useDeferredValue(books);

  const list = useRef<HTMLUListElement>(null);
  const { first, last, row } = useWindow(list, shown.length);
  const chips = collections.map(({ id, name, bookIds }: Collection) => ({
    key: id,
    name,
    count: bookIds?.length ?? 0,
  }));
  const narrowed = shown.length < all.length ? `${number(shown.length)} of ` : '';
  return (
    <section className="part library" aria-label={`Library on ${name}`}>
      <div className="library-head">
        <h3 tabIndex={-1} id={`library-${device.key}`}>
          Library{' '}
          <span className="count">
            {narrowed}
            {plural(all.length, 'book')}
          </span>
        </h3>
        <input
          type="search"
          aria-label={`Search on ${name}`}
          placeholder="Search"
          value={words}
          onChange={(event) => (setWords(event.target.value), list.current?.scrollTo(0, 0))}
        />
        <select
          aria-label={`Order on ${name}`}
          value={order}
          onChange={(event) => setOrder(event.target.value as Order)}
        >
          {Object.entries(ORDERS).map(([key, [label]]) => (
            <option key={key} value={key}>
              {label}
            </option>
          ))}
        </select>
      </div>
      <Chips
        label={`Collections on ${name}`}
        chips={chips}
        chosen={shelf}
        choose={setShelf}
        drop={(name, book) => book && void addToCollection(service, name, [book])}
      />
      <Chips label={`Tags on ${name}`} chips={tags} chosen={chosenTag} choose={setTag} />
      {!all.length && <p className="none">No books yet. Add one, or “Add sample books” above.</p>}
      {all.length > 0 && !shown.length && <p className="none">No book fits.</p>}
      {/* Even where it is empty: the window measures it. */}
      <ul className="books" ref={list} hidden={!shown.length} aria-label={`Books on ${name}`}>
        <li className="sizer" aria-hidden="true" role="presentation" style={{ height: shown.length * row }} />
        {shown.slice(first, last).map((book, i) => (
          <Row
            key={book.id}
            book={book}
            service={service}
            flashes={feed.flashes}
            unsent={unsent.has(book.id)}
            numbers={numbers}
            style={{ top: (first + i) * row, height: row }}
            position={first + i + 1}
            size={shown.length}
            edit={edit}
          />
        ))}
      </ul>
    </section>
  );
}
