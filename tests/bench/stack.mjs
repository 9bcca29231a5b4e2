// What the benchmark knows of the running stack: programs, database, metrics, processes. ./dev bench sets the environment.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { request, sleep } from '../http/lib.mjs';

export const run = process.env.BOOKY_TEST_STATE; // the folder of the running stack
export const scratch = process.env.BENCH_DIR; // for what a run writes
export const build = process.env.BENCH_BUILD;
export const peer = process.env.BENCH_PEER_URL; // undefined without --peer
export const url = process.env.BOOKY_URL.replace(/\/api$/, '');

// Runs a program to its end; resolves to { code, out, err }.
export function start(program, args, { input = '', env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env } });
    let out = '', err = '';
    child.stdout.on('data', (text) => (out += text));
    child.stderr.on('data', (text) => (err += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
    child.stdin.on('error', () => {}); // it ended without reading; its exit code says why
    child.stdin.end(input);
  });
}

export async function must(program, args, options) {
  const done = await start(program, args, options);
  if (done.code !== 0) throw new Error(`${program} ended with ${done.code}: ${done.err.slice(0, 2000)}`);
  return done;
}

// SQL as the superuser; resolves to the rows as arrays of text.
export async function sql(text) {
  const { out } = await must('psql', ['-XqAt', '-F', '\t', '-v', 'ON_ERROR_STOP=1', process.env.BOOKY_TEST_ADMIN_DSN], { input: text });
  return out.split('\n').slice(0, -1).map((line) => line.split('\t'));
}

// Metrics as sums over their labels.
export async function metrics(...names) {
  const { text } = await request('/metrics');
  return names.map((name) => text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0));
}

// Requests and round trips to the database so far, once the requests that a load generator has left behind have ended.
export async function served() {
  for (let last = NaN; ; await sleep(50)) {
    const [requests, trips] = await metrics('booky_sync_http_requests_total', 'booky_sync_db_round_trips_total');
    if (requests === last) return { requests, trips };
    last = requests;
  }
}

export const cluster = () => ({ version: readFileSync(`${run}/pg/PG_VERSION`, 'utf8').trim() });

// The processes below the master: [{ pid, VmRSS, VmHWM }], in kB.
export function workers() {
  const master = readFileSync(`${run}/pid/pool`, 'utf8').trim();
  const found = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    let status;
    try {
      status = readFileSync(`/proc/${pid}/status`, 'utf8');
    } catch {
      continue; // it has ended
    }
    const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
    if (String(field('PPid')) === master) found.push({ pid: Number(pid), VmRSS: field('VmRSS'), VmHWM: field('VmHWM') });
  }
  return found;
}
