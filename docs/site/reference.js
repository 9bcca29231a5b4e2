// Shows openapi.yaml by Redoc, in the colours of the other pages, and mends what it leaves out for screen readers.
const probe = document.createElement('i');
document.body.append(probe);
/** A colour of base.css as numbers, which Redoc needs. */
const color = (name) => {
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
};
const family = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const [page, sheet, ink, soft, line] = ['page', 'sheet', 'ink', 'soft', 'line'].map(color);
const strong = '#17554e', alarm = '#a3431a';
const each = (names, value) => Object.fromEntries(names.map((name) => [name, value]));

const PATTERN = 'rgb(14, 124, 134)'; // a colour of Redoc that no option changes

function mend(root) {
  for (const pre of root.querySelectorAll('pre:not([tabindex])')) pre.tabIndex = 0;
  // A heading of the fifth level stands for a label where the level before it is the second.
  for (const heading of root.querySelectorAll('h5:not([role])')) {
    heading.setAttribute('role', 'heading');
    heading.setAttribute('aria-level', '3');
  }
  for (const span of root.querySelectorAll('td span:not([data-seen])')) {
    span.dataset.seen = '';
    if (getComputedStyle(span).color === PATTERN) span.style.color = strong;
  }
}

const root = document.getElementById('redoc');
new MutationObserver(() => mend(root)).observe(root, { childList: true, subtree: true });
Redoc.init('openapi.yaml', {
  hideDownloadButton: true, hideLoading: true, nativeScrollbars: true, expandResponses: '200',
  jsonSamplesExpandLevel: 4,
  theme: {
    breakpoints: { small: '40rem', medium: '70rem', large: '90rem' },
    colors: {
      primary: { main: strong }, text: { primary: ink, secondary: soft }, border: { dark: line, light: line },
      success: { main: strong }, error: { main: alarm },
      http: each(['get', 'post', 'delete', 'head'], strong),
      responses: {
        ...each(['success', 'redirect', 'info'], { color: strong, backgroundColor: page, tabTextColor: '#8fd6c9' }),
        error: { color: alarm, backgroundColor: page, tabTextColor: '#f0a47c' },
      },
    },
    schema: {
      nestedBackground: sheet, typeNameColor: soft, typeTitleColor: soft, requireLabelColor: alarm, linesColor: line,
    },
    typography: {
      fontSize: '15px', fontFamily: family('sans'), headings: { fontFamily: family('serif'), fontWeight: '500' },
      code: { color: ink, backgroundColor: page, fontSize: '13px', wrap: true }, links: { color: strong },
    },
    sidebar: { backgroundColor: page, textColor: ink, activeTextColor: strong, width: '17rem' },
    rightPanel: { backgroundColor: '#20231f', textColor: '#f0ede4' },
    codeBlock: { backgroundColor: '#141614' },
  },
}, root);
