// Convergence under faults. Many users with several devices each edit at random, offline and online, with wrong clocks, while
// processes are killed, the database restarts and connections are cut; in the end everything must be where it belongs:
//   - the server, every device and every poller hold the same, and what model.mjs makes of the acknowledged operations;
//   - no acknowledged operation is lost, each took effect once, nobody saw another's data;
//   - nothing was answered but what docs/api.md says.
//
// Usage: torture.mjs MINUTES [SEED]. The stack is given by the environment as in tests/http/lib.mjs; the pool must be started
// by the hand that sits at standard input and output (tests/torture.sh), because its connections go through a proxy of this
// program; what people read goes to standard error. The seed decides what is edited, by whom, with which timestamps, and which
// faults come in which order; it does not decide how requests and faults meet.
//
// PostgreSQL may run with fsync = off: what dies here are processes, and what they have written stays in the kernel's memory.
// That a power cut loses nothing is PostgreSQL's own promise, with fsync on, and not tried here.
import { randomInt } from 'node:crypto';
import readline from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { request, state } from '../http/lib.mjs';
import { Client } from './client.mjs';
import { Device } from './device.mjs';
import { Dice } from './dice.mjs';
import { collect, insist, repeat } from './evidence.mjs';
import { Faults } from './faults.mjs';
import { DevicePlan } from './plan.mjs';
import { Proxy } from './proxy.mjs';
import { Record, markOf } from './record.mjs';
import { Replica } from './replica.mjs';
import { verify } from './verify.mjs';

const USERS = 24, DRAIN = 300_000;
// All policies but `merge` depend on who comes first. There the outcome of a conflict is taken from the result that the
// server gave, and all else is held against the model as for the others.
const policies = ['merge', 'merge', 'merge', 'merge', 'local', 'server', 'manual', 'mixed'];

const minutes = Number(process.argv[2] ?? 1);
const seed = process.argv[3] ?? String(randomInt(1e9));
if (!(minutes > 0)) throw new Error('usage: torture.mjs MINUTES [SEED]');
const GAP = Math.min(1000, minutes * 1000); // between faults, so that in a short run too each kind happens while there are edits

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function hand(order) {
  process.stdout.write(`${order}\n`);
  const { value } = await answers.next();
  if (value !== 'done') throw new Error(`${order}: ${value}`);
}

const healthy = () => request('/api/health').then(({ status }) => status === 200, () => false);

function makeUser(number, runName, record, start) {
  const dice = new Dice(seed, 'user', number);
  const name = markOf(runName, number);
  const policy = policies[number % policies.length];
  const user = { name, policy, edits: [], requests: 0, full: policy === 'merge' && number % 3 === 0, replicas: [], devices: [] };
  user.client = new Client(name, record, new Dice(seed, 'cuts', number));
  const plan = { name: String(number), mark: name, policy, full: user.full };
  for (let i = dice.between(3, 5); i > 0; i--)
    user.devices.push(new Device(user, i, new DevicePlan(seed, plan, i, start), new Dice(seed, 'device', number, i)));
  const limit = new Dice(seed, 'limit', number);
  user.pollers = [
    new Replica(`${name} poller by cursor`, user.client, { by: 'cursor', limit: () => limit.between(1, 12) }),
    new Replica(`${name} poller by since`, user.client, { by: 'since', tagged: true }),
  ];
  user.replicas = [...user.devices.map(({ replica, style }) => Object.assign(replica, { writes: style !== 'simple' })), ...user.pollers];
  return user;
}

async function poll(poller, until) {
  while (!until.over) {
    await poller.pull();
    await sleep(1500);
  }
}

// Everything is sent and applied, and everybody pulls once more.
async function finish(user) {
  const until = Date.now() + DRAIN;
  const drained = await Promise.all(user.devices.map((device) => device.drain(until)));
  if (drained.includes(false)) user.client.record.complain(`${user.name}: not every operation was answered within ${DRAIN / 1000} s after the faults`);
  await insist(async () => {
    const reply = await user.client.post('/pending/apply', {}, { whole: true });
    return reply.status === 200 && !reply.json.hasMore;
  });
  for (const replica of user.replicas) await insist(() => replica.pull());
}

// The run: devices, pollers and faults at once; then whatever is left is sent, and everything is compared.
async function torture(users, faults, end) {
  const polling = { over: false };
  const pollers = users.flatMap((user) => user.pollers.map((poller) => poll(poller, polling)));
  await Promise.all([faults.run(end, GAP), ...users.flatMap((user) => user.devices.map((device) => device.live(start, end - start)))]);
  record.cutting = 0;
  await insist(healthy);
  polling.over = true;
  await Promise.all(pollers);
  await Promise.all(users.map(finish));
  for (const user of users) {
    const evidence = await collect(user);
    record.count('entities compared', evidence.rows.size);
    record.count('conflicts logged', evidence.conflicts.length);
    for (const complaint of verify(evidence)) record.complain(complaint);
    await repeat(user, evidence);
  }
}

const record = new Record();
const proxy = new Proxy(`${state}/proxy/.s.PGSQL.5432`, `${state}/sock/.s.PGSQL.5432`);
await proxy.listening;
await hand('start');
await insist(healthy);

console.error(`seed ${seed}, ${minutes} minutes`);
const start = Math.ceil(Date.now() / 16) * 16;
const users = Array.from({ length: USERS }, (_, number) => makeUser(number, start.toString(16), record, start));
const faults = new Faults({ order: new Dice(seed, 'faults'), dice: new Dice(seed, 'fault'), hand, proxy, state, record });
const list = (counts) => Object.entries(counts).map(([what, count]) => `${what} ${count}`).join(', ');
const figures = () => `${list(record.counts)}; replies: ${list(record.statuses)}; faults: ${list(faults.counts)}; COMMITs cut: ${list(proxy.cuts)}`;
const telling = setInterval(() => console.error(`${Math.round((Date.now() - start) / 1000)} s: ${figures()}`), 60_000);

await torture(users, faults, start + minutes * 60_000).catch((error) => record.complaints.push(`it did not come to its end: ${error.stack}`));
clearInterval(telling);
const wrong = record.complaints;
for (const complaint of wrong.slice(0, 20)) console.error(complaint);
console.error(`torture ${minutes} ${seed}: users ${users.length}, devices ${users.flatMap(({ devices }) => devices).length}, ${figures()};` +
  ` ${wrong.length === 0 ? 'nothing lost' : `${wrong.length} THINGS WRONG, the first ones above`}`);
process.exit(wrong.length === 0 ? 0 : 1);
