// The service manager: notifications and socket activation.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';

import { request } from './fastcgi.mjs';
import { Load, Pool, run, sleep, startPool, until, User } from './pool.mjs';

const receiver = `use Socket; $| = 1; socket(S, PF_UNIX, SOCK_DGRAM, 0) && bind(S, sockaddr_un($ARGV[0])) || die $!;
  print "bound\\n"; while (defined recv(S, $m, 8192, 0)) { $m =~ s/\\n/ /g; print "$m\\n"; }`;

// Receives the notifications of sd_notify(3). Node has no unix datagram sockets, so a perl process does it.
async function listenForNotifications(t) {
  const folder = mkdtempSync(path.join(tmpdir(), 'booky-pool-notify-')), socket = path.join(folder, 'notify');
  const perl = spawn('perl', ['-e', receiver, socket], { stdio: ['ignore', 'pipe', 'inherit'] }),
    notified = { socket, text: '' };
  perl.stdout.setEncoding('utf8').on('data', (text) => (notified.text += text));
  t.after(() => perl.kill('SIGKILL') && rmSync(folder, { recursive: true }));
  await until('it listens', () => notified.text.includes('bound\n'));
  notified.lines = () => notified.text.split('\n').slice(1, -1);
  notified.count = (line) => notified.lines().filter((one) => one === line).length;
  return notified;
}

test('the manager is notified of readiness, reloads, the watchdog, the status and the stop, in order', async (t) => {
  const notified = await listenForNotifications(t), pool = await startPool(t, {}, { notify: notified.socket });
  await until('READY=1', () => notified.count('READY=1') === 1);
  await pool.reload();
  await until('READY=1 again', () => notified.count('READY=1') === 2);
  const words = notified.lines().filter((line) => !/^(WATCHDOG|STATUS)/.test(line));
  assert.equal(words.length, 3);
  assert.equal(words[0], 'READY=1');
  assert.match(words[1], /^RELOADING=1 MONOTONIC_USEC=\d+$/);
  pool.configure({ 'pool.workers': 0 });
  await pool.reload('failed');
  await until('READY=1 after a failed reload', () => notified.count('READY=1') === 3);
  await until('WATCHDOG=1', () => notified.count('WATCHDOG=1') > 3);
  const user = new User(pool);
  for (let i = 0; i < 20; i++) await user.read();
  await until(
    'STATUS', () => notified.lines().some((line) => /^STATUS=4 workers, [0-4] busy, [1-9]\d* req\/s$/.test(line)), 15);
  await pool.stop();
  await until('STOPPING=1', () => notified.count('STOPPING=1') === 1);
  assert.equal(notified.lines().at(-1), 'STOPPING=1');
});

test('the watchdog is not notified by a pool whose workers are all stuck', async (t) => {
  const notified = await listenForNotifications(t),
    pool = await startPool(t, { 'pool.workers': 1 }, { notify: notified.socket });
  const user = new User(pool), release = await user.lock(), reply = user.write();
  await pool.busy();
  await sleep(500);
  const before = notified.count('WATCHDOG=1');
  await sleep(1000);
  assert.equal(notified.count('WATCHDOG=1'), before);
  await release();
  assert.equal((await reply).status, 200);
  await until('the watchdog is notified again', () => notified.count('WATCHDOG=1') > before);
});

test('the pool takes both sockets from the manager and keeps them when it replaces itself', async (t) => {
  const missing = await run('systemd-socket-activate', ['--version']).then(() => false, () => true);
  if (missing) return t.skip('systemd-socket-activate is not installed');
  const pool = new Pool();
  t.after(() => pool.close());
  const environment = process.env.ASAN_OPTIONS ? ['-E', 'ASAN_OPTIONS'] : [];
  pool.command = ['systemd-socket-activate', ...environment, '-l', pool.socket, '-l', pool.statusSocket];
  pool.launch();
  await until('the sockets', () => {
    try {
      return statSync(pool.statusSocket).isSocket();
    } catch {
      return false;
    }
  });
  const inodes = [pool.socket, pool.statusSocket].map((file) => statSync(file).ino);
  assert.equal((await request(pool.socket, { uri: '/api/health' })).status, 200,
    'the first connection starts the program and is answered');
  await pool.ready();
  const load = new Load(pool), started = (await pool.status())['start time'];
  await load.reach(50);
  await pool.reload();
  pool.signal('SIGUSR2');
  await until('a new master', async () => (await pool.status())['start time'] !== started);
  await load.reach(50);
  await load.check();
  assert.deepEqual([pool.socket, pool.statusSocket].map((file) => statSync(file).ino), inodes);
  return undefined;
});
