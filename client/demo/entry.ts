// The words for an entry of the activity list.

import type { Entry } from './feed.js';
import type { Part } from './library.js';
import { labelOf, quoted, textOf } from './words.js';

type TitleOf = (id: string) => string;

function changeIn(entry: Entry, { entity, before, after, fields }: Part, rival: string, titleOf: TitleOf): string[] {
  const value = (name: string, of: unknown) => {
    const text = textOf(name, of, titleOf);
    return ['stars', 'status'].includes(name) && text ? text : quoted(text);
  };
  if (entry.kind === 'lost') {
    if (!after) return [`deleted later by ${rival}; your edit does not count`];
    if (!before) return [`edited later by ${rival}, so it was not deleted`];
    return fields.map(
      (f) => `${labelOf(f.name)}: the later edit of ${rival} was kept, yours was ${value(f.name, f.before)}`,
    );
  }
  if (entry.kind === 'merged')
    return fields.map((f) => `${labelOf(f.name)}: your later edit was kept, ${rival} had ${value(f.name, f.before)}`);
  if (entity === 'tag' && !before) return [`new tag ${quoted(after?.name)}`];
  if (!after) return [entity === 'book' ? 'deleted' : entity === 'rating' ? 'rating removed' : `${entity} removed`];
  if (entity === 'book' && !before) return ['added'];
  if (entity === 'rating' && !before) return [`rated ${value('stars', after.stars)}`];
  if (entity === 'collection' && !before) return ['new collection'];
  return fields
    .map(({ name, before, after }) => {
      if (name === 'finishedAt' || name === 'startedAt') return '';
      if (Array.isArray(before ?? []) && Array.isArray(after ?? [])) {
        const [was, is] = [new Set(before as string[]), new Set(after as string[])];
        const words = [
          ['added', [...is].filter((it) => !was.has(it))],
          ['removed', [...was].filter((it) => !is.has(it))],
        ]
          .filter(([, list]) => list.length)
          .map(([verb, list]) => `${verb} ${value(name, list)}`);
        return `${labelOf(name)}: ${words.join(', ') || 'another order'}`;
      }
      return textOf(name, before)
        ? `${labelOf(name)}: ${value(name, before)} → ${value(name, after)}`
        : `${labelOf(name)}: ${value(name, after)}`;
    })
    .filter(Boolean);
}

/** What an entry says. `rival` is the name of the device on the other side. */
export const sentence = (entry: Entry, rival: string, titleOf: TitleOf): string => {
  const changes = entry.parts.flatMap((part) => changeIn(entry, part, rival, titleOf));
  return entry.text ?? (changes.join('; ') || 'merged with the other edit');
};
