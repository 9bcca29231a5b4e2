// What ./dev bench does on one stack, in a process of its own, because the environment names the stack. The parent
// (run.mjs) sends { call, args } and gets { value } or { error }.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fill, fillPeer, population, seed } from './data.mjs';
import { hour } from './growth.mjs';
import { measureChoices } from './choices.mjs';
import { limitScript, runLimit } from './limit.mjs';
import { build, cluster, peer, run, scratch, served, spent, sql, start, url, used, workers } from './stack.mjs';
import { idleStreams } from './streams.mjs';
import { recipeLine, workloads } from './workloads.mjs';

// ---- the load

async function load(program, args) {
  const { code, out, err } = await start(program, args.map(String));
  const line = out.trim().split('\n').at(-1);
  if (code !== 0 || !line.startsWith('{')) throw new Error(`${program} ended with ${code}: ${err}${out}`);
  const result = JSON.parse(line);
  if (result.failures > 0 || result.requests === 0) throw new Error(`${program}: ${line} ${err}`);
  return result;
}

const script = fileURLToPath(new URL('wrk.lua', import.meta.url));

const wrk = (origin) => ({ file, people }, connections, time) => load('wrk', [
  '-c', connections, '-t', Math.min(connections, 2), '-d', `${time}s`, '--timeout', '30s', '-s', script, origin, '--',
  file, people.tokens, people.books, Math.max(people.victims, 1),
]);

const socket = ({ file, people }, connections, ...more) => load(`${build}/tests/bench/fcgiload`, [
  '-s', `${run}/sock/pool.sock`, '-c', connections, '-r', file,
  '-u', people.tokens, '-b', people.books, '-v', Math.max(people.victims, 1), ...more,
]);

const paths = {
  limit: ({ scripts, people }, connections, time) => runLimit(scripts, people, connections, time),
  socket: (w, connections, time) => socket(w, connections, '-t', time),
  nginx: wrk(url),
  ...(peer && { peer: wrk(peer) }),
};

// ---- one measurement

// Resolves to the number of entities that the database has fetched so far.
const fetched = async () => Number(
  (await sql("SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'booky.entities'::regclass"))[0][0]);

let w; // the workload
let filled; // the population whose unchanged libraries are in the database

async function measure(name, connections, warm, seconds) {
  if (w.reset) await fill(w.people);
  if (w.reset && name === 'peer') await fillPeer();
  if (warm) await paths[name](w, connections, w.warm ?? 1);
  const before = await served(), read = await fetched(), cpu = used();
  const result = await paths[name](w, connections, seconds);
  const after = await served(), requests = after.requests - before.requests;
  if (name === 'limit') {
    const each = ((await fetched()) - read) / result.requests, least = Math.min(w.reads ?? 0, w.people.books);
    assert.ok(each >= least, `${w.id}: the limit reads ${each} entities, not ${least}`);
  }
  if (requests === 0) return result; // the limit does not use the server
  return { ...result, ...spent(cpu, used(), requests), trips: (after.trips - before.trips) / requests };
}

function writeRecipes(recipes) {
  const file = `${scratch}/recipes`;
  writeFileSync(file, recipes.map((one) => `${recipeLine(one)}\n`).join(''));
  return file;
}

// Fills the database for a workload. Resolves to what the report tells of it.
async function prepare(id, limit) {
  w = { ...workloads.find((one) => one.id === id) };
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
  if (limit && w.limit !== false) for (const [i, one] of recipes.entries())
    w.scripts.push(await limitScript(`${w.id.replace(/\W/g, '-')}-${i}`, one, w.people));
  return { users: w.people.users, books: w.people.books, statements: w.scripts.map((one) => one.names) };
}

const calls = {
  seed, prepare, measure, measureChoices, idleStreams,
  workers: () => workers(),
  paths: () => Object.keys(paths),
  version: () => cluster().version,
  growth: () => hour((people, n) => socket(
    { people, file: writeRecipes(workloads.find((one) => one.id === 'W1').recipes()) }, 8, '-n', n)),
};

process.on('message', async ({ call, args }) => {
  try {
    process.send({ value: await calls[call](...args) });
  } catch (error) {
    process.send({ error: error.stack });
  }
});
