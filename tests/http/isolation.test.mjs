// No user sees or changes the data of another: over HTTP, and inside the database.
import assert from 'node:assert/strict';
import test from 'node:test';
import { User, ago, book, checkError, cluster, gone, literal, op, patch, sql, withSession } from './lib.mjs';

const titles = ({ changes }) => changes.map(({ data }) => data.title);

// Resolves to a user with rows in every table that requests fill, and the operations that made them.
async function owner() {
  const user = new User();
  const operations = [
    book('b1', { title: 'Mine' }, { timestamp: ago(5) }), op('create', 'rating', 'r1', { bookId: 'b1', stars: 4 }),
    op('create', 'tag', 't1', { name: 'Sea' }), op('create', 'tag', 't2', { name: 'Sea' }),
    patch('b1', { title: 'Old' }, { timestamp: ago(9), conflictResolution: 'manual' }),
  ];
  await user.send(operations);
  assert.equal((await user.status()).conflicts, 2);
  return { user, operations };
}

test("another user's data is in no reply", async () => {
  const { user } = await owner();
  const other = new User();
  const { cursor, changes } = await other.pull();
  assert.deepEqual(changes, []);
  assert.deepEqual([(await other.status()).lastSync, (await other.status()).conflicts], [null, 0]);
  await other.apply(book('own'));
  assert.deepEqual((await other.pull(`cursor=${cursor}`)).changes.map(({ data }) => data.id), ['own']);
  assert.equal((await user.pull()).changes.length, 4);
});

test("another user's entities cannot be updated or deleted and cause no conflict", async () => {
  const { user } = await owner();
  const before = (await user.changes()).text;
  const other = new User();
  const { results } = await other.send([
    patch('b1', { notes: 'not mine' }, { timestamp: ago(1) }), gone('tag', 't1', { timestamp: ago(1) }),
    op('create', 'rating', 'r1', { bookId: 'b1', stars: 1 }, { timestamp: ago(60) }),
    op('create', 'tag', 't3', { name: 'Sea' }),
    book('b2', { title: 'Theirs' }, { timestamp: ago(60) }),
  ]);
  assert.equal(results[0].incomplete, true, 'the book is unknown to this user');
  for (const result of results) {
    assert.equal(result.status, 'success');
    assert.equal(result.resolution, undefined);
    assert.ok(!JSON.stringify(result).includes('Mine'));
  }
  assert.equal((await user.changes()).text, before);
  assert.equal((await user.status()).conflicts, 2);
});

test("another user's operation ids can be used", async () => {
  const { operations } = await owner();
  const other = new User();
  const { results } = await other.send(
    operations.map((operation) => ({ ...operation, data: { ...operation.data, notes: 'n' } })));
  for (const result of results)
    assert.deepEqual([result.duplicate, result.error === 'OPERATION_ID_REUSED'], [undefined, false]);
});

test("another user's cursor is refused, and another user's ETag never matches", async () => {
  const { user } = await owner();
  const other = new User();
  await other.apply(book('b1', { title: 'Theirs' }));
  const { cursor } = await user.pull('since=0&limit=1');
  checkError(await other.changes(`cursor=${cursor}`), 410, 'RESYNC_REQUIRED');
  const { etag } = (await user.changes()).headers;
  const reply = await other.changes(undefined, { headers: { 'if-none-match': etag } });
  assert.equal(reply.status, 200);
  assert.deepEqual(titles(reply.json), ['Theirs']);
});

test('replies must not be kept by a shared cache', async () => {
  const { user } = await owner();
  assert.match((await user.changes()).headers['cache-control'], /private|no-store/);
  assert.equal((await user.request('/status')).headers['cache-control'], 'no-store');
});

// Isolation inside the database, in case a WHERE clause is ever missing.

const dsn = process.env.BOOKY_TEST_DSN;
const skip = dsn ? false : 'BOOKY_TEST_DSN is not set';
const tables = await sql(`SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')
  AND relnamespace = 'booky'::regnamespace AND relname <> 'schema_migrations'`);
const asWorker = (work) => withSession(work, dsn);

// Tells the database who the user of the session is from now on. In a cluster that is a matter of one transaction.
async function identify(session, id) {
  if (!cluster) return session.query(id === undefined ? 'RESET booky.user_id' : `SET booky.user_id = ${literal(id)}`);
  if (session.identified) await session.query('ROLLBACK');
  session.identified = true;
  await session.query('BEGIN');
  if (id !== undefined) await session.query(`SELECT FROM booky.identify(${literal(id)})`);
}

test('every table with user data has row-level security', async () => {
  const rows = await sql(
    `SELECT relname FROM pg_class c WHERE relnamespace = 'booky'::regnamespace AND relkind IN ('r', 'p')` +
      ` AND NOT relrowsecurity AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'user_id')`);
  assert.deepEqual(rows, []);
});

test('the role of the workers has no more rights than it needs', { skip }, async () => {
  await asWorker(async (session) => {
    assert.deepEqual(
      await session.query(
      'SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user'),
      ['f']);
    assert.deepEqual(
      await session.query(
      `SELECT count(*) FROM pg_class WHERE relnamespace = 'booky'::regnamespace AND pg_has_role(relowner, 'MEMBER')`),
      ['0']);
    for (const statement of ['CREATE TABLE booky.x (a int)', 'DROP TABLE booky.entities', 'TRUNCATE booky.entities',
      'SELECT * FROM booky.books',
      'ALTER TABLE booky.entities DISABLE ROW LEVEL SECURITY'])
      await assert.rejects(session.query(statement), /permission denied|must be owner/, statement);
  });
});

test("a session without a user sees nothing, and a user's session only that user's rows", { skip }, async () => {
  const { user } = await owner();
  const other = new User();
  await other.apply(book('b1', { title: 'Theirs' }));
  const visible = ['clocks', 'entities', 'ledger', 'conflicts'];
  await asWorker(async (session) => {
    const granted = await session.query(`SELECT name FROM unnest(ARRAY[${tables.map(literal)}]) AS name
      WHERE has_table_privilege('booky.' || name, 'SELECT')`);
    for (const name of visible) assert.ok(granted.includes(name));
    const owners = (table) => session.query(`SELECT DISTINCT user_id FROM booky.${table}`);
    const withUser = await sql(`SELECT relname FROM pg_class c
      JOIN pg_attribute ON attrelid = c.oid AND attname = 'user_id'
      WHERE relnamespace = 'booky'::regnamespace AND relkind = 'r'`);
    for (const table of granted.filter((name) => withUser.includes(name))) {
      await identify(session);
      assert.deepEqual(await owners(table), [], `${table} without a user`);
      await identify(session, '');
      assert.deepEqual(await owners(table), [], `${table} with an empty user`);
      for (const { id } of [user, other]) {
        await identify(session, id);
        for (const found of await owners(table)) assert.equal(found, id, table);
      }
    }
    await identify(session, user.id);
    for (const table of visible) assert.deepEqual(await owners(table), [user.id], table);
  });
});

test("a session of one user can neither change nor create another user's rows", { skip }, async () => {
  const [{ user }, other] = [await owner(), new User()];
  await asWorker(async (session) => {
    await identify(session, other.id);
    const victim = literal(user.id);
    const countOf = (statement) => session.query(`WITH x AS (${statement} RETURNING 1) SELECT count(*) FROM x`);
    for (const table of ['clocks', 'entities', 'ledger', 'conflicts']) {
      assert.deepEqual(await countOf(`DELETE FROM booky.${table} WHERE user_id = ${victim}`), ['0']);
      const take = `UPDATE booky.${table} SET user_id = ${literal(other.id)} WHERE user_id = ${victim}`;
      if (!cluster) assert.deepEqual(await countOf(take), ['0']);
      else {
        await assert.rejects(countOf(take), /modifying the partition value/);
        await identify(session, other.id);
      }
    }
    await assert.rejects(
      session.query(`INSERT INTO booky.clocks (user_id, clock, started) VALUES (${literal(`${user.id}-new`)}, 1, 1)`),
      /row-level security/);
  });
  assert.equal((await user.pull()).changes.length, 4);
});

test('a connection that has served one user reveals nothing to the next', async () => {
  const users = Array.from({ length: 12 }, () => new User());
  await Promise.all(users.map((user) => user.apply(book('b1', { title: user.id }))));
  for (let round = 0; round < 3; round++)
    await Promise.all(users.map(async (user) => assert.deepEqual(titles(await user.pull()), [user.id])));
});
