// Plots of the figures as SVG: lines over a logarithmic axis.
const WIDTH = 640, HEIGHT = 400, LEFT = 70, RIGHT = 110, TOP = 40, BOTTOM = 50;
const colours = { limit: '#888888', socket: '#1f77b4', nginx: '#d62728', peer: '#2ca02c' };

// The smallest round number, 1, 2 or 5 times a power of ten, that is not below `n`.
function ceiling(n) {
  const power = 10 ** Math.floor(Math.log10(n));
  return [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= n);
}

// lines: { name: [[x, y], …] }. The axis of x is logarithmic, with ticks at the values that occur.
function plot(title, xName, yName, lines) {
  const points = Object.values(lines).flat();
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b),
    top = ceiling(Math.max(...points.map(([, y]) => y)));
  const span = Math.log(xs.at(-1) / xs[0]) || 1;
  const px = (x) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(x / xs[0])) / span;
  const py = (y) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * y) / top;
  const text = (x, y, what, more = '') => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${what}</text>`;
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`, text(LEFT, 20, title, 'font-weight="bold"'),
    text((WIDTH + LEFT - RIGHT) / 2, HEIGHT - 12, xName, 'text-anchor="middle"'), text(LEFT - 60, TOP - 6, yName)];
  for (let i = 0; i <= 5; i++) {
    const y = (top * i) / 5;
    out.push(`<path d="M${LEFT} ${py(y)}H${WIDTH - RIGHT}" stroke="#dddddd"/>`,
      text(LEFT - 6, py(y) + 4, Number(y.toPrecision(3)).toLocaleString('en'), 'text-anchor="end"'));
  }
  for (const x of xs) out.push(text(px(x), HEIGHT - BOTTOM + 18, x.toLocaleString('en'), 'text-anchor="middle"'));
  for (const [name, list] of Object.entries(lines)) {
    const at = list.map(([x, y]) => `${px(x).toFixed(1)} ${py(y).toFixed(1)}`), colour = colours[name];
    out.push(`<path d="M${at.join('L')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      ...list.map(([x, y]) => `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="3" fill="${colour}"/>`),
      text(px(list.at(-1)[0]) + 8, py(list.at(-1)[1]) + 4, name, `fill="${colour}"`));
  }
  return `${out.join('\n')}\n</svg>\n`;
}

// Groups the results of one workload into a line for each path.
function lines(results, x, y) {
  const found = {};
  for (const one of results)
    for (const [name, m] of Object.entries(one.medians)) (found[name] ??= []).push([one[x], m[y]]);
  for (const list of Object.values(found)) list.sort((a, b) => a[0] - b[0]);
  return found;
}

// The plots for which there are enough results, by name.
export function plots(results) {
  const out = {};
  for (const id of ['W1', 'W2', 'W3']) {
    const curve = results.filter((one) => one.id === id);
    if (curve.length > 1)
      out[`${id}-connections`] = plot(`${id}: ${curve[0].title}`, 'connections', 'requests a second',
        lines(curve, 'connections', 'perSecond'));
    const sizes = results.filter((one) => new RegExp(`^${id}( [\\d,]+)?$`).test(one.id) && one.connections === 1);
    if (new Set(sizes.map((one) => one.books)).size > 1)
      out[`${id}-library`] = plot(`${id}: ${sizes[0].title}, one connection`, 'books in the library',
        'median in milliseconds', lines(sizes, 'books', 'p50'));
  }
  return out;
}
