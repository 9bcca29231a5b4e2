// A row of the library: a cover that is drawn from the title, and the controls of a book.

import { type CSSProperties, memo } from 'react';
import type { SyncService } from '../src/types.js';
import { FLASH } from './feed.js';
import { type Book, rate, setStatus } from './library.js';
import { useChosen } from './ui.jsx';
import { starsOf, STATUSES } from './words.js';

const STARS = Array.from({ length: 10 }, (_, i) => (10 - i) / 2);

function hash(text: string) {
  let h = 7;
  for (const c of text) h = (h * 31 + c.codePointAt(0)!) >>> 0;
  return h;
}

/** The same title has the same cover on each device. */
export const Cover = memo(({ title }: { title: string }) => {
  const h = hash(title),
    hue = h % 360,
    kind = (h >>> 9) % 4,
    dark = (h >>> 12) % 2;
  const ground = `hsl(${hue} 32% ${dark ? 30 : 78}%)`,
    figure = `hsl(${(hue + 40) % 360} 45% ${dark ? 70 : 36}%)`;
  const words = title.replace(/^(the|a|an) /i, '').match(/[\p{L}\p{N}]+/gu) ?? [];
  const initials = words
    .slice(0, 2)
    .map(([first]) => first)
    .join('');
  return (
    <svg className="cover" viewBox="0 0 40 60" aria-hidden="true">
      <rect width="40" height="60" fill={ground} />
      {kind === 0 && <circle cx="20" cy="40" r={8 + (h % 5)} fill={figure} />}
      {kind === 1 && <path d={`M0 60 L${10 + (h % 20)} ${28 + (h % 9)} L40 60Z`} fill={figure} />}
      {kind === 2 &&
        [36, 43, 50].map((y) => (
          <rect key={y} x="6" y={y} width={12 + ((h >>> (y % 16)) % 16)} height="3" fill={figure} />
        ))}
      {kind === 3 && <path d="M0 44 Q10 36 20 44 T40 44 V60 H0Z" fill={figure} />}
      <text x="20" y="22" textAnchor="middle" fill={figure}>
        {initials.toUpperCase()}
      </text>
    </svg>
  );
});

export type Flashes = Map<string, { by: string; at: number; n: number }>;

/** The latest mark of these members, if it is still to be seen. */
const markOf = (flashes: Flashes, book: string, members: string[]) =>
  members
    .map((name) => flashes.get(`${book}/${name}`))
    .filter((it) => it && Date.now() - it.at < FLASH)
    .sort((a, b) => b!.at - a!.at)[0];

/** Two marks in a row have different names, so that the animation begins again. The element stays, with its focus. */
const turnOf = (mark?: { n: number }) => mark && (mark.n % 2 ? 'odd' : 'even');

/** A value that is marked for a moment in the colour of the device that wrote it. */
function Flash({
  book,
  fields,
  flashes,
  className,
  children,
}: {
  book: string;
  fields: string[];
  flashes: Flashes;
  className: string;
  children: React.ReactNode;
}) {
  const mark = markOf(flashes, book, fields);
  return (
    <span className={className} data-flash={turnOf(mark)} data-by={mark?.by}>
      {children}
    </span>
  );
}

export interface RowProps {
  book: Book;
  service: SyncService;
  flashes: Flashes;
  unsent: boolean;
  numbers: boolean;
  style: CSSProperties;
  position: number;
  size: number;
  edit(book: Book): void;
}

export function Row({ book, service, flashes, unsent, numbers, style, position, size, edit }: RowProps) {
  const { id, data, title } = book,
    flash = { book: id, flashes };
  const byline = [book.authors, data.publishedYear].filter(Boolean).join(', ');
  const added = markOf(flashes, id, ['']);
  const [stars, chooseStars] = useChosen(`${book.stars ?? ''}`);
  const [status, chooseStatus] = useChosen(book.status ?? '');
  const extra = [book.tags.join(' · '), book.notes].filter(Boolean).join(' — ');
  return (
    <li
      className="book"
      style={style}
      data-book={id}
      aria-posinset={position}
      aria-setsize={size}
      draggable
      data-flash={turnOf(added)}
      data-by={added?.by}
      onDragStart={(event) => event.dataTransfer.setData('text/x-book', id)}
    >
      <Cover title={title} />
      <div className="about">
        <Flash {...flash} fields={['title']} className="title">
          {title}
        </Flash>
        <Flash {...flash} fields={['authors', 'publishedYear']} className="author">
          {byline}
        </Flash>
        <Flash {...flash} fields={['tags', 'notes']} className="extra">
          {unsent && <b className="unsent">not sent</b>}
          {extra}
        </Flash>
      </div>
      <div className="controls">
        <Flash {...flash} fields={['stars']} className="control">
          <select
            className="stars"
            aria-label={`Rating of ${title}`}
            value={stars}
            onChange={({ target: { value } }) => {
              chooseStars(value);
              void rate(service, id, +value || undefined);
            }}
          >
            <option value="">Not rated</option>
            {STARS.map((n) => (
              <option key={n} value={n}>
                {numbers ? `${n} of 5` : starsOf(n)}
              </option>
            ))}
          </select>
        </Flash>
        <Flash {...flash} fields={['status']} className="control">
          <select
            className="status"
            aria-label={`Status of ${title}`}
            value={status}
            onChange={({ target: { value } }) => {
              chooseStatus(value);
              void setStatus(service, id, value || undefined);
            }}
          >
            <option value="">No status</option>
            {STATUSES.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </Flash>
        <button type="button" className="quiet" aria-label={`Edit ${title}`} onClick={() => edit(book)}>
          Edit
        </button>
      </div>
    </li>
  );
}
