// Queries: which entities of a kind, in which order. This file knows nothing of the store: it selects from the list
// that the store keeps, and follows the changes of that list without testing and sorting everything again.

type Scalar = string | number | boolean | null;

/** What a member must fulfil; all of what is given. */
export interface Condition {
  /** Ranges of numbers or of text. Text is compared by code units, as times in RFC 3339 are. */
  gt?: number | string;
  gte?: number | string;
  lt?: number | string;
  lte?: number | string;
  /** The member is one of these. */
  in?: readonly Scalar[];
  /** The member is a list with this element. */
  contains?: Scalar;
  /** The text, or a text of the list, begins so. Case and diacritics do not count. */
  startsWith?: string;
  /**
   * The text, or the texts of the list, contain all these words. Case and diacritics do not count. `sea*` stands for
   * all words that begin with `sea`.
   */
  words?: string;
}

export type Direction = 'asc' | 'desc';
type Order<Member extends string> = Member | { [M in Member]?: Direction };

/** A query. Members are named by their path, such as `title` or `ratings.count`. */
export interface Query<Member extends string = string> {
  /** All conditions must be fulfilled. A scalar means equality; null also stands for an absent member. */
  where?: { [M in Member]?: Scalar | Condition };
  /** Words as in a condition, each of them in any of these members. */
  search?: { words: string; in: readonly Member[] };
  /** One or several members. Equal entities are in the order of their ids. Entities without the member come last. */
  orderBy?: Order<Member> | readonly Order<Member>[];
  /** The largest number of results. */
  limit?: number;
  /** How many results to skip. */
  offset?: number;
}

/** The results of a query. Await them, or observe them. */
export interface Results<T> extends PromiseLike<T[]> {
  /** Calls `fn` with the results now and whenever they have changed. Returns a function that ends this. */
  observe(fn: (results: T[]) => void): () => void;
}

/**
 * Returns the results for a list that is sorted by id. `changed` has the entities that have changed since the last
 * call, by id. If the results are the same as before, they are the same array.
 */
export type Select = (list: any[], changed?: Map<string, any>) => any[];

type Test = (value: any) => boolean;

const check = (valid: unknown, path: string, message: string) => {
  if (!valid) throw new TypeError(`query: ${path} must be ${message}`);
};
const isObject = (value: any) => typeof value === 'object' && value && !Array.isArray(value);
const isScalar = (value: any) => value === null || ['string', 'number', 'boolean'].includes(typeof value);
const isText = (value: any) => typeof value === 'string';
const membersOf = (value: any, path: string, names: string[]): [string, any][] => {
  check(isObject(value), path, 'an object');
  const members = Object.entries(value).filter(([, it]) => it !== undefined);
  for (const [name] of members)
    check(names.includes(name), path, `an object with ${names.join(', ')}, and not with ${name}`);
  return members;
};

const reader = (path: string) => {
  const names = path.split('.');
  return (entity: any) => names.reduce((value, name) => value?.[name], entity);
};

/** Text without case and diacritics. `ß` becomes `ss`, like `SS`. */
const fold = (text: string) =>
  /[^\x00-\x7f]/.test(text)
    ? text.normalize('NFD').replace(/\p{M}/gu, '').toUpperCase().toLowerCase()
    : text.toLowerCase();
const textsOf = (value: any): string[] => [value].flat().filter(isText);

const hasWords = (words: any, path: string): Test => {
  check(isText(words), path, 'a text');
  const wanted = fold(words).match(/[\p{L}\p{N}]+\*?/gu) ?? [];
  const needles = wanted.map((word) => ` ${word} `.replace('* ', ''));
  return (value) => {
    const text = fold(textsOf(value).join('\n'));
    if (!needles.every((needle) => text.includes(needle.trim()))) return false; // the next line takes longer
    const spaced = ` ${text.match(/[\p{L}\p{N}]+/gu)?.join(' ')} `;
    return needles.every((needle) => spaced.includes(needle));
  };
};

const range = (holds: (value: any, bound: any) => boolean) => (bound: any, path: string): Test => {
  check(typeof bound === 'number' || isText(bound), path, 'a number or a text');
  return (value) => typeof value === typeof bound && holds(value, bound);
};

const CONDITIONS: Record<string, (wanted: any, path: string) => Test> = {
  gt: range((value, bound) => value > bound),
  gte: range((value, bound) => value >= bound),
  lt: range((value, bound) => value < bound),
  lte: range((value, bound) => value <= bound),
  in(wanted, path) {
    check(Array.isArray(wanted) && wanted.every(isScalar), path, 'a list of texts, numbers, booleans and null');
    const values = new Set(wanted);
    return (value) => values.has(value ?? null);
  },
  contains(wanted, path) {
    check(isScalar(wanted), path, 'a text, a number, a boolean or null');
    return (value) => Array.isArray(value) && value.includes(wanted);
  },
  startsWith(wanted, path) {
    check(isText(wanted), path, 'a text');
    const start = fold(wanted);
    return (value) => textsOf(value).some((text) => fold(text).startsWith(start));
  },
  words: hasWords,
};

function testsOf(where: Record<string, any>): Test[] {
  check(isObject(where), 'where', 'an object');
  return Object.entries(where).filter(([, wanted]) => wanted !== undefined).flatMap(([member, wanted]) => {
    const read = reader(member), path = `where.${member}`;
    if (isScalar(wanted)) return (entity: any) => (read(entity) ?? null) === wanted;
    check(isObject(wanted), path, 'a value or an object with conditions');
    return membersOf(wanted, path, Object.keys(CONDITIONS)).map(([name, value]) => {
      const test = CONDITIONS[name](value, `${path}.${name}`);
      return (entity: any) => test(read(entity));
    });
  });
}

function searchOf(search: any): Test {
  const { words, in: members } = Object.fromEntries(membersOf(search, 'search', ['words', 'in']));
  check(Array.isArray(members) && members.length && members.every(isText), 'search.in', 'a list of members');
  const test = hasWords(words, 'search.words'), readers = members.map(reader);
  return (entity) => test(readers.flatMap((read: (entity: any) => any) => read(entity)));
}

const TYPES = ['object', 'boolean', 'number', 'string'];
const collator = new Intl.Collator();
/** Objects and lists have no order. */
const comparison = (a: any, b: any): number =>
  typeof a !== typeof b
    ? TYPES.indexOf(typeof a) - TYPES.indexOf(typeof b)
    : isText(a) ? collator.compare(a, b) : typeof a === 'object' ? 0 : a - b;

function orderOf(orderBy: any): (a: any, b: any) => number {
  const keys = [orderBy].flat().flatMap((key): [string, any][] => {
    if (isText(key)) return [[key, 'asc']];
    check(isObject(key), 'orderBy', 'a member, an object such as { title: \'asc\' }, or a list of these');
    return Object.entries(key).filter(([, how]) => how !== undefined);
  });
  const compare = keys.map(([member, how]) => {
    check(how === 'asc' || how === 'desc', `orderBy.${member}`, 'asc or desc');
    const read = reader(member), sign = how === 'asc' ? 1 : -1;
    return (a: any, b: any) => {
      const [x, y] = [read(a) ?? undefined, read(b) ?? undefined];
      return x === undefined || y === undefined
        ? +(x === undefined) - +(y === undefined)
        : sign * comparison(x, y);
    };
  });
  return (a, b) => {
    for (const by of compare) {
      const result = by(a, b);
      if (result) return result;
    }
    return a.id < b.id ? -1 : 1;
  };
}

const same = (a: any[] | undefined, b: any[]) => a?.length === b.length && a.every((item, i) => item === b[i]);

/** Throws a TypeError if the query is invalid. */
export function compile(query: Query = {}): Select {
  membersOf(query, 'the query', ['where', 'search', 'orderBy', 'limit', 'offset']);
  const { where = {}, search, orderBy = [], limit = Infinity, offset = 0 } = query;
  const tests = testsOf(where), order = orderOf(orderBy);
  if (search !== undefined) tests.push(searchOf(search));
  const isCount = (value: number) => value >= 0 && (Number.isInteger(value) || value === Infinity);
  check(isCount(limit), 'limit', 'an integer from 0');
  check(isCount(offset), 'offset', 'an integer from 0');
  const matches = (entity: any) => tests.every((test) => test(entity));
  let found: any[] | undefined, results: any[];
  return (list, changed) => {
    if (!found || !changed) found = list.filter(matches).sort(order);
    else {
      const rest = found.filter(({ id }) => !changed.has(id));
      const more = [...changed.values()].filter((entity) => entity && matches(entity));
      // Two sorted runs are merged quickly.
      if (more.length || rest.length < found.length) found = [...rest, ...more.sort(order)].sort(order);
    }
    const now = found.slice(offset, offset + limit);
    return same(results, now) ? results : (results = now);
  };
}
