// Shared by the tests of GET /events: readers of both kinds of streams, and control of the stack's push process.
// Environment: as for tests/http, and BOOKY_BIN and BOOKY_TEST_STATE.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { ca, origin, sleep, state } from '../http/lib.mjs';
import { isAlive } from '../process.mjs';

export { isAlive };

export const cursorOf = async (user) => (await user.pull()).cursor;

// A stream. `pokes` holds the received { cursor, id, at }, `comments` everything else; `ended` resolves at its end.
class Stream {
  constructor() {
    Object.assign(this, { pokes: [], comments: [], taken: 0, over: false });
    this.ended = new Promise((resolve) => (this.finish = () => { this.over = true; resolve(); }));
    open.add(this);
  }

  // Resolves to the next poke; fails if none arrives in time.
  async next(what = 'a poke') {
    for (let i = 0; i < 1000 && this.pokes.length <= this.taken; i++) {
      assert.ok(!this.over, `the stream ended before ${what}`);
      await sleep(10);
    }
    assert.ok(this.pokes.length > this.taken, `${what} did not come`);
    return this.pokes[this.taken++];
  }

  // Checks that no poke arrives for a while.
  async quiet(time = 300) {
    await sleep(time);
    assert.deepEqual(this.pokes.slice(this.taken), []);
  }

  close() {
    this.socket.destroy();
    open.delete(this);
  }
}

const open = new Set();
export const closeAll = () => [...open].forEach((stream) => stream.close());

function readEvents(stream, response) {
  let rest = '';
  response.setEncoding('utf8').on('data', (text) => {
    const blocks = (rest + text).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split('\n').map((line) => line.match(/^(\w*): ?(.*)$/).slice(1)));
      if (fields.data) stream.pokes.push({ ...JSON.parse(fields.data), id: fields.id, at: performance.now() });
      else stream.comments.push(block);
    }
  });
  response.on('close', stream.finish).on('error', stream.finish);
}

// Opens GET /events as Server-Sent Events. Resolves to the stream when it is open, or to { status, text } when it is
// refused. `at` names a server other than nginx, as options of node:http.
export function listen(user, query = '', { headers = {}, at, base = '/api/sync' } = {}) {
  const options = at ?? { ca, agent: false, headers: { authorization: `Bearer ${user.token}`, ...headers } };
  const [from, target] = at ? [http, []] : [https, [`${origin}${base}/events${query}`]];
  return new Promise((resolve, reject) => {
    const request = from.get(...target, options, (response) => {
      const { statusCode: status, headers: replied, rawHeaders: raw } = response;
      if (status === 200) {
        const stream = Object.assign(new Stream(), { headers: replied, socket: request });
        readEvents(stream, response);
        resolve(stream);
        return;
      }
      let text = '';
      response.setEncoding('utf8').on('data', (part) => (text += part)).on('end', () => {
        let json;
        try {
          json = JSON.parse(text);
        } catch {}
        resolve({ status, headers: replied, raw, text, json });
      });
    });
    request.on('error', reject);
  });
}

// The same as a WebSocket (RFC 6455), limited to short messages from the server. The stream's `code` is that of the
// close frame.
export function listenWebSocket(user, query = '', { protocol = `booky.v1, bearer.${user.token}`, headers = {} } = {}) {
  return new Promise((resolve, reject) => {
    const request = https.get(`${origin}/api/sync/events${query}`, {
      ca, agent: false,
      headers: {
        connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': 13,
        'sec-websocket-key': randomBytes(16).toString('base64'),
        ...(protocol && { 'sec-websocket-protocol': protocol }), ...headers,
      },
    }, (response) => {
      response.resume();
      resolve({ status: response.statusCode });
    });
    request.on('error', reject).on('upgrade', (response, socket, head) => {
      const stream = Object.assign(new Stream(), { socket, headers: response.headers });
      let rest = Buffer.alloc(0);
      const read = (bytes) => {
        rest = Buffer.concat([rest, bytes]);
        while (rest.length >= 2 && rest.length >= 2 + rest[1]) {
          assert.ok(rest[1] < 126, 'a server does not mask, and these messages are short');
          const payload = rest.subarray(2, 2 + rest[1]);
          if (rest[0] === 0x81) stream.pokes.push({ ...JSON.parse(payload), at: performance.now() });
          else if (rest[0] === 0x88) stream.code = payload.readUInt16BE(0);
          else stream.comments.push(rest[0]);
          rest = rest.subarray(2 + payload.length);
        }
      };
      socket.on('data', read).on('close', stream.finish).on('error', stream.finish);
      read(head);
      resolve(stream);
    });
  });
}

// The stack's push process

const pidFile = path.join(state, 'pid/push');
export const pushPid = () => Number(existsSync(pidFile) ? readFileSync(pidFile, 'utf8') : NaN);

export async function stopPush() {
  const pid = pushPid();
  process.kill(pid, 'SIGTERM');
  for (let i = 0; i < 1000 && isAlive(pid); i++) await sleep(10);
  assert.ok(!isAlive(pid), 'the push process did not stop');
  rmSync(pidFile);
}

// Starts the stack's process `name` as ./dev does, under the stack's account. It outlives the tests.
export function startAgain(name, command) {
  const { uid, gid } = statSync(path.join(state, 'sock'));
  const log = openSync(path.join(state, `log/${name}.log`), 'a');
  const child = spawn(process.env.BOOKY_BIN, [command, '--config', path.join(state, 'booky-sync.conf')], {
    stdio: ['ignore', log, log], detached: true, uid, gid, cwd: state,
  });
  child.unref();
  writeFileSync(path.join(state, `pid/${name}`), `${child.pid}\n`);
}

export async function startPush() {
  startAgain('push', 'push');
  await listening(path.join(state, 'sock/push.sock'));
}

// Waits until a server answers on the socket.
export async function listening(socketPath) {
  for (let i = 0; i < 1000; i++) {
    const status = await new Promise((resolve) => {
      http.get({ socketPath, path: '/metrics', agent: false }, (response) => resolve(response.resume().statusCode))
        .on('error', () => resolve(0));
    });
    if (status === 200) return;
    await sleep(20);
  }
  assert.fail(`nothing answers on ${socketPath}`);
}
