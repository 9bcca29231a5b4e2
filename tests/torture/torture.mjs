// Convergence under faults. Many users with several devices each make random edits, offline and online, with wrong
// clocks, while processes are killed, the database restarts and connections are cut. At the end:
//   - the server, every device and every poller hold the same state, that of model.mjs for the acknowledged operations;
//   - no acknowledged operation is lost, each took effect once, and no user saw another's data;
//   - every answer was one that docs/api.md documents.
// Then the server loses data (loss.mjs), and at the end everybody holds the state from before the loss.
//
// Usage: torture.mjs MINUTES [SEED]. The environment names the stack as in tests/http/lib.mjs. The script at standard
// input and output (dev.d/torture.sh) must start the pool, because the pool's connections go through the proxy of this
// program. Messages for people go to standard error. The seed determines the edits, their users and timestamps, and the
// order of the faults, but not how requests and faults coincide.
//
// PostgreSQL may run with fsync = off: only processes die here, and their writes stay in the kernel's memory. Survival
// of a power failure is PostgreSQL's own promise, with fsync on, and is not tested here.
import { randomInt } from 'node:crypto';
import readline from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { request, sql, state } from '../http/lib.mjs';
import { Client } from './client.mjs';
import { Device } from './device.mjs';
import { Dice } from './dice.mjs';
import { collect, insist, repeat } from './evidence.mjs';
import { Faults } from './faults.mjs';
import { Losses } from './loss.mjs';
import { DevicePlan, startAt } from './plan.mjs';
import { Proxy } from './proxy.mjs';
import { Record, markOf } from './record.mjs';
import { Replica } from './replica.mjs';
import { verify } from './verify.mjs';

const USERS = 24, DRAIN = 300_000;
// All policies except `merge` depend on the order of arrival. For them the model takes the outcome of a conflict from
// the server's result and computes everything else itself.
const policies = ['merge', 'merge', 'merge', 'merge', 'local', 'server', 'manual', 'mixed'];

const minutes = Number(process.argv[2] ?? 1);
const seed = process.argv[3] ?? String(randomInt(1e9));
if (!(minutes > 0)) throw new Error('usage: torture.mjs MINUTES [SEED]');
// Between faults; in a short run, too, each kind must happen during the edits.
const GAP = Math.min(1000, minutes * 1000);

const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function hand(command) {
  process.stdout.write(`${command}\n`);
  const { value } = await answers.next();
  if (value !== 'done') throw new Error(`${command}: ${value}`);
}

const healthy = () => request('/api/health').then(({ status }) => status === 200, () => false);

function makeUser(number, runName, record, start) {
  const dice = new Dice(seed, 'user', number);
  const name = markOf(runName, number);
  const policy = policies[number % policies.length];
  const user = { name, policy, edits: [], requests: 0, full: policy === 'merge' &&
    number % 3 === 0, replicas: [], devices: [] };
  user.client = new Client(name, record, new Dice(seed, 'cuts', number));
  const plan = { name: String(number), mark: name, policy, full: user.full };
  for (let i = dice.between(3, 5); i > 0; i--)
    user.devices.push(new Device(user, i, new DevicePlan(seed, plan, i, start), new Dice(seed, 'device', number, i)));
  const limit = new Dice(seed, 'limit', number);
  user.pollers = [
    new Replica(`${name} poller by cursor`, user.client, { by: 'cursor', limit: () => limit.between(1, 12) }),
    new Replica(`${name} poller by patches`, user.client,
      { by: 'cursor', delta: true, limit: () => limit.between(1, 12) }),
    new Replica(`${name} poller by since`, user.client, { by: 'since', tagged: true }),
  ];
  user.replicas = [...user.devices.map(({ replica, style }) => Object.assign(replica, { writes: style !== 'simple' })),
    ...user.pollers];
  return user;
}

async function poll(poller, until) {
  while (!until.over) {
    await poller.pull();
    await sleep(1500);
  }
}

// Sends and applies everything that is left, and pulls once more with every device.
async function finish(user) {
  const until = Date.now() + DRAIN;
  const drained = await Promise.all(user.devices.map((device) => device.drain(until)));
  if (drained.includes(false)) user.client.record.complain(
    `${user.name}: not every operation was answered within ${DRAIN / 1000} s after the faults`);
  await insist(async () => {
    const reply = await user.client.post('/pending/apply', {}, { whole: true });
    return reply.status === 200 && !reply.json.hasMore;
  });
  for (const replica of user.replicas) if (!replica.away) await insist(() => replica.pull());
}

// The run: devices, pollers and faults at the same time; then everything that is left is sent, and the results are
// verified.
async function torture(users, faults, end) {
  const polling = { over: false };
  const pollers = users.flatMap((user) => user.pollers.map((poller) => poll(poller, polling)));
  await Promise.all(
    [faults.run(end, GAP), ...users.flatMap((user) => user.devices.map((device) => device.live(start, end - start)))]);
  record.abortPercent = 0;
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
  const mergers = users.filter(({ policy }) => policy === 'merge');
  const length = Math.min(60_000, minutes * 6000);
  await new Losses(mergers, { dice: new Dice(seed, 'losses'), faults, hand, finish, record, length, gap: GAP }).run();
}

// Of a cluster that is reached over TCP.
async function addressOf() {
  const [row] = await sql('SELECT host(inet_server_addr()), inet_server_port()');
  const [host, port] = row.split('|');
  return { host, port: Number(port) };
}

const record = new Record();
const proxy = new Proxy(`${state}/proxy/.s.PGSQL.5432`,
  process.env.BOOKY_TORTURE_CITUS ? await addressOf() : `${state}/sock/.s.PGSQL.5432`);
await proxy.listening;
await hand('start');
await insist(healthy);

console.error(`seed ${seed}, ${minutes} minutes`);
const start = startAt(Date.now());
const users = Array.from({ length: USERS }, (_, number) => makeUser(number, start.toString(16), record, start));
const faults = new Faults(
  { order: new Dice(seed, 'faults'), dice: new Dice(seed, 'fault'), hand, proxy, state, record });
const list = (counts) => Object.entries(counts).map(([what, count]) => `${what} ${count}`).join(', ');
const figures = () => [list(record.counts), `replies: ${list(record.statuses)}`, `faults: ${list(faults.counts)}`,
  `COMMITs cut: ${list(proxy.cuts)}`].join('; ');
const reporting = setInterval(() => console.error(`${Math.round((Date.now() - start) / 1000)} s: ${figures()}`),
  60_000);

await torture(users, faults, start + minutes * 60_000)
  .catch((error) => record.complaints.push(`the run did not finish: ${error.stack}`));
clearInterval(reporting);
const wrong = record.complaints;
for (const complaint of wrong.slice(0, 20)) console.error(complaint);
const deviceCount = users.flatMap(({ devices }) => devices).length;
console.error(`torture ${minutes} ${seed}: users ${users.length}, devices ${deviceCount}, ${figures()};` +
  ` ${wrong.length === 0 ? 'nothing lost' : `${wrong.length} THINGS WRONG, the first ones above`}`);
process.exit(wrong.length === 0 ? 0 : 1);
