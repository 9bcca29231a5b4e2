// What an edit does to an entity, as the server does it when edits come in the order of their timestamps: objects member
// by member, lists whole, null is a value, {} only says that there is an object. The vectors in tests/contract/ are run
// against this file and against the server's.

import type { Data, OperationType } from './types.js';

export interface Edit {
  type: OperationType;
  data?: Data;
}

export const isObject = (value: unknown): value is Data => typeof value === 'object' && value !== null && !Array.isArray(value);

/** `state` after the patch; neither is changed. Members named __proto__ are members like any other. */
export function merge(state: Data, patch: Data): Data {
  const own = (data: Data, name: string) => (Object.prototype.hasOwnProperty.call(data, name) ? data[name] : undefined);
  return {
    ...state,
    ...Object.fromEntries(
      Object.entries(patch).map(([name, value]) => {
        const old = own(state, name);
        return [name, isObject(value) ? merge(isObject(old) ? old : {}, value) : value];
      }),
    ),
  };
}

/** Whether the patches a, then b, are one patch: not where b puts an object in place of a leaf that a writes. */
function composable(a: Data, b: Data): boolean {
  return Object.entries(b).every(([name, value]) => {
    if (!isObject(value) || !Object.prototype.hasOwnProperty.call(a, name)) return true;
    return isObject(a[name]) && composable(a[name], value);
  });
}

/** The one edit that does what `a` and then `b` do, or undefined when there is none. */
export function coalesce(a: Edit, b: Edit): Edit | undefined {
  if (b.type === 'delete') return { type: 'delete' };
  if (a.type === 'delete' || !composable(a.data!, b.data!)) return undefined;
  return { type: a.type, data: merge(a.data!, b.data!) };
}

/** `data` after the edits, and whether it is deleted then. What a deletion hides, a later edit brings back. */
export function overlay(data: Data | undefined, deleted: boolean, edits: Edit[]): Data | undefined {
  let hidden = deleted || !data;
  for (const edit of edits) {
    hidden = edit.type === 'delete';
    if (!hidden) data = merge(data ?? {}, edit.data!);
  }
  return hidden ? undefined : data;
}
