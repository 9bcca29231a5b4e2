// The examples are dated on a day of 2024. They are moved to the present when they are sent. Replies are compared with
// the examples except for values that differ every time.
import assert from 'node:assert/strict';

const day = Date.parse('2024-01-15T10:30:00Z');
const now = Date.now();

const instants = /\b\d{4}-\d\d-\d\d[T]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;
const milliseconds = /\b1[67]\d{11}\b/g;

function move(value, by) {
  if (value === undefined) return value;
  const text = JSON.stringify(value)
    .replace(instants, (found) =>
      Date.parse(found) < 0 || found.startsWith('1970') ? found : new Date(Date.parse(found) + by).toISOString(),
    )
    .replace(milliseconds, (found) => `${Number(found) + by}`);
  return JSON.parse(text);
}

// Moves an example to the present, and a reply to the day of the document.
export const toPresent = (value) => move(value, now - day);
export const toDay = (value) => move(value, day - now);

// The time of that day, such as "10:20", moved to the present.
export const at = (time) => toPresent(`2024-01-15T${time}:00Z`);

const variable = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b/g, '<uuid>'],
  [/\b[0-9a-f]{64}\b/g, '<sha256>'],
  [/\b[0-9a-f]{32}\b/g, '<request>'],
  [instants, '<instant>'],
  [milliseconds, '<ms>'],
];
const mask = (text) => variable.reduce((result, [pattern, name]) => result.replace(pattern, name), text);
const times = (text) => [
  ...(text.match(instants) ?? []).map(Date.parse),
  ...(text.match(milliseconds) ?? []).map(Number),
];

const opaque = ['cursor', 'requestId', 'epoch', 'installation'];
const tolerance = 4 * 60_000; // the times in the examples are at least five minutes apart

function sameText(actual, expected, key) {
  if (opaque.includes(key)) return true;
  if (mask(actual) !== mask(expected)) return false;
  const there = times(expected);
  return times(actual).every((time, i) => Math.abs(time - there[i]) < tolerance);
}

// `actual` with the values of `expected` wherever the two differ only in values that differ every time.
function adopt(actual, expected, key) {
  if (typeof actual === 'string' && typeof expected === 'string')
    return sameText(actual, expected, key) ? expected : actual;
  if (typeof actual === 'number' && typeof expected === 'number')
    return sameText(`${actual}`, `${expected}`) ? expected : actual;
  if (!actual || !expected || typeof actual !== 'object' || typeof expected !== 'object') return actual;
  if (Array.isArray(actual)) return actual.map((value, i) => adopt(value, expected[i], key));
  return Object.fromEntries(Object.entries(actual).map(([name, value]) => [name, adopt(value, expected[name], name)]));
}

// Fails unless a reply matches the example.
export function checkExample(actual, expected) {
  assert.deepEqual(adopt(toDay(actual), expected), expected);
}
