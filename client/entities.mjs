// Makes src/entities.ts, the types of the entities, from docs/openapi.yaml: `npm run entities`.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const HEAD = `// The members of the entities. Made from docs/openapi.yaml by \`npm run entities\`; do not edit.

/** RFC 3339, a date (2024-01-15), or milliseconds since 1970. */
export type Instant = string | number;

/** An entity as the store returns it: the members that the server has, with the waiting edits applied. */
export interface EntityData {
  id: string;
  createdAt?: string;
  updatedAt?: string;
  [member: string]: any;
}
`;
const NAMED = { DataInstant: 'Instant | null', DateOrInstant: 'Instant | null', SetEdit: 'any[] | null' };
const PLAIN = { string: 'string', number: 'number', integer: 'number', boolean: 'boolean', null: 'null' };

/** The TypeScript type of a member. Throws where the description uses something that this script does not know. */
function typeOf({ $ref, type, enum: values, items }) {
  if ($ref) return NAMED[$ref.replace(/.*\//, '')] ?? fail($ref);
  if (values) return values.map((value) => (value === null ? 'null' : `'${value}'`)).join(' | ');
  const element = items && Object.keys(items).length ? typeOf(items) : 'any';
  const types = { ...PLAIN, array: `${element}[]`, object: 'Record<string, any>' };
  return [type].flat().map((name) => types[name] ?? fail(name)).join(' | ');
}

function fail(what) {
  throw new Error(`entities.mjs does not know ${what}`);
}

const comment = (text) => (text ? `/** ${text.trim().replace(/\s+/g, ' ')} */\n` : '');
const table = (name, what, rows) =>
  `${comment(what)}export interface ${name} {\n${rows.map(([key, value]) => `  ${key}: ${value};\n`).join('')}}\n`;

/** The text of src/entities.ts. */
export function entitiesOf(description) {
  const { schemas } = parse(description).components;
  const kinds = schemas.EntityKind.enum.map((kind) => {
    const name = kind[0].toUpperCase() + kind.slice(1), { description: what, properties } = schemas[`${name}Fields`];
    const required = (schemas[name].allOf ?? []).flatMap((part) => part.required ?? []);
    const members = Object.entries(properties)
      .map(([member, schema]) => [required.includes(member) ? member : `${member}?`, typeOf(schema)]);
    const sets = Object.keys(schemas[`${name}Sets`]?.properties ?? {}).map((member) => `'${member}'`);
    return { kind, name, what, members, sets: sets.join(' | ') || 'never' };
  });
  return [
    HEAD,
    ...kinds.flatMap(({ name, what, members }) => [
      table(`${name}Members`, what, members), `export interface ${name} extends EntityData, ${name}Members {}\n`,
    ]),
    table('Entities', 'The entities by kind, as the store returns them.', kinds.map(({ kind, name }) => [kind, name])),
    table('Members', 'The known members of each kind.', kinds.map(({ kind, name }) => [kind, `${name}Members`])),
    table('Sets', 'The members of each kind that are sets.', kinds.map(({ kind, sets }) => [kind, sets])),
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = (name) => fileURLToPath(new URL(name, import.meta.url));
  writeFileSync(file('src/entities.ts'), entitiesOf(readFileSync(file('../docs/openapi.yaml'), 'utf8')));
}
