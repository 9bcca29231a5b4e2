// ./dev bench: measures the server and its limits in turns, and with --compare another revision too. See
// docs/performance.md.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { options } from './options.mjs';
import { plots } from './plot.mjs';
import { compared, headings, measured, median, processorTime, streamed } from './table.mjs';
import { workloads } from './workloads.mjs';

const seconds = options.quick ? 1 : 2;

// ---- the stacks

// A stack as { call(…) }: see agent.mjs.
function stack(env) {
  const child = fork(fileURLToPath(new URL('agent.mjs', import.meta.url)), { env: { ...process.env, ...env } });
  const exited = once(child, 'exit').then(() => ({ error: 'the process of a stack has ended' }));
  return {
    child,
    async call(call, ...args) {
      child.send({ call, args });
      const { value, error } = await Promise.race([once(child, 'message').then(([message]) => message), exited]);
      if (error) throw new Error(error);
      return value;
    },
  };
}

const here = stack({});
// The environment of the other revision's stack, as ./dev writes it.
const base = options.compare ? stack(JSON.parse(process.env.BENCH_BASE)) : undefined;
const stacks = [here, ...(base ? [base] : [])];

// ---- a workload

// The median of each figure over the rounds, and the extremes of the throughput.
function summary(results) {
  const all = Object.fromEntries(Object.keys(results[0]).map((name) => [name, results.map((one) => one[name])]));
  return { ...Object.fromEntries(Object.entries(all).map(([name, list]) => [name, median(list)])),
    low: Math.min(...all.perSecond), high: Math.max(...all.perSecond) };
}

async function measureAll(w, paths, report) {
  const about = await here.call('prepare', w.id, !base);
  await base?.call('prepare', w.id, false);
  const names = paths.filter((name) => w[name.replace('base ', '')] !== false);
  for (const connections of options.quick ? [w.connections.includes(4) ? 4 : w.connections[0]] : w.connections) {
    const results = Object.fromEntries(names.map((name) => [name, []]));
    for (let round = 0; round < Math.min(w.rounds ?? options.rounds, options.rounds); round++)
      for (const i of names.keys()) {
        const name = names[(i + round) % names.length]; // rotate, so that no path is always the first
        const of = name.startsWith('base ') ? base : here;
        const one = await of.call('measure', name.replace('base ', ''), connections, round === 0 && !options.quick,
          options.quick ? seconds : (w.seconds ?? seconds));
        if (of === here && one.trips)
          assert.ok(one.trips <= w.trips, `${w.id}: ${one.trips} round trips a request, ${w.trips} allowed`);
        results[name].push(one);
      }
    const medians = Object.fromEntries(names.map((name) => [name, summary(results[name])]));
    const one = { id: w.id, title: w.title, connections, ...about, medians, rounds: results };
    report.results.push(one);
    console.log(measured(one, paths, w.size));
    if (medians.nginx) console.log(processorTime(medians.nginx));
    if (base) console.log(compared(one));
  }
}

function chosen(w) {
  const group = w.group ?? w.id;
  if (group === 'growth') return options.growth;
  if (options.quick && w.long) return false;
  return options.only?.includes(group) ?? true;
}

// ---- the run

const list = workloads.filter(chosen);
if (list.length === 0 && !options.only?.includes('W10'))
  throw new Error(`--only: the workloads are ${[...new Set(workloads.map((w) => w.group ?? w.id)), 'W10'].join(',')}`);
const atStart = await here.call('workers');
const report = {
  date: new Date().toISOString(), commit: process.env.BENCH_COMMIT, compare: options.compare, rounds: options.rounds,
  seconds,
  machine: { cpu: os.cpus()[0].model, cores: os.cpus().length, memory: os.totalmem(), kernel: os.release(),
    postgresql: await here.call('version') },
  workers: atStart.length, memory: { start: atStart }, results: [],
};
for (const one of stacks) report.bookBytes = await one.call('seed');
if (options.choices) report.choices = await here.call('measureChoices', options.rounds);
else {
  const own = (await here.call('paths')).filter((name) => !(base && name === 'limit'));
  const paths = [...own, ...(base ? ['base socket', 'base nginx'] : [])];
  if (list.length > 0) console.log(headings(paths));
  for (const w of list) await measureAll(w, paths, report);
}
if (!options.choices && !options.quick && (options.only?.includes('W10') ?? true)) {
  report.streams = await here.call('idleStreams', 10);
  console.log(streamed(report.streams));
}
if (options.growth) report.hour = await here.call('growth');
report.memory.end = await here.call('workers');
const most = Math.max(...report.memory.end.map((one) => one.VmHWM)),
  first = median(report.memory.start.map((one) => one.VmRSS)),
  last = Math.max(...report.memory.end.map((one) => one.VmRSS));
const [atFirst, atMost, atLast] = [first, most, last].map((kib) => (kib / 1024).toFixed(1));
console.log(`\nA worker's memory: ${atFirst} MiB at the start, ${atMost} MiB at the most, ${atLast} MiB at the end.`);
for (const { child } of stacks) child.disconnect();
const folder = process.env.BENCH_RESULT;
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}/bench.json`, `${JSON.stringify(report, null, 1)}\n`);
for (const [name, text] of Object.entries(plots(report.results))) writeFileSync(`${folder}/${name}.svg`, text);
