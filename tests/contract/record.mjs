// Fills in docs/openapi.yaml: replaces `{ value: RECORD }` in the example of a reply by the answer of the running
// server. Run it by `npm run record` with the environment of the tests, and review what it wrote.
import { writeFileSync } from 'node:fs';
import { parseDocument, stringify } from 'yaml';
import { examples, operations, root, source } from './document.mjs';
import { play } from './replay.mjs';
import { toDay } from './time.mjs';

const file = 'docs/openapi.yaml';
// 1.1: quotes text that looks like a time.
const options = { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false };

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
