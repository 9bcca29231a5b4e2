// Whether a page is accessible, as far as axe can tell.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function checkAccessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const found = violations.map(({ id, impact, nodes }) => {
    const places = nodes.map(({ html }) => html).join(' ');
    return `${impact} ${id}: ${places.slice(0, 300)}`;
  });
  assert.deepEqual(found, [], what);
}
