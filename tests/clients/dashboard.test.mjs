// The dashboard against Grafana's own types of a dashboard. It is here because the package of types needs TypeScript.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tmpdir } from 'node:os';
import test from 'node:test';
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const dashboard = JSON.parse(readFileSync(path.join(here, '../../monitoring/grafana-dashboard.json')));

// A value of an enumeration is a string in JSON. The names of members are compared, too, because it is a literal.
const source = (value) => `import type { Dashboard } from '@grafana/schema';
type Json<T> = T extends string ? \`\${T}\` : T extends (infer E)[] ? Json<E>[]
  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
export const dashboard: Json<Dashboard> = ${JSON.stringify(value, null, 1)};
`;

function compile(t, value) {
  const folder = mkdtempSync(path.join(tmpdir(), 'dashboard-'));
  t.after(() => rmSync(folder, { recursive: true }));
  symlinkSync(path.join(here, 'node_modules'), path.join(folder, 'node_modules'));
  writeFileSync(path.join(folder, 'dashboard.ts'), source(value));
  const compilerOptions = { noEmit: true, strict: true, skipLibCheck: true, types: [], module: 'nodenext' };
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['dashboard.ts'] }));
  execFileSync(path.join(here, 'node_modules/.bin/tsc'), { cwd: folder, encoding: 'utf8' });
}

test('the dashboard has the types of Grafana', (t) => compile(t, dashboard));

test('a dashboard with a wrong member does not', (t) => {
  assert.throws(() => compile(t, { ...dashboard, refresh: 30 }), { stdout: /TS2322: Type 'number'/ });
  assert.throws(() => compile(t, { ...dashboard, pannels: [] }), { stdout: /'"pannels"' does not exist/ });
});
