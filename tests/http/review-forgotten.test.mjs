// Decisions about a conflict whose entity no longer exists: it was deleted, and `booky-sync purge` deleted the
// tombstone. An open conflict is never purged.
import assert from 'node:assert/strict';
import test from 'node:test';
import { ago, book, checkError, forget, gone, literal, op, patch, sql } from './lib.mjs';
import { Owner, checkInvalid, checkOk } from './owner.mjs';

const manual = { conflictResolution: 'manual', timestamp: ago(7) };
const server = () => book('b1', { title: 'server', notes: 'server' }, { timestamp: ago(5) });
const tag = (id, minutes) => op('create', 'tag', id, { name: 'Sea' }, { timestamp: ago(minutes) });

// Situation: the operations that leave an open conflict, and the library after each decision that is not refused.
const situations = {
  'an edit': { sent: [server(), patch('b1', { notes: 'local' }, manual)], keep_server: [], merge: ['b1 merged'] },
  'an edit of everything': {
    sent: [server(), patch('b1', { title: 'local' }, manual)],
    keep_local: ['b1 local'], keep_server: [], merge: ['b1 merged'],
  },
  'a deletion': { sent: [server(), gone('book', 'b1', manual)], keep_local: [], keep_server: [], merge: ['b1 merged'] },
  'an incomplete book': { sent: [patch('b1', { notes: 'local' })], keep_server: [], merge: ['b1 merged'] },
  'an edit from beyond the horizon': {
    horizon: 190 * 24 * 60,
    sent: [book('b1', { title: 'local' }, { timestamp: ago(200 * 24 * 60) })],
    keep_local: ['b1 local'], keep_server: [], merge: ['b1 merged'],
  },
  'two tags of one name': {
    sent: [tag('t1', 12), tag('t2', 10)], keep_local: ['t1 Sea'], keep_server: ['t1 Sea'],
    merge: ['t1 Sea', 't2 merged'],
  },
  'two tags of one name, one of which has changed since': {
    sent: [tag('t1', 12), tag('t2', 10), op('update', 'tag', 't1', { color: 'red' }, { timestamp: ago(1) })],
    keep_local: ['t1 Sea'], keep_server: ['t1 Sea'], merge: ['t1 Sea', 't2 merged'],
  },
};
const outcomes = { keep_local: 'client', keep_server: 'server', merge: 'merged' };

const libraryOf = async (owner) =>
  Object.values(await owner.library()).map(({ id, title, name }) => `${id} ${title ?? name}`).sort();

for (const [situation, expected] of Object.entries(situations))
  for (const [resolution, outcome] of Object.entries(outcomes))
    test(`a decision about an entity that no longer exists: ${resolution} after ${situation}`, async () => {
      const owner = new Owner();
      if (expected.horizon) await forget(owner, expected.horizon);
      for (const operation of expected.sent) await owner.apply(operation);
      const [conflict] = await owner.conflicts('?status=open');
      await sql(`DELETE FROM entities WHERE user_id = ${literal(owner.id)}
        AND entity_id = ${literal(conflict.entityId)}`);
      const mergedData = conflict.entity === 'tag' ? { name: 'merged' } : { title: 'merged' };
      const decide = (more) => owner.resolve(conflict.id,
        { resolution, mergedData: resolution === 'merge' ? mergedData : undefined, ...more });
      checkError(await owner.unchanged(() => decide({ baseVersion: conflict.createdAt })), 409, 'CONFLICT_DETECTED');
      if (!expected[resolution]) {
        checkInvalid(await owner.unchanged(() => decide()), 'resolution');
        return;
      }
      const reply = checkOk(await decide());
      assert.deepEqual([reply.conflict.status, reply.conflict.resolution], ['resolved', outcome]);
      assert.deepEqual(await libraryOf(owner), expected[resolution]);
      const lives = expected[resolution].some((line) => line.startsWith(conflict.entityId));
      assert.equal(reply.data?.id, lives ? conflict.entityId : undefined);
      if (!lives) assert.equal(reply.data, null);
      assert.deepEqual(await owner.conflicts('?status=open'), []);
      const again = await owner.unchanged(async () => checkOk(await decide()));
      assert.deepEqual([again.conflict, again.updatedAt, again.data], [reply.conflict, reply.updatedAt, reply.data]);
    });
