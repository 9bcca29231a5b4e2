// What the tests of the command line share: the program, and its commands and options as --help prints them.
//
//   BOOKY_BIN  the program
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const program = process.env.BOOKY_BIN;
if (!program) throw new Error('not set: BOOKY_BIN, the program');

// The settings come from files alone.
export const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('BOOKY_')));

export const source = (file) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

// Runs the program to its end; returns { status, stdout, stderr }.
export function booky(args, options) {
  const all = { encoding: 'utf8', env, timeout: 60_000, maxBuffer: 256 << 20, ...options };
  const { error, status, stdout, stderr } = spawnSync(program, args, all);
  if (error) throw error;
  return { status, stdout, stderr };
}

const matches = (text, pattern) => [...text.matchAll(pattern)].map(([, ...groups]) => groups);

export const long = ({ name }) => `--${name}`;
export const shown = (option) => (option.value ? `${long(option)} ${option.value}` : long(option));

// A value that the command line accepts where the usage says NAME or one|of|these.
export const valueFor = (name) => ({ N: '1', SECONDS: '1', KIND: 'book' })[name] ?? name.split('|')[0];

// An option as it is typed, in one or two words.
export const typed = (option) => [long(option), ...(option.value ? [valueFor(option.value)] : [])];

// A command as its --help shows it: its words, the usage line without the program, its options and its operands.
function readCommand(name) {
  const words = name.split(' ');
  const help = booky([...words, '--help']).stdout;
  const usage = help.match(/^usage: booky-sync (.*)$/m)[1];
  const required = usage.replace(/ \[[^\]]*\]/g, '');
  const options = matches(help, /^ {2}-(.), --([a-z-]+)(?: (\S+))? {2,}\S/gm).map(([letter, option, value]) => ({
    letter, name: option, value, required: new RegExp(` --${option}( |$)`).test(required),
  }));
  const without = options.reduce((text, option) => text.replace(` ${shown(option)}`, ''), required);
  const operands = without.split(' ').slice(words.length);
  return { name, words, help, usage, options, operands };
}

// The commands that a help text lists.
export const listed = (text) => matches(text, /^ {2}([a-z][a-z-]*(?: [a-z]+)?) {2,}\S/gm).flat();

export const commands = listed(booky(['--help']).stdout).map(readCommand);

// The commands that have verbs.
export const groups = [...new Set(commands.filter(({ words }) => words.length > 1).map(({ words }) => words[0]))];
export const verbsOf = (group) => commands.filter(({ words }) => words[0] === group).map(({ words }) => words[1]);
assert.ok(commands.length > 10 && groups.length > 2, 'the list of commands cannot be read');
