// The relative imports of the sources and of the demo page form no circle. Type-only and dynamic imports count too.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The files that a file imports, relative to the package. An import of x.js means x.ts, and one of x.jsx x.tsx. */
function importsOf(file) {
  const { importedFiles } = ts.preProcessFile(readFileSync(path.join(root, file), 'utf8'));
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => path.join(path.dirname(file), name.replace(/\.js(x?)$/, '.ts$1')));
}

/** The first circle that is found, as the files on it with the first one repeated at the end; undefined if none. */
function findCircle(graph) {
  const finished = new Set();
  const visit = (file, chain) => {
    if (chain.includes(file)) return [...chain.slice(chain.indexOf(file)), file];
    if (finished.has(file)) return undefined;
    for (const imported of graph.get(file) ?? []) {
      const circle = visit(imported, [...chain, file]);
      if (circle) return circle;
    }
    finished.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const circle = visit(file, []);
    if (circle) return circle;
  }
  return undefined;
}

const files = ['src', 'demo'].flatMap((folder) =>
  readdirSync(path.join(root, folder)).filter((name) => /(?<!\.d)\.tsx?$/.test(name))
    .map((name) => `${folder}/${name}`));
const graph = new Map(files.map((file) => [file, importsOf(file)]));

test('every relative import is a file of the package', () => {
  for (const [file, imports] of graph)
    for (const imported of imports) assert.ok(existsSync(path.join(root, imported)), `${file} imports ${imported}`);
});

test('each file is imported by another one, except the entries', () => {
  const imported = new Set([...graph.values()].flat());
  const entries = ['service-worker', 'solid', 'svelte', 'vue'].map((name) => `src/${name}.ts`);
  assert.deepEqual(files.filter((file) => !imported.has(file)).sort(), ['demo/demo.tsx', 'demo/pool.tsx', ...entries]);
});

test('the imports form no circle', () => {
  const circle = findCircle(graph);
  assert.equal(circle, undefined, `circle: ${circle?.join(' → ')}`);
});

test('a circle is found and its chain is reported', () => {
  const planted = new Map([['a', ['b', 'c']], ['b', ['d']], ['c', ['e']], ['d', []], ['e', ['d', 'c']]]);
  assert.deepEqual(findCircle(planted), ['c', 'e', 'c']);
  assert.equal(findCircle(new Map([...planted, ['e', ['d']]])), undefined);
});

const forms = [
  `import { a } from './x.js';`, `import type { A } from './x.js';`, `import { type A } from './x.js';`,
  `export * from './x.js';`, `export type * from './x.js';`, `const a = await import('./x.js');`, `import './x.js';`,
  `let a: import('./x.js').A;`,
];
for (const form of forms)
  test(`counts as an import: ${form}`, () => {
    assert.deepEqual(ts.preProcessFile(form).importedFiles.map(({ fileName }) => fileName), ['./x.js']);
  });
