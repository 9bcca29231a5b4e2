// Fills docs/openapi.yaml in: where a reply's example says `{ value: RECORD }`, puts what the running server answers.
// `npm run record` does it, with the environment of the tests. Read what it wrote before you believe it.
import { writeFileSync } from 'node:fs';
import { parseDocument, stringify } from 'yaml';
import { examples, operations, root, source } from './document.mjs';
import { play } from './replay.mjs';
import { toDay } from './time.mjs';

let text = source('docs/openapi.yaml');
for (const op of operations)
  for (const { name, status, value } of examples(op)) {
    if (value !== 'RECORD') continue;
    const reply = await play(op, name);
    if (reply.status !== status)
      console.error(`${op.id}: ${name}: ${reply.status} instead of ${status}: ${reply.text}`);
    const where = [
      'paths',
      op.path,
      op.method.toLowerCase(),
      'responses',
      `${status}`,
      'content',
      'application/json',
      'examples',
      name,
    ];
    const node = parseDocument(text).getIn(where);
    const summary = node.get('summary');
    const block = stringify(
      { ...(summary && { summary }), value: toDay(reply.json) },
      { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false },
    );
    const indent = ' '.repeat(18);
    text = `${text.slice(0, node.range[0]).trimEnd()}\n${block.trimEnd().replace(/^/gm, indent)}${text.slice(node.range[1])}`;
  }
writeFileSync(new URL('docs/openapi.yaml', root), text);
