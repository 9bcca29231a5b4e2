// Builds the pages of /docs into a folder: node build.mjs ROOT FOLDER. ROOT is the root of the sources. The guides are
// those that docs/README.md lists, in its order. The reference is docs/openapi.yaml, shown by Redoc. No page needs
// another host.
import { cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Marked } from 'marked';
import { getHeadingList, gfmHeadingId } from 'marked-gfm-heading-id';

const [root, outdir] = process.argv.slice(2);
const here = fileURLToPath(new URL('.', import.meta.url));
const read = (path) => readFileSync(join(root, path), 'utf8');
const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

const INDEX = 'docs/README.md';
const linksIn = (path) =>
  [...read(path).matchAll(/\]\(([^)#]+\.md)[^)]*\)/g)].map(([, link]) => normalize(join(dirname(path), link)));
const guides = [INDEX, ...new Set(linksIn(INDEX))];
/** The name of a page: docs/api.md is api.html, client/README.md is client.html. */
const pageOf = (path) => {
  if (path === INDEX) return 'index.html';
  const inFolder = basename(path) === 'README.md' && dirname(path) !== '.';
  return `${basename(inFolder ? dirname(path) : path, '.md').toLowerCase()}.html`;
};

/** Where a link of a guide leads among the pages; undefined if it leads to something that is not among them. */
function target(from, href) {
  if (/^(https?:|mailto:|#)/.test(href)) return href;
  const [file, anchor] = href.split('#'), path = normalize(join(dirname(from), file));
  // Examples and man pages are copied as they are.
  const copied = path.startsWith('docs/') && !path.endsWith('.md') && statSync(join(root, path)).isFile();
  const page = guides.includes(path) ? pageOf(path) : copied ? path.slice('docs/'.length) : undefined;
  return page && page + (anchor ? `#${anchor}` : '');
}

function render(path) {
  let blocks = 0;
  const marked = new Marked(gfmHeadingId(), {
    renderer: {
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens), to = target(path, href);
        return to ? `<a href="${escaped(to)}">${text}</a>` : text;
      },
      // What is wider than the page scrolls by itself, also with the keyboard.
      code({ text }) {
        return `<pre tabindex="0" role="region" aria-label="Example ${++blocks}"><code>${escaped(text)}</code></pre>\n`;
      },
      table(token) {
        const cell = (tag) => ({ text, tokens }) => {
          const name = text ? tag : 'td'; // an empty cell is no heading
          return `<${name}>${this.parser.parseInline(tokens)}</${name}>`;
        };
        const row = (cells, tag) => `<tr>${cells.map(cell(tag)).join('')}</tr>\n`;
        const head = token.header.some(({ text }) => text) ? `<thead>${row(token.header, 'th')}</thead>` : '';
        const body = token.rows.map((cells) => row(cells, 'td')).join('');
        return `<div class="scroll" tabindex="0" role="region" aria-label="Table ${++blocks}"><table>${head}`
          + `<tbody>${body}</tbody></table></div>\n`;
      },
    },
  });
  const html = marked.parse(read(path));
  const headings = getHeadingList().map(({ id, raw, level }) => ({ id, level, text: raw.replace(/[`*]/g, '') }));
  return { html, headings };
}

const titles = new Map(guides.map((path) => [path, /^# (.*)$/m.exec(read(path))[1]]));

function page({ title, file, main, kind = 'guide', scripts = '' }) {
  const links = [['reference.html', 'API reference'], ...guides.map((path) => [pageOf(path), titles.get(path)])];
  const nav = links.map(([href, text]) =>
    `<li><a href="${href}"${href === file ? ' aria-current="page"' : ''}>${escaped(text)}</a></li>`).join('\n');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="base.css">
<link rel="stylesheet" href="docs.css">
</head>
<body class="${kind}">
<a class="skip" href="#main">Skip to the text</a>
<header class="top"><a href="index.html">Booky Sync</a> <a href="openapi.yaml">openapi.yaml</a></header>
<nav class="pages" aria-label="Documents"><ul>
${nav}
</ul></nav>
${main}
${scripts}</body>
</html>
`;
}

mkdirSync(outdir, { recursive: true });
for (const path of guides) {
  const { html, headings } = render(path), parts = headings.filter(({ level }) => level === 2);
  const own = /\n(\d+\.|[-*|]) \[[^\]]+\]\(#/.test(read(path)); // a table of contents of its own
  const contents = parts.length > 2 && !own
    ? `<nav class="contents" aria-label="On this page"><ul>\n${parts.map(({ id, text }) =>
      `<li><a href="#${id}">${escaped(text)}</a></li>`).join('\n')}\n</ul></nav>\n` : '';
  const file = pageOf(path), main = `<main id="main">\n${contents}${html}</main>`;
  writeFileSync(join(outdir, file), page({ title: `${titles.get(path)} · Booky Sync`, file, main }));
}

writeFileSync(join(outdir, 'reference.html'), page({
  title: 'API reference · Booky Sync', file: 'reference.html', main: '<main id="main"><div id="redoc"></div></main>',
  kind: 'reference', scripts: '<script src="redoc.js"></script>\n<script src="reference.js"></script>\n',
}));
// Redoc shows the logo of its makers, which it loads from their host.
const logo = 'https://cdn.redoc.ly/redoc/logo-mini.svg';
const bundle = createRequire(import.meta.url).resolve('redoc/bundles/redoc.standalone.js');
const redoc = readFileSync(bundle, 'utf8');
if (!redoc.includes(logo)) throw new Error(`redoc does not have ${logo} any more: look what it loads now`);
cpSync(`${bundle}.LICENSE.txt`, join(outdir, 'redoc.standalone.js.LICENSE.txt'));
writeFileSync(join(outdir, 'redoc.js'), redoc.replaceAll(logo, 'icon.svg').replace(/\n\/\/# sourceMappingURL=.*/, ''));

for (const path of ['docs/openapi.yaml', 'docs/architecture.svg', 'docs/architecture.dot', 'docs/examples', 'docs/man'])
  cpSync(join(root, path), join(outdir, path.slice('docs/'.length)), { recursive: true });
for (const name of ['base.css', 'icon.svg']) cpSync(join(root, 'client/demo', name), join(outdir, name));
for (const name of ['docs.css', 'reference.js']) cpSync(here + name, join(outdir, name));
