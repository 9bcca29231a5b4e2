// The package: its exports, its size, and its import on a server.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

// In bytes: what is reached. What every app loads; what is loaded for queries and `inspect`; what an app imports for a
// framework and for Background Sync. The classic service worker is the core and the engine once more, in one file.
const hooks = ['observed.js', 'react.js', 'vue.js', 'svelte.js', 'solid.js'];
const SIZES = {
  core: [9_000, ['index.js']],
  'core and engine': [20_250, ['index.js', 'engine.js']],
  views: [2_550, ['views.js']],
  hooks: [1_720, hooks],
  'service worker': [680, ['service-worker.js']],
  'classic service worker': [17_750, ['service-worker-classic.js']],
};
const root = fileURLToPath(new URL('..', import.meta.url));

const node = (code) =>
  execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, encoding: 'utf8' });

const sizeOf = (name) => gzipSync(readFileSync(`${root}dist/${name}`), { level: 9 }).length;
for (const [what, [largest, names]] of Object.entries(SIZES))
  test(`size, minified and gzipped: ${what} (${names.join(', ')})`, (t) => {
    const size = names.map(sizeOf).reduce((a, b) => a + b);
    t.diagnostic(`${size} bytes; at most ${largest}`);
    assert.ok(size <= largest, `${size} bytes`);
  });

test('each module has a size', () =>
  assert.deepEqual(readdirSync(`${root}dist`).filter((name) => name.endsWith('.js')).sort(),
    [...new Set(Object.values(SIZES).flatMap(([, names]) => names))].sort()));

const manifest = JSON.parse(readFileSync(`${root}package.json`));

test('the package has no dependencies at run time, and each framework is optional', () => {
  assert.equal(manifest.dependencies, undefined);
  const { peerDependencies, peerDependenciesMeta } = manifest;
  assert.deepEqual(Object.keys(peerDependencies), ['react', 'solid-js', 'svelte', 'vue']);
  for (const name in peerDependencies) assert.deepEqual(peerDependenciesMeta[name], { optional: true });
});

test('the package has its license, each file that it exports, and each file to which its README links', () => {
  const [{ files: packed }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: root }));
  const paths = packed.map(({ path }) => path);
  const readme = readFileSync(`${root}README.md`, 'utf8');
  const links = [...readme.matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, link]) => link);
  const exported = Object.values(manifest.exports).flatMap((it) => (it.types ? [it.types, it.default] : it));
  for (const path of ['LICENSE', ...exported, ...links.filter((link) => !/^https?:/.test(link))])
    assert.ok(paths.includes(path.replace(/^\.\//, '')), path);
  assert.equal(readFileSync(`${root}LICENSE`, 'utf8'), readFileSync(`${root}../LICENSE`, 'utf8'));
});

test('the exports are the documented ones', () => {
  const names = node(`console.log(Object.keys(await import('@booky/sync')).sort().join())`);
  assert.equal(names.trim(), 'SyncError,configure,createSyncService,syncOperations,syncService');
});

test('importing the package and creating a service use no browser API', () => {
  const names = [
    'window', 'document', 'indexedDB', 'localStorage', 'navigator', 'location', 'BroadcastChannel', 'fetch',
  ];
  const trap = (name) => `{ get() { throw new Error('${name} is used'); } }`;
  const traps = names.map((name) => `Object.defineProperty(globalThis, '${name}', ${trap(name)});`);
  const code = `${traps.join('')}
    const { createSyncService, configure, syncService } = await import('@booky/sync');
    createSyncService({ token: 'x' }).on('status', () => {});
    configure({ token: 'x' });
    syncService.subscribe(() => {});
    console.log('unused');`;
  assert.equal(node(code).trim(), 'unused');
});

test('each entry can be imported on a server, where there is no browser API', () => {
  const entries = ['react', 'vue', 'svelte', 'solid', 'service-worker'];
  const code = entries.map((entry) => `console.log(typeof await import('@booky/sync/${entry}'));`).join('');
  assert.equal(node(code).trim(), entries.map(() => 'object').join('\n'));
});

test('configure throws after the first use', () => {
  const code = `import 'fake-indexeddb/auto';
    const { configure, syncService } = await import('@booky/sync');
    await syncService.getStatus();
    try { configure({}); } catch (error) { console.log(error.message); }
    await syncService.close();`;
  assert.equal(node(code).trim(), 'configure: the service is in use already');
});
