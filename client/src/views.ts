// What an app asks of its data: queries, and `inspect`. A module of its own, because many apps need neither.

export { inspect } from './inspect.js';
export { compile } from './query.js';
