// Hosts on one machine: each is a network namespace with an address on the front's network, the databases' network, or
// both. The tests run in a namespace of their own (./dev check makes it), where the two networks are bridges, so nothing
// of the machine's own network is touched and all of it is gone with the last process.
//
//   BOOKY_TEST_STATE  a folder of the account that the servers run as
//   BOOKY_TEST_AS     the command, with its arguments, that makes a program run as that account; empty: as we are
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { openSync, readlinkSync } from 'node:fs';
import { sleep, until } from '../wait.mjs';

export { sleep, until };

export const folder = `${process.env.BOOKY_TEST_STATE}/ha`;
const as = (process.env.BOOKY_TEST_AS ?? '').split(' ').filter(Boolean);

const command = (program, ...args) => execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

// Runs a program as the account, outside of any host; returns what it prints.
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

  // To the whole process group, or to the program alone.
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
    this.name = name;
    this.processes = [];
    const own = readlinkSync('/proc/self/ns/net');
    this.holder = spawn('unshare', ['--net', 'setpriv', '--pdeathsig', 'KILL', 'sleep', 'infinity'], { stdio: 'ignore' });
    this.enter = ['nsenter', '--target', String(this.holder.pid), '--net', '--'];
    this.ready = (async () => {
      await until(`the namespace of ${name}`, () => {
        try {
          return readlinkSync(`/proc/${this.holder.pid}/ns/net`) !== own;
        } catch {
          return assert.fail(`unshare --net failed for ${name}`);
        }
      });
      const ip = (...args) => command(...this.enter, 'ip', ...args);
      ip('link', 'set', 'lo', 'up');
      for (const [network, address] of Object.entries(networks)) {
        command('ip', 'link', 'add', `${name}-${network}`, 'type', 'veth', 'peer', 'name', network, 'netns', String(this.holder.pid));
        command('ip', 'link', 'set', `${name}-${network}`, 'master', network, 'up');
        ip('address', 'add', `${address}/24`, 'dev', network);
        ip('link', 'set', network, 'up');
      }
    })();
  }

  // The connections that its port holds.
  connections(port) {
    return command(...this.enter, 'ss', '-Htn', 'state', 'established', `sport = :${port}`).split('\n').length - 1;
  }

  // Takes the cable out of one of its networks, or puts it in again.
  link(network, state) {
    command('ip', 'link', 'set', `${this.name}-${network}`, state);
  }

  // Starts a program as the account; it dies with us, whatever ends us. What it prints goes into a log of that name.
  start(log, ...words) {
    const started = new Process([...this.enter, ...as, 'setpriv', '--pdeathsig', 'KILL', ...words], `${folder}/${log}.log`);
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
