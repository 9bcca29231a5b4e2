// The demo page: two devices of one user, and buttons for states that take long to bring about by hand.

import { useEffect, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { useEntities, useSyncStatus } from '../src/react.js';
import type { ConflictPolicy, EntityData } from '../src/types.js';
import { Device, readConfig } from './device.js';
import { Feed } from './feed.js';
import { addBook, editBook, joinBooks } from './library.js';
import { useNotifier } from './notifier.js';
import { Panel } from './panel.jsx';
import { addSamples, manyBooks, startOver } from './samples.js';
import { announce, Messages, offerUndo, WorkButton } from './ui.jsx';
import { Wire } from './wire.jsx';
import { plural } from './words.js';

const POLICIES: [ConflictPolicy, string][] = [
  ['merge', 'merge the edits'],
  ['manual', 'ask me'],
  ['local', 'the device that sends wins'],
  ['server', 'the server wins'],
];

/** The text of an entity as it was compared last: it stays the same object until it changes. */
const texts = new WeakMap<object, string>();
const textOf = (data: EntityData) => {
  if (!texts.has(data)) {
    const { createdAt, updatedAt, ...rest } = data;
    texts.set(data, JSON.stringify(Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1))));
  }
  return texts.get(data)!;
};

/** The books of a device, as texts to compare. */
function useBooks({ service }: Device): Map<string, string> {
  const { data: books } = useEntities('book', undefined, service);
  const { data: ratings } = useEntities('rating', undefined, service);
  const { data: logs } = useEntities('readingLog', undefined, service);
  const made = useRef({ books, ratings, logs, map: new Map<string, string>() });
  const old = made.current;
  if (old.books !== books || old.ratings !== ratings || old.logs !== logs || !old.map.size) {
    const map = new Map(
      joinBooks(books, ratings, logs).map((it) => [it.id, `${textOf(it.data)}${it.stars}${it.status}`]),
    );
    made.current = { books, ratings, logs, map };
  }
  return made.current.map;
}

/** Whether both have the same books. Nothing is claimed while a device has a problem. */
function Same({ devices: [first, second] }: { devices: Device[] }) {
  const a = useBooks(first),
    b = useBooks(second);
  const states = [useSyncStatus(first.service), useSyncStatus(second.service)];
  const troubled = [first, second].filter((_, i) => states[i].status === 'error');
  const differ = [...new Set([...a.keys(), ...b.keys()])].filter((id) => a.get(id) !== b.get(id)).length;
  const words = troubled.length
    ? `${troubled.map(({ name }) => name).join(' and ')}: needs attention`
    : differ
      ? `${plural(differ, 'book')} not the same on both`
      : `The same ${plural(a.size, 'book')} on both`;
  return (
    <p id="same" className="same" data-same={troubled.length ? 'unknown' : !differ}>
      {words}
    </p>
  );
}

/** Both devices edit the same book while they are cut off; then the laptop sends first. */
async function provoke([phone, laptop]: Device[]) {
  const devices = [laptop, phone];
  for (const device of devices) device.connect(true);
  let book = (await phone.service.store.list('book')).find(({ title }) => title);
  if (!book) {
    const draft = {
      title: 'The Dispossessed',
      authors: ['Ursula K. Le Guin'],
      publishedYear: 1974,
      tags: [],
      notes: '',
    };
    const id = await addBook(phone.service, draft);
    book = (await phone.service.store.get('book', id))!;
  }
  const { id } = book,
    title = book.title.replace(/ \(.*\)$/, '');
  for (const device of [phone, laptop]) await device.service.sync();
  for (const device of devices) device.connect(false);
  await editBook(laptop.service, id, { title: `${title} (a novel)`, notes: 'Read in May.', genre: 'novel' });
  await editBook(phone.service, id, { title: `${title} (2nd edition)`, notes: 'Lent to Anna.', genre: 'fiction' });
  for (const device of devices) {
    device.connect(true);
    await device.service.sync();
  }
}

/** Where there is no room for both devices: which one is shown, and what happens on the other one. */
function Switcher({ feeds, shown, show }: { feeds: Feed[]; shown: string; show(key: string): void }) {
  for (const feed of feeds) useNotifier(feed.changes);
  const [seen, setSeen] = useState<Record<string, number>>({});
  const current = feeds.find(({ device }) => device.key === shown)!;
  useEffect(() => setSeen((old) => ({ ...old, [shown]: current.arrivals })), [shown, current.arrivals]);
  return (
    <nav className="switcher" aria-label="Devices">
      {feeds.map(({ device: { key, name }, arrivals, entries }) => {
        const news = key === shown ? 0 : arrivals - (seen[key] ?? 0),
          [latest] = entries;
        return (
          <button key={key} type="button" data-by={key} aria-pressed={key === shown} onClick={() => show(key)}>
            <b>
              {name}
              {news > 0 && (
                <span className="news">
                  {news}
                  <span className="unseen"> new</span>
                </span>
              )}
            </b>
            <small>
              {news && latest
                ? `${latest.kind === 'bulk' ? latest.text : latest.subject} arrived`
                : key === shown
                  ? 'shown'
                  : 'no news'}
            </small>
          </button>
        );
      })}
    </nav>
  );
}

function App({ devices, feeds }: { devices: Device[]; feeds: Feed[] }) {
  const [phone] = devices,
    [policy, setPolicy] = useState<ConflictPolicy>('merge'),
    [shown, setShown] = useState(phone.key);
  const choose = async (policy: ConflictPolicy) => {
    setPolicy(policy);
    for (const device of devices) await device.setPolicy(policy);
  };
  const many = async () => {
    const { ok, error } = await phone.service.fullSync({ upload: { books: manyBooks() } });
    announce(ok ? '10,000 books were added' : error!.message);
  };
  const fresh = async () => {
    const { ok, error, snapshot } = await startOver(phone.service);
    if (!ok) announce(error!.message);
    else if (snapshot)
      offerUndo(
        'The library was replaced by the samples.',
        async () => {
          await phone.api('POST', `/snapshots/${snapshot}/restore`);
          await phone.service.sync();
        },
        true,
      );
  };
  return (
    <>
      <section className="tools" aria-label="Things to try">
        <WorkButton id="samples" className="primary" work={() => addSamples(phone.service, 5)}>
          Add sample books
        </WorkButton>
        <WorkButton id="provoke" work={() => choose('manual').then(() => provoke(devices))}>
          Provoke a conflict
        </WorkButton>
        <WorkButton id="many" work={many}>
          Add 10,000 books
        </WorkButton>
        <WorkButton id="over" work={fresh}>
          Start over
        </WorkButton>
        <p className="field">
          <label htmlFor="policy">When both edited a book</label>
          <select id="policy" value={policy} onChange={(event) => void choose(event.target.value as ConflictPolicy)}>
            {POLICIES.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        </p>
      </section>
      <Wire feeds={feeds}>
        <Same devices={devices} />
      </Wire>
      <Switcher feeds={feeds} shown={shown} show={setShown} />
      <main id="devices" className="devices" data-shown={shown}>
        {devices.map((device, i) => (
          <Panel key={device.key} device={device} feed={feeds[i]} />
        ))}
      </main>
      <Messages />
    </>
  );
}

async function start() {
  const config = await readConfig();
  const devices = [new Device('phone', 'Phone', config, 'merge'), new Device('laptop', 'Laptop', config, 'merge')];
  const feeds = devices.map((device) => new Feed(device));
  for (const feed of feeds) feed.others = feeds.filter((other) => other !== feed);
  createRoot(document.getElementById('app')!).render(<App devices={devices} feeds={feeds} />);
  for (const { service } of devices) service.startMonitoring();
  // The page starts without a network, as an app would. The worker does nothing else.
  await navigator.serviceWorker?.register('/demo/sw.js', { scope: '/' });
}

start().catch((error) => {
  const notice = document.createElement('p');
  Object.assign(notice, { className: 'notice', textContent: `The page cannot start: ${error.message}` });
  notice.setAttribute('role', 'alert');
  document.getElementById('app')!.append(notice);
});
