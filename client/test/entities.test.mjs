// The types of the entities are those of docs/openapi.yaml, and an app bundles only what it uses.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { parse, stringify } from 'yaml';
import { entitiesOf } from '../entities.mjs';

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const description = read('../../docs/openapi.yaml');

test('src/entities.ts is what `npm run entities` makes of docs/openapi.yaml', () => {
  assert.equal(read('../src/entities.ts'), entitiesOf(description));
});

test('a new member in the description is in the types, and a kind of value that is not known is refused', () => {
  const api = parse(description), { properties } = api.components.schemas.TagFields;
  properties.colour = { type: ['string', 'null'], enum: ['red', null] };
  const text = entitiesOf(stringify(api));
  assert.ok(text.includes("interface TagMembers {\n  name: string;\n  colour?: 'red' | null;\n}"), text);
  properties.colour = { type: 'bytes' };
  assert.throws(() => entitiesOf(stringify(api)), /does not know bytes/);
});

/** The size in bytes of what a bundler makes of this code. */
async function bundled(contents) {
  const resolveDir = fileURLToPath(new URL('..', import.meta.url));
  const { outputFiles: [{ contents: code }] } = await build({
    stdin: { contents, resolveDir }, bundle: true, minify: true, format: 'esm', write: false,
  });
  return code.length;
}

test('importing SyncError alone does not bring the client', async (t) => {
  const all = await bundled(`import { syncService } from '@booky/sync'; syncService.sync();`);
  const error = await bundled(`import { SyncError } from '@booky/sync'; console.log(new SyncError('A', 'b'));`);
  const nothing = await bundled(`import * as nothing from '@booky/sync';`);
  t.diagnostic(`${all} bytes with the service, ${error} with SyncError alone, ${nothing} with nothing`);
  assert.ok(all > 10_000, `${all}`);
  assert.ok(error < 600, `${error}`);
  assert.equal(nothing, 0);
});
