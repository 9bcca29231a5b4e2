// The growth of the tables by writing: an hour's worth of batches at once, then autovacuum.
import { fill, population } from './data.mjs';
import { sleep } from '../http/lib.mjs';
import { sql } from './stack.mjs';

const BATCHES = 36_000; // ten a second for an hour
const TABLES = ['entities', 'clocks', 'ledger'];

async function tables() {
  const rows = await sql(`SELECT relname, pg_table_size(relid), pg_indexes_size(relid), n_live_tup, n_dead_tup,
      n_tup_upd, n_tup_hot_upd, autovacuum_count
    FROM pg_stat_user_tables WHERE schemaname = 'booky' AND relname IN (${TABLES.map((name) => `'${name}'`)})
    ORDER BY relname`);
  return Object.fromEntries(rows.map(([name, ...numbers]) => {
    const [bytes, indexBytes, live, dead, updates, hot, vacuums] = numbers.map(Number);
    return [name, { bytes, indexBytes, live, dead, updates, hot, vacuums }];
  }));
}

// Waits until autovacuum has processed the entities and is idle; at most three of its rounds of a minute.
async function vacuumed() {
  for (let i = 0; i < 36; i++) {
    const now = await tables(), running =
      await sql("SELECT 1 FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'");
    if (now.entities.vacuums > 0 && running.length === 0) return now;
    await sleep(5000);
  }
  return tables();
}

// `write(people, n)` sends n batches. Prints the figures and resolves to them.
export async function hour(write) {
  const people = population({ users: 200, books: 200, victims: 100 });
  await fill(people);
  await sql('SELECT pg_stat_reset()');
  await sleep(1000);
  const before = await tables();
  await write(people, BATCHES);
  await sleep(1500); // the statistics are delayed
  const after = await tables(), clean = await vacuumed();
  console.log(`\nAfter ${BATCHES} batches of ten operations (ten a second for an hour); ` +
    'sizes in MB as before / after / after autovacuum:');
  for (const name of TABLES) {
    const [a, b, c] = [before, after, clean].map((all) => all[name]),
      mb = (member) => [a, b, c].map((one) => (one[member] / 1e6).toFixed(1)).join(' / ');
    const hot = b.updates > 0 ? `${((100 * b.hot) / b.updates).toFixed(0)}% of ${b.updates} updates were HOT`
      : 'no updates';
    console.log(`  ${name.padEnd(9)} table ${mb('bytes').padEnd(24)} indexes ${mb('indexBytes').padEnd(24)} ` +
      `dead rows ${`${b.dead} / ${c.dead}`.padEnd(16)} ${hot}`);
  }
  return { batches: BATCHES, before, after, clean };
}
