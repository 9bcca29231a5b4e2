// Makes a client from docs/openapi.yaml with each generator, compiles it under `strict` together with use.ts, and runs
// use.ts against the server.
//
// The generators are used as their manuals say, without options that change the types. Adapters (openapi-fetch.ts,
// orval.ts, hey-api.ts) give the clients one interface, so that use.ts need not know which of them it uses.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { User, origin } from '../http/lib.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const description = path.resolve(here, '../../docs/openapi.yaml');
const base = `${origin}/api/sync`;
const folder = mkdtempSync(path.join(tmpdir(), 'clients-'));
after(() => rmSync(folder, { recursive: true }));

// The command of each generator, run in a folder of its own; it writes generated.ts or generated/.
const generators = {
  'openapi-fetch': ['openapi-typescript', description, '-o', 'generated.ts'],
  orval: ['orval'], // it reads orval.config.ts
  'hey-api': ['openapi-ts', '-i', description, '-o', 'generated', '-c', '@hey-api/client-fetch'],
};
const names = Object.keys(generators);

const run = promisify(execFile);
const npx = (cwd, [program, ...args]) =>
  run(path.join(here, 'node_modules/.bin', program), args, { cwd, timeout: 60_000 }).catch((error) =>
    assert.fail(`${program}: ${error.message}\n${error.stdout}${error.stderr}`));

// CommonJS, because the generated files import each other without extensions.
const compilerOptions = {
  strict: true, target: 'es2022', lib: ['es2022', 'dom', 'dom.iterable'], types: [], module: 'commonjs',
  moduleResolution: 'node10', rootDir: '.', outDir: 'compiled',
  skipLibCheck: true, // the types of the browser and of openapi-fetch; the generated files are no libraries
};

const warnings = {};
before(async () => {
  symlinkSync(path.join(here, 'node_modules'), path.join(folder, 'node_modules'));
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: names }));
  const output = { target: 'generated.ts', client: 'fetch', mode: 'single', baseUrl: base };
  await Promise.all(names.map(async (name) => {
    const own = path.join(folder, name);
    mkdirSync(own);
    copyFileSync(path.join(here, `${name}.ts`), path.join(own, 'adapter.ts'));
    copyFileSync(path.join(here, 'use.ts'), path.join(own, 'use.ts'));
    writeFileSync(path.join(own, 'orval.config.ts'),
      `export default ${JSON.stringify({ booky: { input: { target: description }, output } })};`);
    const { stdout, stderr } = await npx(own, generators[name]);
    warnings[name] = `${stdout}${stderr}`.split('\n').filter((line) => /warn|⚠|error/i.test(line));
  }));
});

for (const name of names)
  test(`the generator of ${name} has no complaint`, () => assert.deepEqual(warnings[name], []));

test('the generated clients compile under strict, with typed data of each kind', async () => {
  await npx(folder, ['tsc', '-p', '.']);
});

for (const name of names)
  test(`the client of ${name} sends operations and pulls them`, async () => {
    const { use } = createRequire(import.meta.url)(path.join(folder, 'compiled', name, 'use.js'));
    assert.deepEqual(await use(base, new User().token), [
      ...[1, 2, 3, 4, 5, 6, 7, 8].map((id) => `${id} success`),
      'book Tehanu 226 A undefined',
      'collection Utopias true',
      'rating b 4.50',
      'readingLog b read',
      'tag Earthsea',
      'userSettings dark',
      'tag deleted undefined Z',
      'UNAUTHORIZED ready ok',
      '6',
    ]);
  });
