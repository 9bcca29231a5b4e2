// The tools of `./dev bench`: they send what they report, detect wrong replies, and use the server's statements. No
// timings. Environment: BENCH_BUILD, the folder of the build, and BENCH_DIR, a folder to write to.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'node:test';
import { population } from './data.mjs';
import { plots } from './plot.mjs';
import { build, must, run, scratch, sql, start, url } from './stack.mjs';
import { recipeLine, workloads } from './workloads.mjs';

const people = population({ users: 10, books: 200, victims: 100, first: 7_000_001 });

async function recipes(id, change = {}) {
  const file = `${scratch}/recipes-test`;
  const list = await workloads.find((one) => one.id === id).recipes(people);
  writeFileSync(file, list.map((one) => `${recipeLine({ ...one, ...change })}\n`).join(''));
  return file;
}

const socket = async (file) => start(`${build}/tests/bench/fcgiload`,
  ['-s', `${run}/sock/pool.sock`, '-c', '4', '-n', '100', '-r', file, '-u', people.tokens, '-b', '200', '-v', '100']);

const processed = async () => Number(
  (await sql("SELECT count(*) FROM booky.ledger WHERE user_id BETWEEN '7000001' AND '7000010'"))[0][0]);

test('the socket load sends a thousand operations in a hundred batches', async () => {
  const before = await processed();
  const { code, out, err } = await socket(await recipes('W1'));
  assert.equal(code, 0, err);
  assert.equal(JSON.parse(out).requests, 100);
  assert.equal((await processed()) - before, 1000);
});

test('the socket load sends a mixture of requests', async () => {
  const { code, err } = await socket(await recipes('W7'));
  assert.equal(code, 0, err);
});

for (const [what, change] of Object.entries(
  { 'another status': { status: 201 }, 'another number of results': { count: 9 } }))
  test(`the socket load counts ${what} than expected as a failure`, async () => {
    const { code, out, err } = await socket(await recipes('W1', change));
    assert.equal(code, 1);
    assert.equal(JSON.parse(out).failures, 100);
    assert.match(err, /100 requests failed.*"success":true/s);
  });

test('the load through nginx counts processed requests, and wrong replies as failures', async () => {
  const options = ['-c', '2', '-t', '2', '-d', '1s', '-s', 'wrk.lua', url, '--'];
  const wrk = async (file) => {
    const { out } = await must('wrk', [...options, file, people.tokens, '200', '100']);
    return JSON.parse(out.trim().split('\n').at(-1));
  };
  const before = await processed();
  const good = await wrk(await recipes('W1'));
  assert.equal(good.failures, 0);
  assert.ok(good.requests > 0);
  assert.ok((await processed()) - before >= 10 * good.requests); // and those that were under way at the end
  const bad = await wrk(await recipes('W1', { count: 9 }));
  assert.ok(bad.failures > 0);
});

test('the statements are those of lib/store/sql.c, and PostgreSQL prepares them with the options', async () => {
  const { options, statements } = JSON.parse((await must(`${build}/tests/bench/statements`, [])).out);
  const source = readFileSync('../../lib/store/sql.c', 'utf8');
  const names = [...source.matchAll(/^ +(?:\[SQL_\w+\] =)?\s*\{"(\w+)",\s/gm)].map((match) => match[1]);
  assert.deepEqual(Object.keys(statements).sort(), names.sort());
  const input = Object.entries(statements).filter(([, text]) => !/^(BEGIN|COMMIT|ROLLBACK)/.test(text))
    .map(([name, text]) => `PREPARE ${name} AS ${text};\n`).join('');
  await must('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', process.env.BOOKY_TEST_DSN],
    { input, env: { PGOPTIONS: options } });
});

test('the plots have a line for each path', () => {
  const medians = { limit: { perSecond: 200, p50: 1 }, socket: { perSecond: 100, p50: 2 } };
  const results = [1, 2, 4].map((connections) => ({ id: 'W1', title: 'batches', connections, books: 200, medians }));
  const { 'W1-connections': picture } = plots(results);
  assert.equal(picture.match(/stroke-width="2"/g).length, 2);
  assert.doesNotMatch(picture, /NaN|undefined|Infinity/);
});
