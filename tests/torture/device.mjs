// A device follows its plan, keeps unanswered operations and repeats them until they are answered.
//
// A `careful` device sends its operations in the order in which they were made, learns from the results and skips
// versions that a result contained. A `hopeful` device shows its own edits at once and ignores results; its pulls must
// correct it. A `simple` device shows only what it pulled. All must end in the same state.
import { setTimeout as sleep } from 'node:timers/promises';
import { agree } from './record.mjs';
import { Replica } from './replica.mjs';

export class Device {
  constructor(user, number, plan, dice) {
    Object.assign(this, { user, number, plan, dice });
    this.client = user.client;
    this.record = user.client.record;
    // With the policies `server` and `manual` an edit may be dropped without a later pull that shows it, so such a
    // device must read its results.
    const mayHope = user.policy === 'merge' || user.policy === 'local';
    this.style = dice.weighted({ careful: 2, hopeful: mayHope ? 1 : 0, simple: 1 });
    this.careful = this.style === 'careful';
    this.queue = []; // unacknowledged edits
    this.fulls = []; // lists of edits that are sent as a full sync
    this.parked = [];
    this.done = [];
    const by = this.careful || dice.chance(60) ? 'cursor' : 'since';
    // A client that takes patches stores `current`; a client from before it takes none.
    const heeds = dice.chance(60), delta = dice.chance(50);
    this.replica = new Replica(`${user.name} ${this.style} device ${number} by ${by}`, user.client, {
      by, skips: this.careful, heedsCurrent: heeds || delta, delta, times: true,
      drops: this.style === 'hopeful',
      limit: () => (dice.chance(50) ? dice.between(1, 30) : undefined),
    });
  }

  async live(start, length) {
    for (const { at, edits, way } of this.plan.actions(length)) {
      const early = start + at - Date.now();
      if (early > 0) await sleep(early);
      this.user.edits.push(...edits);
      this.record.count('operations', edits.length);
      if (this.style === 'hopeful') for (const edit of edits) this.replica.believe(edit);
      if (way === 'full') this.fulls.push(edits);
      else for (const edit of edits) this.queue.push(Object.assign(edit, { queued: way === 'queue' }));
      if (way === 'pull') await this.replica.pull();
      else if (way === 'queue') await this.park();
      else if (way === 'full') await this.sendFull();
      else if (way !== 'hold') await this.send(way === 'twins');
    }
  }

  // A device that is away sends, but does not pull.
  set away(away) {
    this.replica.away = away;
  }

  // The timestamps of its edits begin anew, so that it can live once more.
  restart(start) {
    this.plan.start = start;
  }

  // Makes edits that wait to be sent, of the entities that `mayEdit(edit)` allows.
  hold(count, at, mayEdit) {
    const edits = Array.from({ length: count }, () => this.plan.edit(at, 0, 'hold')).filter(mayEdit);
    this.user.edits.push(...edits);
    this.queue.push(...edits);
    this.record.count('operations', edits.length);
    return edits;
  }

  // The server has lost what it acknowledged, so nothing of that is repeated.
  forget() {
    this.done = [];
    this.parked = [];
  }

  // After the faults: repeats everything until it is answered. Resolves to false if that does not happen before
  // `until`.
  async drain(until) {
    while (this.queue.length > 0 || this.fulls.length > 0) {
      if (Date.now() > until) return false;
      if (this.queue.some(({ queued }) => queued)) await this.park();
      if (this.fulls.length > 0) await this.sendFull();
      await this.send(false);
    }
    return true;
  }

  // POST /operations

  choose() {
    const { dice } = this;
    const all = this.queue.filter(({ queued }) => !queued);
    const size = dice.chance(10) ? 1000 : dice.between(1, 12);
    if (this.careful) return all.slice(0, size);
    const chosen = all.filter(() => dice.chance(80)).slice(0, size);
    return chosen.length > 0 ? chosen : all.slice(0, 1);
  }

  // The order in a request must not matter where only timestamps decide. They do not if the server may replace a
  // timestamp by its own, or if the policy depends on the order of arrival.
  mayShuffle(batch) {
    return !this.careful && batch.every(({ at, policy }) => policy === 'merge' && at !== undefined && at < Date.now());
  }

  // For each kind that is unique per book a request may hold one edit that gets the server's time: of two with the same
  // time only their order decides which one stays.
  spread(batch) {
    const seen = new Set();
    return batch.filter(({ kind, at }) => {
      if ((kind !== 'rating' && kind !== 'readingLog') || (at !== undefined && at < Date.now())) return true;
      return !seen.has(kind) && seen.add(kind);
    });
  }

  // The operations of a request, each { wire, edit, role }. Roles: `op`, `copy` (the same twice in one request),
  // `parked` (waits in the server's queue unless that was applied), `replay` (was acknowledged before), `reuse` (the id
  // of a replay with other content), `poison` (invalid).
  compose(atomic) {
    const { dice } = this;
    let batch = this.spread(this.choose());
    if (this.mayShuffle(batch)) batch = dice.shuffle(batch);
    const parts = batch.map((edit) => ({ wire: this.wire(edit), edit, role: 'op' }));
    if (parts.length > 0 && dice.chance(6)) parts.push({ ...dice.pick(parts), role: 'copy' });
    const waits = this.user.policy === 'merge' && this.parked.length > 0 && dice.chance(20) ? dice.pick(this.parked)
      : undefined;
    if (waits) parts.push({ wire: waits.wire, edit: waits, role: 'parked' });
    const old = this.done.length > 0 && dice.chance(8) ? dice.pick(this.done) : undefined;
    if (old) parts.splice(dice.below(parts.length + 1), 0, { wire: old.wire, edit: old, role: 'replay' });
    if (old && !atomic && dice.chance(20))
      parts.push({ wire: { ...old.wire, type: old.type === 'delete' ? 'update'
        : 'delete', data: { mark: this.user.name } }, role: 'reuse' });
    if (dice.chance(5)) {
      const wire = { id: `poison-${this.number}-${dice.next()}`, type: 'create', entity: 'rating', entityId: 'p',
        data: { bookId: 'b1', stars: 11 } };
      parts.splice(dice.below(parts.length + 1), 0, { wire, role: 'poison' });
    }
    return parts;
  }

  wire(edit) {
    const held = this.careful && this.dice.chance(40) ? this.replica.entities.get(`${edit.kind} ${edit.id}`)
      : undefined;
    const version = held?.data && held.version; // a deleted entity is not visible to the user
    return { ...edit.wire, ...(version && { baseVersion: version }), retryCount: edit.tries ?? 0 };
  }

  async send(twice) {
    const { dice } = this;
    const atomic = !this.unatomic && dice.chance(15);
    const parts = this.compose(atomic);
    this.unatomic = false;
    if (parts.length === 0) return;
    const poisoned = parts.some(({ role }) => role === 'poison');
    const lastSync = this.careful && dice.chance(30) ? this.replica.complete : undefined;
    const deviceId = dice.chance(80) ? `device-${this.number}` : undefined;
    const body = { operations: parts.map(({ wire }) => wire), deviceId, lastSync, ...(atomic && { atomic }) };
    const expected = atomic ? [...(poisoned ? [400] : []), ...(this.user.policy === 'merge' ? [] : [409])] : [];
    const fresh = new Set(parts.filter(({ role, edit }) => role === 'op' && !edit.result).map(({ edit }) => edit));
    const replies = await Promise.all(
      Array.from({ length: twice ? dice.between(2, 3) : 1 }, () => this.post(fresh, body, expected)));
    for (const reply of replies) this.read(parts, reply, { refused: atomic && poisoned, alone: !twice });
    this.queue = this.queue.filter(({ result }) => !result);
    if (replies.every(({ lost }) => lost)) await sleep(dice.between(20, 400));
  }

  async post(fresh, body, expected) {
    const number = this.user.requests++, start = Date.now();
    for (const edit of fresh) {
      edit.sentAt ??= start;
      (edit.requests ??= []).push(number);
      edit.tries = (edit.tries ?? 0) + 1;
    }
    const reply = await this.client.post('/operations', body, { expected });
    const time = reply.json?.serverTime && Date.parse(reply.json.serverTime);
    if (time < start || time > Date.now())
      this.record.complain(`${this.user.name}: serverTime ${reply.json.serverTime} is not the real time`);
    // If a fault does not say that nothing was applied, everything may have been applied.
    if (reply.lost && !/nothing was applied/.test(reply.json?.message)) for (const edit of fresh) edit.doubtful = true;
    return reply;
  }

  read(parts, reply, { refused, alone }) {
    if (reply.lost) return;
    if (reply.status !== 200) {
      this.unatomic = true;
      this.record.count(`atomic batches refused with ${reply.status}`);
      return;
    }
    if (refused) this.record.complain(`${this.user.name}: an atomic batch with an invalid operation was accepted`);
    const { results, syncedAt } = reply.json;
    if (results.length !== parts.length)
      this.record.complain(`${this.user.name}: ${results.length} results for ${parts.length} operations`);
    parts.forEach((part, i) => this.readResult(part, results[i], syncedAt, alone));
  }

  readResult({ wire, edit, role }, result, syncedAt, alone) {
    const complain = (why) => this.record.complain(
      `${this.user.name} ${wire.id} (${role}): ${why}: ${JSON.stringify(result).slice(0, 300)}`);
    if (result.id !== wire.id) return complain('is answered for another id');
    if (role === 'poison' || role === 'reuse') {
      const error = role === 'poison' ? 'VALIDATION_ERROR' : 'OPERATION_ID_REUSED';
      if (result.status !== 'failed' || result.error !== error) complain(`should be ${error}`);
      return undefined;
    }
    if (result.status === 'failed') return complain('failed');
    if (result.duplicate && role === 'op' && alone && !edit.result && !edit.doubtful)
      complain('was applied by a request that said nothing was applied');
    if (!result.duplicate && role !== 'op' && role !== 'parked') complain('should be a duplicate');
    this.acknowledge(edit, result, result.duplicate ? undefined : syncedAt, complain);
    if (this.careful && role === 'op') this.replica.learn(edit, result);
    return undefined;
  }

  acknowledge(edit, result, syncedAt, complain) {
    const first = !edit.result && !edit.parked;
    edit.heardAt ??= Date.now();
    if (result.duplicate) this.record.count('duplicates answered');
    else if (edit.syncedAt) complain('took effect twice');
    else edit.syncedAt = syncedAt;
    if (!edit.result) {
      edit.result = JSON.stringify(result);
      this.done.push(edit);
    } else if (!agree(JSON.parse(edit.result), result))
      complain(`is not the result that was acknowledged, ${edit.result}`);
    if (first) {
      this.record.count('operations acknowledged');
      if (edit.doubtful) this.record.count(result.duplicate ? 'in doubt: had happened' : 'in doubt: had not happened');
    }
  }

  // POST /queue, one operation at a time. A parked operation is applied by any device that calls /pending/apply, so it
  // has no result here.

  async park() {
    for (const edit of this.queue.filter(({ queued }) => queued)) {
      const reply = await this.client.post('/queue', edit.wire);
      if (reply.lost) break;
      this.parked.push(Object.assign(edit, { parked: true }));
      this.record.count('operations acknowledged');
    }
    this.queue = this.queue.filter(({ parked }) => !parked);
    if (this.dice.chance(60)) await this.client.post('/pending/apply', {});
    if (this.dice.chance(20)) await this.client.call('/clear', { method: 'DELETE' });
  }

  // POST /full with mode merge; every item has the time of its edit, so that the request can be repeated.

  async sendFull() {
    const plurals = { book: 'books', rating: 'ratings', tag: 'tags', collection: 'collections',
      readingLog: 'readings' };
    for (const edits of [...this.fulls]) {
      const body = { mode: 'merge' };
      for (const { kind, id, data, at } of edits)
        (body[plurals[kind]] ??= []).push({ ...data, id, updatedAt: new Date(at).toISOString() });
      const reply = await this.client.post('/full', body);
      if (reply.lost) return;
      for (const edit of edits) edit.full = reply.json.syncedAt;
      this.record.count('operations acknowledged', edits.length);
      this.fulls = this.fulls.filter((other) => other !== edits);
    }
  }
}
