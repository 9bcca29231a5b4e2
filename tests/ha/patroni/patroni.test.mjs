// Automatic failover under load: the leader of three databases is killed, replaced and cut off. Every acknowledged
// operation must be there once, no device may ever be shown less than it had seen, and two databases may never accept
// writes at the same time.
import assert from 'node:assert/strict';

import { Story } from '../chapters.mjs';
import { sleep, until } from '../hosts.mjs';
import { Load, compare } from '../load.mjs';
import { makeCluster, settled } from '../members.mjs';

const patronictl = 'patronictl -c /etc/patroni/15-main.yml';
const acknowledged = 'booky_sync_http_requests_total{endpoint="operations",code="200"}';

const cluster = await makeCluster();
const { front, app1, app2, members } = cluster;
const load = new Load(front.url, { users: 3, pause: 250 });
const story = new Story(cluster, load);

// The members by role. Patroni may choose another synchronous standby at any time.
let { leader, standby, other } = await settled(members);

// A chapter that begins and ends with all members in their roles. The time until then is not a part of the outage.
function fault(name, work) {
  story.fault(name, async (t) => {
    ({ leader, standby, other } = await settled(members));
    await work(t);
    const from = Date.now();
    ({ leader, standby, other } = await settled(members));
    t.diagnostic(`leader ${leader.name}, synchronous standby ${standby.name}, replica ${other.name}; ` +
      `${Date.now() - from} ms until all had their roles`);
    assert.match(await leader.ask('SHOW synchronous_standby_names'), /^db/);
  });
}

// Resolves when another member than `old` accepts writes, and both application hosts, one directly and one through
// PgBouncer, write to it. Meanwhile `old` and another one may not both accept writes.
async function replaced(t, old, from) {
  const others = members.filter((member) => member !== old);
  let refused, both = false;
  const now = await until(`another member than ${old.name} accepts writes`, async () => {
    await sleep(200);
    const [before, ...after] = await Promise.all([old, ...others].map((member) => member.isPrimary()));
    if (!before) refused ??= Date.now() - from;
    both ||= before && after.includes(true);
    return others[after.indexOf(true)];
  }, 120);
  t.diagnostic(
    `${old.name} refused writes after ${refused} ms, ${now.name} accepted them after ${Date.now() - from} ms`);
  assert.ok(!both, 'two databases accepted writes');
  for (const app of [app1, app2]) {
    const written = await app.metric(acknowledged);
    await until(`${app.name} writes to ${now.name}`, async () => (await app.metric(acknowledged)) > written + 5, 90);
  }
}

story.chapter('the commands of the guide show a healthy cluster', async (t) => {
  await leader.execute('etcdctl');
  t.diagnostic(await leader.execute(`${patronictl} list`));
});

fault('another host becomes the synchronous standby when that is killed', async () => {
  const killed = standby;
  await killed.kill();
  await load.progress();
  await killed.start();
});

fault('another host takes over when the host of the leader is killed, and that joins as a replica', async (t) => {
  const killed = leader, from = Date.now();
  await killed.kill();
  await replaced(t, killed, from);
  await load.progress();
  await killed.start();
});

fault('switchover', async (t) => {
  const old = leader, from = Date.now();
  const order = leader.execute(`${patronictl} switchover`,
    [['--leader db1', `--leader ${leader.name}`], ['--candidate db2', `--candidate ${standby.name}`]]);
  await Promise.all([replaced(t, old, from), order]);
  t.diagnostic(await order);
});

fault('a leader that is cut off from the other hosts, but not from the applications, is replaced', async (t) => {
  const old = leader, others = [standby.host, other.host], from = Date.now(), before = old.log().length;
  old.host.cut(others);
  await replaced(t, old, from);
  await load.progress();
  old.host.cut(others, false);
  await settled(members);
  assert.match(old.log().slice(before), /running pg_rewind from/); // it had commits that nobody else has
});

fault('Patroni is killed on the leader and restarted', async () => {
  const old = leader;
  await leader.patroni.stop('SIGKILL');
  await load.progress();
  leader.startPatroni();
  assert.equal((await settled(members)).leader, old);
});

fault('Patroni restarts on all hosts during a pause', async (t) => {
  const old = leader;
  t.diagnostic(await leader.execute(`${patronictl} pause`));
  for (const member of members) await member.patroni.stop('SIGTERM');
  await load.progress();
  for (const member of members) member.startPatroni();
  await settled(members);
  t.diagnostic(await leader.execute(`${patronictl} resume`));
  const now = await settled(members);
  assert.equal(now.leader, old);
  t.diagnostic(`synchronous_standby_names: ${await old.ask('SHOW synchronous_standby_names')}`);
  await old.execute(`${patronictl} restart 15-main db2`, [['db2', now.standby.name]]);
  await until('the leader names its synchronous standby', async () => {
    await sleep(500);
    return (await old.ask('SHOW synchronous_standby_names')).startsWith('db');
  }, 60);
});

fault('a setting changes on all hosts, with a restart of PostgreSQL', async () => {
  await leader.execute(`${patronictl} edit-config`);
  await until('all members wait for the restart', async () =>
    Object.values(await leader.list()).every((member) => member.pending_restart), 60);
  await leader.execute(`${patronictl} restart 15-main --role`);
  await settled(members);
  for (const member of members) assert.equal(await member.ask('SHOW max_connections'), '210');
});

fault('a replica gets a new copy', async (t) => {
  const replica = other, before = await replica.ask('SELECT pg_postmaster_start_time()');
  t.diagnostic(await leader.execute(`${patronictl} reinit`, [['db3', replica.name]]));
  await settled(members);
  assert.notEqual(await replica.ask('SELECT pg_postmaster_start_time()'), before);
});

fault('the leader continues while etcd has no majority', async () => {
  const old = leader;
  for (const member of [leader, standby]) await member.etcdProcess.stop('SIGKILL');
  await sleep(40_000); // longer than the lease
  await load.progress();
  for (const member of [leader, standby]) member.startEtcd();
  assert.equal((await settled(members)).leader, old);
});

story.chapter('every acknowledged operation is there once', async (t) => {
  await load.progress();
  const users = load.users.map((user) => ({ ...user, operations: [...user.operations], acknowledged: new Map() }));
  assert.deepEqual(compare(users, leader), []);
  assert.equal(load.resyncs, 0);
  t.diagnostic(`${load.writes} operations acknowledged, ${load.reads} reads checked`);
});
