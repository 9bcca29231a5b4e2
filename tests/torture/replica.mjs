// What a device holds of its user's library. It pulls as docs/api.md says, from the cursor of the last reply or from the
// last `updatedAt` that a pull brought. A device may also learn from the results of its own operations; then it skips
// versions that it was told already. Or it may believe that its edits are as good as done.
import { isWhole, patched } from './model.mjs';

const EPOCH = '1970-01-01T00:00:00Z';
const ms = (instant) => new Date(instant).getTime();

const nameOf = ({ kind, id }) => `${kind} ${kind === 'userSettings' ? 'settings' : id}`;

export class Replica {
  // `by`: 'cursor' or 'since'; `limit` () => how many changes a page, or undefined for all; `tagged`: sends the ETag that it
  // got; `skips`: versions that it was told
  constructor(label, client, { by, limit = () => undefined, tagged = false, skips = false }) {
    Object.assign(this, { label, client, by, limit, tagged, skips });
    this.entities = new Map();
    this.since = EPOCH;
  }

  // Pulls until there is no more, or a reply is lost; resolves to whether it got to the end.
  async pull(options) {
    for (;;) {
      const limit = this.by === 'cursor' ? this.limit() : undefined;
      const from = this.cursor ? `cursor=${encodeURIComponent(this.cursor)}` : `since=${this.since}`;
      const target = `/changes?${from}${limit ? `&limit=${limit}` : ''}`;
      const headers = this.tagged && this.etag?.target === target ? { 'if-none-match': this.etag.value } : {};
      const reply = await this.client.call(target, { ...options, headers, expected: headers['if-none-match'] ? [304] : [] });
      if (reply.lost || ![200, 304].includes(reply.status)) return false;
      if (reply.status === 304) return true;
      this.etag = { target, value: reply.headers.etag };
      this.held ??= new Set(this.live().keys()); // before the first pull
      this.take(reply.json.changes);
      if (this.by === 'cursor') this.cursor = reply.json.cursor;
      if (!reply.json.hasMore) return this.arrive();
      if (!limit) this.client.record.complain(`${this.label}: hasMore in a pull without limit`);
    }
  }

  // A first pull holds nothing of what is deleted. So what the device had sent before and did not get is gone.
  arrive() {
    for (const name of this.held) this.entities.delete(name);
    this.held.clear();
    return true;
  }

  take(changes) {
    for (const { type, deleted, data } of changes) {
      const name = `${type} ${data.id}`, version = data.updatedAt;
      this.held.delete(name);
      if (ms(version) < ms(this.since)) this.client.record.complain(`${this.label}: ${name} of ${version} came after ${this.since}`);
      this.since = version;
      const held = this.entities.get(name);
      if (this.skips && held?.version === version) continue;
      if (held?.version && ms(held.version) > ms(version)) this.client.record.complain(`${this.label}: ${name} went back from ${held.version} to ${version}`);
      this.entities.set(name, { version, data: deleted ? undefined : data });
    }
  }

  // What a result tells. One that is older than what the device holds (of a repeat) is no news.
  learn(edit, result) {
    const name = nameOf(edit), version = result.updatedAt;
    const held = this.entities.get(name);
    if (!version || (held?.version && ms(held.version) > ms(version))) return;
    if (result.deleted) this.entities.set(name, { version });
    else if (result.data) this.entities.set(name, { version, data: result.data, hidden: result.incomplete });
    else if (edit.type === 'delete') this.entities.set(name, { version });
    else this.entities.set(name, { version, data: patched(held?.data, edit.data), hidden: result.incomplete });
  }

  // What it edited is done, as far as it knows. What has not all it needs is not shown.
  believe(edit) {
    const name = nameOf(edit), held = this.entities.get(name);
    const data = edit.type === 'delete' ? undefined : patched(held?.data, edit.data);
    this.entities.set(name, { version: held?.version, data, hidden: data && !isWhole(edit.kind, data) });
  }

  // Name → { version, data }, of what it would show.
  live() {
    return new Map([...this.entities].filter(([, { data, hidden }]) => data && !hidden));
  }
}
