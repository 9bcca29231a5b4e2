// The bash completion offers the commands, options and values of the program. tests/package.sh tries the installed one.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { fileURLToPath } from 'node:url';

import { booky, commands, env, groups, long, source, typed, verbsOf } from './cmdline.mjs';

const file = fileURLToPath(new URL('../../completions/booky-sync', import.meta.url));

// The program's help texts, one file per command; it is asked for them only once.
const texts = mkdtempSync(path.join(tmpdir(), 'booky-completion-'));
after(() => rmSync(texts, { recursive: true }));
writeFileSync(path.join(texts, '--help'), booky(['--help']).stdout);
for (const { name, help } of commands) writeFileSync(path.join(texts, `${name} --help`), help);

// Stands in for the program and for the functions of the package bash-completion.
const script = `
booky-sync() { cat "$texts/$*"; }
_init_completion() { words=("\${COMP_WORDS[@]}") cword=$COMP_CWORD cur=\${words[cword]} prev=\${words[cword - 1]}; }
_filedir() { COMPREPLY=("<file$1>"); }
texts=$1
source "$2"
COMP_WORDS=(booky-sync "\${@:3}") COMP_CWORD=$(($# - 2))
_booky_sync booky-sync
printf '%s\\n' "\${COMPREPLY[@]}" | sort`;

// What bash offers for the last of the words.
function offered(...words) {
  const args = ['-c', script, 'bash', texts, file, ...words];
  const { status, stdout, stderr } = spawnSync('bash', args, { encoding: 'utf8', env });
  assert.deepEqual([status, stderr], [0, '']);
  return stdout.split('\n').filter(Boolean);
}

const kinds = source('lib/engine/kind.c').match(/kinds\[\] = \{(.*?)NULL/s)[1].match(/kind_\w+/g)
  .map((name) => source(`lib/engine/${name}.c`).match(/kind \w+ = \{\s*\.name = "(\w+)"/)[1]).sort();
const values = { FILE: ['<file>'], DIR: ['<file-d>'], KIND: kinds };
const choices = (value) => values[value] ?? (value.includes('|') ? value.split('|').sort() : undefined);

test('commands', () => {
  assert.deepEqual(offered(''), ['--help', '--version', ...new Set(commands.map(({ words }) => words[0]))].sort());
  assert.deepEqual(offered('ch'), ['check-config']);
});

for (const group of groups)
  test(`the commands of ${group}`, () => {
    assert.deepEqual(offered(group, ''), ['--help', ...verbsOf(group)].sort());
  });

for (const command of commands)
  test(`${command.name}: its options, the values of options and the operands`, () => {
    assert.deepEqual(offered(...command.words, '--'), command.options.map(long).sort());
    for (const option of command.options) {
      const left = command.options.filter((other) => other !== option).map(long).sort();
      assert.deepEqual(offered(...command.words, ...typed(option), '--'), left, `${long(option)} is offered once`);
      const expected = option.value && choices(option.value);
      if (!expected) continue;
      for (const spelling of [long(option), `-${option.letter}`])
        assert.deepEqual(offered(...command.words, spelling, ''), expected, spelling);
    }
    const required = command.options.filter((option) => option.required).flatMap(typed);
    for (const [i, operand] of command.operands.entries()) {
      const before = command.operands.slice(0, i).map(() => 'x');
      const expected = choices(operand);
      if (!expected) continue;
      assert.deepEqual(offered(...command.words, ...before, ''), expected, operand);
      assert.deepEqual(offered(...command.words, ...required, ...before, ''), expected, operand);
    }
    const after = offered(...command.words, ...command.operands.map(() => 'x'), '');
    assert.deepEqual(after, command.options.map(long).sort(), 'only options follow the operands');
  });
