// The dialog to decide what two devices have done to the same book. All conflicts of a book are one decision.

import { useState } from 'react';
import type { ConflictInfo, Resolution, SyncError } from '../src/types.js';
import type { Device } from './device.js';
import type { Feed } from './feed.js';
import { announce, Dialog } from './ui.jsx';
import { bookIdOf, HIDDEN, labelOf, textOf, time } from './words.js';

type Conflict = ConflictInfo & { deviceId?: string | null };
type Side = 'localData' | 'serverData';
const SIDES = ['localData', 'serverData'] as const;

/** What keeping a side does, for the reasons where the names of the buttons do not say it. */
const MEANINGS: Record<string, string> = {
  same_name: 'Two have this name. Keeping one deletes the other. To keep both, rename one.',
  incomplete: 'Required fields are missing. Keeping the other version deletes it.',
  beyond_horizon:
    'The edit is older than the deletions that the server still knows. Keeping the other version deletes it.',
};

const PROBLEMS: Record<string, string> = {
  CONFLICT_DETECTED: 'It was edited again. Close this, sync, and look at the current version.',
  OFFLINE: 'This device is offline. The server stores the decision: connect first.',
};

/** The open conflicts that one decision settles. */
export interface Group {
  key: string;
  name: string;
  conflicts: Conflict[];
}

export function groupsOf(open: Conflict[], feed: Feed): Group[] {
  const groups = new Map<string, Group>();
  for (const conflict of open) {
    const { entity, entityId, id, localData, serverData } = conflict;
    const book = bookIdOf(entity, entityId, { ...serverData, ...localData });
    const key = book ?? id,
      name = feed.nameOf(entity, entityId, serverData ?? localData);
    const group = groups.get(key) ?? { key, name, conflicts: [] };
    groups.set(key, { ...group, conflicts: [...group.conflicts, conflict] });
  }
  return [...groups.values()];
}

/** The members that differ, as `conflict id` and member. */
export const differing = ({ conflicts }: Group) =>
  conflicts.flatMap((conflict) => {
    const { localData, serverData } = conflict,
      names = Object.keys(localData ?? serverData ?? {});
    return names
      .filter((name) => !HIDDEN.includes(name) && textOf(name, localData?.[name]) !== textOf(name, serverData?.[name]))
      .map((name) => ({ conflict, name, key: `${conflict.id}/${name}` }));
  });

/** The names of the sides: of the device that sent the edit, and of the one that wrote what the server has. */
function sidesOf({ deviceId }: Conflict, device: Device, feed: Feed): Record<Side, string> {
  const all = [feed, ...feed.others].map((it) => it.device);
  const local = all.find(({ id }) => id === deviceId) ?? (deviceId ? undefined : device);
  const other = all.length === 2 ? all.find((it) => it !== local) : undefined;
  return { localData: local?.name ?? 'Another device', serverData: local && other ? other.name : 'Server' };
}

export function ConflictDialog({
  device,
  feed,
  group,
  close,
}: {
  device: Device;
  feed: Feed;
  group: Group;
  close(): void;
}) {
  const { conflicts, name } = group,
    [first] = conflicts;
  const [choices, setChoices] = useState<Record<string, Side>>({});
  const [problem, setProblem] = useState(''),
    [busy, setBusy] = useState(false);
  const sides = sidesOf(first, device, feed),
    rows = differing(group);
  const mergeable = conflicts.every(({ localData, serverData }) => localData && serverData) && rows.length > 0;
  const chosen = (key: string) => choices[key] ?? 'localData';

  const decide = async (side: Side | 'merge', how: string) => {
    setBusy(true);
    try {
      for (const conflict of conflicts) {
        // A patch on the server's version, so it has only the members that were chosen from the local one.
        const mine = rows.filter((row) => row.conflict === conflict && chosen(row.key) === 'localData');
        const data = Object.fromEntries(mine.map(({ name }) => [name, conflict.localData?.[name]]));
        const merge: [Resolution, any?] = mine.length ? ['merge', data] : ['keep_server'];
        const decision =
          side === 'merge' ? merge : ([side === 'localData' ? 'keep_local' : 'keep_server'] as [Resolution]);
        feed.decides(conflict);
        await device.service.operations.resolveConflict(conflict.id, ...decision);
      }
      close();
      announce(`${device.name}: ${how} for ${name}`);
    } catch (error) {
      const { code, message } = error as SyncError;
      setProblem(PROBLEMS[code] ?? message);
      setBusy(false);
    }
  };

  const when = (side: Side) => {
    const at = first[side === 'localData' ? 'localTimestamp' : 'serverTimestamp'];
    return !first[side] ? 'deleted it' : at.getTime() ? `edited ${time(at)}` : '';
  };
  const keyOf = (side: Side) => [feed, ...feed.others].find((it) => it.device.name === sides[side])?.device.key;
  const value = (side: Side, { conflict, name }: (typeof rows)[number]) =>
    textOf(name, conflict[side]?.[name], feed.titleOf) || 'nothing';
  const advice = mergeable ? 'Keep one version, or choose for each field and merge.' : 'Keep one of the two.';
  return (
    <Dialog title={`Two versions of ${name}`} fallback={device.key} onClose={close}>
      <p>{MEANINGS[first.reason] ?? advice}</p>
      <ul className="sides">
        {SIDES.map((side) => (
          <li key={side} data-by={keyOf(side)}>
            {sides[side]} <small>{when(side)}</small>
          </li>
        ))}
      </ul>
      {rows.map((row) => (
        <fieldset key={row.key} className="choice">
          <legend>{labelOf(row.name)}</legend>
          {SIDES.map((side) => (
            <label key={side} data-by={keyOf(side)}>
              {mergeable && (
                <input
                  type="radio"
                  name={row.key}
                  checked={chosen(row.key) === side}
                  aria-label={`${labelOf(row.name)}: ${sides[side]}, ${value(side, row)}`}
                  onChange={() => setChoices({ ...choices, [row.key]: side })}
                />
              )}
              <span>
                <small>{sides[side]}</small>
                {value(side, row)}
              </span>
            </label>
          ))}
        </fieldset>
      ))}
      <p className="problem" role="alert">
        {problem}
      </p>
      <div className="row actions">
        {SIDES.map((side) => (
          <button
            key={side}
            type="button"
            disabled={busy}
            onClick={() => decide(side, `kept the version of ${sides[side]}`)}
          >
            Keep {sides[side]}’s
          </button>
        ))}
        {mergeable && (
          <button type="button" className="primary" disabled={busy} onClick={() => decide('merge', 'merged')}>
            Merge as chosen
          </button>
        )}
        <button type="button" className="quiet" onClick={close}>
          Decide later
        </button>
      </div>
    </Dialog>
  );
}
