// A front, two application hosts, a primary and a replica under load, and a sequence of failures. At the end every
// acknowledged operation must be there once, and no device may ever be shown less than it had seen.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { Story } from './chapters.mjs';
import { makeCluster, program } from './cluster.mjs';
import { run, sleep, until } from './hosts.mjs';
import { Load, User, compare, stampOf } from './load.mjs';

const cluster = await makeCluster();
const { front, app1, app2, db1, db2 } = cluster;
const load = new Load(front.url);

const story = new Story(cluster, load);
const chapter = story.chapter.bind(story), fault = story.fault.bind(story);

const acknowledged = 'booky_sync_http_requests_total{endpoint="operations",code="200"}';
const fromReplica = 'booky_sync_reads_total{target="replica"}';

chapter('the replica answers reads, and the primary does when the replica is behind', async () => {
  await load.progress();
  for (const app of [app1, app2])
    await until(`${app.name} reads from the replica`, async () => (await app.metric(fromReplica)) > 20);
  db2.set('recovery_min_apply_delay', '500ms');
  await until(
    'the replica is behind', async () => (await app1.metric('booky_sync_replica_passed_total{reason="behind"}')) > 5);
  await load.progress();
  db2.set('recovery_min_apply_delay', '0');
  assert.deepEqual(load.failed, []);
});

// Streams on both hosts are poked about a write to either host. Runs again after the failover.
async function pokes() {
  const user = new User(load);
  const streams = Array.from({ length: 4 }, () => user.stream());
  try {
    await until('all streams are open', () => streams.every(({ status }) => status === 200));
    for (const app of [app1, app2]) assert.ok(app.host.connections(9001) > 0, `${app.name} holds no stream`);
    const poked = () => streams.every(({ pokes }) => pokes.length > 0);
    await until('all of them are poked about a write', async () => { // pokes may be lost while the hosts reconnect
      for (const stream of streams) stream.pokes = [];
      const body = { deviceId: 'writer', operations: [{ id: randomUUID(), type: 'create', entity: 'book', entityId: 'p',
        data: { title: 'P' }, timestamp: new Date().toISOString() }] };
      await user.insist('POST', '/api/sync/operations', JSON.stringify(body));
      for (let i = 0; i < 50 && !poked(); i++) await sleep(20);
      return poked();
    });
  } finally {
    for (const stream of streams) stream.close();
  }
}

chapter('a write on one host causes a poke to the streams of both', pokes);

fault('the service continues when an application host is killed and restarted', async () => {
  await app2.kill();
  await load.progress();
  await app2.start();
});

chapter('draining an application host fails no request', async (t) => {
  const { outage, failed } = await load.during(async () => {
    await front.reload([app1.address]);
    const end = await app1.process.stop('SIGTERM');
    assert.deepEqual(end, { code: 0, signal: null });
    await load.progress();
    await app1.start();
    await front.reload();
  });
  assert.deepEqual(failed, []);
  t.diagnostic(`longest wait ${outage} ms`);
});

fault('an application host that loses the databases recovers when they are reachable again', async () => {
  app1.host.link('back', 'down');
  await load.progress();
  await sleep(1000);
  app1.host.link('back', 'up');
  const before = await app1.metric(fromReplica);
  await until('app1 reads again', async () => (await app1.metric(fromReplica)) > before + 5, 40);
});

fault('the service continues while the poolers restart', async () => {
  await db1.pooler.stop('SIGTERM');
  await db2.pooler.stop('SIGTERM');
  await load.progress();
  for (const db of [db1, db2]) await db.restartPooler();
});

fault('commits wait while the replica is down, and one in doubt is acknowledged when the replica has it', async () => {
  await db2.kill();
  const user = new User(load), id = randomUUID(); // no other request locks its clock
  const body = JSON.stringify(
    { operations: [{ id, type: 'create', entity: 'book', entityId: 'doubt', data: { title: 'In doubt', pageCount: 1 },
    timestamp: new Date().toISOString() }] });
  let reply;
  const send = () => {
    reply = undefined;
    user.request('POST', '/api/sync/operations', body).then((answer) => (reply = answer));
  };
  send();
  await until('commits wait',
    () => db1.sql("SELECT 1 WHERE (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep') > 1"));
  // The sessions end and their writes stay, as after a restart of the primary.
  const stored = () => {
    db1.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    if (db1.sql(`SELECT 1 FROM booky.ledger WHERE operation_id = '${id}'`)) return true;
    if (reply) send(); // its session ended before the commit
    return false;
  };
  await until('the primary has the operation', stored, 60);
  await until('it is answered', () => reply);
  assert.notEqual(reply.status, 200);
  let done = false;
  const repeat = user.insist('POST', '/api/sync/operations', body).then(() => (done = true));
  await sleep(1500);
  assert.ok(!done, 'it could still be lost');
  await db2.start();
  await db2.restartPooler();
  await repeat;
});

fault('nothing is lost when the primary is killed and the replica promoted', async (t) => {
  const from = Date.now();
  await db1.kill();
  await db2.promote();
  t.diagnostic(`promoted after ${Date.now() - from} ms`);
  for (const app of [app1, app2]) {
    const written = await app.metric(acknowledged);
    await until(`${app.name} writes to the new primary`, async () => (await app.metric(acknowledged)) > written + 5);
  }
});

fault('the old primary restarts fenced, gets no writes, and joins as the replica', async () => {
  db1.fence();
  await db1.start();
  await db1.restartPooler();
  const rows = () => db1.sql('SELECT count(*), max(processed_at) FROM booky.ledger');
  const before = rows();
  await app1.kill(); // it reconnects, and db1 is the first in its list
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

chapter('a write on one host causes a poke to the streams of both through the new primary', pokes);

chapter('every acknowledged operation is there once', async (t) => {
  await load.progress();
  const users = load.users.map((user) => ({ ...user, operations: [...user.operations], acknowledged: new Map() }));
  assert.deepEqual(compare(users, db2), []);
  assert.equal(load.resyncs, 0);
  t.diagnostic(`${load.writes} operations acknowledged, ${load.reads} reads checked`);
});

chapter('an asynchronous failover loses only what the replica lacked, and every device must resync', async (t) => {
  db2.set('synchronous_standby_names', '');
  db1.set('primary_conninfo', ''); // replication stops
  await until('db1 is alone', () => !db2.followed('async') && !db2.followed('sync'));
  const before = load.writes, cut = Date.now(), counts = load.users.map(({ operations }) => operations.length);
  // The first edit of a user from now on may have been on its way when replication stopped, the second was not.
  await until('every device has pulled an edit that will be lost', () => load.users.every(
    ({ operations, cursor }, i) => stampOf(cursor) >= (operations[counts[i] + 1]?.stamp ?? Infinity)), 90);
  await db2.kill();
  const down = Date.now() - cut;
  await load.stop();
  // No request is served before the epochs are changed: otherwise the clock could pass the cursor of a device that is
  // ahead.
  for (const app of [app1, app2]) await app.kill();
  await db1.promote();
  run('env', `BOOKY_DATABASE_ADMIN_DSN=${db1.dsn('booky_owner')}`, program, 'resync', '--config', app1.config);
  await Promise.all([app1.start(), app2.start()]);

  const missing = compare(load.users, db1);
  t.diagnostic(
    `replication was interrupted for ${down} ms: of ${load.writes - before} operations acknowledged meanwhile ` +
    `${missing.length} are lost`);
  assert.ok(missing.length > 0 && missing.length <= load.writes - before + load.users.length,
    `${missing.length} of ${load.writes - before}`);
  for (const user of load.users) {
    assert.equal((await user.insist('GET', `/api/sync/changes?cursor=${user.cursor}`)).status, 410);
    const { json } = await user.insist('GET', '/api/sync/changes?since=1970-01-01T00:00:00Z');
    const stored = db1.sql(`SELECT count(*) FROM booky.entities WHERE user_id = '${user.id}'`);
    assert.equal(json.changes.length, Number(stored));
    assert.equal((await user.insist('GET', `/api/sync/changes?cursor=${json.cursor}`)).status, 200);
  }
});
