// Builds the demo page into a folder: node build.mjs FOLDER
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const outdir = process.argv[2];
const { version } = JSON.parse(readFileSync(`${here}../package.json`, 'utf8'));

mkdirSync(outdir, { recursive: true });
const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ['demo.tsx', 'pool.tsx'],
  outdir,
  chunkNames: '[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2020',
  minify: true,
  sourcemap: true,
  logLevel: 'warning',
  jsx: 'automatic',
  define: { VERSION: JSON.stringify(version), 'process.env.NODE_ENV': '"production"' },
  metafile: true,
});
const files = ['index.html', 'pool.html', 'base.css', 'demo.css', 'icon.svg'];
for (const file of files) cpSync(here + file, `${outdir}/${file}`);
// The worker stores the files whose names depend on their contents.
const chunks = Object.keys(metafile.outputs)
  .map((name) => basename(name))
  .filter((name) => /-\w{8}\.js$/.test(name));
const worker = readFileSync(`${here}sw.js`, 'utf8').replace(
  '...CHUNKS',
  chunks.map((name) => `'/demo/${name}'`).join(', '),
);
writeFileSync(`${outdir}/sw.js`, worker);
