// Shared by the tests of the shipped site: a private nginx with booky-sync.conf unchanged except for ports,
// certificates, sockets and log, and a FastCGI server in place of the pool that answers what a test wants. Needs nginx
// and openssl; no server has to run, and no environment variable is read.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Pool } from './pool.mjs';
import { parseReplies } from '../../replies.mjs';
import { sleep, until } from '../../wait.mjs';

export { sleep, until };

const shipped = fileURLToPath(new URL('../../../nginx/', import.meta.url));
const env = { ...process.env, PATH: `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin` };

export const HOST = 'api.example.org'; // as in booky-sync.conf
// An interrupted run stops its nginx (see #remove).
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

async function freePorts(count) {
  const servers = Array.from({ length: count }, () => net.createServer());
  const ports = [];
  for (const server of servers)
    ports.push(await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port))));
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}

function certificate(folder, name, ...key) {
  execFileSync('openssl', ['req', '-x509', '-nodes', '-newkey', ...key, '-days', '2', '-subj', `/CN=${HOST}`, '-addext',
    `subjectAltName=DNS:${HOST}`,
    '-keyout', `${folder}/${name}.key`, '-out', `${folder}/${name}.crt`], { stdio: 'pipe' });
  return [`ssl_certificate ${folder}/${name}.crt;`, `ssl_certificate_key ${folder}/${name}.key;`];
}

// Replaces text in a file and fails if it is missing, so that a test does not run with a setting that has changed.
function edit(file, changes) {
  let text = readFileSync(file, 'utf8');
  for (const [from, to] of changes) {
    assert.ok(from instanceof RegExp ? from.test(text) : text.includes(from), `${from} in ${file}`);
    text = text.replace(from, () => to);
  }
  writeFileSync(file, text);
}

export class Site {
  // Options: `rate` names the rate file; `pools` is the number of sockets of the upstream (0: the socket is missing);
  // `served` is the socket of a real pool to use instead; `changes` maps a file of nginx/booky-sync to replacements in
  // it: { 'server.conf': [[from, to]] }.
  static async start(options) {
    const site = new Site();
    await site.#start(options);
    return site;
  }

  async #start({ rate = 'rate-off', served, pools = served ? 0 : 1, changes = {} } = {}) {
    const folder = (this.folder = mkdtempSync(path.join(os.tmpdir(), 'booky-site-')));
    process.on('exit', () => this.#remove());
    cpSync(path.join(shipped, 'booky-sync'), `${folder}/booky-sync`, { recursive: true });
    cpSync(path.join(shipped, 'booky-sync.conf'), `${folder}/site.conf`);
    for (const [file, list] of Object.entries(changes)) edit(`${folder}/booky-sync/${file}`, list);

    this.pools = Array.from({ length: pools }, (_, i) => new Pool(`${folder}/pool-${i}`));
    this.status = new Pool(`${folder}/status`);
    for (const pool of [...this.pools, this.status]) await pool.listen();
    [this.pool] = this.pools;

    [this.plain, this.port, this.proxied] = await freePorts(3);
    const rsa = certificate(folder, 'rsa', 'rsa:2048');
    const ec = certificate(folder, 'ec', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256');
    this.ca = ['rsa', 'ec'].map((name) => readFileSync(`${folder}/${name}.crt`));
    const sockets = pools ? this.pools.map((pool) => pool.file) : [served ?? `${folder}/missing`];
    edit(`${folder}/site.conf`, [
      ['listen 80;', `listen 127.0.0.1:${this.plain};`],
      ['listen [::]:80;', ''],
      ['listen 443 ssl http2;', `listen 127.0.0.1:${this.port} ssl http2;`],
      // A second port, whose clients send their address by the PROXY protocol (see `as` in request).
      ['listen [::]:443 ssl http2;', `listen 127.0.0.1:${this.proxied} ssl http2 proxy_protocol;
        set_real_ip_from 127.0.0.0/8; real_ip_header proxy_protocol;`],
      [/ssl_certificate .*/, `${rsa[0]} ${ec[0]}`],
      [/ssl_certificate_key .*/, `${rsa[1]} ${ec[1]}`],
      ['/var/log/nginx/booky-sync.log', `${folder}/access.log`],
      ['include booky-sync/rate.conf;', `include booky-sync/${rate}.conf;`],
      ['server unix:/run/booky-sync.sock max_fails=0;',
        sockets.map((file) => `server unix:${file} max_fails=0;`).join(' ')],
      ['/run/booky-sync-status.sock', this.status.file],
    ]);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
    mkdirSync(`${folder}/tmp`);
    writeFileSync(`${folder}/nginx.conf`, [
      process.getuid() === 0 ? 'user root;' : '',
      `daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log warn;`,
      'events { worker_connections 1024; }',
      'http {',
      'access_log off;',
      ...temporary.map((name) => `${name}_temp_path ${folder}/tmp/${name};`),
      'include site.conf;',
      '}',
    ].join('\n'));

    let said = '';
    this.nginx = spawn('nginx', ['-p', `${folder}/`, '-e', `${folder}/error.log`, '-c', `${folder}/nginx.conf`],
      { env, stdio: ['ignore', 'ignore', 'pipe'] });
    this.nginx.stderr.on('data', (text) => (said += text));
    this.nginx.on('error', (error) => (said += error));
    const ended = new Promise((resolve) => this.nginx.on('close', resolve));
    this.ended = ended;
    this.agent = new https.Agent({ keepAlive: true, maxSockets: 32 });
    await until('nginx listens', () => {
      assert.equal(this.nginx.exitCode, null, said);
      return new Promise((resolve) => {
        const socket = net.connect(this.port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
        socket.on('connect', () => socket.destroy());
      });
    });
  }

  #remove() {
    this.nginx?.kill('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async stop() {
    this.agent.destroy();
    this.nginx.kill('SIGTERM');
    await this.ended;
    for (const pool of [...this.pools, this.status]) await pool.close();
    this.#remove();
  }

  // The requests that the pool got since the last call.
  taken() {
    return this.pools.flatMap((pool) => pool.requests.splice(0));
  }

  // Resolves to { status, headers, raw, bytes, text, json }; `raw` lists names and values as received, and nothing is
  // decoded. `from` is the local address of the connection, `as` the address that a proxy in front would name.
  request(target, { method = 'GET', headers = {}, body, token, from, as } = {}) {
    if (token) headers = { authorization: `Bearer ${token}`, ...headers };
    // Node omits it with DELETE.
    if (body !== undefined) headers = { 'content-length': Buffer.byteLength(body), ...headers };
    const agent = as ? this.#agentFor(as) : this.agent;
    const place = { agent, host: '127.0.0.1', port: this.port, servername: HOST, ca: this.ca, localAddress: from };
    return new Promise((resolve, reject) => {
      const req = https.request(
        { ...place, method, path: target, headers: { host: HOST, ...headers }, timeout: 20_000 }, (res) => {
        const chunks = [];
        res.on('data', (chunk) => chunks.push(chunk));
        res.on('error', reject);
        res.on('end', () => {
          const bytes = Buffer.concat(chunks);
          resolve(parsed({ status: res.statusCode, headers: res.headers, raw: res.rawHeaders, bytes }));
        });
      });
      req.on('timeout', () => req.destroy(new Error(`no answer from ${target} within 20 seconds`)));
      req.on('error', reject);
      req.end(body);
    });
  }

  #agentFor(as) {
    const agent = new https.Agent();
    agent.createConnection = (_, done) => void this.connect({ as }).then((socket) => done(null, socket), done);
    return agent;
  }

  // Resolves to a TLS connection after its handshake.
  connect({ as, ...options } = {}) {
    return new Promise((resolve, reject) => {
      let place = { host: '127.0.0.1', port: this.port };
      if (as) {
        place = { socket: net.connect(this.proxied, '127.0.0.1') };
        place.socket.on('error', reject);
        place.socket.write(`PROXY ${net.isIPv6(as) ? 'TCP6' : 'TCP4'} ${as} ${as} 4711 443\r\n`);
      }
      const socket = tls.connect({ ...place, servername: HOST, ca: this.ca, ...options }, () => resolve(socket));
      socket.on('error', reject);
    });
  }

  // Sends text unchanged and resolves to the list of replies when nginx closes the connection.
  async send(text, options) {
    const socket = await this.connect(options);
    let reply = '';
    socket.setEncoding('latin1');
    socket.write(text);
    const closed = await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), 10_000);
      socket.on('data', (chunk) => (reply += chunk));
      socket.on('error', () => {});
      socket.on('close', () => {
        clearTimeout(timer);
        resolve(true);
      });
    });
    socket.destroy();
    assert.ok(closed, `nginx keeps the connection open after ${JSON.stringify(reply.slice(0, 200))}`);
    return parseReplies(reply).map(parsed);
  }

  h2() {
    const place = { host: '127.0.0.1', port: this.port, servername: HOST, ca: this.ca, ALPNProtocols: ['h2'] };
    return http2.connect(`https://${HOST}`, { createConnection: () => tls.connect(place) });
  }

  // The lines of the access log, each of which must be JSON, and so UTF-8.
  log() {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(`${this.folder}/access.log`));
    return text.split('\n').slice(0, -1).map((line) => {
      try {
        return JSON.parse(line);
      } catch {
        return assert.fail(`not JSON: ${line}`);
      }
    });
  }

  // Waits for the line with this request id.
  logged(id) {
    return until(`a line for ${id}`, () => this.log().find((line) => line.requestId === id));
  }
}

function parsed(reply) {
  reply.text = reply.bytes.toString();
  try {
    reply.json = JSON.parse(reply.text);
  } catch {}
  return reply;
}

// The values of a header field, one for each line with it.
export const values = (reply, name) => reply.raw.filter((_, i) => i % 2 === 1 &&
  reply.raw[i - 1].toLowerCase() === name.toLowerCase());

// Checks an error of nginx itself, which has the shape of the API's errors; returns its body.
export function checkError(reply, status, error) {
  assert.equal(reply.status, status, reply.text);
  assert.deepEqual(values(reply, 'content-type'), ['application/json']);
  assert.deepEqual(values(reply, 'cache-control'), ['no-store']);
  assert.deepEqual(values(reply, 'x-content-type-options'), ['nosniff']);
  assert.deepEqual(Object.keys(reply.json), ['success', 'error', 'message', 'requestId']);
  assert.equal(reply.json.success, false);
  assert.equal(reply.json.error, error);
  assert.deepEqual(values(reply, 'x-request-id'), [reply.json.requestId]);
  return reply.json;
}
