// The chapters of a test: they run in order, and after a failed one the others fail, too.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test, { after } from 'node:test';

import { folder } from './hosts.mjs';

export class Story {
  constructor({ app1, app2, parts }, load) {
    this.broken = false;
    this.load = load;
    after(async () => {
      load.running = false;
      const ends = await Promise.all([app1, app2].map((app) => app.process.stop('SIGTERM')));
      for (const { host } of parts) await host.end();
      if (!this.broken) assert.deepEqual(ends, [{ code: 0, signal: null }, { code: 0, signal: null }]);
      for (const { name } of [app1, app2]) {
        const log = readFileSync(`${folder}/${name}.log`, 'utf8');
        assert.doesNotMatch(log, /AddressSanitizer|LeakSanitizer|runtime error/);
      }
    });
  }

  chapter(name, work) {
    test(name, async (t) => {
      assert.ok(!this.broken, 'an earlier test failed');
      this.broken = true;
      await work(t);
      this.broken = false;
    });
  }

  // A chapter under load, with its cost.
  fault(name, work) {
    this.chapter(name, async (t) => {
      const { outage, failed } = await this.load.during(() => work(t));
      const statuses = [...new Set(failed)].join(', ');
      t.diagnostic(
        `longest wait: ${outage} ms; requests that failed and were repeated: ${failed.length} (${statuses})`);
    });
  }
}
