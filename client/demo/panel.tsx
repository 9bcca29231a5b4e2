// The panel of a device: its status, what a person has to decide, what has happened, what waits, and its library.

import { useEffect, useState } from 'react';
import { useEntity, useSyncStatus } from '../src/react.js';
import type { ConflictInfo, Operation, ReviewItem, SyncEvents, SyncStatus } from '../src/types.js';
import { ConflictDialog, differing, type Group, groupsOf } from './conflict.jsx';
import type { Device } from './device.js';
import { sentence } from './entry.js';
import type { Entry, Feed } from './feed.js';
import { BookDialog, SettingsDialog } from './form.jsx';
import type { Book } from './library.js';
import { useNotifier } from './notifier.js';
import { Plot } from './plot.jsx';
import { Shelf } from './shelf.jsx';
import { SnapshotsDialog } from './snapshots.jsx';
import { announce, FocusRow, Section, useNow, WorkButton } from './ui.jsx';
import { labelOf, millis, number, plural, time } from './words.js';

const SHOWN = 8; // operations of the queue
const LATEST = 4; // entries of the activity list, until all are asked for
const FEW = 20; // so many come at once, without a bar
const MINUTE = 60_000;

const STATES: Record<SyncStatus['status'], string> = {
  ready: 'Up to date',
  syncing: 'Syncing',
  offline: 'Offline',
  error: 'Needs attention',
};

/** The lists of operations and conflicts, read again whenever something has changed. */
function useLists({ service }: Device, status: SyncStatus) {
  const [lists, setLists] = useState({
    pending: [] as Operation[],
    review: [] as ReviewItem[],
    open: [] as ConflictInfo[],
  });
  useEffect(() => {
    let current = true;
    const { getPendingOperations, getReview, getConflicts } = service.operations;
    Promise.all([getPendingOperations(), getReview(), getConflicts()]).then(
      ([pending, review, conflicts]) => {
        if (current) setLists({ pending, review, open: conflicts.filter(({ status }) => status === 'open') });
      },
      () => {},
    );
    return () => {
      current = false;
    };
  }, [status]);
  return lists;
}

function Progress({ device, syncing }: { device: Device; syncing: boolean }) {
  const [progress, setProgress] = useState<SyncEvents['progress']>();
  useEffect(() => device.service.on('progress', setProgress), [device]);
  useEffect(() => void (!syncing && setProgress(undefined)), [syncing]);
  const { phase, done = 0, total = done } = progress ?? {};
  const verb = phase === 'push' ? 'Sent' : 'Received';
  return (
    <p className="progress" data-on={total > FEW}>
      <progress max={total || 1} value={done} aria-label={`Progress of ${device.name}`} />
      <span>{progress && `${verb} ${number(done)} of ${number(total)}`}</span>
    </p>
  );
}

/** The round trips of the last minute, and how many edits wait. */
function Traffic({ device, waiting }: { device: Device; waiting: number }) {
  useNotifier(device.changes);
  const now = useNow(1000),
    [queue, setQueue] = useState<[number, number][]>([[now, waiting]]);
  useEffect(
    () => setQueue((old) => [...old.filter(([at]) => at > Date.now() - MINUTE), [Date.now(), waiting]]),
    [waiting],
  );
  const trips = device.trips.filter(({ at }) => at > now - MINUTE);
  const sorted = trips.map(({ ms }) => ms).sort((a, b) => a - b),
    median = sorted[sorted.length >> 1];
  const figures = trips.length ? `${plural(trips.length, 'round trip')}, median ${millis(median)}` : 'no round trip';
  return (
    <div className="traffic">
      <Plot
        label={`${device.name}, the last minute: ${figures}; ${plural(waiting, 'edit')} waiting`}
        start={now - MINUTE}
        end={now}
        series={[
          { className: 'queue', kind: 'steps', points: queue },
          { className: 'trip', kind: 'dots', points: trips.map(({ at, ms }) => [at, ms]) },
        ]}
      />
      <p>
        <span className="key trip">{figures}</span>
        <span className="key queue">{number(waiting)} waiting</span>
      </p>
    </div>
  );
}

const MARKS: Record<string, string> = {
  waiting: 'waiting',
  sent: 'on its way',
  confirmed: 'saved',
  refused: 'refused',
  open: 'to be decided',
  received: 'received',
  lost: 'lost to a later edit',
  merged: 'merged',
};

function Item({ entry, feed }: { entry: Entry; feed: Feed }) {
  const { kind, by, subject, progress = '', ms, arrival, parts, undone } = entry;
  const writer = feed.others.find(({ device }) => device.key === by)?.device.name;
  const rival = writer ? `the ${writer.toLowerCase()}` : 'another device';
  const mark = kind === 'edit' ? MARKS[progress] : kind === 'bulk' ? '' : MARKS[kind];
  const figures = [
    progress === 'confirmed' && ms !== undefined && millis(ms),
    arrival && `${arrival.name.toLowerCase()} ${millis(arrival.ms)}`,
    kind === 'received' && (by === feed.device.key ? 'after your decision' : `from ${rival}`),
  ]
    .filter(Boolean)
    .join(' · ');
  const undoable = parts.length > 0 && !undone && !['waiting', 'sent', 'refused', 'open'].includes(progress);
  const verb = kind === 'lost' ? 'Use mine' : 'Undo';
  return (
    <li className="entry" data-by={by} data-kind={kind}>
      <span className="what">
        {kind !== 'bulk' && <b>{subject}</b>} {sentence(entry, rival, feed.titleOf)}
        <small>
          <span className="mark" data-mark={kind === 'edit' ? progress : kind}>
            {mark}
          </span>{' '}
          {figures} <time>{time(entry.at)}</time>
        </small>
      </span>
      {undoable && (
        <button type="button" className="quiet" aria-label={`${verb}: ${subject}`} onClick={() => feed.undo(entry)}>
          {verb}
        </button>
      )}
    </li>
  );
}

function ActivityList({ feed }: { feed: Feed }) {
  useNotifier(feed.changes);
  const [all, setAll] = useState(false),
    { entries } = feed;
  return (
    <Section title="What happened" size={entries.length} empty="Nothing yet on this device.">
      <ul className="list entries">
        {entries.slice(0, all ? undefined : LATEST).map((entry) => (
          <Item key={entry.id} entry={entry} feed={feed} />
        ))}
      </ul>
      {entries.length > LATEST && (
        <button type="button" className="quiet" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'Show less' : `Show all ${entries.length}`}
        </button>
      )}
    </Section>
  );
}

function Waiting({ pending, feed, open }: { pending: Operation[]; feed: Feed; open: boolean }) {
  const titled = ({ type, entity, entityId, data }: Operation) => {
    const members =
      type === 'update'
        ? Object.keys(data ?? {})
            .map((it) => labelOf(it).toLowerCase())
            .join(', ')
        : '';
    return {
      verb: `${type} ${entity === 'readingLog' ? 'status' : entity}`,
      members,
      name: feed.nameOf(entity, entityId, data as any),
    };
  };
  // Opens by itself when the edits cannot be sent. The list is made only where it can be seen.
  const [shown, setShown] = useState(false),
    due = open && pending.length > 0;
  useEffect(() => setShown(due), [due]);
  return (
    <details className="part" open={shown} onToggle={(event) => setShown(event.currentTarget.open)}>
      <summary>
        Waiting to be sent <span className="count">{number(pending.length)}</span>
      </summary>
      {!pending.length && <p className="none">Nothing waits.</p>}
      <ul className="list">
        {(shown ? pending.slice(0, SHOWN) : []).map((op) => {
          const { verb, name, members } = titled(op);
          return (
            <li key={op.id} className="op">
              <span className="verb">{verb}</span>
              <span>
                <span className="title">{name}</span> <span className="members">{members}</span>
              </span>
              <span className="tries">{op.attempts ? plural(op.attempts, 'attempt') : ''}</span>
              <time>{time(op.timestamp)}</time>
            </li>
          );
        })}
      </ul>
      {pending.length > SHOWN && <p className="none">and {number(pending.length - SHOWN)} more</p>}
    </details>
  );
}

function Review({ items, device, feed }: { items: ReviewItem[]; device: Device; feed: Feed }) {
  const { retry, drop } = device.service.operations,
    id = `review-${device.key}`;
  return (
    <Section title="Refused" size={items.length} id={id}>
      <ul className="list">
        {items.map((op) => {
          const name = feed.nameOf(op.entity, op.entityId, op.data as any);
          return (
            <FocusRow key={op.id} className="decide" fallback={id}>
              <span>
                <strong>{name}</strong>{' '}
                <span className="members">
                  {op.type} {op.entity}: {op.message} ({op.error}, {plural(op.attempts, 'attempt')})
                </span>
              </span>
              <button type="button" aria-label={`Try again: ${name}`} onClick={() => retry(op.id)}>
                Try again
              </button>
              <button type="button" className="quiet" aria-label={`Drop: ${name}`} onClick={() => drop(op.id)}>
                Drop
              </button>
            </FocusRow>
          );
        })}
      </ul>
    </Section>
  );
}

function Countdown({ device }: { device: Device }) {
  useNotifier(device.changes);
  const now = useNow(1000, device.waitUntil > 0),
    left = Math.ceil((device.waitUntil - now) / 1000);
  return left > 0 ? (
    <p className="countdown" role="timer">
      The server asks to wait. Next try in {left} s.
    </p>
  ) : null;
}

type Open = { what: 'book'; book?: Book } | { what: 'settings' | 'snapshots' } | { what: 'conflict'; group: Group };

export function Panel({ device, feed }: { device: Device; feed: Feed }) {
  const { key, name, service } = device;
  useNotifier(device.changes);
  useNotifier(feed.changes);
  const status = useSyncStatus(service),
    lists = useLists(device, status);
  const settings = useEntity('userSettings', 'settings', service).data;
  const [open, setOpen] = useState<Open>(),
    [problem, setProblem] = useState(''),
    close = () => setOpen(undefined);
  const { conflicts, pendingOperations, isOnline } = status;

  useEffect(
    () =>
      service.on('error', ({ code, message }) => {
        const shown = ['OFFLINE', 'RATE_LIMITED'].includes(code); // by the state, and by the countdown
        setProblem(shown ? '' : `${message} (${code})`);
      }),
    [],
  );
  useEffect(() => {
    if (status.status === 'syncing' || status.status === 'ready') setProblem(''); // of the previous round
  }, [status.status]);
  const [was, setWas] = useState(isOnline);
  useEffect(() => {
    if (was !== isOnline) announce(`${name} is ${isOnline ? 'online again' : 'offline'}`);
    setWas(isOnline);
  }, [isOnline]);
  useEffect(
    () => service.on('conflict', ({ status }) => status === 'open' && announce(`${name}: a conflict to decide`)),
    [],
  );

  const groups = groupsOf(lists.open, feed);
  const toDecide = groups.length && `${plural(groups.length, 'conflict')} to decide`;
  const due = toDecide || (pendingOperations ? `${plural(pendingOperations, 'edit')} to send` : '');
  const word = (status.status === 'ready' && (conflicts || pendingOperations) && due) || STATES[status.status];
  const unsent = new Set(lists.pending.map(({ entityId, data }) => (data?.bookId as string) ?? entityId));
  const theme = settings?.theme === 'system' ? undefined : (settings?.theme ?? undefined);
  return (
    <section className="device" aria-labelledby={key} data-by={key} data-theme={theme}>
      <header>
        <h2 id={key} tabIndex={-1}>
          {name}
        </h2>
        <button
          type="button"
          className="switch"
          role="switch"
          aria-checked={device.connected}
          aria-describedby={key}
          onClick={() => device.connect(!device.connected)}
        >
          {device.connected ? 'Connected' : 'Cut off'}
        </button>
      </header>
      <p className="state" data-state={status.status}>
        <span className="state-word">{word}</span>
        <span className="when">{status.lastSync ? `synced ${time(status.lastSync)}` : 'never synced'}</span>
      </p>
      <Progress device={device} syncing={status.status === 'syncing'} />
      <p className="problem">{problem}</p>
      <Countdown device={device} />
      <Traffic device={device} waiting={pendingOperations} />
      <div className="row">
        <button type="button" className="primary" onClick={() => setOpen({ what: 'book' })}>
          Add a book
        </button>
        <WorkButton work={() => service.sync()}>Sync now</WorkButton>
        <details className="menu">
          <summary>
            More<span className="unseen"> on {name}</span>
          </summary>
          <div onClick={(event) => ((event.currentTarget.parentElement as HTMLDetailsElement).open = false)}>
            <button type="button" onClick={() => setOpen({ what: 'settings' })}>
              Settings
            </button>
            <button type="button" onClick={() => setOpen({ what: 'snapshots' })}>
              Earlier states
            </button>
            <WorkButton work={() => service.fullSync()}>Full sync</WorkButton>
          </div>
        </details>
      </div>
      <Section title="To decide" size={groups.length}>
        <ul className="list">
          {groups.map((group) => (
            <FocusRow key={group.key} className="decide" fallback={key}>
              <span>
                <strong>{group.name}</strong>{' '}
                <span className="members">
                  {differing(group)
                    .map(({ name }) => labelOf(name).toLowerCase())
                    .join(', ')}
                </span>
              </span>
              <button
                type="button"
                className="primary"
                aria-label={`Decide about ${group.name}`}
                onClick={() => setOpen({ what: 'conflict', group })}
              >
                Decide
              </button>
            </FocusRow>
          ))}
        </ul>
      </Section>
      <Review items={lists.review} device={device} feed={feed} />
      <ActivityList feed={feed} />
      <Waiting
        pending={lists.pending}
        feed={feed}
        open={!isOnline || lists.pending.some(({ attempts }) => attempts > 0)}
      />
      <Shelf
        device={device}
        feed={feed}
        unsent={unsent}
        numbers={settings?.ratingDisplay === 'numbers'}
        edit={(book) => setOpen({ what: 'book', book })}
      />
      {open?.what === 'book' && <BookDialog device={device} book={open.book} close={close} />}
      {open?.what === 'settings' && <SettingsDialog device={device} close={close} />}
      {open?.what === 'snapshots' && <SnapshotsDialog device={device} close={close} />}
      {open?.what === 'conflict' && <ConflictDialog device={device} feed={feed} group={open.group} close={close} />}
    </section>
  );
}
