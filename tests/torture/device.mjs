// A device: follows its plan, keeps what it has not had an answer for, and sends it again until it has one.
//
// A careful one sends its operations in the order in which they were made, learns from the results and skips versions that it
// was told. A hopeful one shows its own edits at once and looks at no result; its pulls must put it right. A simple one shows
// nothing but what it pulled. All must end up with the same.
import { setTimeout as sleep } from 'node:timers/promises';
import { Replica } from './replica.mjs';

const plain = ({ duplicate, ...result }) => JSON.stringify(result);

export class Device {
  constructor(user, number, plan, dice) {
    Object.assign(this, { user, number, plan, dice });
    this.client = user.client;
    this.record = user.client.record;
    // An edit that is dropped at its sender's wish may concern what no pull shows. So whoever wishes that must look at results.
    const mayHope = user.policy === 'merge' || user.policy === 'local';
    this.style = dice.weighted({ careful: 2, hopeful: mayHope ? 1 : 0, simple: 1 });
    this.careful = this.style === 'careful';
    this.queue = []; // edits that were not acknowledged
    this.fulls = []; // lists of edits that are sent as a full sync
    this.parked = [];
    this.done = [];
    const by = this.careful || dice.chance(60) ? 'cursor' : 'since';
    this.replica = new Replica(`${user.name} ${this.style} device ${number} by ${by}`, user.client, {
      by, skips: this.careful, limit: () => (dice.chance(50) ? dice.between(1, 30) : undefined),
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

  // After the faults: until everything was answered. False when that did not happen in time.
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

  // Where the times decide alone, the order in the request must not matter. They do not where the server may have to put its
  // own in place of one, or the policy asks who came first.
  mayShuffle(batch) {
    return !this.careful && batch.every(({ at, policy }) => policy === 'merge' && at !== undefined && at < Date.now());
  }

  // One of those that get the server's time may be in a request for each of the kinds where there is one per book: of two at
  // one instant the contract says which stays only by their order.
  spread(batch) {
    const seen = new Set();
    return batch.filter(({ kind, at }) => {
      if ((kind !== 'rating' && kind !== 'readingLog') || (at !== undefined && at < Date.now())) return true;
      return !seen.has(kind) && seen.add(kind);
    });
  }

  // The operations of a request, each { wire, edit, role }: `op`, `copy` (the same twice in one request), `parked`
  // (waits in the server's queue, if nobody has applied that yet), `replay` (was acknowledged before), `reuse` (its id, with another content), `poison` (invalid).
  compose(atomic) {
    const { dice } = this;
    let batch = this.spread(this.choose());
    if (this.mayShuffle(batch)) batch = dice.shuffle(batch);
    const parts = batch.map((edit) => ({ wire: this.wire(edit), edit, role: 'op' }));
    if (parts.length > 0 && dice.chance(6)) parts.push({ ...dice.pick(parts), role: 'copy' });
    const waits = this.user.policy === 'merge' && this.parked.length > 0 && dice.chance(20) ? dice.pick(this.parked) : undefined;
    if (waits) parts.push({ wire: waits.wire, edit: waits, role: 'parked' });
    const old = this.done.length > 0 && dice.chance(8) ? dice.pick(this.done) : undefined;
    if (old) parts.splice(dice.below(parts.length + 1), 0, { wire: old.wire, edit: old, role: 'replay' });
    if (old && !atomic && dice.chance(20))
      parts.push({ wire: { ...old.wire, type: old.type === 'delete' ? 'update' : 'delete', data: { mark: this.user.name } }, role: 'reuse' });
    if (dice.chance(5)) {
      const wire = { id: `poison-${this.number}-${dice.next()}`, type: 'create', entity: 'rating', entityId: 'p', data: { bookId: 'b1', stars: 11 } };
      parts.splice(dice.below(parts.length + 1), 0, { wire, role: 'poison' });
    }
    return parts;
  }

  wire(edit) {
    const held = this.careful && this.dice.chance(40) ? this.replica.entities.get(`${edit.kind} ${edit.id}`) : undefined;
    const version = held?.data && held.version; // what is deleted the person does not see
    return { ...edit.wire, ...(version && { baseVersion: version }), retryCount: edit.tries ?? 0 };
  }

  async send(twice) {
    const { dice } = this;
    const atomic = !this.unatomic && dice.chance(15);
    const parts = this.compose(atomic);
    this.unatomic = false;
    if (parts.length === 0) return;
    const poisoned = parts.some(({ role }) => role === 'poison');
    const body = { operations: parts.map(({ wire }) => wire), deviceId: `device-${this.number}`, ...(atomic && { atomic }) };
    const expected = atomic ? [...(poisoned ? [400] : []), ...(this.user.policy === 'merge' ? [] : [409])] : [];
    const fresh = new Set(parts.filter(({ role, edit }) => role === 'op' && !edit.result).map(({ edit }) => edit));
    const replies = await Promise.all(Array.from({ length: twice ? dice.between(2, 3) : 1 }, () => this.post(fresh, body, expected)));
    for (const reply of replies) this.read(parts, reply, { refused: atomic && poisoned, alone: !twice });
    this.queue = this.queue.filter(({ result }) => !result);
    if (replies.every(({ lost }) => lost)) await sleep(dice.between(20, 400));
  }

  async post(fresh, body, expected) {
    const number = this.user.requests++;
    for (const edit of fresh) {
      (edit.requests ??= []).push(number);
      edit.tries = (edit.tries ?? 0) + 1;
    }
    const reply = await this.client.post('/operations', body, { expected });
    // What says that nothing was applied is held to it; what does not may have done it all.
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
    if (results.length !== parts.length) this.record.complain(`${this.user.name}: ${results.length} results for ${parts.length} operations`);
    parts.forEach((part, i) => this.readResult(part, results[i], syncedAt, alone));
  }

  readResult({ wire, edit, role }, result, syncedAt, alone) {
    const complain = (why) => this.record.complain(`${this.user.name} ${wire.id} (${role}): ${why}: ${JSON.stringify(result).slice(0, 300)}`);
    if (result.id !== wire.id) return complain('is answered for another id');
    if (role === 'poison' || role === 'reuse') {
      const error = role === 'poison' ? 'VALIDATION_ERROR' : 'OPERATION_ID_REUSED';
      if (result.status !== 'failed' || result.error !== error) complain(`should be ${error}`);
      return undefined;
    }
    if (result.status === 'failed') return complain('failed');
    if (result.duplicate && role === 'op' && alone && !edit.result && !edit.doubtful) complain('was applied by a request that said it was not');
    if (!result.duplicate && role !== 'op' && role !== 'parked') complain('should be a duplicate');
    this.acknowledge(edit, result, result.duplicate ? undefined : syncedAt, complain);
    if (this.careful && role === 'op') this.replica.learn(edit, result);
    return undefined;
  }

  acknowledge(edit, result, syncedAt, complain) {
    const first = !edit.result && !edit.parked;
    if (result.duplicate) this.record.count('duplicates answered');
    else if (edit.syncedAt) complain('took effect twice');
    else edit.syncedAt = syncedAt;
    if (!edit.result) {
      edit.result = plain(result);
      this.done.push(edit);
    } else if (edit.result !== plain(result)) complain(`is not the result that was acknowledged, ${edit.result}`);
    if (first) {
      this.record.count('operations acknowledged');
      if (edit.doubtful) this.record.count(result.duplicate ? 'in doubt: had happened' : 'in doubt: had not happened');
    }
  }

  // POST /queue, one by one; what was parked is applied by whoever calls /pending/apply, so it has no result here.

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

  // POST /full with mode merge: every item with the time of its edit, so that it can be repeated.

  async sendFull() {
    const plurals = { book: 'books', rating: 'ratings', tag: 'tags', collection: 'collections', readingLog: 'readings' };
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
