// The difference between two lists, for the sets of the server.

import { changed, compose, isChange, keyOf } from './lists.js';

/**
 * The change that makes exactly `list` of `base`. Undefined if there is none: `list` is no list, has copies of an added
 * element, or fewer copies of one than `base`. A change is returned as it is.
 */
export function difference(base: unknown, list: unknown): unknown {
  if (isChange(list)) return list;
  if (!Array.isArray(list)) return undefined;
  const keys = list.map(keyOf), kept = new Set(keys);
  let same = 0; // so many elements stay at the start of the list
  const old = Array.isArray(base) ? base : [];
  for (const element of old) if (keyOf(element) === keys[same]) same++;
  const $remove = old.filter((element) => !kept.has(keyOf(element)));
  const change = compose({ $add: list.slice(same) }, { $remove });
  return keyOf(changed(base, change)) === keyOf(list) ? change : undefined;
}
