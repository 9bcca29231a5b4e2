// Whether a page is accessible, as far as axe can tell.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function checkAccessible(page, what) {
  // Without motion: in the middle of a transition, text may have too little contrast.
  const still = await page.evaluate(() => matchMedia('(prefers-reduced-motion: reduce)').matches);
  if (!still) await page.emulateMedia({ reducedMotion: 'reduce' });
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  if (!still) await page.emulateMedia({ reducedMotion: 'no-preference' });
  const found = violations.map(({ id, impact, nodes }) => {
    const places = nodes.map(({ html }) => html).join(' ');
    return `${impact} ${id}: ${places.slice(0, 300)}`;
  });
  assert.deepEqual(found, [], what);
}
