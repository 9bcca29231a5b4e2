// A list of which only the rows in sight, and some around them or around the focus, are in the document.
import { type ReactNode, useState } from 'react';

const HEIGHT = 4, AROUND = 10; // of a row, in rem, as in app.css; rows before and after those in sight

export function Window<T extends { id: string }>(
  { label, items, row }: { label: string; items: T[]; row: (item: T) => ReactNode }) {
  const [top, setTop] = useState(0), height = HEIGHT * parseFloat(getComputedStyle(document.documentElement).fontSize);
  const first = Math.max(0, Math.min(Math.floor(top / height), items.length) - AROUND);
  const shown = items.slice(first, first + Math.ceil(innerHeight / height) + 2 * AROUND);
  const follow = (li: Element | null, view: number) => // now: a scroll event comes with the next frame only
    li && setTop(Math.max(0, Number(li.getAttribute('aria-posinset')) * height - view / 2));
  return (
    <div className="window" role="group" aria-label={label} tabIndex={0}
      onFocus={(event) => follow(event.target.closest('li'), event.currentTarget.clientHeight)}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}>
      <ul style={{ paddingTop: first * height, paddingBottom: (items.length - first - shown.length) * height }}>
        {shown.map((item, i) =>
          <li key={item.id} aria-setsize={items.length} aria-posinset={first + i + 1}>{row(item)}</li>)}
      </ul>
    </div>
  );
}
