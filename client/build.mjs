// Builds dist/: a minified module for each entry and for each chunk that is loaded when it is needed, and the types.
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const here = fileURLToPath(new URL('.', import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const modules = {
  index: ['./events.js', './lease.js', './remote.js'],
  events: [],
  lease: [],
  remote: [],
  react: ['./index.js', 'react'],
};

rmSync(`${here}dist`, { recursive: true, force: true });
execFileSync(process.execPath, [tsc, '-p', here], { stdio: 'inherit' });
for (const [name, external] of Object.entries(modules)) {
  const { outputFiles } = await build({
    absWorkingDir: here, entryPoints: [`src/${name}.ts`], outdir: 'dist', external, write: false,
    bundle: true, format: 'esm', target: 'es2020', platform: 'neutral', sourcemap: true,
  });
  const [content, code] = outputFiles.map((file) => file.text);
  const { code: text, map } = await minify({ [`${name}.js`]: code }, {
    module: true, ecma: 2020, compress: { passes: 3 }, sourceMap: { content, url: `${name}.js.map`, includeSources: true },
  });
  writeFileSync(`${here}dist/${name}.js`, text);
  writeFileSync(`${here}dist/${name}.js.map`, map);
}
