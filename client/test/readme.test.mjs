// README.md: it names every member of the public interface, and its examples compile.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (name) => readFileSync(path.join(root, name), 'utf8');
const readme = read('README.md');

/** The names of the members of each interface in src/types.ts. */
function interfaces() {
  const source = ts.createSourceFile('types.ts', read('src/types.ts'), ts.ScriptTarget.Latest);
  const found = source.statements.filter(ts.isInterfaceDeclaration);
  return Object.fromEntries(found.map(({ name, members }) =>
    [name.text, members.map((member) => member.name?.text).filter(Boolean)]));
}

const documented = new Set([...readme.matchAll(/`([^`\n]+)`/g)].flatMap(([, code]) => code.match(/\w+/g) ?? []));
const all = interfaces();
for (const name of ['SyncService', 'SyncOperations', 'Store', 'SyncOptions', 'SyncEvents'])
  test(`README names each member of ${name}`, () => {
    assert.ok(all[name].length > 3);
    assert.deepEqual(all[name].filter((member) => !documented.has(member)), []);
  });

// What the examples use of the app.
const APP = `
  declare const auth: { accessToken(how: { refresh: boolean }): Promise<string>; userId: string };
  declare function render(books: unknown[]): void;
  declare function notify(text: string): void;
  interface Book { id: string; title: string; readingStatus: string; pageCount: number; authors: string[] }
`;
const IMPORT = "import { configure, syncService, type SyncOptions } from '@booky/sync';";

test('the examples in README compile', () => {
  const examples = [...readme.matchAll(/^```tsx?\n(.*?)^```/gms)].map(([, code]) => code);
  assert.ok(examples.length > 4);
  const files = new Map(examples.map((code, i) => [
    path.join(root, `test/example-${i}.tsx`),
    `${/import .* from '@booky\/sync'/.test(code) ? '' : IMPORT}${APP}${code}\nexport {};`,
  ]));
  const options = {
    target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022, moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'], types: [], strict: true, noEmit: true,
    skipLibCheck: true, jsx: ts.JsxEmit.Preserve,
  };
  const host = ts.createCompilerHost(options);
  const { getSourceFile, fileExists, readFile } = host;
  host.getSourceFile = (name, ...more) => files.has(name)
    ? ts.createSourceFile(name, files.get(name), ts.ScriptTarget.ES2022) : getSourceFile(name, ...more);
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name) ?? readFile(name);
  const program = ts.createProgram([...files.keys()], options, host);
  const problems = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) =>
    `${ts.flattenDiagnosticMessageText(messageText, '\n')}: ${file?.text.slice(start).split('\n')[0]}`);
  assert.deepEqual(problems, []);
});
