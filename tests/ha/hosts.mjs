// Hosts on one machine: each is a network namespace with an address on the front network, the back network (databases),
// or both. The tests run in a namespace of their own, which ./dev check makes. The two networks are bridges in it, so
// the machine's own network is not affected, and everything vanishes with the last process.
//
//   BOOKY_TEST_STATE  a folder owned by the account that runs the servers
//   BOOKY_TEST_AS     the command, with arguments, that runs a program as that account; empty: the current account
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { openSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { promisify } from 'node:util';
import { sleep, until } from '../wait.mjs';

export { sleep, until };

export const folder = `${process.env.BOOKY_TEST_STATE}/ha`;
const as = (process.env.BOOKY_TEST_AS ?? '').split(' ').filter(Boolean);

// The output may be that of a long load (the default limit is 1 MiB); the time limit is for a program that hangs.
const command = (program, ...args) => execFileSync(program, args,
  { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 30, timeout: 300_000 });

// Runs a program as the account, outside of any host; returns its output.
export const run = (...words) => command(...as, ...words);

// A running program.
class Process {
  constructor(words, log) {
    const out = openSync(log, 'a');
    const [program, ...args] = words;
    this.child = spawn(program, args, { stdio: ['ignore', out, out], detached: true });
    this.ended = new Promise((resolve) => this.child.on('exit', (code, signal) => resolve({ code, signal })));
    this.ended.then(() => (this.gone = true));
  }

  // Sends a signal to the program, or to its whole process group.
  signal(name, { group = false } = {}) {
    if (!this.gone) process.kill(group ? -this.child.pid : this.child.pid, name);
  }

  groupLives() {
    try {
      return process.kill(-this.child.pid, 0);
    } catch {
      return false;
    }
  }

  // The process ids of its children.
  children() {
    return readFileSync(`/proc/${this.child.pid}/task/${this.child.pid}/children`, 'utf8').split(' ').filter(Boolean);
  }

  async stop(name = 'SIGTERM', options) {
    this.signal(name, options);
    const impatient = setTimeout(() => this.signal('SIGKILL', { group: true }), 15_000);
    const end = await this.ended;
    clearTimeout(impatient);
    return end;
  }
}

export class Host {
  // networks: { front: '10.0.1.21', back: '10.0.2.21' }
  constructor(name, networks) {
    Object.assign(this, { name, networks });
    this.processes = [];
    const own = readlinkSync('/proc/self/ns/net');
    this.holder = spawn('unshare', ['--net', 'setpriv', '--pdeathsig', 'KILL', 'sleep', 'infinity'],
      { stdio: 'ignore' });
    this.enter = ['nsenter', '--target', String(this.holder.pid), '--net', '--'];
    this.ready = (async () => {
      await until(`the namespace of ${name}`, () => {
        try {
          return readlinkSync(`/proc/${this.holder.pid}/ns/net`) !== own;
        } catch {
          return assert.fail(`unshare --net failed for ${name}`);
        }
      }, 90);
      const ip = (...args) => command(...this.enter, 'ip', ...args);
      ip('link', 'set', 'lo', 'up');
      for (const [network, address] of Object.entries(networks)) {
        command('ip', 'link', 'add', `${name}-${network}`, 'type', 'veth', 'peer', 'name', network, 'netns',
          String(this.holder.pid));
        command('ip', 'link', 'set', `${name}-${network}`, 'master', network, 'up');
        ip('address', 'add', `${address}/24`, 'dev', network);
        ip('link', 'set', network, 'up');
      }
    })();
  }

  // Runs a program as the account on this host, while the load goes on; resolves to its output.
  async run(...words) {
    const [program, ...args] = [...this.enter, ...as, ...words];
    return (await promisify(execFile)(program, args, { timeout: 120_000 })).stdout;
  }

  // The number of established connections to its port.
  connections(port) {
    return command(...this.enter, 'ss', '-Htn', 'state', 'established', `sport = :${port}`).split('\n').length - 1;
  }

  // Disconnects the host from one of its networks ('down') or connects it again ('up').
  link(network, state) {
    command('ip', 'link', 'set', `${this.name}-${network}`, state);
  }

  // Cuts the connections to other hosts on the back network at once, or restores them: what one side sends does not
  // reach the other. All of them still reach all other hosts.
  cut(others, cut = true) {
    const change = (from, to) => {
      const line = ({ networks }) => cut ?
        `neighbour replace ${networks.back} dev back lladdr 02:00:00:00:00:01 nud permanent` :
        `neighbour del ${networks.back} dev back`;
      command(...from.enter, 'sh', '-c', `echo '${to.map(line).join('\n')}' | ip -batch -`);
    };
    change(this, others);
    for (const other of others) change(other, [this]);
  }

  // Kills every process of the host at once, as a power failure does; resolves when none is left.
  async kill() {
    const own = readlinkSync(`/proc/${this.holder.pid}/ns/net`);
    const processes = () => readdirSync('/proc').filter((pid) => {
      try {
        return pid > 0 && pid !== String(this.holder.pid) && readlinkSync(`/proc/${pid}/ns/net`) === own &&
          readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1][0] !== 'Z';
      } catch {
        return false;
      }
    });
    await until(`no process of ${this.name} is left`, () => {
      const all = processes();
      for (const pid of all) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch (error) {
          if (error.code !== 'ESRCH') throw error; // it has ended since
        }
      }
      return all.length === 0;
    });
  }

  // Starts a program as the account, with its output in the log of that name. It dies with this process.
  start(log, ...words) {
    const started = new Process([...this.enter, ...as, 'setpriv', '--pdeathsig', 'KILL', ...words],
      `${folder}/${log}.log`);
    this.processes.push(started);
    return started;
  }

  async end() {
    await Promise.all(this.processes.map((one) => one.stop('SIGKILL', { group: true })));
    this.holder.kill('SIGKILL');
  }
}

export function makeNetworks(networks) {
  command('ip', 'link', 'set', 'lo', 'up');
  for (const [name, address] of Object.entries(networks)) {
    command('ip', 'link', 'add', name, 'type', 'bridge');
    command('ip', 'address', 'add', `${address}/24`, 'dev', name);
    command('ip', 'link', 'set', name, 'up');
  }
}
