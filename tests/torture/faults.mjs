// The faults, one after the other, in an order that the seed chooses. All of them come from outside of the stack:
// signals, restarts, broken connections. The clients do not know about them.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from '../http/lib.mjs';

const sessions = `FROM pg_stat_activity WHERE usename = 'booky' AND application_name = 'booky-sync'`;

export class Faults {
  // `hand(command)` runs a command that needs the account of the database: 'start' (the pool, unless it runs), 'restart
  // fast', 'restart immediate' (PostgreSQL), 'reload' (nginx). `state` is the folder of the stack. `order` is the
  // randomness that the seed determines, and `dice` that of choices which depend on the moment, such as which worker to
  // kill.
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
    if (process.env.BOOKY_TORTURE_CITUS) this.addThoseOfACluster();
  }

  addThoseOfACluster() {
    this.kinds['a shard group moved'] = () => this.moveShard();
    if (process.env.CITUS_RESTART) {
      this.kinds['a node restarted (fast)'] = () => this.hand('restart fast node');
      this.kinds['a node restarted (immediate)'] = () => this.hand('restart immediate node');
    } else {
      delete this.kinds['PostgreSQL restarted (fast)'];
      delete this.kinds['PostgreSQL restarted (immediate)'];
    }
  }

  // To another node, while it is used. Fails if a node is away.
  async moveShard() {
    const moved = `SELECT citus_move_shard_placement(shardid, p.nodename, p.nodeport, n.nodename, n.nodeport, 'auto')
      FROM pg_dist_shard s JOIN citus_shards p USING (shardid)
      JOIN pg_dist_node n ON n.shouldhaveshards AND n.isactive AND (n.nodename, n.nodeport) <> (p.nodename, p.nodeport)
      WHERE s.logicalrelid = 'booky.clocks'::regclass ORDER BY random() LIMIT 1`;
    for (let i = 0; i < 10; i++) {
      if (await sql(moved).then(() => true, () => false)) return;
      await sleep(500);
    }
    this.record.complain('no shard can be moved');
  }

  // Causes every kind of fault once, then again in another order, until `end` but at least once. Finally restores
  // everything.
  async run(end, gap) {
    do {
      for (const kind of this.order.shuffle(Object.keys(this.kinds))) {
        if (Date.now() > end && this.rounds > 0) break;
        await this.cause(kind, gap);
      }
      this.rounds++;
    } while (Date.now() < end);
    await this.settle();
  }

  // Causes `count` faults of kinds that the seed chooses, then restores everything.
  async some(count, gap) {
    for (const kind of this.order.shuffle(Object.keys(this.kinds)).slice(0, count)) await this.cause(kind, gap);
    await this.settle();
  }

  async cause(kind, gap) {
    await sleep(gap / 2 + this.order.below(gap));
    await this.kinds[kind]();
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
  }

  async settle() {
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
    const children = readFileSync(`/proc/${this.master()}/task/${this.master()}/children`, 'utf8').split(' ')
      .filter(Boolean);
    for (const pid of this.dice.shuffle(children).slice(0, count)) kill(Number(pid));
  }

  // Kills the master and starts it again on the same socket, as systemd would: after a while, and again if it fails.
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
    for (let i = 0; i < 20; i++) { // it may take several attempts to find a busy session
      const [count] = await sql(`SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid ${which}) AS s`)
        .catch(() => ['0']);
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
    this.record.abortPercent = 40;
    await sleep(1000);
    this.record.abortPercent = 1;
  }

  // Cuts several times, so that the pool is also hit when it has just lost its connections.
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
