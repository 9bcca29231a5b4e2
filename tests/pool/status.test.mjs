// Introspection of the pool: status page, ping, listen queue, metrics, `booky-sync status`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import test from 'node:test';

import { encode, request } from './fastcgi.mjs';
import { book, mint, program, run, signal, startPool, until, User } from './pool.mjs';

const pageNames = ['process manager', 'start time', 'start since', 'accepted conn', 'listen queue', 'listen queue len',
  'idle processes',
  'active processes', 'starting processes', 'total processes', 'max processes', 'max children reached',
  'slow requests'];
const processNames = ['pid', 'state', 'start since', 'requests', 'request duration', 'endpoint', 'request id'];

test('the status page has the same members as text and as JSON, and lists the workers with ?full', async (t) => {
  const pool = await startPool(t), user = new User(pool);
  await user.write(undefined, { headers: { 'X-Request-Id': 'status-page-1' } });
  await pool.idle();
  const text = await pool.page('/pool'), json = await pool.page('/pool?json'), full = await pool.page('/pool?full');
  assert.match(text.headers['content-type'], /^text\/plain/);
  assert.deepEqual([...text.text.matchAll(/^([^:\n]+): +(.*)$/gm)].map((m) => m[1]), pageNames);
  assert.match(text.text, /^process manager: +static$/m);
  assert.match(text.text, /^accepted conn: +1$/m);
  assert.equal(json.headers['content-type'], 'application/json');
  assert.deepEqual(Object.keys(json.json), pageNames);
  assert.equal(json.json['accepted conn'], 1);
  assert.equal(json.json['idle processes'], 4);
  assert.ok(Math.abs(Date.parse(json.json['start time']) - Date.now()) < 60_000);
  assert.equal(full.text.match(/^pid: +\d+$/gm).length, 4);
  const { processes } = await pool.status();
  assert.equal(processes.length, 4);
  for (const row of processes) assert.deepEqual(Object.keys(row), processNames);
  const served = processes.filter((row) => row.requests > 0);
  assert.deepEqual(served.map((row) => [row['request id'], row.endpoint, row.state, row.requests]),
    [['status-page-1', 'operations', 'idle', 1]]);
  assert.ok(served[0]['request duration'] > 0);
  assert.doesNotMatch(full.text, new RegExp(`${user.id}|${user.token}`));
});

test('the status page as HTML: two tables, no script, and nothing of a request can be markup', async (t) => {
  const pool = await startPool(t), user = new User(pool);
  await user.write(undefined, { headers: { 'X-Request-Id': 'status-page-2' } });
  await pool.idle();
  const { text, headers } = await pool.page('/pool?html&full');
  assert.equal(headers['content-type'], 'text/html; charset=utf-8');
  assert.deepEqual([...text.matchAll(/^<tr><th>([^<]+)<td>/gm)].map((m) => m[1]), pageNames);
  const [head, ...rows] = text.split('<table>')[2].split('<tr>').slice(1).map((row) => row.split(/<t[hd]>/).slice(1));
  assert.deepEqual(head.map((name) => name.trim()), processNames);
  assert.equal(rows.length, 4);
  assert.equal(rows.filter((row) => row[5] === 'operations' && row[6].startsWith('status-page-2')).length, 1, text);
  assert.doesNotMatch(text, /<script|javascript:|\son\w+=/i);
  assert.ok(!(await pool.page('/pool?html')).text.includes('request id'));
  assert.equal((await pool.page('/pool?html&json')).headers['content-type'], 'application/json');
});

test('the status page shows a running request with its endpoint, id and age', async (t) => {
  const pool = await startPool(t), user = new User(pool), release = await user.lock();
  const reply = user.write(undefined, { headers: { 'X-Request-Id': 'under-way-1' } });
  await until('endpoint and id', async () => {
    const row = await pool.busy();
    return row['request id'] === 'under-way-1' && row.endpoint === 'operations';
  });
  const before = (await pool.busy())['request duration'];
  assert.ok((await pool.busy())['request duration'] > before);
  assert.equal((await pool.status())['active processes'], 1);
  await release();
  assert.equal((await reply).status, 200);
});

test('the ping answers, and an unknown path is a 404', async (t) => {
  const pool = await startPool(t);
  const ping = await pool.page('/ping');
  assert.deepEqual([ping.status, ping.text], [200, 'pong\n']);
  for (const uri of ['/', '/pool/', '/poolx', '/metric', '/api/health', '']) {
    const reply = await request(pool.statusSocket, { uri });
    assert.deepEqual([reply.status, reply.json.error], [404, 'NOT_FOUND'], uri);
  }
});

test('half a request on the status socket, or a reply that nobody takes, does not stop the reporter', async (t) => {
  const pool = await startPool(t), whole = encode({ uri: '/pool?json&full' });
  for (const bytes of [12, whole.length - 4, whole.length]) {
    const held = Array.from({ length: 1 }, () => net.connect(pool.statusSocket).on('error', () => {}));
    t.after(() => held.forEach((connection) => connection.destroy()));
    for (const connection of held) connection.pause().write(whole.subarray(0, bytes));
    const ping = await request(pool.statusSocket, { uri: '/ping', timeout: 8000 });
    assert.deepEqual([ping.status, ping.text], [200, 'pong\n'], `after ${bytes} bytes`);
  }
});

test('the listen queue counts connections that wait for a worker, and none of them is lost', async (t) => {
  const pool = await startPool(t, { 'pool.workers': 1, 'server.backlog': 77 }), [worker] = await pool.workers();
  assert.equal((await pool.status())['listen queue'], 0);
  signal(worker, 'SIGSTOP');
  const replies = Array.from({ length: 5 }, () => request(pool.socket, { uri: '/api/health' }));
  const status = await until('five wait', async () => {
    const now = await pool.status();
    return now['listen queue'] >= 5 && now;
  });
  assert.deepEqual([status['listen queue'], status['listen queue len']], [5, 77]);
  const metrics = await pool.metrics();
  assert.equal(metrics.value('booky_sync_listen_queue_length'), 5);
  assert.equal(metrics.value('booky_sync_listen_queue_limit'), 77);
  signal(worker, 'SIGCONT');
  for (const reply of await Promise.all(replies)) assert.equal(reply.status, 200);
  assert.equal((await pool.status())['listen queue'], 0);
});

test('a connection that sends nothing or breaks off does not occupy a worker', async (t) => {
  const pool = await startPool(t);
  for (let i = 0; i < 8; i++) {
    const connection = net.connect(pool.socket);
    await new Promise((resolve) => connection.on('connect', resolve));
    if (i % 2) connection.write(Buffer.from([1, 1, 0, 1, 0, 8, 0, 0, 0, 1]));
    connection.destroy();
  }
  assert.equal((await new User(pool).write()).status, 200);
  await pool.idle();
});

test('`booky-sync status` shows pool, workers and database, as text and as JSON, and fails when the pool is down',
  async (t) => {
    const pool = await startPool(t), status = (...args) =>
      run(program, ['status', ...args, '--config', pool.conf], { env: pool.env });
    await new User(pool).write(undefined, { headers: { 'X-Request-Id': 'status-table-1' } });
    const text = (await status()).stdout, pids = await pool.workers();
    assert.match(text, /^pool {6}static, up \d+ s; 1 requests, 0 of them slow\n/);
    assert.match(text, /^workers {3}4 idle, 0 busy, 0 starting; at most 4, which was reached 0 times$/m);
    assert.match(text, /^queue {5}0 of \d+ connections wait for a worker$/m);
    assert.match(text, /^database {2}schema \d+; [1-9]\d* users, [1-9]\d* entities; /m);
    const [head, ...rows] = text.slice(text.indexOf('  worker')).trimEnd().split('\n');
    assert.deepEqual(head.trim().split(/ {2,}/),
      ['worker', 'state', 'up', 'requests', 'duration', 'endpoint', 'request id']);
    assert.deepEqual(rows.map((row) => Number(row.trim().split(' ')[0])).sort(), pids.sort());
    const served = rows.filter((row) => / idle +\d+ s +1 +[\d.]+ m?s +operations +status-table-1$/.test(row));
    assert.equal(served.length, 1, text);
    const json = JSON.parse((await status('--json')).stdout);
    assert.equal(json.pool.processes.length, 4);
    assert.ok(json.database[0].users >= 1 && json.database[0].entities >= 1, JSON.stringify(json.database));
    await pool.stop();
    const failed = await status('--json').then(() => assert.fail('it must fail'), (error) => error);
    assert.equal(failed.code, 1);
    assert.equal(JSON.parse(failed.stdout).pool, null);
  });

test('`booky-sync status --watch` shows the pool again and again, with the requests per second', async (t) => {
  const pool = await startPool(t);
  const watch = spawn(program, ['status', '--watch', '--config', pool.conf], { env: pool.env });
  let shown = '';
  watch.stdout.on('data', (text) => (shown += text));
  await new User(pool).write();
  await until('three times', () => shown.match(/^pool /gm)?.length >= 3);
  assert.match(shown, /^pool .*; \d+\.\d requests\/s$/m);
  watch.kill();
  assert.equal(shown.match(/^database {2}schema/gm).length, shown.match(/^pool /gm).length);
});

const names = ['http_requests_total', 'http_request_duration_seconds', 'operations_total', 'conflicts_total',
  'ledger_replays_total',
  'queue_waiting', 'queue_review', 'conflicts_open', 'workers', 'workers_max', 'listen_queue_length',
  'listen_queue_limit',
  'worker_restarts_total', 'workers_max_reached_total', 'slow_requests_total', 'db_round_trips_total',
  'db_connects_total', 'db_up',
  'rate_limited_total', 'build_info', 'start_time_seconds', 'reloads_total'];

test('the metrics count requests, operations, conflicts and workers', async (t) => {
  const pool = await startPool(t), user = new User(pool), first = book('b1');
  const older = { ...book('b1'), type: 'update', data: { title: 'Older' },
    timestamp: new Date(Date.now() - 3_600_000).toISOString() };
  for (const operations of [[first], [first], [older], [book('b2'), book('b3')],
    [{ ...book('b4'), entity: 'nothing' }]])
    assert.equal((await user.write(operations)).status, 200);
  assert.equal((await user.request({ method: 'POST', uri: '/api/sync/operations', body: '{' })).status, 400);
  for (let i = 0; i < 3; i++) assert.equal((await user.read()).status, 200);
  assert.equal((await request(pool.socket, { uri: '/api/sync/status' })).status, 401);
  assert.equal((await request(pool.socket, { uri: '/nowhere' })).status, 404);
  await pool.idle();
  const metrics = await pool.metrics(), value = (name, labels) => metrics.value(`booky_sync_${name}`, labels);
  for (const name of names) assert.match(metrics.text, new RegExp(`^# TYPE booky_sync_${name} \\w+$`, 'm'));

  assert.equal(value('http_requests_total'), 11);
  assert.equal(value('http_requests_total', { endpoint: 'operations', code: '200' }), 5);
  assert.equal(value('http_requests_total', { endpoint: 'operations', code: '400' }), 1);
  assert.equal(value('http_requests_total', { endpoint: 'status', code: '200' }), 3);
  assert.equal(value('http_requests_total', { endpoint: 'status', code: '401' }), 1);
  assert.equal(value('http_requests_total', { endpoint: 'none', code: '404' }), 1);
  for (const [endpoint, count] of [['operations', 6], ['status', 4], ['none', 1]]) {
    assert.equal(value('http_request_duration_seconds_count', { endpoint }), count);
    assert.equal(value('http_request_duration_seconds_bucket', { endpoint, le: '+Inf' }), count);
    assert.ok(value('http_request_duration_seconds_sum', { endpoint }) > 0);
    const buckets = metrics.samples.filter((s) => s.name === 'booky_sync_http_request_duration_seconds_bucket' &&
      s.labels.endpoint === endpoint);
    buckets.forEach((bucket, i) => assert.ok(i === 0 || bucket.value >= buckets[i - 1].value, 'cumulative'));
  }
  assert.equal(value('operations_total', { type: 'create', outcome: 'success' }), 3);
  assert.equal(value('operations_total', { type: 'update', outcome: 'success' }), 1);
  assert.equal(value('operations_total', { outcome: 'duplicate' }), 1);
  assert.equal(value('operations_total', { outcome: 'failed' }), 1);
  assert.equal(value('operations_total'), 6);
  assert.equal(value('conflicts_total', { resolution: 'server' }), 1);
  assert.equal(value('conflicts_total'), 1);
  assert.equal(value('ledger_replays_total'), 1);
  assert.deepEqual(['idle', 'busy', 'starting'].map((state) => value('workers', { state })), [4, 0, 0]);
  assert.deepEqual([value('workers_max'), value('db_up'), value('build_info'), value('rate_limited_total')],
    [4, 1, 1, 0]);
  assert.ok(value('db_connects_total') >= 1 && value('db_connects_total') <= 4);
  assert.ok(value('db_round_trips_total') >= 12);
  assert.ok(Math.abs(value('start_time_seconds') - Date.now() / 1000) < 60);
  for (const gauge of ['queue_waiting', 'queue_review', 'conflicts_open']) assert.ok(value(gauge) >= 0, gauge);
});

test('promtool accepts the metrics without a remark', async (t) => {
  if (await run('promtool', ['--version']).then(() => false, () => true)) return t.skip('promtool is not installed');
  const pool = await startPool(t), user = new User(pool);
  await user.write();
  await user.read();
  const check = spawn('promtool', ['check', 'metrics']), ended = new Promise((resolve) => check.on('close', resolve));
  let said = '';
  for (const from of [check.stdout, check.stderr]) from.on('data', (text) => (said += text));
  check.stdin.end((await pool.metrics()).text);
  return assert.deepEqual([await ended, said], [0, '']);
});

test('a forged token adds no user to the metrics', async (t) => {
  const pool = await startPool(t), user = new User(pool);
  const reply = await user.read({ headers: { authorization: `Bearer ${mint(user.id).slice(0, -4)}AAAA` } });
  assert.equal(reply.status, 401);
  assert.doesNotMatch((await pool.metrics()).text, new RegExp(user.id));
});
