// Fills docs/openapi.yaml in: where a reply's example says `{ value: RECORD }`, puts what the running server answers.
// `npm run record` does it, with the environment of the tests. Read what it wrote before you believe it.
import { writeFileSync } from 'node:fs';
import { parseDocument, stringify } from 'yaml';
import { examples, operations, root, source } from './document.mjs';
import { play } from './replay.mjs';
import { toDay } from './time.mjs';

const file = 'docs/openapi.yaml';
const options = { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false }; // 1.1: quotes what looks like a time

for (const op of operations)
  for (const { name, status, value } of examples(op)) {
    if (value !== 'RECORD') continue;
    const reply = await play(op, name);
    if (reply.status !== status) throw new Error(`${op.id}: ${name}: ${reply.status} ${reply.text}`);
    const text = source(file);
    const response = ['paths', op.path, op.method.toLowerCase(), 'responses', `${status}`];
    const node = parseDocument(text).getIn([...response, 'content', 'application/json', 'examples', name]);
    const summary = node.get('summary');
    const block = stringify({ ...(summary && { summary }), value: toDay(reply.json) }, options).trimEnd();
    const [start, end] = node.range;
    const before = text.slice(0, start).trimEnd();
    writeFileSync(new URL(file, root), `${before}\n${block.replace(/^/gm, ' '.repeat(18))}${text.slice(end)}`);
  }
