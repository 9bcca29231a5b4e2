// Computes a user's library from the acknowledged operations. Written from docs/api.md and independent of the server's
// code: it keeps no tree of timestamps but applies the edits of an entity to a plain object in the order of their
// times, which is the meaning of "the outcome is the same in whatever order they arrive".
//
// An edit is { kind, id, type, data, at, adjusted, stamp, place, policy, reason }: `at` is the timestamp of the device
// (undefined: none), `adjusted` whether the server replaced it because it was too far ahead of the real time, `stamp`
// the commit clock of the request that processed it, `place` its position in that request, and `reason` that of the
// conflict in its result, which matters only for policies other than `merge`.
import { isDeepStrictEqual as same } from 'node:util';

const required = {
  book: ['title'], rating: ['bookId', 'stars'], tag: ['name'], collection: ['name'], readingLog: ['bookId', 'status'],
  userSettings: [],
};
const QUESTIONS = 25;
const perBook = new Set(['rating', 'readingLog']);
const namesConflict = new Set(['tag', 'collection']);
const againstTheEdit = new Set(['stale', 'deleted', 'edited', 'base']);
const words = ['bookId', 'status', 'startedAt', 'finishedAt']; // an edit of one of them is the word of a reading log

// Users have one userSettings, whatever id a client gives it.
export const nameOf = ({ kind, id }) => `${kind} ${kind === 'userSettings' ? 'settings' : id}`;

export const isWhole = (kind, data) => required[kind].every((name) => (data[name] ?? null) !== null);

// The lists of which an edit may add and remove single elements, with {"$add": […], "$remove": […]}.
const sets = { book: ['tags'], collection: ['bookIds'] };

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

const isChange = (kind, name, value) => isObject(value) && !!sets[kind]?.includes(name);

// The list after a change: the elements that it names go, those that it adds come to the end. Null to which nothing is
// added stays null.
function changed(list, { $add = [], $remove = [] }) {
  if (list === null && $add.length === 0) return null;
  const kept = (Array.isArray(list) ? list : []).filter((x) => ![...$add, ...$remove].some((y) => same(x, y)));
  return [...kept, ...$add.filter((x, i) => !$add.slice(0, i).some((y) => same(x, y)))];
}

// Merges objects member by member, changes sets, and replaces everything else as a whole.
export function patched(tree, patch, kind) {
  const result = isObject(tree) ? { ...tree } : {};
  for (const [name, value] of Object.entries(patch))
    result[name] = isChange(kind, name, value) ? changed(result[name], value)
      : isObject(value) ? patched(result[name], value) : value;
  return result;
}

// The time of an edit: without a timestamp, or with one that is too far ahead, it is the stamp.
const timeOf = (edit) => (edit.at === undefined || edit.adjusted ? edit.stamp : edit.at);

// Negative if x loses to y: x is earlier, or at equal times x is in a later request or earlier in the same request.
// After a loss, an edit that `waited` may get the time that a lost edit had. The server gives it only while no device
// has sent that one back, so the one that waited is stored first.
const order = (x, y) => x.time - y.time || Boolean(x.waited) - Boolean(y.waited) || y.stamp - x.stamp ||
  x.place - y.place;
const latest = (edits) => edits.reduce((last, edit) => (!last || order(last, edit) < 0 ? edit : last), undefined);

// The UTC day of an instant, or undefined.
const dayOf = (value) => (value === null || value === undefined ? undefined
  : Math.floor(new Date(value).getTime() / 86_400_000));

// Whether the log y, which stands and has a later word, takes the place of the log x.
function displaces(y, x) {
  if (x.start !== undefined && x.start === y.start) return true;
  if (x.finish !== undefined) return x.finish === y.finish;
  return y.finish === undefined || x.start === undefined || y.finish >= x.start;
}

class Entity {
  constructor(kind, id) {
    this.kind = kind;
    this.id = id;
    this.all = [];
  }

  settle() {
    const edits = this.all.filter(({ type }) => type !== 'delete').sort(order);
    const nulls = {}; // the sets that were written as null: when all that was added is removed, they are null again
    this.data = edits.reduce((tree, edit) => {
      const result = patched(tree, edit.data, this.kind);
      for (const name of sets[this.kind] ?? []) {
        if (!(name in edit.data)) continue;
        if (!isChange(this.kind, name, edit.data[name])) nulls[name] = edit.data[name] === null;
        else if (nulls[name] && result[name]?.length === 0) result[name] = null;
      }
      return result;
    }, {});
    this.edited = edits.at(-1);
    const deletion = latest(this.all.filter(({ type }) => type === 'delete'));
    this.isDeleted = deletion !== undefined && (!this.edited || order(this.edited, deletion) < 0);
    this.isWhole = this.edited !== undefined && isWhole(this.kind, this.data);
    const word = edits.findLast(({ data }) => words.some((name) => name in data));
    this.rank = this.kind === 'readingLog' ? word : this.edited; // what counts among the entities of a book
    this.start = dayOf(this.data.startedAt);
    this.finish = dayOf(this.data.finishedAt);
    this.key = perBook.has(this.kind) ? this.data.bookId : namesConflict.has(this.kind) ? this.data.name : undefined;
    return this;
  }
}

export class Model {
  constructor(edits) {
    this.entities = new Map();
    this.late = []; // edits that are later than their stamp
    for (const edit of [...edits].sort((x, y) => x.stamp - y.stamp || x.place - y.place)) this.take(edit);
    for (const [name, { all }] of this.entities) if (all.length === 0) this.entities.delete(name); // never applied
    for (const entity of this.entities.values()) entity.settle();
    this.compareLogs();
    for (const entity of this.entities.values()) entity.status = this.statusOf(entity);
  }

  take(edit) {
    const name = nameOf(edit);
    if (!this.entities.has(name))
      this.entities.set(name, new Entity(edit.kind, edit.kind === 'userSettings' ? 'settings' : edit.id));
    const entity = this.entities.get(name);
    const against = againstTheEdit.has(edit.reason), meets = edit.reason === 'one_per_book';
    if ((against || meets) && edit.policy === 'manual') return; // left to a decision
    if ((against || meets) && edit.policy === 'server') { // dropped: an entity that was not there is deleted
      if (entity.all.length === 0) entity.all.push({ ...edit, type: 'delete', time: timeOf(edit) });
      return;
    }
    const time = edit.policy === 'local' ? this.winning(entity, edit, against) : timeOf(edit);
    if (time > edit.stamp) this.late.push(`${edit.opId} has the time ${time}, later than its stamp ${edit.stamp}`);
    entity.all.push({ ...edit, time });
  }

  // `local`: the time is raised above that of everything that the edit competes with, and to that of the other edits of
  // its request, of which the later one wins; an incomplete entity does not compete for its book. No edit is later than
  // the stamp of its request, so the raised time is not, either.
  winning(entity, edit, against) {
    let time = timeOf(edit);
    const above = (other) => other.time + (other.stamp === edit.stamp ? 0 : 1);
    if (against) time = Math.max(time, ...entity.all.map(above));
    if (!perBook.has(entity.kind)) return time;
    const key = edit.data?.bookId ?? entity.settle().key;
    for (const other of this.entities.values())
      if (other !== entity && other.kind === entity.kind && other.settle().key === key && key !== undefined &&
        other.isWhole)
        time = Math.max(time, above(other.rank));
    return time;
  }

  // Of all ratings of one book the one with the last edit stays live, whether it is deleted or not.
  isSuperseded(entity) {
    if (entity.kind === 'readingLog') return entity.isDisplaced;
    if (!perBook.has(entity.kind) || !entity.isWhole) return false;
    for (const other of this.entities.values())
      if (other !== entity && other.kind === entity.kind && other.isWhole && other.key === entity.key && order(
        other.edited, entity.edited) > 0)
        return true;
    return false;
  }

  // Of the logs of a book, deleted ones too, from the latest word to the oldest, each stands unless one that stands
  // already takes its place. Where two words are equal, the outcome is open: `tied`.
  compareLogs() {
    const logs = [...this.entities.values()].filter(({ kind, isWhole }) => kind === 'readingLog' && isWhole);
    for (const key of new Set(logs.map((log) => log.key))) {
      const list = logs.filter((log) => log.key === key);
      const standing = [];
      list.sort((x, y) => y.rank.time - x.rank.time);
      const tied = new Set(list.map(({ rank }) => rank.time)).size < list.length;
      for (const log of list) {
        log.tied = tied;
        log.isDisplaced = standing.some((other) => displaces(other, log));
        if (!log.isDisplaced) standing.push(log);
      }
    }
  }

  statusOf(entity) {
    if (entity.isDeleted || this.isSuperseded(entity)) return 'deleted';
    return entity.isWhole ? 'live' : 'incomplete';
  }

  // The open conflicts that follow from these rules: "incomplete KIND ID", "same_name KIND ID ID". The server asks
  // about at most QUESTIONS others of one name, so conflicts of names that more entities have had may be missing:
  // `unsure`.
  open() {
    const open = [], unsure = new Set(), had = new Map();
    const entities = [...this.entities.values()];
    for (const { kind, id, all } of entities)
      for (const name of new Set(all.map(({ data }) => data?.name)))
        had.set(`${kind} ${name}`, (had.get(`${kind} ${name}`) ?? new Set()).add(id));
    for (const { kind, id, status, key } of entities) {
      if (status === 'incomplete') open.push(`incomplete ${kind} ${id}`);
      if (status !== 'live' || !namesConflict.has(kind)) continue;
      for (const other of entities) {
        if (other.kind !== kind || other.status !== 'live' || other.key !== key || id >= other.id) continue;
        open.push(`same_name ${kind} ${id} ${other.id}`);
        if (had.get(`${kind} ${key}`).size > QUESTIONS + 1) unsure.add(open.at(-1));
      }
    }
    return { open, unsure };
  }
}
