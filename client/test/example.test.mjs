// The example app: small, with exact versions, and with a README that names its files. ../tests/e2e tests what it does.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../examples/library/', import.meta.url));
const read = (name) => readFileSync(folder + name, 'utf8');
const sources = readdirSync(`${folder}src`);
const MOST = 500; // lines

test(`the example app has at most ${MOST} lines`, (t) => {
  const files = ['index.html', 'vite.config.ts', ...sources.map((name) => `src/${name}`)];
  const lines = files.map((name) => read(name).split('\n').length - 1).reduce((a, b) => a + b);
  t.diagnostic(`${lines} lines`);
  assert.ok(lines <= MOST, `${lines} lines`);
});

test('the example app has exact versions, and this package', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json'));
  const { '@booky/sync': client, ...others } = { ...dependencies, ...devDependencies };
  assert.equal(client, 'file:../..');
  for (const [name, version] of Object.entries(others)) assert.match(version, /^\d+\.\d+\.\d+$/, name);
});

test('the README of the example app names each source file', () => {
  const named = [...read('README.md').matchAll(/[\w-]+\.(tsx?|css|js)\b/g)].map(([name]) => name);
  assert.deepEqual(sources.filter((name) => !named.includes(name)), []);
});
