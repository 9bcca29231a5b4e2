// The four scenarios of the API description, and a large library, in real browsers against the real server.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Owner, syntheticBooks } from '../http/owner.mjs';
import { Device, serverBooks, until } from './browser.mjs';

test('online flow: an edit reaches the server and the other device', async () => {
  const owner = new Owner();
  const [phone, laptop] = [await Device.open(owner), await Device.open(owner)];
  await phone.queue('book', 'b1', 'create', { title: 'Middlemarch', authors: ['George Eliot'] });
  await phone.queue('rating', 'r1', 'create', { bookId: 'b1', stars: 4.5 });
  await phone.queue('tag', 't1', 'create', { name: 'classic' });
  assert.equal((await phone.status()).pendingOperations, 3);
  assert.equal((await phone.synced()).sent, 3);
  const { lastSync, ...status } = await phone.status();
  assert.deepEqual(status, { status: 'ready', isOnline: true, pendingOperations: 0, review: 0, conflicts: 0 });
  assert.ok(Date.parse(lastSync));

  assert.equal((await laptop.synced()).received, 3);
  assert.equal((await laptop.get('book', 'b1')).title, 'Middlemarch');
  assert.equal((await laptop.get('rating', 'r1')).stars, 4.5);
  await laptop.queue('book', 'b1', 'update', { notes: 'Read in May' });
  await laptop.synced();
  await phone.synced();
  const book = { title: 'Middlemarch', authors: ['George Eliot'], notes: 'Read in May' };
  assert.deepEqual(await phone.books(), { b1: book });
  assert.deepEqual(await phone.books(), await serverBooks(owner));
  assert.deepEqual([...phone.context.complaints, ...laptop.context.complaints], []);
  await Promise.all([phone.close(), laptop.close()]);
});

test('offline queue: edits survive the tab and are sent when the network is back', async () => {
  const owner = new Owner();
  const phone = await Device.open(owner);
  await phone.monitor();
  await until('the first round', async () => (await phone.status()).lastSync);
  await phone.context.setOffline(true);
  await until('offline', async () => !(await phone.status()).isOnline);
  await phone.queue('book', 'b1', 'create', { title: 'Austerlitz' });
  await phone.queue('book', 'b1', 'update', { notes: 'on the train' });
  await phone.queue('book', 'b2', 'create', { title: 'Flights' });
  const result = await phone.sync();
  assert.deepEqual([result.ok, result.error.code], [false, 'OFFLINE']);
  const { status, pendingOperations } = await phone.status();
  assert.deepEqual([status, pendingOperations], ['offline', 2]); // the patch of b1 was joined with its create
  assert.deepEqual((await phone.pending()).map(({ attempts }) => attempts), [0, 0]);
  await phone.page.close();
  assert.deepEqual(await serverBooks(owner), {});

  await phone.context.setOffline(false);
  const again = await Device.open(owner, { context: phone.context });
  assert.equal((await again.books()).b1.notes, 'on the train');
  // The network is lost and comes back while the tab is open. Nobody calls sync.
  await again.context.setOffline(true);
  await again.monitor();
  await until('offline again', async () => !(await again.status()).isOnline);
  await again.context.setOffline(false);
  await until('sent', async () => (await again.status()).pendingOperations === 0);
  const expected = { b1: { title: 'Austerlitz', notes: 'on the train' }, b2: { title: 'Flights' } };
  assert.deepEqual(await serverBooks(owner), expected);
  await again.close();
});

test('conflict resolution: a person decides, and both devices get the decision', async () => {
  for (const [resolution, data, expected] of [
    ['keep_local', undefined, { title: 'Dispossessed', notes: 'mine' }],
    ['keep_server', undefined, { title: 'The Dispossessed (1974)' }],
    ['merge', { notes: 'mine' }, { title: 'The Dispossessed (1974)', notes: 'mine' }],
  ]) {
    const owner = new Owner();
    const [phone, laptop] = [await Device.open(owner, { conflictResolution: 'manual' }), await Device.open(owner)];
    await phone.queue('book', 'b1', 'create', { title: 'The Dispossessed' });
    await phone.synced();
    await laptop.synced();
    await phone.queue('book', 'b1', 'update', { title: 'Dispossessed', notes: 'mine' });
    await laptop.queue('book', 'b1', 'update', { title: 'The Dispossessed (1974)' });
    await laptop.synced();
    await phone.synced();

    const [conflict] = await phone.events('conflict');
    assert.equal(conflict.status, 'open');
    assert.deepEqual(conflict.localData, { title: 'Dispossessed', notes: 'mine' });
    assert.equal(conflict.serverData.title, 'The Dispossessed (1974)');
    assert.ok(conflict.localTimestamp < conflict.serverTimestamp);
    assert.equal((await phone.status()).conflicts, 1);
    assert.equal((await phone.get('book', 'b1')).title, 'The Dispossessed (1974)', 'nothing was applied');

    await phone.run((decision) => sync.operations.resolveConflict(...decision), [conflict.id, resolution, data]);
    await phone.synced();
    await laptop.synced();
    assert.equal((await phone.status()).conflicts, 0);
    for (const device of [phone, laptop]) assert.deepEqual(await device.books(), { b1: expected }, resolution);
    await Promise.all([phone.close(), laptop.close()]);
  }
});

test('full-sync recovery: a damaged store becomes equal to the server, and waiting edits stay', async () => {
  const owner = new Owner();
  await owner.replace({ books: syntheticBooks(30, 300) });
  const phone = await Device.open(owner);
  await phone.synced();
  const before = await phone.books();
  await phone.queue('book', 'import_3', 'update', { notes: 'not sent yet' });
  await phone.run(() => new Promise((resolve, reject) => {
    const opening = indexedDB.open('booky-sync');
    opening.onsuccess = () => {
      const tx = opening.result.transaction('rows', 'readwrite'), rows = tx.objectStore('rows');
      for (let i = 0; i < 10; i++) rows.delete(['book', `import_${i}`]);
      rows.put({ type: 'book', id: 'import_10', data: { title: 'damaged' }, updatedAt: '9999-01-01T00:00:00.000Z' });
      rows.put({ type: 'book', id: 'ghost', data: { title: 'never there' }, updatedAt: '2020-01-01T00:00:00.000Z' });
      tx.oncomplete = () => resolve(opening.result.close());
      tx.onabort = () => reject(tx.error);
    };
  }));
  await phone.synced();
  assert.notDeepEqual(await phone.books(), before, 'an ordinary round does not repair it');
  const result = await phone.run(() => sync.fullSync());
  assert.equal(result.ok, true, JSON.stringify(result));
  before.import_3.notes = 'not sent yet';
  assert.deepEqual(await phone.books(), before);
  assert.deepEqual(await serverBooks(owner), before);

  // The other way round: the server has lost everything, and a device still has it.
  assert.equal((await owner.call('DELETE', '/account')).status, 200);
  assert.deepEqual(await serverBooks(owner), {});
  assert.equal((await phone.run(() => sync.fullSync({ upload: 'local' }))).ok, true);
  assert.deepEqual(await serverBooks(owner), before);
  assert.deepEqual(await phone.books(), before);
  await phone.close();
});

test('10,000 books are pulled in pages, with progress', async () => {
  const owner = new Owner();
  await owner.replace({ books: syntheticBooks(10_000, 400) });
  const phone = await Device.open(owner);
  assert.equal((await phone.synced()).received, 10_000);
  const progress = await phone.events('progress');
  assert.ok(progress.length >= 10, `${progress.length} times`);
  assert.deepEqual(progress.map(({ done }) => done), progress.map(({ done }) => done).sort((a, b) => a - b));
  assert.equal(progress.at(-1).done, 10_000);
  assert.deepEqual([...new Set(progress.map(({ total }) => total))], [10_000]);
  assert.equal(await phone.run(async () => (await sync.store.list('book')).length), 10_000);
  await phone.close();
});
