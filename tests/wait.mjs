// Waiting: shared by all tests.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

// Polls until `probe` resolves to something truthy, and resolves to that; fails after `seconds`.
export async function until(what, probe, seconds = 20) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(30)) {
    const found = await probe();
    if (found) return found;
  }
  return assert.fail(`did not happen within ${seconds} s: ${what}`);
}
