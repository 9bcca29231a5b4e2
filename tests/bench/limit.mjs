// The limit of a workload: pgbench with the same SQL in the same round trips, and nothing else.
//
// The scripts are taken from the server: one request is made while the database logs its statements with their
// parameters, each statement is compared with the table of lib/store/sql.c, and the values that differ between requests
// (user, ids, stamps) become variables. So a limit cannot drift from what the server does. The log does not show round
// trips, so a new one begins after the entities were read, and their number must agree with the server's metrics.
import assert from 'node:assert/strict';
import { closeSync, openSync, readFileSync, readSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { mint, request, sleep } from '../http/lib.mjs';
import { FIRST_BOOK } from './data.mjs';
import { build, cluster, must, run, scratch, served, sql, start } from './stack.mjs';

const CHUNK = 100_000; // bytes per variable: an argument of a program has at most 128 KiB
const NOW = '(SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)';
const table = JSON.parse((await must(`${build}/tests/bench/statements`, [])).out);

export const statements = table.statements;

// ---- the statements of the server

const logFile = () => {
  const folder = `${run}/pg/log`;
  const name = readdirSync(folder).filter((file) => file.endsWith('.json')).sort().at(-1);
  return path.join(folder, name);
};

function readFrom(file, offset) {
  const buffer = Buffer.alloc(statSync(file).size - offset);
  const fd = openSync(file);
  readSync(fd, buffer, 0, buffer.length, offset);
  closeSync(fd);
  return buffer.toString();
}

const parameters = (detail = '') =>
  [...detail.matchAll(/\$\d+ = (?:NULL|'((?:[^']|'')*)')/g)].map((match) => match[1]?.replaceAll("''", "'") ?? null);

async function logged(user, act) {
  const set = async (value) => {
    await sql(`ALTER SYSTEM SET log_statement = '${value}'; SELECT pg_reload_conf();`);
    await sleep(300);
  };
  await set('all');
  const file = logFile(), offset = statSync(file).size, { trips } = await served();
  const reply = await act();
  const made = (await served()).trips - trips;
  await set('none');
  const lines = readFrom(file, offset).trim().split('\n').map((line) => JSON.parse(line));
  const executed = lines.flatMap(({ pid, message, detail }) => {
    const [, name, text] = /^execute ([^:]+): ([^]*)$/.exec(message ?? '') ?? [];
    return name ? [{ pid, name, text, values: parameters(detail) }] : [];
  });
  const pid = executed.find((one) => one.name === 'identify' && one.values[0] === user)?.pid;
  const list = executed.filter((one) => one.pid === pid);
  assert.ok(list.length > 0, 'the database logged no statement of the request');
  for (const { name, text } of list) assert.equal(text, statements[name], `${name} is not what lib/store/sql.c says`);
  return { reply, list, trips: made };
}

// ---- from a request to a script

// Values for the marks of a recipe that can be recognised in the statements.
function marksOf({ books }, now) {
  const marks = { N: '880000000000001', V: String(FIRST_BOOK + 7), T: String(now), S: String(now - 30_000) };
  for (let n = 1; n <= 9; n++) marks[n] = String(FIRST_BOOK + (books > 20 ? 10 + n : 0));
  return marks;
}

const fillIn = (text, marks) => text.replace(/@([NVTS1-9])@/g, (_, mark) => marks[mark]);

// The expression for a parameter: a variable with its text, in which the ids are replaced for each request. JSON stays
// unchanged.
function expression(value, type, known, define) {
  if (value === null) return 'NULL';
  if (value === '') return "''"; // pgbench has no empty variables
  if (value === known.user) return ':user';
  if (type === 'bigint' && value in known.instants) return known.instants[value];
  if (!type.startsWith('text')) return define(value);
  const used = [...known.used].filter((mark) => value.includes(known.marks[mark]));
  const text = used.reduce((soFar, mark) => soFar.replaceAll(known.marks[mark], `@${mark}@`), value);
  return used.reduce((soFar, mark) => `replace(${soFar}, '@${mark}@', (:${/\d/.test(mark) ? `M${mark}` : mark})::text)`,
    define(text));
}

// Logs one request of the recipe and makes a pgbench script of it; resolves to { file, variables, weight, names }, the
// last of which are those of the statements.
export async function limitScript(name, recipe, population) {
  const { books, victims, clock } = population;
  const user = String(population.first), now = Date.now(), marks = marksOf(population, now);
  const used = new Set([...`${recipe.target} ${recipe.body}`.matchAll(/@([NV1-9])@/g)].map((match) => match[1]));
  const [header, value] = recipe.header.split(': ');
  const { reply, list, trips } = await logged(user, () => request(fillIn(recipe.target, marks), {
    method: recipe.method, token: mint({ userId: user }), body: fillIn(recipe.body, marks),
    headers: { ...(recipe.body && { 'content-type': 'application/json' }), ...(header && { [header]: value }) },
  }));
  assert.equal(reply.status, recipe.status, `${name}: ${reply.text}`);
  if (recipe.count >= 0)
    assert.equal(reply.text.split(recipe.expected).length - 1, recipe.count, `${name}: ${reply.text}`);
  const [[stamp]] = await sql(`SELECT clock FROM booky.clocks WHERE user_id = '${user}'`);
  const instants = { [now - 30_000]: `(${NOW} - 30000)`, [now - 29_999]: `(${NOW} - 30000)` };
  if (Number(stamp) !== clock) instants[stamp] = NOW;
  const variables = {};
  const define = (text) => {
    const names = [];
    for (let at = 0; at === 0 || at < text.length; at += CHUNK) {
      names.push(`:p${Object.keys(variables).length}`);
      variables[names.at(-1).slice(1)] = text.slice(at, at + CHUNK);
    }
    return names.length > 1 ? `(${names.join(' || ')})` : names[0];
  };
  const stride = Math.max(Math.floor(books / 9), 1);
  const lines = [
    '\\set user :first + :step * (random(1, :users) - 1)',
    '\\set N random(100000000000000, 900000000000000)',
    `\\set V ${FIRST_BOOK} + random(1, ${Math.max(victims, 1)}) - 1`,
    `\\set r random(1, ${books})`,
    ...Array.from({ length: 9 }, (_, i) => `\\set M${i + 1} ${FIRST_BOOK} + (:r + ${i * stride}) % ${books}`),
    '\\startpipeline',
  ];
  list.forEach(({ name: statement, text, values }, i) => {
    if (/^entities_(named|read)$/.test(list[i - 1]?.name)) lines.push('\\endpipeline', '\\startpipeline');
    const expressions = values.map((one, k) => {
      const type = new RegExp(`\\$${k + 1}::(\\w+(?:\\[\\])?)`).exec(text)?.[1];
      assert.ok(type, `${statement}: parameter ${k + 1} has no type`);
      return expression(one, type, { user, instants, marks, used }, define);
    });
    lines.push(`${text.replace(/\$(\d+)/g, (_, k) => expressions[k - 1])};`);
  });
  lines.push('\\endpipeline');
  assert.equal(lines.filter((line) => line === '\\startpipeline').length, trips,
    `${name}: the server made ${trips} round trips`);
  const file = `${scratch}/limit-${name}.sql`;
  writeFileSync(file, `${lines.join('\n')}\n`);
  return { file, variables, weight: recipe.weight, names: list.map((one) => one.name) };
}

// ---- the measurement

const percentile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];

// Runs pgbench with the scripts; resolves to the members that the load generators print. `options` may change the
// settings of the connections.
export async function runLimit(scripts, population, connections, seconds, options = (text) => text) {
  const prefix = `${scratch}/pgbench`;
  for (const file of readdirSync(scratch)) if (file.startsWith('pgbench')) rmSync(`${scratch}/${file}`);
  const variables = { first: population.first, step: population.step, users: population.users };
  const args = ['-n', '-M', 'prepared', '-c', connections, '-j', Math.min(connections, 2), '-T', seconds, '-l',
    '--log-prefix', prefix];
  // Variables are global to pgbench, so each script has its own names.
  scripts.forEach(({ file, variables: own, weight }, i) => {
    const text = readFileSync(file, 'utf8').replace(/(?<!:):p(\d+)\b/g, `:s${i}_$1`);
    writeFileSync(`${file}.${i}`, text);
    for (const [key, value] of Object.entries(own)) variables[`s${i}_${key.slice(1)}`] = value;
    args.push('-f', `${file}.${i}@${weight}`);
  });
  for (const [key, value] of Object.entries(variables)) args.push('-D', `${key}=${value}`);
  const { code, out, err } = await start(`/usr/lib/postgresql/${cluster().version}/bin/pgbench`,
    [...args.map(String), process.env.BOOKY_TEST_DSN], { env: { PGOPTIONS: options(table.options) } });
  const tps = /tps = ([\d.]+) \(without/.exec(out), failed = /failed transactions: (\d+)/.exec(out);
  if (code !== 0 || !tps || Number(failed?.[1] ?? 0) > 0 || /ERROR|aborted/.test(err))
    throw new Error(`pgbench ended with ${code}: ${err.slice(0, 2000)}`);
  const times = readdirSync(scratch).filter((file) => file.startsWith('pgbench.'))
    .flatMap((file) => readFileSync(`${scratch}/${file}`, 'utf8').split('\n').slice(0, -1)
      .map((line) => Number(line.split(' ')[2]) / 1000))
    .sort((a, b) => a - b);
  return {
    requests: times.length, failures: 0, seconds, perSecond: Number(tps[1]),
    mean: times.reduce((sum, one) => sum + one, 0) / times.length, p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
  };
}
