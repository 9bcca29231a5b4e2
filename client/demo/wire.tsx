// The way of the edits: from a device to the server and on to the other device, with the milliseconds that it took.

import { type ReactNode, useEffect, useRef, useState } from 'react';
import { sentence } from './entry.js';
import type { Entry, Feed } from './feed.js';
import { useNotifier } from './notifier.js';
import { millis } from './words.js';

const MOVE = 700; // milliseconds of the animation; demo.css has the same duration. The real time is in the text.

interface Dot {
  id: string;
  by: string;
  /** `out`: from the device to the server. `in`: from the server to the other device. */
  leg: 'out' | 'in';
}

/** The dots that move: one for each edit that was sent or has arrived since the last look. */
function useDots(journeys: Entry[]): Dot[] {
  const seen = useRef<Set<string>>(),
    [dots, setDots] = useState<Dot[]>([]);
  useEffect(() => {
    const legs: Dot[] = journeys.flatMap((entry) => [
      ...(entry.sentAt ? [{ id: `${entry.id}-out`, by: entry.by, leg: 'out' as const }] : []),
      ...(entry.arrival ? [{ id: `${entry.id}-in`, by: entry.by, leg: 'in' as const }] : []),
    ]);
    const fresh = legs.filter(({ id }) => seen.current && !seen.current.has(id)).slice(0, 6);
    seen.current = new Set(legs.map(({ id }) => id));
    if (!fresh.length) return;
    setDots((old) => [...old, ...fresh]);
    setTimeout(() => setDots((old) => old.filter((dot) => !fresh.includes(dot))), 2 * MOVE);
  });
  return dots;
}

const STEPS: Record<string, string> = {
  waiting: 'waits on the device',
  sent: 'on its way',
  refused: 'refused',
  open: 'waits for a decision',
};

function timesOf({ progress, ms, arrival }: Entry) {
  if (progress !== 'confirmed') return STEPS[progress ?? 'waiting'];
  const there = arrival ? `, on the ${arrival.name.toLowerCase()} after ${millis(arrival.ms)}` : '';
  return (ms === undefined ? 'decided' : `on the server after ${millis(ms)}`) + there;
}

export function Wire({ feeds, children }: { feeds: Feed[]; children: ReactNode }) {
  for (const feed of feeds) {
    useNotifier(feed.changes);
    useNotifier(feed.device.changes);
  }
  const journeys = feeds
    .flatMap((feed) => feed.entries.filter(({ kind }) => kind === 'edit'))
    .sort((a, b) => b.at - a.at || b.id - a.id)
    .slice(0, 20);
  const dots = useDots(journeys),
    [latest] = journeys;
  const from = feeds.find(({ device }) => device.key === latest?.by);
  const [left, right] = feeds;
  const station = ({ device }: Feed) => (
    <span className="station" data-by={device.key} data-cut={!device.connected}>
      {device.name}
    </span>
  );
  // A leg is the line between a device and the server. An edit of the phone comes in over the leg of the laptop.
  const leg = (feed: Feed, mirrored: boolean) => (
    <span className="leg" data-cut={!feed.device.connected} data-mirrored={mirrored}>
      {dots
        .filter(({ by, leg }) => (by === feed.device.key) === (leg === 'out'))
        .map(({ id, by, leg }) => (
          <i key={id} data-by={by} data-leg={leg} />
        ))}
      {!feed.device.connected && <small>cut off</small>}
    </span>
  );
  return (
    <section className="both" aria-label="The way of the edits">
      <div className="wire">
        <p className="stations">
          {station(left)}
          {leg(left, false)}
          <span className="station server">Server</span>
          {leg(right, true)}
          {station(right)}
        </p>
        <p className="journey" data-by={latest?.by}>
          {from ? (
            <>
              <b>{latest.subject}</b> {sentence(latest, '', from.titleOf)}{' '}
              <span>
                {from.device.name}: {timesOf(latest)}
              </span>
            </>
          ) : (
            'Add sample books, change a rating on one device, and watch it arrive on the other.'
          )}
        </p>
      </div>
      {children}
    </section>
  );
}
