// Builds the demo page: node build.mjs FOLDER.
import { cpSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const outdir = process.argv[2];

mkdirSync(outdir, { recursive: true });
await build({
  absWorkingDir: here, entryPoints: ['demo.ts'], outdir, chunkNames: '[name]-[hash]',
  bundle: true, splitting: true, format: 'esm', target: 'es2020', minify: true, sourcemap: true, logLevel: 'warning',
});
for (const file of ['index.html', 'demo.css', 'icon.svg']) cpSync(here + file, `${outdir}/${file}`);
