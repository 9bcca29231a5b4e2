// A random history: devices of one engine and a plain writer of the API edit the library of one user, over networks
// that fail. At the end all devices sync; verdict.mjs tells whether they hold what they must.
import assert from 'node:assert/strict';
import { User, origin, sleep } from '../http/lib.mjs';
import { Dice } from '../torture/dice.mjs';
import { Booky, difference } from './booky.mjs';
import { kinds } from './devices.mjs';
import { Network } from './network.mjs';

const texts = { book: ['title', 'notes', 'genre'], tag: ['name', 'color'], collection: ['name'] };
const lists = { book: 'tags', collection: 'bookIds' };
const elements = ['e1', 'e2', 'e3', 'e4', 'e5'];

export class History {
  constructor(name, engine, seed) {
    Object.assign(this, { name, engine, seed, dice: new Dice('engines', name, seed), user: new User(), edits: [],
      refusals: [], devices: [], count: 0 });
  }

  async openDevice(name) {
    const network = new Network(new Dice('network', this.name, this.seed, name),
      (operations) => this.acknowledge(name, operations));
    const booky = new Booky({ url: `${origin}/api/sync`, token: () => this.user.token, deviceId: name,
      fetch: network.fetch, refused: (...refusal) => this.refusals.push(refusal) });
    const label = `${this.name.toLowerCase().replaceAll(' ', '')}-${this.seed}-${name}`;
    return { name, network, ...(await this.engine.open({ booky, network, name: label })) };
  }

  // The plain writer: it has no store and sends each edit at once.
  writer() {
    const rows = async (kind) =>
      (await this.user.pull()).changes.filter(({ type }) => type === kind).map(({ data }) => data);
    const write = (type) => async (kind, id, data, base) => {
      if (base && data && this.engine.lists === 'merge') data = difference(kind, base, { ...base, ...data });
      const result = await this.user.apply({ id: `writer-${this.count}`, type, entity: kind, entityId: id, data,
        timestamp: Math.max(Date.now(), base ? Date.parse(base.updatedAt) + 1 : 0), baseVersion: base?.updatedAt },
      { deviceId: 'writer' });
      this.acknowledge('writer', [{ entity: kind, entityId: id, timestamp: Infinity }]);
      assert.equal(result.status, 'success');
    };
    return { name: 'writer', rows, create: write('create'), update: write('update'), remove: write('delete') };
  }

  async run(steps) {
    const writer = this.writer();
    for (let i = 1; i <= this.dice.between(2, 3); i++) this.devices.push(await this.openDevice(`device-${i}`));
    for (let step = 0; step < steps; step++) {
      const one = this.dice.chance(15) ? writer : this.dice.pick(this.devices);
      if (one === writer || this.dice.chance(65)) await this.edit(one);
      else {
        one.network.open(this.dice.between(1, 12));
        await one.sync();
        one.network.open(0);
      }
    }
    for (const { network } of this.devices) network.open(Infinity);
    for (let round = 0; round < 2; round++) // in the second one, the first device gets what the last one had to send
      for (const { name, sync } of this.devices) assert.ok(await sync(), `${name} cannot sync`);
  }

  // Makes a random edit. No two edits have the same time: an engine takes the time at some point before it resolves. Or
  // it takes one millisecond after the row's version, which can be ahead of the clock after many writes. RxDB runs two
  // hooks for a removal, so its time is one millisecond later, too.
  async edit(one) {
    const kind = this.dice.pick(['book', ...kinds]);
    const rows = (await one.rows(kind)).sort((a, b) => (a.id < b.id ? -1 : 1));
    const weights = { create: rows.length < 3 ? 20 : 3, text: 45, list: 25, remove: 10 }; // few rows, many conflicts
    const action = rows.length ? this.dice.weighted(weights) : 'create';
    const number = ++this.count, row = this.dice.pick(rows), id = row?.id;
    const done = (leaves, target = id) => this.edits.push({ number, at: Date.now(), device: one.name,
      key: `${kind}/${target}`, leaves });
    if (action === 'remove') {
      done({ alive: false });
      await one.remove(kind, id, undefined, row);
    } else if (action === 'create') {
      const data = { [texts[kind][0]]: `new ${number}` }, list = lists[kind];
      if (list) data[list] = elements.filter(() => this.dice.chance(30));
      done({ alive: true, ...this.leaves(data, elements) }, `${kind}-${number}`);
      await one.create(kind, `${kind}-${number}`, data);
    } else {
      const list = action === 'list' && lists[kind], element = this.dice.pick(elements), before = row[list] ?? [];
      const data = !list ? { [this.dice.pick(texts[kind])]: `text ${number}` } : { [list]:
        before.includes(element) ? before.filter((value) => value !== element) : [...before, element] };
      done({ alive: true, ...this.leaves(data, [element]) });
      await one.update(kind, id, data, row);
    }
    const version = Date.parse(row?.version ?? row?.updatedAt ?? '');
    for (const time = Math.max(Date.now(), version || 0) + 1; Date.now() <= time; ) await sleep(1);
  }

  // What an edit writes: members, and of a list that merges the elements.
  leaves(data, touched) {
    return Object.fromEntries(Object.entries(data).flatMap(([member, value]) =>
      Array.isArray(value) && this.engine.lists === 'merge'
        ? touched.map((element) => [`${member}/${element}`, value.includes(element)]) : [[member, value]]));
  }

  // The device knows that the server has its edits up to the time of the operation.
  acknowledge(device, operations) {
    for (const { entity, entityId, timestamp } of operations)
      for (const edit of this.edits)
        if (edit.device === device && edit.key === `${entity}/${entityId}` && edit.at <= timestamp)
          edit.acknowledged ??= this.count;
  }
}
