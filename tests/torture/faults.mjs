// What breaks, one thing after the other, in an order that the seed chooses. Everything here happens to the stack from
// outside: signals, restarts, connections that are cut. The clients do not know of it.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from '../http/lib.mjs';

const sessions = `FROM pg_stat_activity WHERE usename = 'booky' AND application_name = 'booky-sync'`;

export class Faults {
  // `hand(order)` does what needs the account of the database: 'start' (the pool, if it is not there), 'restart fast',
  // 'restart immediate' (PostgreSQL), 'reload' (nginx). `state` is the folder of the stack.
  // `order` chooses what comes next; `dice` what depends on the moment, as which of the workers that there are.
  constructor({ order, dice, hand, proxy, state, record }) {
    Object.assign(this, { order, dice, hand, proxy, state, record, counts: {}, rounds: 0 });
    this.kinds = {
      'worker killed': () => this.killWorkers(1),
      'all workers killed': () => this.killWorkers(Infinity),
      'master killed': () => this.killMaster(),
      'pool reloaded': () => process.kill(this.master(), 'SIGHUP'),
      'nginx reloaded': () => hand('reload'),
      'PostgreSQL restarted (fast)': () => hand('restart fast'),
      'PostgreSQL restarted (immediate)': () => hand('restart immediate'),
      'a busy session terminated': () => this.terminate(`${sessions} AND state <> 'idle' ORDER BY random() LIMIT 1`),
      'all sessions terminated': () => this.terminate(sessions),
      'database out of reach': () => this.away(),
      'clients cut': () => this.cutClients(),
      'cut before COMMIT': () => this.cut('before'),
      'cut during COMMIT': () => this.cut('during'),
      'cut after COMMIT': () => this.cut('after'),
    };
  }

  // Every kind once, then again in another order, until `end`; at least once. Then everything runs again.
  async run(end, gap) {
    do {
      for (const kind of this.order.shuffle(Object.keys(this.kinds))) {
        if (Date.now() > end && this.rounds > 0) break;
        await sleep(gap / 2 + this.order.below(gap));
        await this.kinds[kind]();
        this.counts[kind] = (this.counts[kind] ?? 0) + 1;
      }
      this.rounds++;
    } while (Date.now() < end);
    this.proxy.arm(undefined);
    await this.hand('start');
  }

  master() {
    return Number(readFileSync(`${this.state}/pid/pool`, 'utf8'));
  }

  isAlive() {
    try {
      return readFileSync(`/proc/${this.master()}/cmdline`, 'utf8').includes(this.state);
    } catch {
      return false;
    }
  }

  killWorkers(count) {
    const children = readFileSync(`/proc/${this.master()}/task/${this.master()}/children`, 'utf8').split(' ').filter(Boolean);
    for (const pid of this.dice.shuffle(children).slice(0, count)) kill(Number(pid));
  }

  // And started anew on the same socket, as systemd would: after a while, and again if that did not go well.
  async killMaster() {
    kill(this.master());
    await sleep(this.dice.between(50, 1000));
    for (let i = 0; i < 20; i++) {
      await this.hand('start');
      await sleep(500);
      if (this.isAlive()) return;
    }
    this.record.complain('the pool does not start again');
  }

  async terminate(which) {
    for (let i = 0; i < 20; i++) { // a busy one has to be caught
      const [count] = await sql(`SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid ${which}) AS s`).catch(() => ['0']);
      if (Number(count) > 0) return;
      await sleep(20);
    }
  }

  async away() {
    this.proxy.leave();
    await sleep(this.dice.between(200, 1500));
    this.proxy.back();
  }

  async cutClients() {
    this.record.cutting = 40;
    await sleep(1000);
    this.record.cutting = 1;
  }

  // Several times, so that it also meets a pool that just lost its connections.
  async cut(how) {
    for (let i = this.dice.between(1, 4); i > 0; i--) {
      const before = this.proxy.cuts[how];
      this.proxy.arm(how);
      for (const end = Date.now() + 5000; this.proxy.cuts[how] === before && Date.now() < end;) await sleep(5);
    }
  }
}

function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
