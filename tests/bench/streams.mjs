// W10: many open streams of devices that do nothing, while others write. Measures what a write costs then, and how soon
// a device hears of it.
import { User, mint } from '../http/lib.mjs';
import { closeAll, listen } from '../push/lib.mjs';
import { book } from './data.mjs';
import { sleep } from '../wait.mjs';
import { spent, used } from './stack.mjs';
import { median, quantile } from './table.mjs';

const USERS = 200, EACH = 10, WRITERS = 100; // streams: USERS × EACH, as many as push.streams_per_user allows

const person = (n) => Object.assign(new User(`stream-${n}`), { token: mint({ userId: `stream-${n}` }) });

// One write of a user. Resolves to the milliseconds from the reply to the poke, for each stream of the user.
async function write(user, streams, number) {
  const seen = streams.map(({ pokes }) => pokes.length);
  await user.apply(
    { id: `${user.id}-${number}`, type: 'update', entity: 'book', entityId: 'book-1', data: book(number) });
  const at = performance.now();
  for (let i = 0; i < 500 && streams.some(({ pokes }, k) => pokes.length === seen[k]); i++) await sleep(10);
  return streams.map(({ pokes }, k) => Math.max(pokes[seen[k]].at - at, 0)); // a poke may be faster than the reply
}

// Opens the streams, and writes for so many seconds, once a second for each of WRITERS users. Resolves to the figures.
export async function idleStreams(seconds) {
  const users = Array.from({ length: USERS }, (_, n) => person(n)), streams = new Map();
  for (const user of users)
    await user.apply({ id: `${user.id}-0`, type: 'create', entity: 'book', entityId: 'book-1', data: book(0) });
  for (const user of users) {
    streams.set(user, await Promise.all(Array.from({ length: EACH }, () => listen(user))));
    const refused = streams.get(user).find(({ status }) => status);
    if (refused) throw new Error(`a stream was refused: ${refused.status} ${refused.text}`);
  }
  await sleep(2000);
  const idle = used();
  await sleep(5000);
  const before = used(), late = [];
  for (let second = 1; second <= seconds; second++) {
    const next = sleep(1000);
    const heard = await Promise.all(users.slice(0, WRITERS).map(async (user, i) => {
      await sleep(i * (900 / WRITERS));
      return write(user, streams.get(user), second);
    }));
    late.push(...heard.flat());
    await next;
  }
  const result = { streams: USERS * EACH, writes: seconds * WRITERS, pokes: late.length,
    p50: median(late), p99: quantile(late, 0.99), ...spent(before, used(), seconds * WRITERS),
    idleUs: spent(idle, before, 5) };
  closeAll();
  return result;
}
