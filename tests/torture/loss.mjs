// The server loses data, and the devices bring it back (docs/api.md, Why a resync). A user takes part in one of three
// losses:
//   restored      a backup is restored, and `booky-sync resync` gives new epochs
//   erased        the account is erased after that backup was made, and the journal of erasures is applied
//   other_server  the database is empty and belongs to another installation
// Before the loss some devices edit once more while the others are away, so these hold an old state when they learn of
// it. Further edits wait on all of them meanwhile. The devices come back while other faults happen.
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from '../http/lib.mjs';
import { collect, insist } from './evidence.mjs';
import { nameOf } from './model.mjs';
import { startAt } from './plan.mjs';
import { verify, verifyReturn } from './verify.mjs';

const reasons = ['restored', 'other_server', 'erased', 'other_server', 'restored', 'other_server'];
const WAITING = 8; // edits that wait on each device
const FAULTS = 4; // during each return

// Of these kinds no entity takes the place of another, so what no pull showed does not matter for an edit of them.
const single = ['book', 'tag', 'collection', 'userSettings'];

const tables = () => sql(`SELECT tablename FROM pg_tables WHERE schemaname = 'booky' ORDER BY 1`);
// Of a cluster: one connection a node, so one snapshot. Elsewhere it has no effect.
const ONE = `SET citus.multi_shard_modify_mode = 'sequential'; SET citus.max_adaptive_executor_pool_size = 1;`;

const truncate = (names) => `TRUNCATE ${names.map((name) => `booky.${name}`).join(', ')};`;

async function backUp() {
  const copies = (await tables()).map((name) => `CREATE TABLE backup.${name} AS TABLE booky.${name};`);
  await sql(`${ONE} DROP SCHEMA IF EXISTS backup CASCADE; BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE SCHEMA backup;
    ${copies.join(' ')} COMMIT`);
}

async function restore() {
  const names = await tables();
  const copies = names.map((name) => `INSERT INTO booky.${name} TABLE backup.${name};`);
  await sql(`${ONE} BEGIN; ${truncate(names)} ${copies.join(' ')} DROP SCHEMA backup CASCADE; COMMIT`);
}

// Leaves what `booky-sync migrate` makes of an empty database.
async function loseVolume() {
  const names = (await tables()).filter((name) => !['migrations', 'installation'].includes(name));
  await sql(`${ONE} BEGIN; ${truncate(names)}
    UPDATE booky.installation SET id = ${Math.floor(Math.random() * 9e15)}, generation = 1; COMMIT`);
}

const eachDevice = (users, work) => Promise.all(users.flatMap(({ devices }) => devices.map(work)));

// A client that pulls by `since` is not told of a loss, so what it holds then is not compared.
function onlyCursors(user) {
  user.replicas = user.replicas.filter(({ by }) => by === 'cursor');
}

export class Losses {
  // `users`: those whose outcome does not depend on the order of arrival. `finish(user)` sends and pulls everything.
  constructor(users, { dice, faults, hand, finish, record, length, gap }) {
    Object.assign(this, { dice, faults, hand, finish, record, length, gap });
    const able = users.filter(({ devices }) => devices.some(({ replica }) => replica.times));
    able.forEach((user, i) => (user.reason = reasons[i % reasons.length]));
    this.restored = able.filter(({ reason }) => reason === 'restored');
    this.erased = able.filter(({ reason }) => reason === 'erased');
    this.moved = able.filter(({ reason }) => reason === 'other_server');
  }

  async run() {
    const users = [...this.restored, ...this.erased];
    const backup = sleep(this.length / 2).then(backUp);
    const [before] = await Promise.all([this.live(users), backup]);
    for (const user of this.erased)
      await insist(async () => (await user.client.call('/account', { method: 'DELETE', whole: true })).status === 200);
    await restore();
    await this.hand('resync');
    for (const user of this.erased) await this.startAgain(user);
    await this.comeBack(this.restored, before);
    await this.live(this.erased);

    const held = await this.live(this.moved);
    await loseVolume();
    await this.comeBack(this.moved, held);
  }

  // Some devices edit, the others are away, and everything is verified. Resolves to user → evidence.
  async live(users) {
    const start = startAt(Date.now());
    for (const { devices } of users) {
      // The last edits must be on one device at least that sends back what it holds.
      const present = this.dice.pick(devices.filter(({ replica }) => replica.times));
      for (const device of devices) device.away = device !== present && this.dice.chance(40);
    }
    await eachDevice(users, (device) => {
      device.restart(start);
      return device.replica.away || device.live(start, this.length);
    });
    const evidence = new Map();
    for (const user of users) {
      await this.finish(user);
      evidence.set(user, await collect(user));
      for (const complaint of verify(evidence.get(user))) this.record.complain(complaint);
    }
    return evidence;
  }

  // The devices learn of the erasure and drop everything, also what waits.
  async startAgain(user) {
    user.edits.length = 0;
    onlyCursors(user);
    user.devices = user.devices.filter(({ replica }) => replica.by === 'cursor');
    for (const device of user.devices) {
      device.forget();
      device.queue = [];
      device.away = false;
    }
    for (const replica of user.replicas) {
      replica.mayResync = 'erased';
      await insist(() => replica.pull());
      replica.mayResync = undefined;
      const { size } = replica.live();
      if (size > 0) this.record.complain(`${replica.label} holds ${size} entities after an erasure`);
    }
  }

  // The devices bring back what was lost, and send what waited.
  async comeBack(users, evidence) {
    const now = startAt(Date.now());
    for (const user of users) {
      const { rows, fresh } = evidence.get(user);
      const mayEdit = (edit) => single.includes(edit.kind) && (!rows.has(nameOf(edit)) || fresh.has(nameOf(edit)));
      for (const device of user.devices) {
        device.away = false;
        device.forget();
        device.restart(now);
        for (const edit of device.hold(WAITING, 0, mayEdit)) edit.waited = true;
      }
      onlyCursors(user);
      for (const replica of user.replicas) replica.mayResync = user.reason;
    }
    await Promise.all([
      this.faults.some(FAULTS, this.gap),
      eachDevice(users, async (device) => {
        if (this.dice.chance(30)) await device.send(false); // before it knows
        while (!(await device.replica.pull())) await sleep(100);
        await device.drain(now + 120_000);
      }),
    ]);
    this.record.abortPercent = 0;
    for (const user of users) {
      await insist(() => user.client.call('/status', { whole: true }).then(({ lost }) => !lost));
      await this.finish(user);
      for (const replica of user.replicas) replica.mayResync = undefined;
      for (const complaint of verifyReturn(await collect(user), evidence.get(user))) this.record.complain(complaint);
      this.record.count(`users back after ${user.reason}`);
    }
  }
}
