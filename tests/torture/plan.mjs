// The actions of the devices and their times, determined by the seed. An action is { at, edits, way }: milliseconds
// after the start, the edits of the user, and what the device does with them. Timestamps are relative to the start,
// too, so a run with the same seed makes the same edits in the same order of times. When each request succeeds is not
// determined.
import { Dice } from './dice.mjs';

const members = {
  book: {
    title: ['Dune', 'Emma', 'Tehanu', 'Ubik'],
    publishedYear: [null, 1965, 1815.5, 9007199254740991],
    averageRating: [4.1, 0.30000000000000004, null],
    authors: [[], ['A'], [{ name: 'A' }], null],
    tags: [[], ['a', 'b'], ['b', 'a', 'b'], null, { $add: ['a'] }, { $add: ['c', 'b'] }, { $remove: ['a'] },
      { $add: ['d', { x: 1 }], $remove: ['b', 'y'] }, { $remove: ['c', { x: 1 }] }, { $add: [] }],
    notes: ['', 'a "quoted" \\ ü 📚', 'lent'],
    externalIds: [{}, null, { isbn: { ten: 'X' } }, { isbn: { 13: 'Y' } }, { isbn: [1] }, { isbn: {} }, { oclc: 7 },
      { isbn: null, oclc: 8 }],
    own: [1, 'x', {}, { a: { b: 1 } }, { a: { b: { c: 2 } } }, { a: {} }, { a: 5 }, { a: { d: [{}] }, e: null },
      { 'a/b': { '~': 1, '~1': {} } },
      { '': { '': 3 } }, { 'a/b': 4, '': {} }],
  },
  rating: { bookId: ['b1', 'b2', 'b3', 'b4', 'b5', 'b6'], stars: [0.5, 1, 4.5, 5],
    why: ['fun', { plot: 1 }, { plot: {} }] },
  readingLog: {
    bookId: ['b1', 'b2', 'b3', 'b4', 'b5', 'b6'], status: ['read', 'dnf', 'want_to_read', 'currently_reading'],
    startedAt: [null, '2024-01-15T00:30:00+02:00', 1704000000000, '2023-11-01', '2023-06-01T12:00:00Z'],
    finishedAt: [null, '2024-01-15T10:30:00+02:00', '2024-01-15', 1700000000000, '2024-01-14T23:00:00Z',
      '2023-12-31T23:59:59Z'],
    notes: ['p. 90', { page: 90 }],
  },
  tag: { name: ['Fantasy', 'Horror', 'fantasy', 'SF', 'Essay'], color: ['red', null] },
  collection: { name: ['Best', 'Worst', 'Lent'], isSmart: [true, false],
    smartRules: [[], {}, { all: [1] }, { all: { x: 1 } }, null],
    bookIds: [['b1'], ...['b1', 'b2', 'b3', 'b4'].flatMap((id) => [{ $add: [id] }, { $remove: [id] }])] },
  userSettings: {
    theme: ['dark', 'light', 'system', null], ratingDisplay: ['stars', 'numbers'],
    notificationPreferences: [{ mail: true }, { push: { at: 9 } }, { push: null }, null],
  },
};
const required = { book: ['title'], rating: ['bookId', 'stars'], tag: ['name'], collection: ['name'],
  readingLog: ['bookId', 'status'], userSettings: [] };
const kinds = { book: 40, rating: 16, readingLog: 14, tag: 11, collection: 10, userSettings: 9 };
const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

// The errors of clocks. The server lowers timestamps that are more than five minutes ahead.
const skews = [0, 0, 0, 0, 2 * MINUTE, 5 * MINUTE - 10_000, 5 * MINUTE + 1000, 3 * HOUR, 400 * DAY, -7 * MINUTE,
  -2 * DAY, -300 * DAY];
export const PAST = -20 * MINUTE;

// Of one user; a timestamp modulo this is the device's number, so no two devices share a timestamp. Each start is a
// multiple of it.
const DEVICES_MAX = 16;
export const startAt = (time) => Math.ceil(time / DEVICES_MAX) * DEVICES_MAX;

export class DevicePlan {
  // `user` is { name, mark, policy, full }, `device` its number. The mark is in every entity and does not depend on the
  // seed.
  constructor(seed, user, device, start) {
    this.dice = new Dice(seed, user.name, device);
    this.user = user;
    this.device = device;
    this.start = start;
    this.times = new Set();
    this.count = 0;
    this.skew = this.dice.pick(skews);
    this.pace = this.dice.between(700, 1900);
  }

  *actions(length) {
    for (let at = this.dice.below(2 * this.pace), n = 0; at < length; at += this.dice.below(2 * this.pace), n++)
      yield this.action(at, n);
  }

  action(at, n) {
    const { dice } = this;
    if (dice.chance(3)) this.skew = dice.pick(skews); // the clock was set, or its battery was empty
    const way = dice.weighted({ send: 50, hold: 22, pull: 16, twins: 7, queue: 3, full: this.user.full ? 2 : 0 });
    const count = way === 'pull' ? 0 : dice.chance(3) ? dice.between(20, 60) : dice.between(1, 5);
    const edits = Array.from({ length: count }, () => this.edit(at, n, way));
    return { at, way, edits: way === 'full' ? distinct(edits) : edits };
  }

  time(at, skew) {
    let time = Math.floor((at + skew) / DEVICES_MAX) * DEVICES_MAX + this.device;
    while (this.times.has(this.start + time)) time += DEVICES_MAX;
    this.times.add(this.start + time);
    return this.start + time;
  }

  id(kind, n) {
    const { dice } = this;
    if (kind === 'userSettings') return dice.pick(['settings', 'me', 'u-17']);
    const recent = { book: 10, rating: 14, readingLog: 12, tag: 8, collection: 6 }[kind];
    const all = recent + Math.floor((n * recent) / 40);
    const number = dice.chance(70) ? Math.max(0, all - 1 - dice.below(recent)) : dice.below(all);
    // The same ids for every user.
    return kind === 'book' && number % 7 === 3 ? `a "${number}" / ü` : `${kind}_${number}`;
  }

  // With `lists` sets are only written whole: a full sync takes no changes, and the server forgets times of elements
  // that are older than it remembers deletions.
  data(kind, whole, n, lists) {
    const { dice } = this;
    const data = {};
    for (const [name, values] of Object.entries(members[kind])) {
      if (!(whole && required[kind].includes(name)) && !dice.chance(35)) continue;
      const value = dice.pick(lists ? values.filter((one) => !one?.$add && !one?.$remove) : values);
      data[name] = name === 'bookId' && dice.chance(40) ? `b${7 + dice.below(1 + Math.floor(n / 4))}`
        : name === 'name' && dice.chance(80) ? `${value} ${dice.below(1 + Math.floor(n / 8))}` : value;
    }
    return { ...data, mark: this.user.mark };
  }

  edit(at, n, way) {
    const { dice } = this;
    const past = way === 'queue' || way === 'full';
    const kind = dice.weighted(way === 'full' ? { ...kinds, userSettings: 0 } : kinds);
    const type = way === 'full' ? 'create' : dice.weighted({ create: 30, update: 52, delete: 18 });
    const id = this.id(kind, n);
    const made = this.time(at - dice.below(past ? 90_000 : 2000), past ? Math.min(this.skew, PAST) : this.skew);
    const spelled = dice.weighted({ zulu: 6, number: 2, offset: 2, inData: type === 'delete' || past ? 0
      : 1, none: past || this.skew !== 0 ? 0 : 1 });
    const edit = {
      number: this.count++, device: this.device, kind, id, type, at: spelled === 'none' ? undefined : made,
      opId: `${this.device}-${this.count}`,
      policy: this.user.policy === 'mixed' ? dice.pick(['merge', 'local', 'server', 'manual']) : this.user.policy,
    };
    if (type !== 'delete') edit.data = this.data(kind, type === 'create', n, way === 'full' || this.skew < -100 * DAY);
    edit.wire = wireOf(edit, made, spelled, dice);
    return edit;
  }
}

function distinct(edits) {
  const seen = new Set();
  return edits.filter(({ kind, id }) => !seen.has(`${kind} ${id}`) && seen.add(`${kind} ${id}`));
}

function spell(made, spelled) {
  if (spelled === 'number') return made;
  if (spelled === 'offset') return new Date(made + 2 * HOUR).toISOString().replace('Z', '+02:00');
  return new Date(made).toISOString();
}

// The operation as it is sent, identical in every repeat.
function wireOf(edit, made, spelled, dice) {
  const wire = { id: edit.opId, type: edit.type, entity: edit.kind, entityId: edit.id };
  if (edit.data) wire.data = { ...edit.data };
  if (edit.data && dice.chance(20)) wire.data.id = edit.id;
  if (edit.data && dice.chance(20)) wire.data.createdAt = new Date(made - HOUR).toISOString();
  if (spelled === 'inData') wire.data.updatedAt = new Date(made).toISOString();
  else if (spelled !== 'none') wire.timestamp = spell(made, spelled);
  if (edit.policy !== 'merge') wire.conflictResolution = edit.policy;
  return wire;
}
