// The running stack: programs, database, metrics, processes. ./dev bench sets the environment.
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { request, sleep } from '../http/lib.mjs';

export const run = process.env.BOOKY_TEST_STATE; // the folder of the running stack
export const scratch = process.env.BENCH_DIR; // a folder for the files of a run
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
    child.stdin.on('error', () => {}); // it ended without reading its input; the exit code says why
    child.stdin.end(input);
  });
}

export async function must(program, args, options) {
  const done = await start(program, args, options);
  if (done.code !== 0) throw new Error(`${program} ended with ${done.code}: ${done.err.slice(0, 2000)}`);
  return done;
}

// Runs SQL as the superuser; resolves to the rows as arrays of text.
export async function sql(text) {
  const { out } = await must('psql', ['-XqAt', '-F', '\t', '-v', 'ON_ERROR_STOP=1', process.env.BOOKY_TEST_ADMIN_DSN],
    { input: text });
  return out.split('\n').slice(0, -1).map((line) => line.split('\t'));
}

// Resolves to the values of metrics, summed over their labels.
export async function metrics(...names) {
  const { text } = await request('/metrics');
  const lines = text.split('\n');
  return names.map((name) => lines.filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0));
}

// Resolves to the requests and database round trips so far, after the last requests of a load generator have ended.
export async function served() {
  for (let last = NaN; ; await sleep(50)) {
    const [requests, trips] = await metrics('booky_sync_http_requests_total', 'booky_sync_db_round_trips_total');
    if (requests === last) return { requests, trips };
    last = requests;
  }
}

export const cluster = () => ({ version: readFileSync(`${run}/pg/PG_VERSION`, 'utf8').trim() });

// The children of the master: [{ pid, VmRSS, VmHWM }], in kB.
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
    if (String(field('PPid')) === master)
      found.push({ pid: Number(pid), VmRSS: field('VmRSS'), VmHWM: field('VmHWM') });
  }
  return found;
}

const TICK = 10_000_000; // of the times in /proc/PID/stat, in nanoseconds

// The processes of the server: each master, and its children.
const masters = () => ({
  nginx: readFileSync(`${run}/pid/nginx`, 'utf8').trim(),
  worker: readFileSync(`${run}/pid/pool`, 'utf8').trim(),
  database: readFileSync(`${run}/pg/postmaster.pid`, 'utf8').split('\n')[0],
  push: readFileSync(`${run}/pid/push`, 'utf8').trim(),
});

// The processor time that each group of processes has used so far, in nanoseconds, with that of those that have ended:
// a connection that breaks ends a process of the database. What else the machine does changes it little.
export function used() {
  const groups = Object.entries(masters()), sums = Object.fromEntries(groups.map(([name]) => [name, 0]));
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from the third one on, see proc(5)
      const [group, master] = groups.find(([, one]) => one === pid || one === fields[1]) ?? [];
      if (!group) continue;
      sums[group] += Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]);
      if (pid === master) sums[group] += (Number(fields[13]) + Number(fields[14])) * TICK;
    } catch {} // it has ended
  return sums;
}

// The processor time of each group between two calls of used(), in µs, for each request.
export const spent = (before, after, requests) => Object.fromEntries(
  Object.keys(after).map((group) => [`${group}Us`, (after[group] - before[group]) / 1000 / requests]));
