// The command line: help, errors and exit codes of every command, and the manual against the program.
import assert from 'node:assert/strict';
import { closeSync, openSync } from 'node:fs';
import test from 'node:test';

import { booky, commands, groups, listed, shown, source, typed, valueFor, verbsOf } from './cmdline.mjs';

const USAGE = 64, CONFIG = 78;
const operandsOf = (command) => command.operands.map(valueFor);
const requiredOf = (command) => command.options.filter(({ required }) => required).flatMap(typed);

// Help

test('-h, --help and help list the commands', () => {
  const { status, stdout, stderr } = booky(['--help']);
  assert.deepEqual([status, stderr], [0, '']);
  for (const { name } of commands) assert.ok(stdout.includes(`\n  ${name}  `), name);
  for (const word of ['-h', 'help']) assert.deepEqual(booky([word]), booky(['--help']));
});

for (const group of groups)
  test(`${group} -h lists its commands and no others`, () => {
    const { status, stdout, stderr } = booky([group, '-h']);
    assert.deepEqual([status, stderr], [0, '']);
    assert.deepEqual(listed(stdout), verbsOf(group).map((verb) => `${group} ${verb}`));
    assert.deepEqual(booky([group, '--help']).stdout, stdout);
  });

for (const command of commands)
  test(`${command.name}: -h and --help show the usage and every option, wherever they stand`, () => {
    const { words: [first, ...rest], options, usage, help } = command;
    const places = [
      [first, ...rest, '-h'],
      [first, ...rest, '--help'],
      [first, ...rest, ...operandsOf(command), '-h'],
      [first, '--config', '/nonexistent', ...rest, '-h'],
    ];
    for (const args of places) assert.deepEqual(booky(args), { status: 0, stdout: help, stderr: '' }, args.join(' '));
    for (const option of options) if (option.name !== 'help') assert.ok(usage.includes(shown(option)), option.name);
    assert.deepEqual(options.slice(-2).map(({ letter, name }) => letter + name), ['cconfig', 'hhelp']);
  });

// Command lines that are accepted. A configuration that is missing ends them before they do anything.

const orders = {
  'options after the operands': (words, operands, options) => [...words, ...operands, ...options],
  'options before the operands': (words, operands, options) => [...words, ...options, ...operands],
  'options before the verb': ([first, ...rest], operands, options) => [first, ...options, ...rest, ...operands],
  'options, --, operands': (words, operands, options) => [...words, ...options, '--', ...operands],
};
const spellings = {
  '--name VALUE': ({ name, value }) => [`--${name}`, ...(value ? [value] : [])],
  '--name=VALUE': ({ name, value }) => [value ? `--${name}=${value}` : `--${name}`],
  '-n VALUE': ({ letter, value }) => [`-${letter}`, ...(value ? [value] : [])],
  '-nVALUE': ({ letter, value }) => [`-${letter}${value ?? ''}`],
};

for (const command of commands)
  test(`${command.name}: all options are accepted, in any order and spelling`, () => {
    const given = ({ name, value }) => (name === 'config' ? '/nonexistent' : value && valueFor(value));
    const options = command.options.slice(0, -1).map((option) => ({ ...option, value: given(option) }));
    for (const [i, [order, arrange]] of Object.entries(orders).entries()) {
      const [spelling, spell] = Object.entries(spellings)[i];
      const { status, stdout, stderr } = booky(arrange(command.words, operandsOf(command), options.flatMap(spell)));
      assert.deepEqual([status, stdout], [CONFIG, ''], `${order}, ${spelling}: ${stderr}`);
      assert.ok(stderr.startsWith(`booky-sync ${command.name}: /nonexistent: `), stderr);
    }
  });

// Command lines that are refused

// One line that says what is wrong, then the usage of the command.
function checkRefused(command, args, message) {
  const { status, stdout, stderr } = booky([...command.words, ...args]);
  const where = `${command.name} ${args.join(' ')}: ${stderr}`;
  assert.deepEqual([status, stdout], [USAGE, ''], where);
  const [error, usage] = stderr.split('\n');
  assert.ok(error.startsWith(`booky-sync ${command.name}: `) && error.includes(message), where);
  assert.equal(usage, `usage: booky-sync ${command.usage}`, where);
}

for (const command of commands)
  test(`${command.name}: wrong options and operands are refused with 64 and the usage`, () => {
    const operands = operandsOf(command), required = requiredOf(command);
    const refused = (args, message) => checkRefused(command, args, message);
    refused([...operands, ...required, '--unknown'], "'--unknown'");
    refused([...operands, ...required, '-?'], "'?'");
    refused([...operands, ...required, 'surplus'], 'unexpected operand: surplus');
    for (const [i, name] of command.operands.entries()) {
      refused([...required, ...operands.slice(0, i)], `${name} is missing`);
      if (name.includes('|')) refused([...required, ...operands.with(i, 'bogus')], `bogus: must be ${name}`);
    }
    for (const { name, letter, value, required: needed } of command.options) {
      if (needed) refused(operands, `--${name} is required`);
      if (value) refused([...operands, `--${name}`], `'--${name}' requires an argument`);
      if (value) refused([...operands, `-${letter}`], `requires an argument -- '${letter}'`);
      if (value?.includes('|')) refused([...operands, `--${name}`, 'bogus'], `--${name} bogus: must be ${value}`);
      if (!value) refused([...operands, `--${name}=1`], `'--${name}' doesn't allow an argument`);
    }
  });

const refused = [
  [[], /^usage: booky-sync COMMAND/],
  [['bogus'], /^booky-sync: bogus: no such command\nusage: booky-sync COMMAND/],
  [['user'], /^booky-sync: user: COMMAND is missing\nusage: booky-sync user COMMAND/],
  [['user', '--json'], /^booky-sync: user: COMMAND is missing\nusage: booky-sync user COMMAND/],
  [['user', 'bogus'], /^booky-sync: user bogus: no such command\nusage: booky-sync user COMMAND/],
  [['user', 'export', 'alice', '--json'], /^booky-sync user export: unrecognized option '--json'\n/],
  [['user', 'erase', 'alice'], /^booky-sync user erase: --yes is required: .*cannot be undone\n/],
  [['token', 'mint', '--user', 'alice', '--ttl', '1h'], /^booky-sync token mint: --ttl 1h: must be a whole number/],
  [['replay', '--user', 'alice', '--as', 'novel', '-'], /^booky-sync replay: --as novel: no such kind\n/],
  [['replay', '--user', 'alice', '--batch', '0', '-'], /^booky-sync replay: --batch 0: must be 1 to 1000\n/],
  [['replay', '--user', 'alice', '--batch', '1001', '-'], /^booky-sync replay: --batch 1001: must be 1 to 1000\n/],
];
for (const [args, message] of refused)
  test(`refused: booky-sync ${args.join(' ')}`, () => {
    const { status, stdout, stderr } = booky(args);
    assert.deepEqual([status, stdout], [USAGE, '']);
    assert.match(stderr, message);
    assert.match(stderr, /^usage: booky-sync /m);
  });

test('a command whose output cannot be written has failed', () => {
  const full = openSync('/dev/full', 'w');
  const { status, stderr } = booky(['--help'], { stdio: ['ignore', full, 'pipe'] });
  closeSync(full);
  assert.deepEqual([status, stderr], [1, 'booky-sync: standard output: No space left on device\n']);
});

// The manual

const manual = source('docs/man/booky-sync.8').replaceAll('\\-', '-');

// A line of arguments in mdoc, as the usage writes it: `.Op Fl -user Ar user` is [--user USER].
function plain(line) {
  const words = line.replace(/^\.(Op )?/, '').split(' ');
  let macro;
  const text = words.flatMap((word) => {
    if (/^(Fl|Ar|Cm)$/.test(word)) return (macro = word), [];
    return macro === 'Fl' ? `-${word}` : macro === 'Ar' ? word.toUpperCase() : word;
  }).join(' ').replaceAll(' | ', '|');
  return line.startsWith('.Op ') ? `[${text}]` : text;
}

test('the synopsis of booky-sync(8) is the usage of each command', () => {
  const synopsis = manual.match(/^\.Sh SYNOPSIS\n(.*?)^\.Sh/ms)[1];
  const forms = synopsis.split('.Nm\n').filter((form) => form.startsWith('.Cm'));
  const usages = forms.map((form) => form.trim().split('\n').map(plain).join(' '));
  assert.deepEqual(usages, commands.map(({ usage }) => usage));
});

test('booky-sync(8) describes each option of each command, and no others', () => {
  const [, common, described] = manual.match(/^\.Sh DESCRIPTION\n(.*?)^The commands are:\n(.*?)^\.Sh/ms);
  const inText = ([, letter, option]) => `${plain(`.${letter}`)}, ${plain(`.${option}`)}`;
  const optionsIn = (text) => [...text.matchAll(/^\.It (Fl .) , (Fl -.*)$/gm)].map(inText);
  const sections = described.split(/^(?=\.It Cm )/m).slice(1);
  assert.deepEqual(sections.map((text) => text.match(/^\.It Cm (.*)$/m)[1]), commands.map(({ name }) => name));
  for (const [i, { name, options }] of commands.entries()) {
    const shownHere = options.map((option) => `-${option.letter}, ${shown(option)}`);
    assert.deepEqual([...optionsIn(sections[i]), ...optionsIn(common)], shownHere, name);
  }
});
