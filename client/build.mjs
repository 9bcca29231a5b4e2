// Builds dist/: minified modules and their types.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const here = fileURLToPath(new URL('.', import.meta.url));
const { version } = JSON.parse(readFileSync(`${here}package.json`));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const shared = ['./index.js', './engine.js', './observed.js'];
// The imports of each module that are not bundled into it.
const modules = {
  index: ['./engine.js'],
  engine: ['./views.js'],
  views: [],
  observed: [],
  react: [...shared, 'react'],
  vue: [...shared, 'vue'],
  svelte: shared,
  solid: [...shared, 'solid-js'],
  'service-worker': shared,
};

// The modules that the core loads have its SyncError, so that apps can ask for `instanceof`.
const oneError = {
  name: 'one SyncError',
  setup: ({ onResolve }) => onResolve({ filter: /^\.\/types\.js$/ }, () => ({ path: './index.js', external: true })),
};

async function bundle(name, source, options, minifying) {
  const { outputFiles } = await build({
    absWorkingDir: here, entryPoints: [`src/${source}.ts`], outdir: 'dist', write: false, bundle: true,
    target: 'es2021', platform: 'neutral', sourcemap: true, minifySyntax: true,
    define: { VERSION: JSON.stringify(version) }, ...options,
  });
  const [content, code] = outputFiles.map((file) => file.text);
  const { code: text, map } = await minify({ [`${name}.js`]: code }, {
    ecma: 2020, ...minifying,
    compress: { passes: 3, directives: false, comparisons: false }, // React needs its directive
    format: { preserve_annotations: true }, // bundlers leave out what an app does not use
    sourceMap: { content, url: `${name}.js.map`, includeSources: true },
  });
  writeFileSync(`${here}dist/${name}.js`, text);
  writeFileSync(`${here}dist/${name}.js.map`, map);
}

rmSync(`${here}dist`, { recursive: true, force: true });
execFileSync(process.execPath, [tsc, '-p', here], { stdio: 'inherit' });
for (const [name, external] of Object.entries(modules))
  await bundle(name, name, {
    format: 'esm', external, plugins: ['engine', 'views'].includes(name) ? [oneError] : [],
  }, { module: true });
// The service worker once more as a script in one file: a classic worker cannot import modules.
// It has what it needs of the engine, so it never loads the whole.
const withoutEngine = {
  name: 'without the engine',
  setup: ({ onResolve }) => onResolve({ filter: /\/(engine|views)\.js$/ }, ({ kind, path }) =>
    (kind === 'dynamic-import' ? { path, external: true } : undefined)),
};
// A page does not load it, so it lacks what a page calls.
await bundle('service-worker-classic', 'service-worker', {
  format: 'iife', globalName: 'bookySync', plugins: [withoutEngine], entryPoints: undefined,
  stdin: { contents: "export { handleBackgroundSync } from './src/service-worker.js'", resolveDir: here },
});
