// A front, two application hosts, a primary and a replica, under load, and one thing after the other breaks. Whatever was
// acknowledged must be there in the end, once, and no device may ever be shown less than it had seen.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test, { after } from 'node:test';

import { makeCluster, program } from './cluster.mjs';
import { run, sleep, until } from './hosts.mjs';
import { Load, User, compare } from './load.mjs';

const cluster = await makeCluster();
const { front, app1, app2, db1, db2, parts } = cluster;
const load = new Load(front.url);

after(async () => {
  load.running = false;
  const ends = await Promise.all([app1, app2].map((app) => app.process.stop('SIGTERM')));
  for (const { host } of parts) await host.end();
  if (!broken) assert.deepEqual(ends, [{ code: 0, signal: null }, { code: 0, signal: null }]);
  for (const { name } of [app1, app2]) {
    const log = readFileSync(`${process.env.BOOKY_TEST_STATE}/ha/${name}.log`, 'utf8');
    assert.doesNotMatch(log, /AddressSanitizer|LeakSanitizer|runtime error/);
  }
});

const acknowledged = 'booky_sync_http_requests_total{endpoint="operations",code="200"}';
const fromReplica = 'booky_sync_reads_total{target="replica"}';

// One chapter after the other; what comes behind one that failed cannot be told.
let broken = false;
const chapter = (name, work) =>
  test(name, async (t) => {
    assert.ok(!broken, 'an earlier test failed');
    broken = true;
    await work(t);
    broken = false;
  });

const fault = (name, work) =>
  chapter(name, async (t) => {
    const { outage, failed } = await load.during(() => work(t));
    t.diagnostic(`the longest anybody waited: ${outage} ms; requests that failed and were repeated: ${failed.length} (${[...new Set(failed)].join(', ')})`);
  });

chapter('reads are answered by the replica, and by the primary when it is behind', async () => {
  await load.progress();
  for (const app of [app1, app2]) await until(`${app.name} reads from it`, async () => (await app.metric(fromReplica)) > 20);
  db2.set('recovery_min_apply_delay', '500ms');
  await until('it is behind', async () => (await app1.metric('booky_sync_replica_passed_total{reason="behind"}')) > 5);
  await load.progress();
  db2.set('recovery_min_apply_delay', '0');
  assert.deepEqual(load.failed, []);
});

// Streams on both hosts hear of every write, whichever host it went to: again, after the primary has changed.
async function pokes() {
  const user = new User(load);
  const streams = Array.from({ length: 4 }, () => user.stream());
  try {
    await until('all streams are open', () => streams.every(({ status }) => status === 200));
    for (const app of [app1, app2]) assert.ok(app.host.connections(9001) > 0, `${app.name} holds none`);
    const heard = () => streams.every(({ pokes }) => pokes.length > 0);
    await until('all of them hear of a write', async () => { // a poke is no promise while the hosts find each other
      for (const stream of streams) stream.pokes = [];
      const body = { deviceId: 'writer', operations: [{ id: randomUUID(), type: 'create', entity: 'book', entityId: 'p', data: { title: 'P' }, timestamp: new Date().toISOString() }] };
      await user.insist('POST', '/api/sync/operations', JSON.stringify(body));
      for (let i = 0; i < 50 && !heard(); i++) await sleep(20);
      return heard();
    });
  } finally {
    for (const stream of streams) stream.close();
  }
}

chapter('a write on one host is told to the streams of both', pokes);

fault('an application host is killed and comes back', async () => {
  await app2.kill();
  await load.progress();
  await app2.start();
});

chapter('an application host is drained: nobody notices', async (t) => {
  const { outage, failed } = await load.during(async () => {
    front.reload([app1.address]);
    await sleep(500); // nginx's old workers finish what they have
    const end = await app1.process.stop('SIGTERM');
    assert.deepEqual(end, { code: 0, signal: null });
    await load.progress();
    await app1.start();
    front.reload();
  });
  assert.deepEqual(failed, []);
  t.diagnostic(`longest wait ${outage} ms`);
});

fault('an application host loses the databases, and finds them again', async () => {
  app1.host.link('back', 'down');
  await load.progress();
  await sleep(1000);
  app1.host.link('back', 'up');
  const before = await app1.metric(fromReplica);
  await until('app1 reads again', async () => (await app1.metric(fromReplica)) > before + 5, 40);
});

fault('the poolers restart', async () => {
  await db1.pooler.stop('SIGTERM');
  await db2.pooler.stop('SIGTERM');
  await load.progress();
  for (const db of [db1, db2]) await db.restartPooler();
});

fault('the replica is killed: commits wait, and one in doubt is not acknowledged before the replica has it', async () => {
  await db2.kill();
  const user = new User(load), id = randomUUID(); // nobody else holds its clock
  const body = JSON.stringify({ operations: [{ id, type: 'create', entity: 'book', entityId: 'doubt', data: { title: 'In doubt', pageCount: 1 }, timestamp: new Date().toISOString() }] });
  const first = user.request('POST', '/api/sync/operations', body);
  await until('commits wait', () => db1.sql("SELECT 1 WHERE (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep') > 1"));
  // As a restart of the primary would: the sessions end, and what they had written is there.
  const stored = () => {
    db1.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    return db1.sql(`SELECT 1 FROM booky.ledger WHERE operation_id = '${id}'`);
  };
  await until('the primary has the operation', stored);
  assert.notEqual((await first).status, 200);
  let done = false;
  const repeat = user.insist('POST', '/api/sync/operations', body).then(() => (done = true));
  await sleep(1500);
  assert.ok(!done, 'it could still be lost');
  await db2.start();
  await db2.restartPooler();
  await repeat;
});

fault('the primary is killed and the replica promoted: nothing is lost', async (t) => {
  const from = Date.now();
  await db1.kill();
  await db2.promote();
  t.diagnostic(`promoted after ${Date.now() - from} ms`);
  for (const app of [app1, app2]) {
    const written = await app.metric(acknowledged);
    await until(`${app.name} writes to it`, async () => (await app.metric(acknowledged)) > written + 5);
  }
});

fault('the old primary comes back fenced: nobody writes to it, and it joins as the replica', async () => {
  db1.fence();
  await db1.start();
  await db1.restartPooler();
  const rows = () => db1.sql('SELECT count(*), max(processed_at) FROM booky.ledger');
  const before = rows();
  await app1.kill(); // connects anew, and db1 stands first in its list
  await app1.start();
  await load.progress(20);
  assert.equal(db1.sql('SELECT pg_is_in_recovery()'), 't');
  assert.equal(rows(), before);
  await db1.process.stop('SIGINT');
  db1.rejoin(db2);
  await db1.start();
  db2.set('synchronous_standby_names', 'db1');
  await until('db1 follows', () => db2.followed());
});

chapter('a write on one host is told to the streams of both, through the new primary', pokes);

chapter('all that was acknowledged is there, once', async (t) => {
  await load.progress();
  const users = load.users.map((user) => ({ ...user, operations: [...user.operations], acknowledged: new Map() }));
  assert.deepEqual(compare(users, db2), []);
  assert.equal(load.resyncs, 0);
  t.diagnostic(`${load.writes} operations acknowledged, ${load.reads} reads checked`);
});

chapter('asynchronous: what a failover loses is what the replica had not got, and every device learns of it', async (t) => {
  db2.set('synchronous_standby_names', '');
  db1.set('primary_conninfo', ''); // the two lose touch
  await until('db1 is alone', () => !db2.followed('async') && !db2.followed('sync'));
  const before = load.writes, cut = Date.now();
  await sleep(1000);
  await db2.kill();
  const down = Date.now() - cut;
  await load.stop();
  // Nobody is served before the epochs are new: a device whose cursor is ahead must not meet a clock that has passed it.
  for (const app of [app1, app2]) await app.kill();
  await db1.promote();
  run('env', `BOOKY_DATABASE_ADMIN_DSN=${db1.dsn('booky_owner')}`, program, 'resync', '--config', app1.config);
  await Promise.all([app1.start(), app2.start()]);

  const missing = compare(load.users, db1);
  t.diagnostic(`the replica was cut off for ${down} ms: of ${load.writes - before} operations acknowledged meanwhile ${missing.length} are lost`);
  assert.ok(missing.length > 0 && missing.length <= load.writes - before + load.users.length, `${missing.length} of ${load.writes - before}`);
  for (const user of load.users) {
    assert.equal((await user.insist('GET', `/api/sync/changes?cursor=${user.cursor}`)).status, 410);
    const { json } = await user.insist('GET', '/api/sync/changes?since=1970-01-01T00:00:00Z');
    const stored = db1.sql(`SELECT count(*) FROM booky.entities WHERE user_id = '${user.id}'`);
    assert.equal(json.changes.length, Number(stored));
    assert.equal((await user.insist('GET', `/api/sync/changes?cursor=${json.cursor}`)).status, 200);
  }
});
