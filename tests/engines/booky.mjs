// What the adapters in this folder share: the requests of docs/api.md that an engine needs, and the difference between
// two states of a row as the `data` of an operation. Copy this file together with the adapter of your engine.
export class Booky {
  // url: the base path, https://…/api/sync. token(): resolves to a valid access token. deviceId: a text that no other
  // device of the user has. refused(operation, result): tells the person that an edit cannot be applied.
  constructor({ url, token, deviceId, refused = () => {}, fetch = (...args) => globalThis.fetch(...args) }) {
    Object.assign(this, { url, token, deviceId, refused, fetch });
  }

  // Resolves to the reply, also if it is a 404 or a 410. If the server does not answer, or not now, this rejects with
  // an error that has `unavailable`: send the same request again later.
  async call(path, body) {
    const headers = { authorization: `Bearer ${await this.token()}`, 'content-type': 'application/json' };
    const method = body ? 'POST' : 'GET';
    let status;
    try {
      const reply = await this.fetch(this.url + path, { method, headers, body: body && JSON.stringify(body) });
      status = reply.status;
      const answer = await reply.json();
      if (reply.ok || status === 404 || status === 410) return answer;
      throw new Error(`${status}: ${answer.message}`);
    } catch (error) {
      const unavailable = !status || status < 400 || status === 401 || status === 429 || status >= 500;
      throw Object.assign(error, { status, unavailable });
    }
  }

  // Everything that has changed since `cursor`; without it, everything. Resolves to { changes, cursor, complete }. If
  // `complete`, the engine removes every row that is not in `changes`. held() resolves to the rows that the engine has
  // from the server, as changes: a server that lost data gets them back.
  async pull({ cursor, kinds, held = () => [] }) {
    const changes = new Map(), page = `/changes?limit=2000&entities=${kinds}`;
    for (let next = cursor, reply = {}; reply.hasMore !== false; next = reply.cursor) {
      reply = await this.call(`${page}&${next ? `cursor=${next}` : 'initial=true'}`);
      if (reply.error === 'RESYNC_REQUIRED') return this.resync(reply, { kinds, held });
      for (const change of reply.changes) changes.set(`${change.type}/${change.data.id}`, change);
      if (!reply.hasMore) return { changes: [...changes.values()], cursor: reply.cursor, complete: !cursor };
    }
  }

  async resync({ reason, until = '' }, { kinds, held }) {
    const lost = ['restored', 'other_server'].includes(reason) ? await held() : [];
    const later = lost.filter(({ data }) => !(data.updatedAt <= until));
    while (later.length) await this.call('/full', { mode: 'merge', changes: later.splice(0, 500) });
    return this.pull({ kinds });
  }

  // Calls onPoke whenever another device may have written, until the signal aborts. Poll every few minutes as well.
  async pokes(onPoke, signal) {
    while (!signal.aborted) {
      try {
        const headers = { authorization: `Bearer ${await this.token()}` };
        const reply = await this.fetch(`${this.url}/events?deviceId=${encodeURIComponent(this.deviceId)}`,
          { headers, signal });
        const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader.read(); !part.done && reply.ok; part = await reader.read())
          if (part.value.includes('data:')) onPoke();
      } catch {} // no connection: open the stream again later
      if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 3000 + 4000 * Math.random()));
    }
  }

  // Sends operations, in their order. Resolves to one entry for each: what the server holds now as
  // { updatedAt, data } or { updatedAt, deleted: true }. `data` is missing if the edit is all that has changed. If the
  // edit was refused, there is `refused: true` in addition, and the row must become what the server holds.
  async push(operations) {
    const states = [];
    for (let at = 0; at < operations.length; at += 500) {
      const part = await Promise.all(operations.slice(at, at + 500).map(identified, this));
      const { results } = await this.call('/operations', { deviceId: this.deviceId, operations: part });
      for (const [i, result] of results.entries()) states.push(await this.outcome(part[i], result));
    }
    return states;
  }

  async outcome(operation, result) {
    const { updatedAt, deleted, incomplete, data } = result.current ?? result;
    // No pull returns an entity without its required members. It was deleted so long ago that the server forgot it.
    if (result.status === 'success') return incomplete ? { updatedAt, deleted: true } : { updatedAt, deleted, data };
    this.refused(operation, result); // the edit is not stored, so the row is what the server has
    const { change } = await this.call(`/entities/${operation.entity}/${encodeURIComponent(operation.entityId)}`);
    return { refused: true, ...(change ? { ...change, updatedAt: change.data.updatedAt } : { deleted: true }) };
  }
}

// An operation without an id gets one that is made of its content. So a repeat, perhaps after a restart of the app, has
// the same id, and an operation with other content has another one.
async function identified(operation) {
  if (operation.id) return operation;
  const text = new TextEncoder().encode(JSON.stringify([this.deviceId, operation]));
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', text));
  return { id: Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join(''), ...operation };
}

// The lists that `GET /config` names in `sets`.
const sets = { book: ['tags', 'categories', 'subjects'], collection: ['bookIds'] };

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

// What must be written to make `now` of `before`, as `data` of an update; undefined if there is nothing to write.
// A member that is missing in `now` becomes null.
export function difference(kind, before, now) {
  const data = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [old, value = null] = [before[name], now[name]];
    if (deepEqual(old ?? null, value)) continue;
    if (isObject(old) && isObject(value)) data[name] = difference('', old, value);
    else data[name] = (sets[kind]?.includes(name) && listChange(old, value)) || value;
  }
  return Object.keys(data).length ? data : undefined;
}

export function deepEqual(a, b) {
  if (Object.is(a, b)) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  const names = Object.keys(a);
  return Array.isArray(a) === Array.isArray(b) && names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && deepEqual(a[name], b[name]));
}

// { $add, $remove } such that removing and then appending makes `now` of `old`; undefined if there is no such change.
export function listChange(old, now) {
  if (!Array.isArray(old) || !Array.isArray(now)) return undefined;
  const within = (list, value) => list.some((one) => deepEqual(one, value));
  let kept = 0; // the first elements of `now` that stand in `old` in this order
  for (const value of old) if (kept < now.length && deepEqual(value, now[kept])) kept++;
  const add = now.slice(kept), remove = old.filter((value) => !within(now, value));
  const applied = [...old.filter((value) => !within(remove, value) && !within(add, value)), ...add];
  if (!deepEqual(applied, now)) return undefined;
  return { ...(add.length && { $add: add }), ...(remove.length && { $remove: remove }) };
}

// The time of an edit: now, but later than the version that the person sees, which makes corrections win also if the
// clock is slow. `version` is an `updatedAt` or undefined.
export const timeOfEdit = (version, now = Date.now()) => Math.max(now, version ? Date.parse(version) + 1 : 0);
