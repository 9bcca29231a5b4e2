// What the devices do and when: all from the seed. An action is { at, edits, way }: milliseconds after the start, what the
// person changes then, and what the device does with it. Timestamps are relative to the start too, so that a run with the
// same seed makes the same edits in the same order of times; when each request gets through, nobody can plan.
import { Dice } from './dice.mjs';

const members = {
  book: {
    title: ['Dune', 'Emma', 'Tehanu', 'Ubik'],
    publishedYear: [null, 1965, 1815.5, 9007199254740991],
    averageRating: [4.1, 0.30000000000000004, null],
    authors: [[], ['A'], [{ name: 'A' }], null],
    notes: ['', 'a "quoted" \\ ü 📚', 'lent'],
    externalIds: [{}, null, { isbn: { ten: 'X' } }, { isbn: { 13: 'Y' } }, { isbn: [1] }, { isbn: {} }, { oclc: 7 }, { isbn: null, oclc: 8 }],
    own: [1, 'x', {}, { a: { b: 1 } }, { a: { b: { c: 2 } } }, { a: {} }, { a: 5 }, { a: { d: [{}] }, e: null }, { 'a/b': { '~': 1, '~1': {} } },
      { '': { '': 3 } }, { 'a/b': 4, '': {} }],
  },
  rating: { bookId: ['b1', 'b2', 'b3', 'b4', 'b5', 'b6'], stars: [0.5, 1, 4.5, 5], why: ['fun', { plot: 1 }, { plot: {} }] },
  readingLog: {
    bookId: ['b1', 'b2', 'b3', 'b4', 'b5', 'b6'], status: ['read', 'dnf', 'want_to_read', 'currently_reading'],
    finishedAt: [null, '2024-01-15T10:30:00+02:00', 1700000000000],
  },
  tag: { name: ['Fantasy', 'Horror', 'fantasy', 'SF', 'Essay'], color: ['red', null] },
  collection: { name: ['Best', 'Worst', 'Lent'], isSmart: [true, false], smartRules: [[], {}, { all: [1] }, { all: { x: 1 } }, null] },
  userSettings: {
    theme: ['dark', 'light', 'system', null], ratingDisplay: ['stars', 'numbers'],
    notificationPreferences: [{ mail: true }, { push: { at: 9 } }, { push: null }, null],
  },
};
const required = { book: ['title'], rating: ['bookId', 'stars'], tag: ['name'], collection: ['name'], readingLog: ['bookId', 'status'], userSettings: [] };
const kinds = { book: 40, rating: 16, readingLog: 14, tag: 11, collection: 10, userSettings: 9 };
const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

// How wrong a clock is. Five minutes is the border beyond which the server no longer believes it.
const skews = [0, 0, 0, 0, 2 * MINUTE, 5 * MINUTE + 1000, 3 * HOUR, 400 * DAY, -7 * MINUTE, -2 * DAY, -300 * DAY];
export const PAST = -20 * MINUTE;

const DEVICES_MAX = 16; // of one user; timestamps of a device are its number modulo this, so that no two edits share one

export class DevicePlan {
  // `user` { name, mark, policy, full }, `device` its number. The mark stands in every entity, and is not of the seed.
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
    for (let at = this.dice.below(2 * this.pace), n = 0; at < length; at += this.dice.below(2 * this.pace), n++) yield this.action(at, n);
  }

  action(at, n) {
    const { dice } = this;
    if (dice.chance(3)) this.skew = dice.pick(skews); // set by hand, or a battery that died
    const way = dice.weighted({ send: 50, hold: 22, pull: 16, twins: 7, queue: 3, full: this.user.full ? 2 : 0 });
    const count = way === 'pull' ? 0 : dice.chance(3) ? dice.between(20, 60) : dice.between(1, 5);
    const edits = Array.from({ length: count }, () => this.edit(at, n, way));
    return { at, way, edits: way === 'full' ? distinct(edits) : edits };
  }

  time(at, skew) {
    let time = Math.floor((at + skew) / DEVICES_MAX) * DEVICES_MAX + this.device;
    while (this.times.has(time)) time += DEVICES_MAX;
    this.times.add(time);
    return this.start + time;
  }

  id(kind, n) {
    const { dice } = this;
    if (kind === 'userSettings') return dice.pick(['settings', 'me', 'u-17']);
    const room = { book: 10, rating: 14, readingLog: 12, tag: 8, collection: 6 }[kind];
    const grown = room + Math.floor((n * room) / 40);
    const number = dice.chance(70) ? Math.max(0, grown - 1 - dice.below(room)) : dice.below(grown);
    return kind === 'book' && number % 7 === 3 ? `a "${number}" / ü` : `${kind}_${number}`; // the same ids for every user
  }

  data(kind, whole, n) {
    const { dice } = this;
    const data = {};
    for (const [name, values] of Object.entries(members[kind])) {
      if (!(whole && required[kind].includes(name)) && !dice.chance(35)) continue;
      const value = dice.pick(values);
      data[name] = name === 'bookId' && dice.chance(40) ? `b${7 + dice.below(1 + Math.floor(n / 4))}` : value;
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
    const spelled = dice.weighted({ zulu: 6, number: 2, offset: 2, inData: type === 'delete' || past ? 0 : 1, none: past || this.skew !== 0 ? 0 : 1 });
    const edit = {
      number: this.count++, device: this.device, kind, id, type, at: spelled === 'none' ? undefined : made,
      opId: `${this.device}-${this.count}`,
      policy: this.user.policy === 'mixed' ? dice.pick(['merge', 'local', 'server', 'manual']) : this.user.policy,
    };
    if (type !== 'delete') edit.data = this.data(kind, type === 'create', n);
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

// The operation as it is sent, each time in the same words.
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
