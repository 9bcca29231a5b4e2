// The demo page: two devices of one user, and buttons for what is tedious to bring about by hand.

import type { ConflictPolicy } from '../src/types.js';
import { Device, readConfig } from './device.js';
import { el, plural, text } from './dom.js';
import { addBook, addSamples, type Book, editBook } from './library.js';
import { makePanel } from './panel.js';

const at = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

let said = 0;
function announce(words: string) {
  // The same sentence twice is two announcements.
  at('announce').replaceChildren(el('span', { textContent: words, id: `said-${said++}` }));
}

async function start() {
  const config = await readConfig();
  const devices = [new Device('phone', 'Phone', config), new Device('laptop', 'Laptop', config)];
  const [phone, laptop] = devices;
  const libraries = new Map<Device, Book[]>();
  const policy = at<HTMLSelectElement>('policy');
  const reopen = () => Promise.all(devices.map((device) => device.reopen(policy.value as ConflictPolicy)));

  let comparing: number | undefined;
  function compare() {
    comparing = undefined;
    const [a, b] = devices.map((device) => new Map(libraries.get(device)?.map((book) => [book.id, JSON.stringify(book)])));
    const differ = new Set([...a.keys(), ...b.keys()].filter((id) => a.get(id) !== b.get(id))).size;
    at('same').dataset.same = `${!differ}`;
    text(at('same'), differ ? `${plural(differ, 'book')} not the same on both` : `The same ${plural(a.size, 'book')} on both`);
  }

  /** Both edit one book while neither hears of the other; the laptop gets through first. */
  async function provoke() {
    policy.value = 'manual';
    await reopen();
    switchAll(true);
    let book = (await phone.service.store.list<{ id: string; title: string }>('book')).find(({ title }) => title);
    if (!book) book = { id: await addBook(phone.service, { title: 'The Dispossessed', authors: ['Ursula K. Le Guin'] }), title: 'The Dispossessed' };
    const { id } = book, title = book.title.replace(/ \(.*\)$/, '');
    for (const device of devices) await device.service.sync();
    switchAll(false);
    await editBook(laptop.service, id, { title: `${title} (a novel)`, notes: 'Read in May, in one go.', genre: 'fiction' });
    await editBook(phone.service, id, { title: `${title} (2nd edition)`, notes: 'Lent to Anna.', genre: 'fiction' });
    for (const device of [laptop, phone]) {
      connect(device, true);
      await device.service.sync();
    }
  }

  // The switches are what a person would use, so they say what is the case.
  const connect = (device: Device, on: boolean) => {
    if (device.connected !== on) document.querySelector<HTMLButtonElement>(`[aria-labelledby="${device.key}"] .switch`)!.click();
  };
  const switchAll = (on: boolean) => devices.forEach((device) => connect(device, on));

  const busy = (button: HTMLButtonElement, work: () => Promise<unknown>) =>
    button.addEventListener('click', async () => {
      if (button.getAttribute('aria-disabled') === 'true') return;
      button.setAttribute('aria-disabled', 'true'); // `disabled` would take the focus away
      try {
        await work();
      } finally {
        button.removeAttribute('aria-disabled');
      }
    });

  for (const device of devices) {
    const panel = makePanel(device, announce, (books) => {
      libraries.set(device, books);
      comparing ??= window.setTimeout(compare, 50);
    });
    at('devices').append(panel.element);
    device.opened = panel.follow;
    device.open(policy.value as ConflictPolicy);
  }
  policy.addEventListener('change', reopen);
  busy(at('samples'), () => addSamples(phone.service, 5));
  busy(at('provoke'), provoke);
}

start().catch((error) => {
  at('devices').replaceChildren(el('p', { className: 'notice', role: 'alert', textContent: `The page cannot start: ${error.message}` }));
});
