// Who may open the sockets: the pool's own, as shipped, and those of the whole stack with its database. Whoever can talk to
// the pool could say that he is nginx, and to the database that he is the pool.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, readdirSync, statSync } from 'node:fs';
import test from 'node:test';

import { startPool } from './pool.mjs';

const stack = process.env.BOOKY_TEST_STATE;

// Another account of the machine tries to connect; what comes of it, as an error code or `connected`.
const attempt = `require('net').connect(process.argv[1]).on('connect', () => { console.log('connected'); process.exit(); }).on('error', (e) => console.log(e.code))`;

function asNobody(socket) {
  const drop = ['setpriv', '--reuid=nobody', '--regid=nogroup', '--clear-groups', '--', process.execPath, '-e', attempt, socket];
  const [file, ...args] = process.getuid() === 0 ? drop : ['sudo', '-n', ...drop];
  return execFileSync(file, args, { encoding: 'utf8', cwd: '/' }).trim();
}

test("the pool's sockets are for its user and group alone, also where everybody can reach their folder", async (t) => {
  const pool = await startPool(t);
  for (const socket of [pool.socket, pool.statusSocket]) {
    const { mode, uid } = statSync(socket);
    assert.equal((mode & 0o777).toString(8), '660');
    assert.equal(uid, process.getuid());
  }
  chmodSync(pool.folder, 0o755);
  for (const socket of [pool.socket, pool.statusSocket]) assert.equal(asNobody(socket), 'EACCES');
  chmodSync(pool.socket, 0o666); // the attempt itself works
  assert.equal(asNobody(pool.socket), 'connected');
});

test('nobody else reaches the sockets of the stack, with that of PostgreSQL', () => {
  const sockets = readdirSync(`${stack}/sock`).filter((name) => statSync(`${stack}/sock/${name}`).isSocket());
  for (const name of ['pool.sock', 'status.sock', '.s.PGSQL.5432']) assert.ok(sockets.includes(name), name);
  for (const name of sockets) assert.equal(asNobody(`${stack}/sock/${name}`), 'EACCES', name);
  for (const folder of [stack, `${stack}/sock`, `${stack}/keys.d`, `${stack}/tls`]) assert.equal((statSync(folder).mode & 0o077), 0, folder);
});
