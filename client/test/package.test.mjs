// The package: what it exports, how large it is, that a server can import it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const LARGEST = 8192;
const root = fileURLToPath(new URL('..', import.meta.url));

const node = (code) => execFileSync(process.execPath, ['--input-type=module', '-e', code], { cwd: root, encoding: 'utf8' });

test('the core is at most 8 kB, minified and gzipped', (t) => {
  const size = gzipSync(readFileSync(`${root}dist/index.js`), { level: 9 }).length;
  t.diagnostic(`${size} bytes`);
  assert.ok(size <= LARGEST, `${size} bytes`);
});

test('nothing at run time but itself', () => {
  const { dependencies, peerDependenciesMeta } = JSON.parse(readFileSync(`${root}package.json`));
  assert.equal(dependencies, undefined);
  assert.deepEqual(peerDependenciesMeta, { react: { optional: true } });
});

test('the exports are the documented ones', () => {
  const names = node(`console.log(Object.keys(await import('@booky/sync')).sort().join())`);
  assert.equal(names.trim(), 'SyncError,configure,createSyncService,syncOperations,syncService');
});

test('importing it, and making a service, touches nothing of a browser', () => {
  const names = ['window', 'document', 'indexedDB', 'localStorage', 'navigator', 'location', 'BroadcastChannel', 'fetch'];
  const traps = names.map((name) => `Object.defineProperty(globalThis, '${name}', { get() { throw new Error('${name} is touched'); } });`);
  const code = `${traps.join('')}
    const { createSyncService, configure, syncService } = await import('@booky/sync');
    createSyncService({ token: 'x' }).on('status', () => {});
    configure({ token: 'x' });
    syncService.subscribe(() => {});
    console.log('untouched');`;
  assert.equal(node(code).trim(), 'untouched');
});

test('configure after the first use is refused', () => {
  const code = `import 'fake-indexeddb/auto';
    const { configure, syncService } = await import('@booky/sync');
    await syncService.getStatus();
    try { configure({}); } catch (error) { console.log(error.message); }
    await syncService.close();`;
  assert.equal(node(code).trim(), 'configure: the service is in use already');
});
