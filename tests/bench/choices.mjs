// Compares each choice of schema and statements with its alternative: the same pgbench script, taken from the server as
// the limits are (limit.mjs), runs on two copies of the tables that differ in one thing. ./dev bench --choices
import { readFileSync, writeFileSync } from 'node:fs';
import { fill, population } from './data.mjs';
import { limitScript, runLimit, statements } from './limit.mjs';
import { sleep } from '../wait.mjs';
import { scratch, sql } from './stack.mjs';
import { median, quantile } from './table.mjs';
import { workloads } from './workloads.mjs';

const TABLES = ['clocks', 'entities', 'ledger', 'queue', 'conflicts'];
const people = population({ users: 200, books: 500, victims: 100 });
const script = {}; // id of a workload → its pgbench script, see limitScript

// SQL that makes two copies, a and b, of the tables with all rows, keys and policies, and changes b.
const copies = (change) => `
  DROP SCHEMA IF EXISTS a CASCADE; DROP SCHEMA IF EXISTS b CASCADE; CREATE SCHEMA a; CREATE SCHEMA b;
  GRANT USAGE ON SCHEMA a, b TO booky_worker;
  ${['a', 'b'].flatMap((schema) => TABLES.map((table) => `
    CREATE TABLE ${schema}.${table} (LIKE booky.${table} INCLUDING ALL);
    ALTER TABLE ${schema}.${table} SET (fillfactor = ${table === 'clocks' ? 50 : 100});
    ALTER TABLE ${schema}.${table} ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own_rows ON ${schema}.${table} TO booky_worker
      USING (user_id = current_setting('booky.user_id', true));
    GRANT SELECT, INSERT, UPDATE, DELETE ON ${schema}.${table} TO booky_worker;`)).join('')}
  ${change}
  ${['a', 'b'].flatMap((schema) => TABLES.map((table) => `
    INSERT INTO ${schema}.${table} SELECT * FROM booky.${table};`)).join('')}
  ${['a', 'b'].map((schema) => `VACUUM ANALYZE ${TABLES.map((table) => `${schema}.${table}`).join(', ')};`).join('\n')}
  CHECKPOINT;`;

const each = (text) => TABLES.map((table) => text.replaceAll('@T@', table)).join(' ');
const setWise = /INSERT INTO ledger [^]*? AS l;/;

// `change` alters the second copy; `script` and `options` change what is run on it, and `setting` the server meanwhile.
const choices = [
  { what: 'the same twice (noise)', a: 'a', b: 'b', on: ['W1', 'W2'] },
  { what: 'type of the data', a: 'json', b: 'jsonb', on: ['W1', 'W2', 'W5'], size: 'entities',
    change: `ALTER TABLE b.entities ALTER data TYPE jsonb USING data::jsonb, ALTER marks TYPE jsonb USING marks::jsonb;
      ALTER TABLE b.ledger ALTER result TYPE jsonb USING result::jsonb;
      ALTER TABLE b.queue ALTER data TYPE jsonb USING data::jsonb;`,
    script: (text) => text.replaceAll('json', 'jsonb') },
  { what: 'index of a pull', a: 'user, updated_at, kind, id', b: 'user, updated_at', on: ['W1', 'W2', 'W5'],
    size: 'entities',
    change: `DROP INDEX b.entities_user_id_updated_at_kind_entity_id_idx;
      CREATE INDEX ON b.entities (user_id, updated_at);` },
  { what: 'fillfactor of entities', a: '100', b: '80', on: ['W1'], size: 'entities',
    change: 'ALTER TABLE b.entities SET (fillfactor = 80);' },
  { what: 'fillfactor of clocks', a: '50', b: '100', on: ['W1', 'W3'], size: 'clocks',
    change: 'ALTER TABLE b.clocks SET (fillfactor = 100);' },
  { what: 'row-level security', a: 'on', b: 'off', on: ['W1', 'W2'],
    change: each('ALTER TABLE b.@T@ DISABLE ROW LEVEL SECURITY;') },
  { what: 'collation of ids', a: '"C"', b: 'en-x-icu', on: ['W1', 'W2'],
    change: `${each('DROP POLICY own_rows ON b.@T@; ALTER TABLE b.@T@ ALTER user_id TYPE text COLLATE "en-x-icu";')}
      ALTER TABLE b.entities ALTER kind TYPE text COLLATE "en-x-icu", ALTER entity_id TYPE text COLLATE "en-x-icu",
        ALTER key TYPE text COLLATE "en-x-icu";
      ALTER TABLE b.ledger ALTER operation_id TYPE text COLLATE "en-x-icu";
      ALTER TABLE b.queue ALTER operation_id TYPE text COLLATE "en-x-icu";
      ${each(`CREATE POLICY own_rows ON b.@T@ TO booky_worker
        USING (user_id = current_setting('booky.user_id', true));`)}` },
  { what: 'plans', a: 'one generic', b: "PostgreSQL's own choice", on: ['W1', 'W2'],
    options: (text) => text.replace('force_generic_plan', 'auto') },
  { what: 'a read', a: 'without a transaction block', b: 'BEGIN, identify, pull, COMMIT', on: ['W2', 'W3'],
    script: (text) => text.replace('\\startpipeline', `\\startpipeline\n${statements.begin_read};`)
      .replace('\\endpipeline', `${statements.commit};\n\\endpipeline`) },
  { what: 'queue_synced', a: 'when an operation waited', b: 'with every batch', on: ['W1'],
    script: (text) => text.replace(/^COMMIT;/m, `${statements.queue_synced.replace('$1', ':user').replace('$2', '0')
      .replace('$3', '\'{op-1,op-2,op-3,op-4,op-5,op-6,op-7,op-8,op-9,op-10}\'')};\nCOMMIT;`) },
  { what: 'the ledger is written', a: 'as arrays, at once', b: 'row by row, in a pipeline', on: ['W1'],
    script: (text) => text.replace(setWise, (one) => Array.from({ length: 10 }, (_, i) =>
      one.replace(/ AS l;/, ` WITH ORDINALITY AS l (a, b, c, n) WHERE n = ${i + 1};`).replace('l.*', 'l.a, l.b, l.c'))
        .join('\n')) },
  { what: 'wal_compression', a: 'off', b: 'lz4', on: ['W1'], setting: "wal_compression = 'lz4'" },
  { what: 'commit_delay', a: '0', b: '100 µs', on: ['W1'], setting: 'commit_delay = 100' },
  { what: 'a slow disk', a: 'this one', b: '5 ms more for each fsync', on: ['W1'],
    setting: ['commit_delay = 5000', 'commit_siblings = 0'] },
  { what: 'synchronous_commit', a: 'on', b: 'off: may lose 0.6 s', on: ['W1'], setting: 'synchronous_commit = off' },
];

const set = async (settings, on) => {
  for (const setting of [settings].flat())
    await sql(`ALTER SYSTEM ${on ? `SET ${setting}` : `RESET ${setting.split(' ')[0]}`}`);
  await sql('SELECT pg_reload_conf()');
  await sleep(300); // the reload is asynchronous
};

async function sizes(table) {
  const rows = await sql(
    `SELECT pg_table_size(x), pg_indexes_size(x) FROM unnest(ARRAY['a.${table}', 'b.${table}']::regclass[]) AS x`);
  return rows.map((row) => row.map((bytes) => `${(bytes / 1e6).toFixed(1)}`).join(' + ')).join(' / ');
}

const row = (what, a, b, id, x, y, ratio) =>
  what.padEnd(26) + a.padEnd(30) + b.padEnd(32) + id.padEnd(8) + x.padStart(9) + y.padStart(9) + ratio.padStart(7);

async function hot(table) {
  const rows = await sql(`SELECT round(100.0 * n_tup_hot_upd / nullif(n_tup_upd, 0)) FROM pg_stat_user_tables
    WHERE relname = '${table}' AND schemaname IN ('a', 'b') ORDER BY schemaname`);
  return rows.map(([percent]) => `${percent || '-'} %`).join(' / ');
}

// Prints a line for each choice and workload: the medians of both, and the median and the quartiles of b/a of each
// round. Rounds are short, so a machine that is slower for a while is slower for both copies of a round. Resolves to
// the figures.
export async function measureChoices(rounds) {
  const results = [];
  await fill(people);
  for (const id of ['W2', 'W3', 'W5', 'W1']) {
    const [recipe] = await workloads.find((w) => w.id === id).recipes(people);
    script[id] = await limitScript(`choice-${id}`, { ...recipe, count: -1 }, people);
  }
  await fill(people); // undo the requests
  console.log(`${row('choice', 'a', 'b', 'script', 'a/s', 'b/s', 'b/a')}  quartiles`);
  const unchanged = (text) => text;
  for (const { what, a, b, on, change = '', script: edit = unchanged, options = unchanged, setting, size } of choices)
    for (const id of on) {
      await sql(copies(change));
      const perSecond = { a: [], b: [] };
      for (let round = 0; round < rounds; round++)
        for (const schema of round % 2 ? ['b', 'a'] : ['a', 'b']) {
          const file = `${scratch}/choice.sql`, text = readFileSync(script[id].file, 'utf8');
          writeFileSync(file, schema === 'b' ? edit(text) : text);
          if (setting) await set(setting, schema === 'b');
          const one = await runLimit([{ ...script[id], file }], people, 4, 1, (given) =>
            (schema === 'b' ? options(given) : given).replace('search_path=booky', `search_path=${schema},booky`));
          perSecond[schema].push(one.perSecond);
        }
      if (setting) await set(setting, false);
      const [x, y] = [median(perSecond.a), median(perSecond.b)],
        ratios = perSecond.a.map((one, round) => perSecond.b[round] / one);
      const more = size ? `   table + indexes MB ${await sizes(size)}; HOT ${await hot(size)}` : '';
      const quartiles = [0.25, 0.75].map((part) => quantile(ratios, part).toFixed(2)).join('–');
      console.log(`${row(what, a, b, id, x.toFixed(0), y.toFixed(0), median(ratios).toFixed(2))}  ${quartiles}${more}`);
      results.push({ what, a, b, workload: id, perSecond });
    }
  await sql('DROP SCHEMA a CASCADE; DROP SCHEMA b CASCADE');
  return results;
}
