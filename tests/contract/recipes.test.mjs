// The commands of docs/api.md, run as a reader runs them: in one shell, from top to bottom, with a new user.
//
// In a block marked `sh recipe`, comments that begin with "# →" state the replies to the curl calls in order: the
// status and the content of the body, with "…" for any text. Calls without a comment must succeed.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { User, origin } from '../http/lib.mjs';
import { source } from './document.mjs';

const lines = source('docs/api.md').split('\n');

// The fenced blocks with that info string: { title, line, text }.
function blocks(mark) {
  const found = [];
  let title;
  let open;
  lines.forEach((line, i) => {
    if (open && line === '```') open = undefined;
    else if (open) open.text += `${line}\n`;
    else if (line === `\`\`\`sh ${mark}`) found.push((open = { title, line: i + 1, text: '' }));
    else if (line.startsWith('## ')) title = line.slice(3);
  });
  return found;
}

const folder = mkdtempSync(path.join(tmpdir(), 'recipes-'));
after(() => rmSync(folder, { recursive: true }));

// A function curl that keeps the body and the status of each call in $OUT.
const head = `
set -eu -o pipefail
curl() {
  local call
  call=$OUT/$(find "$OUT" -name '*.body' | wc -l)
  command curl -sS -w '%{stderr}%{http_code}' "$@" 2>"$call.status" | tee "$call.body"
}
`;

// Runs the blocks in one shell; returns { calls, finished, stderr } for each.
function run(name, found, user) {
  const place = path.join(folder, name);
  const script = found
    .map(({ text }, i) => `OUT=${place}/${i}; mkdir -p "$OUT"; cd ${place}\n${text}\ntouch "$OUT/done"\n`)
    .join('\n');
  writeFileSync(path.join(folder, `${name}.sh`), head + script);
  const done = spawnSync('bash', [path.join(folder, `${name}.sh`)], {
    encoding: 'utf8',
    timeout: 120_000,
    env: { ...process.env, URL: process.env.BOOKY_URL, TOKEN: user.token, CURL_CA_BUNDLE: process.env.BOOKY_TEST_CA },
  });
  return found.map((_, i) => {
    const out = path.join(place, `${i}`);
    const count = existsSync(out) ? readdirSync(out).filter((file) => file.endsWith('.body')).length : 0;
    const calls = Array.from({ length: count }, (_, n) => ({
      status: readFileSync(`${out}/${n}.status`, 'utf8'),
      body: readFileSync(`${out}/${n}.body`, 'utf8'),
    }));
    return { calls, finished: existsSync(`${out}/done`), stderr: done.stderr };
  });
}

// Fails unless the parts of `pattern` occur in `body` in order, the first one at its beginning.
function checkBody(body, pattern) {
  let from = 0;
  pattern.split('…').forEach((part, i) => {
    const at = body.indexOf(part, from);
    assert.ok(at >= 0 && (i > 0 || at === 0), `"${part}" is not there in ${body}`);
    from = at + part.length;
  });
}

const recipes = blocks('recipe');
const outcomes = run('recipes', recipes, new User());

recipes.forEach(({ title, line, text }, i) =>
  test(`a recipe gives the documented replies: line ${line}, ${title}`, () => {
    const { calls, finished, stderr } = outcomes[i];
    const expected = [...text.matchAll(/^# → (\d{3})(?: (.*))?$/gm)];
    expected.forEach(([comment, status, pattern], n) => {
      assert.ok(calls[n], `no call for "${comment}"; ${stderr}`);
      assert.equal(calls[n].status, status, `${comment}\n${calls[n].body}`);
      checkBody(calls[n].body, pattern ?? '');
    });
    for (const { status, body } of calls.slice(expected.length)) assert.equal(status, '200', body);
    assert.ok(finished, `the shell stopped early; ${stderr}`);
    assert.equal(expected.length > 0, /\bcurl /.test(text), 'a recipe states its replies');
  }),
);

test('the published commands work verbatim, with host and token replaced', () => {
  const user = new User();
  const found = blocks('published').map((block) => ({
    ...block,
    text: block.text.replaceAll('https://api.booky.app', origin).replaceAll('<token>', user.token),
  }));
  const [{ calls, finished, stderr }] = run('published', found, user);
  assert.ok(finished, stderr);
  assert.deepEqual(
    calls.map(({ status }) => status),
    ['200', '200', '200'],
  );
  for (const { body } of calls) checkBody(body, '{"success":true,');
});

test('every fenced block of the page states its language', () => {
  const marks = lines.filter((line) => line.startsWith('```') && line !== '```').map((line) => line.slice(3));
  assert.deepEqual([...new Set(marks)].sort(), ['js', 'js device', 'json', 'sh', 'sh published', 'sh recipe']);
});
