// The verdict on a history finds planted errors, and allows what the rules of an engine allow.
import assert from 'node:assert/strict';
import test from 'node:test';
import { judge } from './verdict.mjs';

// Edit 1 is of the phone and edit 2 of the laptop, both of the title of one book; edit 3 is of the phone, of the notes.
// `acknowledged` is the number of the latest edit when the phone learned that the server has its edit 1.
const history = ({ title = 'of the laptop', notes = 'of the phone', acknowledged = 1, rules = [], held } = {}) => {
  const edit = (number, device, leaves, known = number) =>
    ({ number, at: number, device, key: 'book/b1', leaves: { alive: true, ...leaves }, acknowledged: known });
  const row = { id: 'b1', updatedAt: '2024-01-15T10:00:00.000Z', title, notes };
  const rows = async (kind) => (kind === 'book' ? [held ?? { id: 'b1', version: 'any', title, notes }] : []);
  return {
    engine: { rules }, refusals: [], devices: [{ name: 'phone', rows }],
    user: { pull: async () => ({ changes: [{ type: 'book', data: row }] }) },
    edits: [edit(1, 'phone', { title: 'of the phone' }, acknowledged), edit(2, 'laptop', { title: 'of the laptop' }),
      edit(3, 'phone', { notes: 'of the phone' })],
  };
};

test('the latest edit of each leaf is there', async () => {
  assert.deepEqual(await judge(history({ rules: ['together'] })), { together: 0 });
});

test('a device that does not hold what the server holds is found', async () => {
  await assert.rejects(judge(history({ held: { id: 'b1', title: 'of the phone', notes: 'of the phone' } })),
    /phone does not hold the server's book rows/);
});

test('a lost edit is found', async () => {
  await assert.rejects(judge(history({ title: 'of the phone' })), /book\/b1: title is "of the phone"/);
  await assert.rejects(judge(history({ notes: null })), /book\/b1: notes is undefined/);
});

test('edits that waited together may have the time of the latest one', async () => {
  const lost = { title: 'of the phone', rules: ['together'] };
  assert.deepEqual(await judge(history({ ...lost, acknowledged: 3 })), { together: 1 });
  await assert.rejects(judge(history({ ...lost, acknowledged: 1 })), /title is "of the phone"/, 'it did not wait');
  await assert.rejects(judge(history({ ...lost, acknowledged: 3, rules: [] })), /title is/, 'no rule of the engine');
  await assert.rejects(judge(history({ title: 'of nobody', acknowledged: 3, rules: ['together'] })), /of nobody/);
});

test('a refused edit is found', async () => {
  const refused = history();
  refused.refusals.push([{}, { status: 'failed' }]);
  await assert.rejects(judge(refused), /the server refused edits/);
});
