// What the tests in a browser share: Chromium, devices with the client, and the demo page. The stack is given as for
// tests/http; its nginx serves the demo page, bare.html and the built package (see check_page in tests/check.sh).
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { chromium } from 'playwright-core';
import { mint, origin } from '../http/lib.mjs';
import { Owner } from '../http/owner.mjs';
import * as wait from '../wait.mjs';

export const browser = await chromium.launch({
  executablePath: process.env.BOOKY_TEST_BROWSER ?? '/usr/bin/chromium',
  args: ['--disable-dev-shm-usage', ...(process.getuid() === 0 ? ['--no-sandbox'] : [])],
});
after(() => browser.close());

// Up to a minute, as a client that was refused a few times waits for several seconds.
export const until = (what, probe) => wait.until(what, probe, 60);

// A profile: databases, and what all its tabs share. What the browser complains of is in `complaints`.
export async function openProfile(options) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  context.setDefaultTimeout(20_000);
  context.complaints = [];
  await context.addInitScript(() =>
    addEventListener('securitypolicyviolation', (event) => console.error('CSP:', event.violatedDirective, event.blockedURI)));
  context.on('console', (message) => ['error', 'warning'].includes(message.type()) && context.complaints.push(message.text()));
  context.on('weberror', (error) => context.complaints.push(`${error.error()}`));
  return context;
}

// Nothing happens but when a test says so.
const QUIET = { realtime: false, interval: 3_600_000 };

// A tab with a service. `options` are those of createSyncService; `tokens` what its token() gives, first and refreshed.
export class Device {
  static async open(owner, { context, tokens = [owner.token, owner.token], ...options } = {}) {
    const device = new Device();
    device.context = context ?? (await openProfile());
    device.page = await device.context.newPage();
    device.requests = [];
    device.page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (pathname.startsWith('/api/')) device.requests.push(`${request.method()} ${pathname.replace('/api/sync/', '')}`);
    });
    await device.page.goto(`${origin}/demo/bare.html`);
    await device.page.evaluate(async ({ tokens, options }) => {
      const { createSyncService } = await import('/demo/dist/index.js');
      window.asked = [];
      window.sync = createSyncService({
        ...options,
        token: (refresh) => {
          asked.push(refresh);
          return tokens[+refresh];
        },
      });
      window.heard = [];
      for (const name of ['status', 'progress', 'change', 'conflict', 'review', 'error']) sync.on(name, (event) => heard.push({ name, event }));
    }, { tokens, options: { ...QUIET, ...options } });
    return device;
  }

  run(work, argument) {
    return this.page.evaluate(work, argument);
  }

  queue(...edit) {
    return this.run((edit) => sync.queueOperation(...edit), edit);
  }

  sync() {
    return this.run(() => sync.sync());
  }

  // A round that must go through.
  async synced() {
    const result = await this.sync();
    assert.equal(result.ok, true, JSON.stringify(result));
    return result;
  }

  monitor() {
    return this.run(() => sync.startMonitoring());
  }

  status() {
    return this.run(() => sync.getStatus());
  }

  get(entity, id) {
    return this.run(([entity, id]) => sync.store.get(entity, id), [entity, id]);
  }

  pending() {
    return this.run(() => sync.operations.getPendingOperations());
  }

  // The books by id, without what the server adds.
  async books() {
    const books = await this.run(() => sync.store.list('book'));
    return Object.fromEntries(books.map(({ id, createdAt, updatedAt, ...data }) => [id, data]));
  }

  async heard(name) {
    return (await this.run(() => heard)).filter((event) => event.name === name).map(({ event }) => event);
  }

  close() {
    return this.context.close();
  }
}

export const OPERATIONS = '**/api/sync/operations';

// The books of a user by id as the server has them.
export async function serverBooks(owner) {
  const contents = await owner.contents();
  return Object.fromEntries(Object.entries(contents).filter(([name]) => name.startsWith('book ')).map(([name, data]) => [name.slice(5), data]));
}

// The demo page of a user, in a profile of its own.
export async function openDemo(owner = new Owner(), options) {
  const context = await openProfile({ viewport: { width: 1360, height: 900 }, ...options });
  const page = await context.newPage();
  await page.route('**/demo/config.json', (route) => route.fulfill({ json: { user: owner.id, token: mint({ userId: owner.id }) } }));
  await page.goto(`${origin}/`);
  const device = (name) => page.getByRole('region', { name, exact: true });
  return { owner, context, page, phone: device('Phone'), laptop: device('Laptop') };
}
