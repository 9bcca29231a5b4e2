// The arguments of ./dev bench. Run as a program, this only checks them, before anything is built.
import { parseArgs } from 'node:util';

function read() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false }, only: { type: 'string' }, rounds: { type: 'string' },
      growth: { type: 'boolean', default: false }, peer: { type: 'boolean', default: false },
      choices: { type: 'boolean', default: false }, compare: { type: 'string' },
    },
  });
  const rounds = Number(values.rounds ?? (values.quick ? 1 : values.choices ? 9 : 3));
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds: ${values.rounds} is not a whole number above 0`);
  return { ...values, rounds, only: values.only?.split(',') };
}

export let options;
try {
  options = read();
} catch (error) {
  console.error(`dev: bench: ${error.message}`);
  process.exit(64);
}
