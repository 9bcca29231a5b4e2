// The build; and a development server that passes the requests for /api on to the server of ./dev up.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { defineConfig, type Plugin } from 'vite';

const dev = (...args: string[]) => execFileSync('../../../dev', args, { encoding: 'utf8' }).trim();

/** Stands in for the backend of the app, which issues a token when a person signs in. */
const sessions: Plugin = {
  name: 'sessions',
  configureServer({ middlewares }) {
    middlewares.use('/session', ({ url }, response) => {
      const user = /^\/(\w+)\.json$/.exec(url!)?.[1];
      response.end(user && JSON.stringify({ token: dev('token', user) }));
    });
  },
};

/** Adds the service worker, with the list of the files that it stores. */
const serviceWorker: Plugin = {
  name: 'service-worker',
  enforce: 'post',
  generateBundle(_, bundle) {
    const files = ['./', ...Object.keys(bundle).filter((name) => name !== 'index.html')];
    const page = bundle['index.html'] as { source: string };
    const version = createHash('sha256').update(files + page.source).digest('hex').slice(0, 12);
    const list = `const CACHE = 'app-${version}', FILES = ${JSON.stringify(files)};\n`;
    const classic = createRequire(import.meta.url).resolve('@booky/sync/service-worker-classic.js');
    this.emitFile({ type: 'asset', fileName: 'sw.js', source: list + readFileSync('src/sw.js', 'utf8') });
    this.emitFile({ type: 'asset', fileName: 'service-worker-classic.js', source: readFileSync(classic) });
  },
};

export default defineConfig(({ command }) => ({
  base: './',
  plugins: [sessions, serviceWorker],
  ...(command === 'serve' && { server: { proxy: { '/api': { target: new URL(dev('url')).origin, secure: false } } } }),
}));
