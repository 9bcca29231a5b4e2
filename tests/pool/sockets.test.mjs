// Access rights of the sockets: the pool's own, and those of the whole stack with its database. A process that can
// connect to the pool could pose as nginx, and one that can connect to the database could pose as the pool.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, statSync } from 'node:fs';
import test from 'node:test';

import { startPool } from './pool.mjs';

const stack = process.env.BOOKY_TEST_STATE;

// A program that tries to connect and prints an error code or `connected`.
const attempt = `require('net').connect(process.argv[1])
  .on('connect', () => { console.log('connected'); process.exit(); }).on('error', (e) => console.log(e.code))`;

// Runs the attempt as the account `nobody`; returns what it prints.
function connectAsNobody(socket) {
  const drop = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--', process.execPath, '-e', attempt,
    socket];
  const [file, ...args] = process.getuid() === 0 ? drop : ['sudo', '-n', ...drop];
  return execFileSync(file, args, { encoding: 'utf8', cwd: '/' }).trim();
}

test("the pool's sockets are accessible only to its user and group, even in an accessible folder", async (t) => {
  const pool = await startPool(t);
  for (const socket of [pool.socket, pool.statusSocket]) {
    const { mode, uid } = statSync(socket);
    assert.equal((mode & 0o777).toString(8), '660');
    assert.equal(uid, process.getuid());
  }
  chmodSync(pool.folder, 0o755);
  for (const socket of [pool.socket, pool.statusSocket]) assert.equal(connectAsNobody(socket), 'EACCES');
  chmodSync(pool.socket, 0o666); // a control: the attempt works
  assert.equal(connectAsNobody(pool.socket), 'connected');
});

test('another account cannot connect to any socket of the stack, including that of PostgreSQL', () => {
  const sockets = readdirSync(`${stack}/sock`).filter((name) => statSync(`${stack}/sock/${name}`).isSocket());
  for (const name of ['pool.sock', 'status.sock', '.s.PGSQL.5432']) assert.ok(sockets.includes(name), name);
  for (const name of sockets) assert.equal(connectAsNobody(`${stack}/sock/${name}`), 'EACCES', name);
  for (const folder of [stack, `${stack}/sock`, `${stack}/keys.d`, `${stack}/tls`])
    assert.equal((statSync(folder).mode & 0o077), 0, folder);
});
