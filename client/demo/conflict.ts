// A conflict, both versions side by side, and the three ways to decide it.

import { SyncError, type ConflictInfo, type Data, type Resolution, type SyncService } from '../src/types.js';
import { button, el, openDialog, time } from './dom.js';

type Side = 'localData' | 'serverData';

/** What the two ways to keep a side do, where that is not what their names say. */
const MEANINGS: Record<string, string> = {
  same_name: 'Keep mine deletes the other one of this name; keep theirs deletes this one. To keep both, rename one.',
  incomplete: 'Required members are missing. Keep theirs deletes it.',
  beyond_horizon: 'The edit is older than what the server remembers of deletions. Keep theirs deletes it.',
};

const HIDDEN = ['id', 'createdAt', 'updatedAt', 'addedAt'];

const LABELS: Record<string, string> = { publishedYear: 'Year', readingStatus: 'Status', bookId: 'Book', pageCount: 'Pages' };
export const labelOf = (member: string) => LABELS[member] ?? member[0].toUpperCase() + member.slice(1).replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`);

function show(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(show).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : `${value}`;
}

/** The members that the edit is about: where the two sides differ first, then where they agree. */
export function membersOf({ localData, serverData }: ConflictInfo): { name: string; differs: boolean }[] {
  const names = Object.keys(localData ?? serverData ?? {}).filter((name) => !HIDDEN.includes(name));
  return names
    .map((name) => ({ name, differs: show(localData?.[name]) !== show(serverData?.[name]) }))
    .sort((a, b) => +b.differs - +a.differs);
}

const WORDS: Record<string, string> = {
  CONFLICT_DETECTED: 'It has been edited again since. Close this, sync, and look at it as it is now.',
  OFFLINE: 'This device is offline. The decision is the server’s to store: connect first.',
};

export function openConflict(service: SyncService, conflict: ConflictInfo, title: string, fallback: HTMLElement, decided: (how: string) => void) {
  openDialog(`Two versions of ${title}`, fallback, (body, close) => {
    const problem = el('p', { className: 'problem', role: 'alert' });
    const merging = conflict.localData && conflict.serverData;
    const when = (at: Date) => at.getTime() ? `edited ${time(at)}` : '';

    const choices = new Map<string, Side>();
    const cell = (name: string, side: Side, label: string, differs: boolean) => {
      const value = show(conflict[side]?.[name]);
      const shown = value ? el('span', { textContent: value }) : el('span', { className: 'none', textContent: 'nothing' });
      if (!differs || !merging) return el('td', {}, shown);
      const radio = el('input', {
        type: 'radio', name: `choice-${name}`, checked: side === 'localData', 'aria-label': `${labelOf(name)}: ${label}, ${value || 'nothing'}`,
        onchange: () => choices.set(name, side),
      });
      return el('td', { className: 'choice' }, el('label', {}, radio, shown));
    };
    const members = membersOf(conflict);
    const head = (label: string, at: Date, data: unknown) =>
      el('th', { scope: 'col' }, label, el('small', { textContent: data ? when(at) : 'deleted it' }));
    const table = el('table', { className: 'versions' },
      el('caption', { className: 'unseen', textContent: 'Both versions, field by field' }),
      el('thead', {}, el('tr', {},
        el('th', { scope: 'col', textContent: 'Field' }),
        head('Mine', conflict.localTimestamp, conflict.localData),
        head('Theirs', conflict.serverTimestamp, conflict.serverData))),
      el('tbody', {}, ...members.map(({ name, differs }) => {
        if (differs) choices.set(name, 'localData');
        return el('tr', { className: differs ? 'differs' : '' }, el('th', { scope: 'row', textContent: labelOf(name) }),
          cell(name, 'localData', 'mine', differs), cell(name, 'serverData', 'theirs', differs));
      })));

    const decide = async (resolution: Resolution, how: string) => {
      for (const each of buttons) each.disabled = true;
      try {
        await service.operations.resolveConflict(conflict.id, resolution, resolution === 'merge' ? merged() : undefined);
        close();
        decided(how);
      } catch (error) {
        const { code, message } = error as SyncError;
        problem.textContent = WORDS[code] ?? message;
        for (const each of buttons) each.disabled = false;
        buttons[0].focus();
      }
    };
    // A patch: of what is theirs nothing needs to be said, the server has it.
    const merged = (): Data =>
      Object.fromEntries([...choices].filter(([, side]) => side === 'localData').map(([name]) => [name, conflict.localData[name]]));
    const buttons = [
      button('Keep mine', () => decide('keep_local', 'kept mine')),
      button('Keep theirs', () => decide('keep_server', 'kept theirs')),
      ...(merging ? [button('Merge as chosen', () => decide('merge', 'merged'), { className: 'primary' })] : []),
    ];
    body.append(
      el('p', { textContent: MEANINGS[conflict.reason] ?? (merging ? 'Keep one version, or choose for each field and merge.' : 'Keep one of the two.') }),
      el('div', { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Both versions' }, table), problem,
      el('div', { className: 'row' }, ...buttons, button('Decide later', close, { className: 'quiet' })),
    );
  });
}
