// What observers see. While somebody observes the list of a kind, it is kept in memory, sorted by id. It is read once
// and then changed by the ids of the `change` events: an edit costs the reading of one entity, not of 10,000. An entity
// that has not changed remains the same object. If nothing has changed, nobody is called. The list is kept until
// something of its kind changes while nobody observes it.

import { equal } from './merge.js';
import type { Select } from './query.js';
import type { Entity } from './types.js';

/** Reads entities by their ids, or all of a kind. Those that do not exist are undefined or absent. */
export type Read = (entity: Entity, ids?: string[]) => Promise<Map<string, any>>;

interface Observer {
  /** Without an id, the observer wants the list. */
  id?: string;
  select?: Select;
  fn(value: any): void;
  told?: boolean;
  value?: any;
  /** The list from which `select` has made the value. */
  list?: any[];
}

interface Kind {
  observers: Set<Observer>;
  list?: any[];
  /** A copy for the observers, which may sort it in place. */
  shown?: any[];
  /** The ids that must be read again, or all. */
  stale: Set<string>;
  staleAll?: boolean;
  reading?: Promise<void>;
}

const byId = (a: any, b: any) => (a.id < b.id ? -1 : 1);
export const sorted = (entities: Map<string, any>): any[] => [...entities.values()].filter(Boolean).sort(byId);

/** Where the id is in the list, or where it would be. */
function positionOf(list: any[], id: string): number {
  let from = 0;
  for (let to = list.length; from < to; ) {
    const middle = (from + to) >> 1;
    if (list[middle].id < id) from = middle + 1;
    else to = middle;
  }
  return from;
}

function find(list: any[], id: string): any {
  const entity = list[positionOf(list, id)];
  return entity?.id === id ? entity : undefined;
}

/** `read` and `check` reject if nothing may be shown. */
export function makeLive(read: Read, check: () => Promise<void>) {
  const kinds = new Map<Entity, Kind>();

  /** Applies what was read. Returns the entities that have changed, by id. */
  const apply = (kind: Kind, fresh: Map<string, any>, all: boolean): Map<string, any> => {
    const before = kind.list ?? [], changed = new Map<string, any>();
    if (all) for (const { id } of before) if (!fresh.has(id)) fresh.set(id, undefined);
    for (const [id, entity] of fresh) {
      const old = find(before, id);
      if (equal(old, entity)) fresh.set(id, old);
      else changed.set(id, entity);
    }
    if (kind.list && !changed.size) return changed;
    if (all) kind.list = sorted(fresh);
    else
      for (const [id, entity] of changed) {
        const at = positionOf(before, id);
        before.splice(at, +(before[at]?.id === id), ...(entity ? [entity] : []));
      }
    kind.shown = [...kind.list!];
    return changed;
  };

  const tell = (kind: Kind, observer: Observer, fresh: Map<string, any>, changed: Map<string, any>) => {
    const { id, select, told, value } = observer, { list, shown } = kind;
    let now: any;
    if (id === undefined) {
      if (!list) return; // it is read next
      now = !select ? shown : shown === observer.list ? value : select(list, told ? changed : undefined);
      observer.list = shown;
    } else if (!list && !fresh.has(id)) return;
    else {
      now = list ? find(list, id) : fresh.get(id);
      if (told && equal(value, now)) now = value;
    }
    if ((told && now === value) || !kind.observers.has(observer)) return;
    observer.told = true;
    observer.value = now;
    try {
      observer.fn(now);
    } catch (error) {
      console.error('@booky/sync: an observer failed:', error);
    }
  };

  const update = async (entity: Entity, kind: Kind) => {
    const { stale, staleAll } = kind, observers = [...kind.observers];
    const whole = observers.some(({ id }) => id === undefined);
    const all = whole && (staleAll || !kind.list);
    if (!whole && (staleAll || stale.size)) kind.list = undefined;
    const due = observers.filter(({ id, told }) => staleAll || !told || stale.has(id!)).map(({ id }) => id!);
    const ids = whole ? stale : new Set(kind.list ? [] : due);
    kind.stale = new Set();
    kind.staleAll = false;
    if (!all && !ids.size) await check();
    const fresh = all || ids.size ? await read(entity, all ? undefined : [...ids]) : new Map<string, any>();
    const changed = kind.list || all ? apply(kind, fresh, !!all) : fresh;
    for (const observer of [...kind.observers]) tell(kind, observer, fresh, changed);
  };

  const refresh = (entity: Entity, kind: Kind) =>
    (kind.reading ??= (async () => {
      try {
        do await update(entity, kind);
        while (kind.staleAll || kind.stale.size || [...kind.observers].some(({ told }) => !told));
      } catch {
        // The database is closed, or belongs to another user: there is nothing to show.
        kind.list = undefined;
        kind.staleAll = true;
      } finally {
        kind.reading = undefined;
      }
    })());

  return {
    observe(entity: Entity, id: string | undefined, fn: (value: any) => void, select?: Select): () => void {
      const kind = kinds.get(entity) ?? { observers: new Set(), stale: new Set() };
      kinds.set(entity, kind);
      const observer: Observer = { id, fn, select };
      kind.observers.add(observer);
      void refresh(entity, kind);
      return () => void kind.observers.delete(observer);
    },
    /** These entities have changed; all if the list is empty. */
    changed(entities: { entity: Entity; entityId: string }[]): void {
      for (const [entity, kind] of kinds) {
        const ids = entities.filter((it) => it.entity === entity).map(({ entityId }) => entityId);
        if (entities.length && !ids.length) continue;
        if (!kind.observers.size) kinds.delete(entity);
        else {
          for (const id of ids) kind.stale.add(id);
          kind.staleAll ||= !ids.length;
          void refresh(entity, kind);
        }
      }
    },
    /** The list of the kind if it is in memory, after all changes so far. */
    async current(entity: Entity): Promise<any[] | undefined> {
      await kinds.get(entity)?.reading;
      return kinds.get(entity)?.list;
    },
  };
}
