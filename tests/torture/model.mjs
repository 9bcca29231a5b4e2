// What a user's library must be, from the operations that were acknowledged. Written from docs/api.md and not from the
// server: it keeps no timestamps in a tree, it puts the edits of an entity in the order of their times and applies them to
// a plain object, which is what "the outcome is the same in whatever order they arrive" says.
//
// An edit is { kind, id, type, data, at, stamp, place, policy, reason }: `at` the time that the device gave (undefined:
// none), `stamp` the commit clock of the request that processed it, `place` its place in that request; `reason` of a
// conflict that its result tells of, which matters only where the policy is not `merge`.
const SKEW = 5 * 60_000;

const required = {
  book: ['title'], rating: ['bookId', 'stars'], tag: ['name'], collection: ['name'], readingLog: ['bookId', 'status'],
  userSettings: [],
};
const onePerBook = new Set(['rating', 'readingLog']);
const asksForNames = new Set(['tag', 'collection']);
const againstTheEdit = new Set(['stale', 'deleted', 'edited', 'base']);

export const isWhole = (kind, data) => required[kind].every((name) => (data[name] ?? null) !== null);

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

// Objects member by member, everything else replaced whole.
export function patched(tree, patch) {
  const result = isObject(tree) ? { ...tree } : {};
  for (const [name, value] of Object.entries(patch)) result[name] = isObject(value) ? patched(result[name], value) : value;
  return result;
}

// The time that counts: a device that gives none means now, and one whose clock is far ahead is brought down to it.
export const isAdjusted = (edit) => edit.at > edit.stamp + SKEW;
const timeOf = (edit) => (edit.at === undefined || isAdjusted(edit) ? edit.stamp : edit.at);

// Negative when x gives way to y: the earlier one; at equal times what came in a later request, or earlier in its own.
const order = (x, y) => x.time - y.time || y.stamp - x.stamp || x.place - y.place;
const latest = (edits) => edits.reduce((last, edit) => (!last || order(last, edit) < 0 ? edit : last), undefined);

class Entity {
  constructor(kind, id) {
    this.kind = kind;
    this.id = id;
    this.all = [];
  }

  settle() {
    const edits = this.all.filter(({ type }) => type !== 'delete').sort(order);
    this.data = edits.reduce((tree, edit) => patched(tree, edit.data), {});
    this.edited = edits.at(-1);
    const deletion = latest(this.all.filter(({ type }) => type === 'delete'));
    this.isDeleted = deletion !== undefined && (!this.edited || order(this.edited, deletion) < 0);
    this.isWhole = this.edited !== undefined && isWhole(this.kind, this.data);
    this.key = onePerBook.has(this.kind) ? this.data.bookId : asksForNames.has(this.kind) ? this.data.name : undefined;
    return this;
  }
}

export class Model {
  constructor(edits) {
    this.entities = new Map();
    for (const edit of [...edits].sort((x, y) => x.stamp - y.stamp || x.place - y.place)) this.take(edit);
    for (const entity of this.entities.values()) entity.settle();
    for (const entity of this.entities.values()) entity.status = this.statusOf(entity);
  }

  take(edit) {
    const id = edit.kind === 'userSettings' ? 'settings' : edit.id;
    const name = `${edit.kind} ${id}`;
    if (!this.entities.has(name)) this.entities.set(name, new Entity(edit.kind, id));
    const entity = this.entities.get(name);
    const against = againstTheEdit.has(edit.reason);
    if (against && (edit.policy === 'server' || edit.policy === 'manual')) return; // dropped, or for a person to decide
    const time = edit.policy === 'local' ? this.winning(entity, edit, against) : timeOf(edit);
    entity.all.push({ ...edit, time });
  }

  // `local`: raised above what stands against it.
  winning(entity, edit, against) {
    let time = timeOf(edit);
    if (against) time = Math.max(time, ...entity.all.map((other) => other.time + 1));
    if (!onePerBook.has(entity.kind)) return time;
    const key = edit.data?.bookId ?? entity.settle().key;
    for (const other of this.entities.values())
      if (other !== entity && other.kind === entity.kind && other.settle().key === key && key !== undefined && other.edited)
        time = Math.max(time, other.edited.time + 1);
    return time;
  }

  // Of all that are about one book the one that was edited last has the place, deleted or not.
  isDisplaced(entity) {
    if (!onePerBook.has(entity.kind) || !entity.isWhole) return false;
    for (const other of this.entities.values())
      if (other !== entity && other.kind === entity.kind && other.isWhole && other.key === entity.key && order(other.edited, entity.edited) > 0)
        return true;
    return false;
  }

  statusOf(entity) {
    if (entity.isDeleted || this.isDisplaced(entity)) return 'deleted';
    return entity.isWhole ? 'live' : 'incomplete';
  }

  // What waits for a person by these rules alone: "incomplete KIND ID", "same_name KIND ID ID".
  open() {
    const open = [];
    const entities = [...this.entities.values()];
    for (const { kind, id, status, key } of entities) {
      if (status === 'incomplete') open.push(`incomplete ${kind} ${id}`);
      if (status !== 'live' || !asksForNames.has(kind)) continue;
      for (const other of entities)
        if (other.kind === kind && other.status === 'live' && other.key === key && id < other.id)
          open.push(`same_name ${kind} ${id} ${other.id}`);
    }
    return open.sort();
  }
}
