// Lists of which single elements are added and removed: the sets of the server (docs/api.md). A change is
// { $add, $remove }. It removes the elements that it names, then appends those of `$add`.

import type { Data, ListChange } from './types.js';

export const isObject = (value: unknown): value is Data =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Two elements are equal if they are the same JSON value, in whatever order the members of objects are. */
export const keyOf = (element: unknown): string =>
  JSON.stringify(element, (_, value) =>
    isObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value);

export function isChange(value: unknown): value is ListChange {
  const entries = isObject(value) ? Object.entries(value) : [];
  return !!entries.length && entries.every(([name, list]) => /^\$(add|remove)$/.test(name) && Array.isArray(list));
}

/** A list after a change, or after a list that replaces it. Of what is not a list, only an addition makes one. */
export function changed(list: unknown, change: unknown): unknown {
  if (!isChange(change)) return change;
  const { $add = [], $remove = [] } = change, named = new Set([...$add, ...$remove].map(keyOf));
  if (!$add.length && list !== undefined && !Array.isArray(list)) return list;
  const rest = Array.isArray(list) ? list.filter((element) => !named.has(keyOf(element))) : [];
  return [...rest, ...new Map($add.map((element) => [keyOf(element), element])).values()];
}

/** The change that equals change `a` followed by change `b`. If one of them is a list, the result is a list. */
export function compose(a: unknown, b: unknown): unknown {
  if (!isChange(a) || !isChange(b)) return changed(a, b);
  const $add = changed(a.$add ?? [], b) as unknown[];
  const removed = changed([], { $add: [...(a.$remove ?? []), ...(b.$remove ?? [])] });
  const $remove = changed(removed, { $remove: $add }) as unknown[];
  return { ...(($add.length || !$remove.length) && { $add }), ...($remove.length && { $remove }) };
}
