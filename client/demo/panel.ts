// What a device shows: its status, what waits, what a person has to decide, and its library.

import type { ConflictInfo, Operation, ReviewItem, SyncService, SyncStatus } from '../src/types.js';
import { labelOf, membersOf, openConflict } from './conflict.js';
import type { Device } from './device.js';
import { button, el, makeList, number, plural, text, time } from './dom.js';
import { openForm } from './form.js';
import { type Book, booksOf, KINDS, type Lists, rate, setStatus, starsOf, STATUSES } from './library.js';

// A library of thousands would be a page of thousands of controls.
const SHOWN = { books: 50, operations: 8 };

const STATES: Record<SyncStatus['status'], string> = {
  ready: 'Up to date', syncing: 'Syncing', offline: 'Offline', error: 'Needs attention',
};

export interface Panel {
  element: HTMLElement;
  /** Follows another service of the device. */
  follow(service: SyncService): void;
}

export function makePanel(device: Device, announce: (text: string) => void, changed: (books: Book[]) => void): Panel {
  const { key, name } = device;
  let service: SyncService, books: Book[] = [], titles = new Map<string, string>(), waiting = new Set<string>();
  let tags: string[] = [], filter: string | undefined, online = true;

  const heading = el('h2', { id: key, tabIndex: -1, textContent: name });
  const power = button('Connected', () => toggle(), { className: 'switch', role: 'switch', 'aria-checked': 'true', 'aria-describedby': key });
  const state = el('span', { className: 'state-word' }), last = el('span', { className: 'when' });
  const line = el('p', { className: 'state' }, state, last);
  const bar = el('progress', { max: 1, value: 0, 'aria-label': `Progress of ${name}` }), barText = el('span', {});
  const progress = el('p', { className: 'progress' }, bar, barText);
  const problem = el('p', { className: 'problem' });

  function toggle() {
    device.connect(!device.connected);
    power.setAttribute('aria-checked', `${device.connected}`);
    text(power, device.connected ? 'Connected' : 'Cut off');
  }

  // A part of the panel with a heading that counts. What is empty and not `always` there is hidden.
  function section(title: string, empty?: string) {
    const count = el('span', { className: 'count' });
    const head = el('h3', { tabIndex: -1 }, `${title} `, count);
    const list = el('ul', { className: 'list' });
    const none = el('p', { className: 'none', textContent: empty });
    const more = el('p', { className: 'none' });
    const element = el('section', { className: 'part' }, head, none, list, more);
    return {
      element, head, list,
      /** There are `n`, and `rest` of them are not shown. */
      size(n: number, rest = 0) {
        text(count, number(n));
        text(more, `and ${number(rest)} more`);
        more.hidden = rest <= 0;
        none.hidden = !empty || n > 0;
        list.hidden = !n;
        element.hidden = !empty && !n;
      },
    };
  }
  const conflictPart = section('To decide'), reviewPart = section('Refused'), queuePart = section('Waiting to be sent', 'Nothing waits.');
  const libraryPart = section('Library', 'No books yet.');
  const filters = el('div', { className: 'filters', role: 'group', 'aria-label': `Tags on ${name}` });
  libraryPart.list.before(filters);

  const nameOf = (entity: string, id: string, data?: { bookId?: string; title?: string; name?: string }) =>
    data?.title ?? titles.get(data?.bookId ?? (entity === 'book' ? id : id.replace(/^\w+?-/, ''))) ?? data?.name ?? id;

  const what = ({ type, entity, entityId, data }: Operation) => {
    const members = Object.keys(data ?? {}).filter((member) => !['bookId', 'addedAt'].includes(member)).map((member) => labelOf(member).toLowerCase());
    const kind = entity === 'readingLog' ? 'status' : entity;
    return { what: `${type} ${kind}`, name: nameOf(entity, entityId, data), members: type === 'update' ? members.join(', ') : '' };
  };

  const showQueue = makeList<Operation>(queuePart.list, (op) => op.id, () => {
    const verb = el('span', { className: 'verb' }), title = el('span', { className: 'title' }), members = el('span', { className: 'members' });
    const tries = el('span', { className: 'tries' }), at = el('time', {});
    return {
      element: el('li', { className: 'op' }, verb, el('span', {}, title, members), tries, at),
      show(op) {
        const said = what(op);
        text(verb, said.what);
        text(title, said.name);
        text(members, said.members && ` ${said.members}`);
        text(tries, op.attempts ? plural(op.attempts, 'attempt') : '');
        text(at, time(op.timestamp));
      },
    };
  }, queuePart.head);

  const showReview = makeList<ReviewItem>(reviewPart.list, (op) => op.id, (op) => {
    const title = el('strong', {}), message = el('span', { className: 'members' });
    return {
      element: el('li', { className: 'decide' }, el('span', {}, title, message),
        button('Try again', () => service.operations.retry(op.id).then(look), { 'aria-label': `Try again: ${what(op).name}` }),
        button('Drop', () => service.operations.drop(op.id).then(look), { 'aria-label': `Drop: ${what(op).name}`, className: 'quiet' })),
      show(item) {
        text(title, what(item).name);
        text(message, ` ${what(item).what}: ${item.message} (${item.error}, ${plural(item.attempts, 'attempt')})`);
      },
    };
  }, reviewPart.head);

  const showConflicts = makeList<ConflictInfo>(conflictPart.list, (conflict) => conflict.id, (first) => {
    let conflict = first;
    const title = el('strong', {}), fields = el('span', { className: 'members' });
    const called = () => nameOf(conflict.entity, conflict.entityId, { ...conflict.serverData, ...conflict.localData, title: titles.get(conflict.entityId) });
    const decide = button('Decide', () =>
      openConflict(service, conflict, called(), heading, (how) => {
        announce(`${name}: ${how} for ${called()}`);
        void look();
      }), { className: 'primary' });
    return {
      element: el('li', { className: 'decide' }, el('span', {}, title, fields), decide),
      show(now) {
        conflict = now;
        text(title, called());
        text(fields, ` ${membersOf(now).filter(({ differs }) => differs).map(({ name }) => labelOf(name).toLowerCase()).join(', ')}`);
        decide.setAttribute('aria-label', `Decide about ${called()}`);
      },
    };
  }, heading);

  const choice = (label: string, options: [string, string][], change: (value: string) => unknown, className: string) =>
    el('select', { className, 'aria-label': label, onchange: (event: Event) => change((event.target as HTMLSelectElement).value) },
      ...options.map(([value, textContent]) => el('option', { value, textContent })));
  const STARS = Array.from({ length: 10 }, (_, i) => (10 - i) / 2).map((n): [string, string] => [`${n}`, starsOf(n)]);

  const showBooks = makeList<Book>(libraryPart.list, (book) => book.id, (first) => {
    let book = first;
    const title = el('span', { className: 'title' }), author = el('span', { className: 'author' }), tags = el('span', { className: 'tags' });
    const notes = el('span', { className: 'notes' }), unsent = el('span', { className: 'unsent', textContent: 'not sent' });
    const status = choice('', [['', 'No status'], ...STATUSES], (value) => setStatus(service, book.id, value || undefined), 'status');
    const stars = choice('', [['', 'Not rated'], ...STARS], (value) => rate(service, book.id, +value || undefined), 'stars');
    const edit = button('Edit', () => openForm(service, name, book, libraryPart.head), { className: 'quiet' });
    return {
      element: el('li', { className: 'book' }, el('div', { className: 'about' }, title, author, notes, tags), el('div', { className: 'controls' }, stars, status, unsent, edit)),
      show(now) {
        book = now;
        text(title, book.title);
        text(author, [book.authors.join(', '), book.year].filter(Boolean).join(', '));
        text(notes, book.notes);
        text(tags, book.tags.join(' · '));
        for (const element of [author, notes, tags]) element.hidden = !element.textContent;
        unsent.hidden = !waiting.has(book.id);
        status.setAttribute('aria-label', `Status of ${book.title}`);
        stars.setAttribute('aria-label', `Rating of ${book.title}`);
        edit.setAttribute('aria-label', `Edit ${book.title}`);
        if (status.value !== (book.status ?? '')) status.value = book.status ?? '';
        if (stars.value !== `${book.stars ?? ''}`) stars.value = `${book.stars ?? ''}`;
      },
    };
  }, libraryPart.head);

  const showFilters = makeList<{ name: string; count: number }>(filters, (tag) => tag.name, ({ name: tag }) => {
    const element = button('', () => {
      filter = filter === tag ? undefined : tag;
      showLibrary();
    }, { className: 'filter' });
    return {
      element,
      show({ count }) {
        text(element, `${tag} ${count}`);
        element.setAttribute('aria-pressed', `${filter === tag}`);
      },
    };
  }, libraryPart.head);

  function showLibrary() {
    const counts = new Map<string, number>();
    for (const book of books) for (const tag of book.tags) counts.set(tag, (counts.get(tag) ?? 0) + 1);
    const used = [...new Set(tags)].filter((tag) => counts.has(tag)).sort();
    if (filter && !counts.has(filter)) filter = undefined;
    showFilters(used.map((tag) => ({ name: tag, count: counts.get(tag)! })));
    const found = filter ? books.filter(({ tags }) => tags.includes(filter!)) : books;
    showBooks(found.slice(0, SHOWN.books));
    libraryPart.size(books.length, found.length - SHOWN.books);
  }

  function showStatus(status: SyncStatus) {
    line.dataset.state = status.status;
    const { conflicts, pendingOperations } = status;
    const due = conflicts ? `${plural(conflicts, 'conflict')} to decide` : pendingOperations ? `${plural(pendingOperations, 'edit')} to send` : '';
    text(state, (status.status === 'ready' && due) || STATES[status.status]);
    text(last, status.lastSync ? `synced ${time(status.lastSync)}` : 'never synced');
    if (status.status === 'syncing') text(problem, ''); // the round that begins will say its own
    else progress.dataset.on = 'false';
    if (status.isOnline !== online) announce(`${name} is ${status.isOnline ? 'online again' : 'offline'}`);
    online = status.isOnline;
    void look();
  }

  async function read() {
    const { operations, store } = service;
    const [pending, review, conflicts, ...all] = await Promise.all([
      operations.getPendingOperations(), operations.getReview(), operations.getConflicts(), ...KINDS.map((kind) => store.list(kind)),
    ]);
    const open = conflicts.filter(({ status }) => status === 'open');
    tags = all[KINDS.indexOf('tag')].map(({ name }) => name);
    books = booksOf(Object.fromEntries(KINDS.map((kind, i) => [kind, all[i]])) as Lists);
    titles = new Map(books.map(({ id, title }) => [id, title]));
    waiting = new Set(pending.map(({ entityId, data }) => data?.bookId ?? entityId));
    showQueue(pending.slice(0, SHOWN.operations));
    showReview(review);
    showConflicts(open);
    queuePart.size(pending.length, pending.length - SHOWN.operations);
    reviewPart.size(review.length);
    conflictPart.size(open.length);
    showLibrary();
    changed(books);
  }

  // While it reads, more may happen: once more then, however much it was. A large library leaves time to sync it.
  let reading = false, again = false;
  async function look() {
    again = true;
    if (reading) return;
    reading = true;
    while (again) {
      again = false;
      const start = performance.now(), from = service;
      await read().catch((error) => {
        if (from === service) announce(`${name} cannot be read: ${error.message}`); // else it was closed meanwhile
      });
      await new Promise((resolve) => setTimeout(resolve, 2 * (performance.now() - start)));
    }
    reading = false;
  }

  const element = el('section', { className: 'device', 'aria-labelledby': key },
    el('header', {}, heading, power), line, progress, problem,
    el('div', { className: 'row' },
      button('Sync now', () => service.sync()),
      button('Full sync', () => service.fullSync()),
      button('Add a book', () => openForm(service, name, undefined, heading))),
    conflictPart.element, reviewPart.element, queuePart.element, libraryPart.element);

  return {
    element,
    follow(now) {
      service = now;
      service.on('status', showStatus);
      service.on('change', () => void look());
      service.on('progress', ({ phase, done, total }) => {
        progress.dataset.on = 'true';
        if (total) [bar.max, bar.value] = [total, done];
        else bar.removeAttribute('value');
        text(barText, phase === 'push' ? `Sent ${number(done)} of ${number(total ?? done)}` : `Received ${number(done)}`);
      });
      service.on('error', ({ code, message }) => text(problem, code === 'OFFLINE' ? '' : `${message} (${code})`));
      service.on('conflict', ({ status }) => status === 'open' && announce(`${name}: a conflict to decide`));
      service.on('review', (item) => announce(`${name}: the server refused ${what(item).name}`));
      void service.getStatus().then(showStatus);
    },
  };
}
