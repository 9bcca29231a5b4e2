// ./dev bench: measures the server and its limits side by side. See docs/performance.md.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { fill, fillPeer, population, seed } from './data.mjs';
import { hour } from './growth.mjs';
import { measureChoices } from './choices.mjs';
import { limitScript, runLimit } from './limit.mjs';
import { options } from './options.mjs';
import { plots } from './plot.mjs';
import { build, cluster, peer, run, scratch, served, sql, start, url, workers } from './stack.mjs';
import { headings, measured, median } from './table.mjs';
import { recipeLine, workloads } from './workloads.mjs';

const seconds = options.quick ? 1 : 2;

// ---- one measurement

async function load(program, args) {
  const { code, out, err } = await start(program, args.map(String));
  const line = out.trim().split('\n').at(-1);
  if (code !== 0 || !line.startsWith('{')) throw new Error(`${program} ended with ${code}: ${err}${out}`);
  const result = JSON.parse(line);
  if (result.failures > 0 || result.requests === 0) throw new Error(`${program}: ${line} ${err}`);
  return result;
}

const wrk = (origin) => ({ file, people }, connections, time) => load('wrk', ['-c', connections, '-t', Math.min(connections, 2), '-d', `${time}s`,
  '-s', fileURLToPath(new URL('wrk.lua', import.meta.url)), origin, '--', file, people.tokens, people.books, Math.max(people.victims, 1)]);

const socket = ({ file, people }, connections, ...more) => load(`${build}/tests/bench/fcgiload`, ['-s', `${run}/sock/pool.sock`,
  '-c', connections, '-r', file, '-u', people.tokens, '-b', people.books, '-v', Math.max(people.victims, 1), ...more]);

const paths = {
  limit: ({ scripts, people }, connections, time) => runLimit(scripts, people, connections, time),
  socket: (w, connections, time) => socket(w, connections, '-t', time),
  nginx: wrk(url),
  ...(peer && { peer: wrk(peer) }),
};

// How many entities the database has found so far.
const fetched = async () => Number((await sql("SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'booky.entities'::regclass"))[0][0]);

async function measure(w, name, connections, warm) {
  if (w.reset) await fill(w.people);
  if (w.reset && name === 'peer') await fillPeer();
  if (warm) await paths[name](w, connections, 1);
  const before = await served(), read = await fetched();
  const result = await paths[name](w, connections, options.quick ? seconds : (w.seconds ?? seconds));
  const after = await served(), requests = after.requests - before.requests;
  if (name === 'limit') {
    const each = ((await fetched()) - read) / result.requests, least = Math.min(w.reads ?? 0, w.people.books);
    assert.ok(each >= least, `${w.id}: the limit reads ${each} entities, not ${least}`);
  }
  if (requests === 0) return result; // it went past the server
  result.trips = (after.trips - before.trips) / requests;
  assert.ok(result.trips <= w.trips, `${w.id}: ${result.trips} round trips a request, ${w.trips} allowed`);
  return result;
}

// ---- a workload

// Of the rounds: the median of each figure, and the throughput's extremes.
function summary(results) {
  const all = Object.fromEntries(Object.keys(results[0]).map((name) => [name, results.map((one) => one[name])]));
  return { ...Object.fromEntries(Object.entries(all).map(([name, list]) => [name, median(list)])),
    low: Math.min(...all.perSecond), high: Math.max(...all.perSecond) };
}

let filled; // the population whose libraries are there, as they were made

function writeRecipes(recipes) {
  const file = `${scratch}/recipes`;
  writeFileSync(file, recipes.map((one) => `${recipeLine(one)}\n`).join(''));
  return file;
}

async function prepare(w) {
  w.people = population(w.population);
  const withPeer = peer && w.peer !== false, key = JSON.stringify([w.people, withPeer]);
  if (filled !== key) {
    await fill(w.people);
    if (withPeer) await fillPeer();
  }
  filled = w.changes ? undefined : key;
  const recipes = await w.recipes(w.people);
  w.file = writeRecipes(recipes);
  w.scripts = [];
  if (w.limit === false) return;
  for (const [i, one] of recipes.entries()) w.scripts.push(await limitScript(`${w.id.replace(/\W/g, '-')}-${i}`, one, w.people));
}

async function measureAll(w, report) {
  await prepare(w);
  const names = Object.keys(paths).filter((name) => w[name] !== false);
  for (const connections of options.quick ? [w.connections.includes(4) ? 4 : w.connections[0]] : w.connections) {
    const results = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < Math.min(w.rounds ?? options.rounds, options.rounds); round++)
      for (const i of names.keys()) {
        const name = names[(i + round) % names.length]; // none is always the first
        results[name].push(await measure(w, name, connections, round === 0 && !options.quick));
      }
    const medians = Object.fromEntries(names.map((name) => [name, summary(results[name])]));
    const { users, books } = w.people;
    const one = { id: w.id, title: w.title, connections, users, books, statements: w.scripts.map((script) => script.names), medians, rounds: results };
    report.results.push(one);
    console.log(measured(one, Object.keys(paths), w.size));
  }
}

function chosen(w) {
  const group = w.group ?? w.id;
  if (group === 'growth') return options.growth;
  if (options.quick && w.long) return false;
  return options.only?.includes(group) ?? true;
}

// ---- the run

const report = {
  date: new Date().toISOString(), commit: process.env.BENCH_COMMIT, rounds: options.rounds, seconds,
  machine: { cpu: os.cpus()[0].model, cores: os.cpus().length, memory: os.totalmem(), kernel: os.release(), postgresql: cluster().version },
  workers: workers().length, memory: { start: workers() }, results: [],
};
const list = workloads.filter(chosen);
if (list.length === 0) throw new Error(`--only: the workloads are ${[...new Set(workloads.map((w) => w.group ?? w.id))].join(',')}`);
report.bookBytes = await seed();
if (options.choices) report.choices = await measureChoices(options.rounds);
else {
  console.log(headings(Object.keys(paths)));
  for (const w of list) await measureAll(w, report);
}
if (options.growth)
  report.hour = await hour((people, n) => socket({ people, file: writeRecipes(workloads.find((w) => w.id === 'W1').recipes()) }, 8, '-n', n));
report.memory.end = workers();
const most = Math.max(...report.memory.end.map((one) => one.VmHWM)), first = median(report.memory.start.map((one) => one.VmRSS));
console.log(`\nA worker's memory: ${(first / 1024).toFixed(1)} MiB at the start, ${(most / 1024).toFixed(1)} MiB at the most.`);
const folder = process.env.BENCH_RESULT;
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}/bench.json`, `${JSON.stringify(report, null, 1)}\n`);
for (const [name, text] of Object.entries(plots(report.results))) writeFileSync(`${folder}/${name}.svg`, text);
