// ./dev bench: measures the server and its limits side by side. See docs/performance.md.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { parseArgs } from 'node:util';
import { fill, population, seed } from './data.mjs';
import { limitScript, runLimit } from './limit.mjs';
import { build, cluster, metric, run, scratch, start, url, workers } from './stack.mjs';
import { recipeLine, workloads } from './workloads.mjs';

const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false }, only: { type: 'string' }, rounds: { type: 'string' },
    growth: { type: 'boolean', default: false }, peer: { type: 'boolean', default: false },
  },
});
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3));
const seconds = options.quick ? 1 : 2;
const only = options.only?.split(',');

// ---- one measurement

async function load(program, args) {
  const { code, out, err } = await start(program, args.map(String));
  const line = out.trim().split('\n').at(-1);
  if (code !== 0 || !line.startsWith('{')) throw new Error(`${program} ended with ${code}: ${err}${out}`);
  const result = JSON.parse(line);
  if (result.failures > 0 || result.requests === 0) throw new Error(`${program}: ${line} ${err}`);
  return result;
}

const paths = {
  limit: (w, connections, time) => runLimit(w.scripts, w.people, connections, time),
  socket: (w, connections, time) => load(`${build}/tests/bench/fcgiload`, ['-s', `${run}/sock/pool.sock`, '-c', connections, '-t', time,
    '-r', w.file, '-u', w.people.tokens, '-b', w.people.books, '-v', Math.max(w.people.victims, 1)]),
  nginx: (w, connections, time) => load('wrk', ['-c', connections, '-t', Math.min(connections, 2), '-d', `${time}s`, '-s', `${here}/wrk.lua`,
    url, '--', w.file, w.people.tokens, w.people.books, Math.max(w.people.victims, 1)]),
};

async function measure(w, name, connections) {
  if (w.reset) await fill(w.people);
  await paths[name](w, connections, 1);
  const trips = await metric('booky_sync_db_round_trips_total'), served = await metric('booky_sync_http_requests_total');
  const result = await paths[name](w, connections, w.seconds ?? seconds);
  if (name === 'limit') return result;
  result.trips = ((await metric('booky_sync_db_round_trips_total')) - trips) / ((await metric('booky_sync_http_requests_total')) - served);
  // The batches of operations that go through a mixture take more than its reads, hence on average.
  assert.ok(result.trips <= w.trips, `${w.id}: ${result.trips} round trips a request`);
  return result;
}

// ---- a workload

const median = (list) => {
  const sorted = [...list].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

function summary(results) {
  const of = (name) => median(results.map((one) => one[name]));
  const all = results.map((one) => one.perSecond);
  return { perSecond: of('perSecond'), low: Math.min(...all), high: Math.max(...all), mean: of('mean'), p50: of('p50'), p99: of('p99'),
    ...(results[0].trips !== undefined && { trips: of('trips') }), ...(results[0].bytes && { bytes: of('bytes'), seconds: of('seconds') }) };
}

const number = (n) => (n === undefined ? '-' : n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

function row(w, connections, by) {
  const ratio = (name) => (by.limit && by[name] ? (by[name].perSecond / by.limit.perSecond).toFixed(2) : '-');
  const spread = ({ low, high, perSecond }) => `±${((100 * (high - low)) / 2 / perSecond).toFixed(0)}%`;
  return [w.id, w.title, connections,
    ...Object.keys(paths).flatMap((name) => (by[name] ? [number(by[name].perSecond), spread(by[name])] : ['-', ''])),
    ratio('socket'), ratio('nginx'),
    ...Object.keys(paths).map((name) => (by[name] ? `${number(by[name].p50)}/${number(by[name].p99)}` : '-')),
    by.socket ? by.socket.trips.toFixed(2) : '-'];
}

const widths = [8, 30, 5, 9, 5, 9, 5, 9, 5, 7, 7, 13, 13, 13, 6];
const print = (cells) => console.log(cells.map((cell, i) => (i < 2 ? String(cell).padEnd(widths[i]) : String(cell).padStart(widths[i]))).join(' '));

async function prepare(w) {
  w.people = population(w.population);
  const recipes = w.recipes(w.people);
  w.file = `${scratch}/recipes-${w.id}`;
  writeFileSync(w.file, recipes.map((one) => `${recipeLine(one)}\n`).join(''));
  await fill(w.people);
  w.scripts = [];
  if (w.limit === false) return;
  for (const [i, one] of recipes.entries())
    w.scripts.push(await limitScript(`${w.id}-${i}`, one, w.people, w.people.books, w.people.victims));
}

async function measureAll(w, report) {
  await prepare(w);
  const names = Object.keys(paths).filter((name) => name !== 'limit' || w.limit !== false);
  for (const connections of options.quick ? [4] : w.connections) {
    const results = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < (w.rounds ?? rounds); round++)
      for (const i of names.keys()) {
        const name = names[(i + round) % names.length]; // none is always the first
        results[name].push(await measure(w, name, connections));
      }
    const by = Object.fromEntries(names.map((name) => [name, summary(results[name])]));
    report.results.push({ id: w.id, title: w.title, connections, books: w.people.books, users: w.people.users, rounds: results, median: by });
    print(row(w, connections, by));
  }
}

// ---- the run

const result = process.env.BENCH_RESULT;
mkdirSync(result, { recursive: true });
const report = {
  date: new Date().toISOString(), commit: process.env.BENCH_COMMIT, rounds, seconds,
  machine: { cpu: os.cpus()[0].model, cores: os.cpus().length, memory: os.totalmem(), kernel: os.release(), postgresql: cluster().version },
  workers: workers().length, memory: { start: workers() }, results: [],
};
report.bookBytes = await seed();
print(['', 'requests a second', 'conn.', 'limit', '', 'socket', '', 'nginx', '', 'sock/l', 'ngx/l', 'ms limit', 'ms socket', 'ms nginx', 'trips']);
for (const w of workloads.filter((one) => !only || only.includes(one.group))) await measureAll(w, report);
report.memory.end = workers();
writeFileSync(`${result}/bench.json`, JSON.stringify(report, null, 1));
