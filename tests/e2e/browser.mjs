// Shared by the browser tests: Chromium, devices with the client, and the demo page. The environment names the stack,
// as for tests/http. Its nginx serves the demo page, bare.html and the built package (dev.d/check_server.sh).
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { chromium } from 'playwright-core';
import { mint, origin } from '../http/lib.mjs';
import { Owner } from '../http/owner.mjs';
import * as wait from '../wait.mjs';

export const browser = await chromium.launch({
  executablePath: process.env.BOOKY_TEST_BROWSER ?? '/usr/bin/chromium',
  args: [
    '--disable-dev-shm-usage', '--ignore-certificate-errors', ...(process.getuid() === 0 ? ['--no-sandbox'] : []),
  ],
});
after(() => browser.close());

// Waits for up to a minute: after a few failures a client waits several seconds before it retries.
export const until = (what, probe) => wait.until(what, probe, 60);

// Waits until `probe` resolves to `expected`, or to a text that matches it: a page shows a moment later what it has.
export async function eventually(probe, expected) {
  let found;
  const fits = () => (expected instanceof RegExp ? expected.test(found) : isDeepStrictEqual(found, expected));
  for (const end = Date.now() + 20_000; Date.now() < end; await wait.sleep(30)) {
    found = await probe();
    if (fits()) return;
  }
  if (expected instanceof RegExp) assert.match(found, expected);
  assert.deepEqual(found, expected);
}

// Opens a browser profile, whose tabs share databases and locks. `complaints` collects errors and warnings of the page.
export async function openProfile(options) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  context.setDefaultTimeout(20_000);
  context.complaints = [];
  await context.addInitScript(() =>
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
      console.error('CSP:', violatedDirective, blockedURI)));
  context.on('console', (message) => {
    const ours = message.text() === 'Service Worker registration blocked by Playwright'; // the option serviceWorkers
    if (['error', 'warning'].includes(message.type()) && !ours) context.complaints.push(message.text());
  });
  context.on('weberror', (error) => context.complaints.push(`${error.error()}`));
  return context;
}

// With these options nothing happens unless the test causes it.
const QUIET = { realtime: false, interval: 3_600_000 };

// A tab with a service. `options` are those of createSyncService. `tokens` are what its token() returns: normally, and
// with `refresh`.
export class Device {
  static async open(owner, { context, tokens = [owner.token, owner.token], ...options } = {}) {
    const device = new Device();
    device.context = context ?? (await openProfile());
    device.page = await device.context.newPage();
    device.requests = [];
    device.page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (!pathname.startsWith('/api/')) return;
      device.requests.push(`${request.method()} ${pathname.replace('/api/sync/', '')}`);
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
      window.events = [];
      for (const name of ['status', 'progress', 'change', 'conflict', 'review', 'storage', 'error'])
        sync.on(name, (event) => events.push({ name, event }));
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

  // A round that must succeed.
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

  // The books by id, without the members that the server adds.
  async books() {
    const books = await this.run(() => sync.store.list('book'));
    return Object.fromEntries(books.map(({ id, createdAt, updatedAt, ...data }) => [id, data]));
  }

  // The events of that name so far.
  async events(name) {
    return (await this.run(() => events)).filter((event) => event.name === name).map(({ event }) => event);
  }

  close() {
    return this.context.close();
  }
}

// Resolves to a function that dispatches a sync event to the service worker of that scope, by the debugging protocol.
// `empty` is the address of a page of the same origin that does nothing.
export async function findWorker(context, scope, empty = `${origin}/demo/bare.html`) {
  await context.grantPermissions(['background-sync']);
  const page = await context.newPage(), protocol = await context.newCDPSession(page);
  let registrationId;
  protocol.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
    registrationId = registrations.find(({ scopeURL }) => scopeURL === scope)?.registrationId ?? registrationId;
  });
  await page.goto(empty);
  await protocol.send('ServiceWorker.enable');
  return async (tag) => {
    await until('the worker is registered', () => registrationId);
    const { origin } = new URL(scope);
    await protocol.send('ServiceWorker.dispatchSyncEvent', { origin, registrationId, tag, lastChance: false });
  };
}

export const OPERATIONS = '**/api/sync/operations';

// The books of a user by id, as the server has them.
export async function serverBooks(owner) {
  const contents = await owner.contents();
  const books = Object.entries(contents).filter(([name]) => name.startsWith('book '));
  return Object.fromEntries(books.map(([name, data]) => [name.slice(5), data]));
}

// Opens the demo page for a user, in a new profile. A service worker would answer before the routes of a test.
export async function openDemo(owner = new Owner(), options) {
  const context = await openProfile({ viewport: { width: 1360, height: 900 }, serviceWorkers: 'block', ...options });
  const page = await context.newPage();
  const config = { user: owner.id, token: mint({ userId: owner.id }) };
  await context.route('**/demo/config.json', (route) => route.fulfill({ json: config }));
  await page.goto(`${origin}/`);
  const device = (name) => page.getByRole('region', { name, exact: true });
  return { owner, context, page, phone: device('Phone'), laptop: device('Laptop') };
}

// Of the demo page

export const screenshot = (page, name, options) =>
  page.screenshot({ path: `screenshots/${name}.png`, animations: 'disabled', ...options });

// Waits until both devices show the same number of books.
export const same = (page, n, timeout = 20_000) =>
  page.getByText(`The same ${n} book${n === 1 ? '' : 's'} on both`).waitFor({ timeout });

// Waits until a device says so of its state.
export const state = (device, words) => device.locator('.state-word').getByText(words, { exact: true }).waitFor();

// Chooses from the menu of a device.
export async function more(device, name) {
  await device.locator('.menu summary').click();
  await device.getByRole('button', { name, exact: true }).click();
}

// As openDemo, with five books on both devices.
export async function openSamples(options) {
  const demo = await openDemo(undefined, options);
  await state(demo.phone, 'Up to date');
  await demo.page.getByRole('button', { name: 'Add sample books' }).click();
  await same(demo.page, 5);
  return demo;
}
