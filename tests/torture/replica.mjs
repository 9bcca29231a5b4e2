// A device's copy of its user's library. It pulls as docs/api.md says, from the cursor of the last reply or from the
// last `updatedAt` of a pull. It may also learn from the results of its own operations and skip versions that they
// contained, or assume that its own edits succeed. `complete` is the instant up to which it has pulled everything.
import { isWhole, nameOf, patched } from './model.mjs';

const EPOCH = '1970-01-01T00:00:00Z';
const PART = 40; // changes that go back to the server in one request
const ms = (instant) => new Date(instant).getTime();

export class Replica {
  // `by`: 'cursor' or 'since'; `limit`: a function that returns the changes per page, or undefined for all; `tagged`:
  // sends the ETag of the last reply; `skips`: skips versions that results contained; `heedsCurrent`: see learn;
  // `delta`: takes patches; `drops`: may have dropped an entity that the server still has; `times`: pulls with the
  // times of edits, and sends back what the server lost. `away`: does not pull; `mayResync`: the reason that a 410 may
  // have.
  constructor(label, client, { by, limit = () => undefined, tagged = false, skips = false, heedsCurrent = false,
    delta = false, drops = false, times = false }) {
    Object.assign(this, { label, client, by, limit, tagged, skips, heedsCurrent, drops });
    this.delta = delta && by === 'cursor';
    this.times = times && by === 'cursor';
    this.entities = new Map();
    this.pulled = new Map(); // name → the change as a pull gave it
    this.since = EPOCH;
  }

  // Pulls until there are no more changes or a reply is lost; resolves to whether it reached the end.
  async pull(options) {
    while (!this.away) {
      const limit = this.by === 'cursor' ? this.limit() : undefined;
      const from = this.cursor ? `cursor=${encodeURIComponent(this.cursor)}` : `since=${this.since}`;
      const target = `/changes?${from}${limit ? `&limit=${limit}` : ''}${this.delta ? '&delta=true' : ''}` +
        `${this.times ? '&times=true' : ''}`;
      const headers = this.tagged && this.etag?.target === target ? { 'if-none-match': this.etag.value } : {};
      const reply = await this.client.call(target,
        { ...options, headers, expected: [headers['if-none-match'] && 304, this.mayResync && 410] });
      if (reply.status === 410) {
        if (!(await this.resync(reply.json, options))) return false;
        continue;
      }
      if (reply.lost || ![200, 304].includes(reply.status)) return false;
      if (reply.status === 304) return true;
      this.etag = { target, value: reply.headers.etag };
      this.held ??= new Set(this.live().keys()); // before the first pull
      const since = this.since;
      for (const missing of this.take(reply.json.changes))
        if (!(await this.ask(missing, options))) return this.repeatFrom(since);
      if (this.by === 'cursor') this.cursor = reply.json.cursor;
      if (!reply.json.hasMore) return this.arrive();
      if (!limit) this.client.record.complain(`${this.label}: hasMore in a pull without limit`);
    }
    return false;
  }

  // Why a resync (docs/api.md): sends what the server has lost, then pulls everything. The cursor is kept until the
  // last part was answered. Resolves to false if a reply was lost.
  async resync({ reason, until, erasedAt }, options) {
    const { record } = this.client;
    if (reason !== this.mayResync) record.complain(`${this.label}: told ${reason} and not ${this.mayResync}`);
    record.count(`told ${reason}`);
    if (reason === 'erased') {
      if (!erasedAt) record.complain(`${this.label}: erased, but not when`);
      this.entities.clear();
    } else {
      const isLost = ({ data }) => this.times && (!until || ms(data.updatedAt) > ms(until));
      const lost = [...this.pulled.values()].filter(isLost);
      for (let i = 0; i < lost.length; i += PART) {
        const body = { mode: 'merge', changes: lost.slice(i, i + PART) };
        const reply = await this.client.post('/full', body, options);
        if (reply.lost || reply.status !== 200) return false;
        record.count('changes sent back', body.changes.length);
        if (reply.json.failed.length > 0)
          record.complain(`${this.label}: not taken back: ${JSON.stringify(reply.json.failed).slice(0, 300)}`);
      }
    }
    for (const held of this.entities.values()) held.version = undefined; // of the lost history
    this.pulled.clear();
    this.cursor = undefined;
    this.since = EPOCH;
    this.held = new Set(this.entities.keys());
    return true;
  }

  // A pull from the beginning is complete, so an entity that the device held before is removed, unless the pull
  // returned it or a result since then told of it.
  arrive() {
    this.complete = this.since === EPOCH ? undefined : this.since;
    for (const name of this.held) this.entities.delete(name);
    this.held.clear();
    return true;
  }

  // The page was not taken as a whole, so its versions may come again.
  repeatFrom(since) {
    this.since = since;
    return false;
  }

  // Asks for one entity; resolves to whether there was an answer.
  async ask({ type, id }, options) {
    const reply = await this.client.call(`/entities/${type}/${encodeURIComponent(id)}`, options);
    if (reply.lost || reply.status !== 200) return false;
    const { deleted, incomplete, data } = reply.json.change;
    this.entities.set(`${type} ${id}`,
      { version: data.updatedAt, data: deleted ? undefined : data, hidden: Boolean(incomplete) });
    this.client.record.count('entities asked for');
    return true;
  }

  // Returns the entities of which a patch came but which the device does not hold.
  take(changes) {
    const missing = [];
    for (const change of changes) {
      const { type, deleted, patch, data } = change;
      const name = `${type} ${data.id}`, version = data.updatedAt;
      this.held.delete(name);
      this.keep(name, change);
      if (ms(version) < ms(this.since))
        this.client.record.complain(`${this.label}: ${name} of ${version} came after ${this.since}`);
      this.since = version;
      const held = this.entities.get(name);
      if (this.skips && held?.version === version) continue;
      if (held?.version && ms(held.version) > ms(version))
        this.client.record.complain(`${this.label}: ${name} went back from ${held.version} to ${version}`);
      if (patch && (!held?.data || held.hidden)) {
        if (!this.drops) this.client.record.complain(`${this.label}: a patch for ${name}, which it does not hold`);
        missing.push({ type, id: data.id });
        continue;
      }
      if (patch) this.client.record.count('entities pulled as patches');
      const whole = patch ? { ...patched(held.data, patch), ...data } : data;
      this.entities.set(name, { version, data: deleted ? undefined : whole });
    }
    return missing;
  }

  // Keeps what was pulled apart from what the device shows, because only that is sent back.
  keep(name, { type, patch, data, times, ...rest }) {
    const whole = patch ? { ...patched(this.pulled.get(name)?.data, patch), ...data } : data;
    this.pulled.set(name, { type, ...rest, data: whole, ...(times && { times }) });
  }

  // Applies a result. One that is older than the device's version, that of a repeat, is ignored. A client from before
  // `current` does not heed it.
  learn(edit, answer) {
    const name = nameOf(edit), held = this.entities.get(name);
    const result = this.heedsCurrent && answer.current ? { updatedAt: answer.updatedAt, ...answer.current } : answer;
    const version = result.updatedAt;
    if (!version || (held?.version && ms(held.version) > ms(version))) return;
    this.held?.delete(name);
    if (result.deleted) this.entities.set(name, { version });
    else if (result.data) this.entities.set(name, { version, data: result.data, hidden: result.incomplete });
    else if (edit.type === 'delete') this.entities.set(name, { version });
    else {
      const data = patched(held?.data, edit.data, edit.kind);
      this.entities.set(name, { version, data, hidden: result.incomplete });
    }
  }

  // Applies an edit as if it had succeeded. An incomplete entity is hidden.
  believe(edit) {
    const name = nameOf(edit), held = this.entities.get(name);
    const data = edit.type === 'delete' ? undefined : patched(held?.data, edit.data, edit.kind);
    this.entities.set(name, { version: held?.version, data, hidden: data && !isWhole(edit.kind, data) });
  }

  // Name → { version, data } of the visible entities.
  live() {
    return new Map([...this.entities].filter(([, { data, hidden }]) => data && !hidden));
  }
}
