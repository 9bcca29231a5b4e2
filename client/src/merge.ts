// What an edit does to an entity. The rules are the server's for edits that arrive in the order of their timestamps:
// objects are merged member by member, lists are replaced or changed, null is a value, and {} only makes sure that
// there is an object. tests/contract/vectors.json is run against this file and against the server.

import { changed, compose, isChange, isObject } from './lists.js';
import type { Data, OperationType } from './types.js';

export interface Edit {
  type: OperationType;
  data?: Data;
  /**
   * The members of `data` that may be a set on the server, with the list that was on the screen. Only these can be a
   * change (`$add`, `$remove`); the others are data whatever they look like.
   */
  lists?: Map<string, unknown>;
}

const has = (data: Data, name: string) => Object.prototype.hasOwnProperty.call(data, name);

/** Whether two JSON values are equal. The order of the members of an object does not count. */
export function equal(a: any, b: any): boolean {
  if (a === b || typeof a !== 'object' || typeof b !== 'object' || !a || !b) return a === b;
  const names = Object.keys(a);
  return (
    Array.isArray(a) === Array.isArray(b) && names.length === Object.keys(b).length &&
    names.every((name) => Object.prototype.hasOwnProperty.call(b, name) && equal(a[name], b[name]))
  );
}

/** `state` after the patch. Neither argument is changed. A member named __proto__ is a member like any other. */
export function merge(state: Data, patch: Data, lists?: Edit['lists']): Data {
  return {
    ...state,
    ...Object.fromEntries(
      Object.entries(patch).map(([name, value]) => {
        const old = has(state, name) ? state[name] : undefined;
        if (lists?.has(name) && isChange(value)) return [name, changed(old, value)];
        return [name, isObject(value) ? merge(isObject(old) ? old : {}, value) : value];
      }),
    ),
  };
}

/**
 * Whether patch `a` followed by patch `b` equals one patch. It does not where `b` has an object and `a` a leaf, nor
 * where `b` changes a list that is null in `a`: the server remembers that it was null, and shows null when the list is
 * empty again.
 */
function composable(a: Data, b: Data, lists?: Edit['lists']): boolean {
  return Object.entries(b).every(([name, value]) => {
    if (lists?.has(name)) return a[name] !== null;
    if (!isObject(value) || !has(a, name)) return true;
    return isObject(a[name]) && composable(a[name], value);
  });
}

/** Whether patch `b` writes every leaf that patch `a` writes, so that nothing of `a` is left after it. */
function patchCovers(b: Data, a: Data, lists?: Edit['lists']): boolean {
  return Object.entries(a).every(([name, value]) => {
    if (!has(b, name) || lists?.has(name)) return false; // of a list, the server may keep the other elements
    return !isObject(b[name]) || (isObject(value) && patchCovers(b[name], value));
  });
}

/** Whether nothing of `a` is left after `b`, so that the time of `a` no longer matters. */
export const covers = (b: Edit, a: Edit): boolean =>
  a.type === 'delete' ? b.type === 'delete' : b.type !== 'delete' && patchCovers(b.data!, a.data!, b.lists);

/**
 * The single edit that equals `a` followed by `b`, or undefined when there is none. An edit and its deletion stay two:
 * if another device edits the entity later, it comes back, and with what was edited here.
 */
export function coalesce(a: Edit, b: Edit): Edit | undefined {
  if (a.type === 'delete' || b.type === 'delete') return a.type === b.type ? b : undefined;
  if (!composable(a.data!, b.data!, b.lists)) return undefined;
  const lists = new Map(a.lists);
  const [others, changes] = [false, true].map((listed) =>
    Object.fromEntries(
      Object.entries(b.data!)
        .filter(([name]) => !!b.lists?.has(name) === listed)
        .map(([name, value]) => {
          const written = has(a.data!, name), compound = a.lists?.has(name) ? compose : changed;
          if (!listed) lists.delete(name);
          else if (!written) lists.set(name, b.lists!.get(name));
          return [name, listed && written ? compound(a.data![name], value) : value];
        }),
    ));
  return { type: a.type, data: { ...merge(a.data!, others), ...changes }, lists };
}

/** `data` after the edits; undefined when it is then deleted. An edit after a deletion restores what was deleted. */
export function overlay(data: Data | undefined, deleted: boolean, edits: Edit[]): Data | undefined {
  let hidden = deleted || !data;
  for (const edit of edits) {
    hidden = edit.type === 'delete';
    if (!hidden) data = merge(data ?? {}, edit.data!, edit.lists);
  }
  return hidden ? undefined : data;
}
