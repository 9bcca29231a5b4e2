// The figures as a table on the terminal.
const number = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

const line = (first, cells) => first + cells.map(([text, width]) => text.padStart(width)).join('');

export const quantile = (list, part) => {
  const sorted = [...list].sort((a, b) => a - b), at = (sorted.length - 1) * part, low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.ceil(at)] - sorted[low]);
};

export const median = (list) => quantile(list, 0.5);

const width = (name, least) => Math.max(least, name.length + 4);

// The columns: for each path its throughput with half the spread of the rounds, the throughput relative to the limit of
// the same round (the median of the rounds), and its latency.
export function headings(paths) {
  const cells = paths.flatMap((name) => [[`${name}/s`, width(name, 10)], ['±', 5]]);
  const parts = paths.includes('limit')
    ? paths.filter((name) => name !== 'limit').map((name) => [`${name}/limit`, 13]) : [];
  return line('workload'.padEnd(48) + 'conn',
    [...cells, ...parts, ...paths.map((name) => [`${name} ms`, width(name, 13)]), ['trips', 7]]);
}

const ratio = (these, those) => median(these.map((one, round) => one.perSecond / those[round].perSecond));

export function measured({ id, title, connections, medians, rounds }, paths, size) {
  const cells = paths.flatMap((name) => {
    const m = medians[name];
    return m ? [[number(m.perSecond), width(name, 10)],
      [`${((50 * (m.high - m.low)) / m.perSecond).toFixed(0)}%`, 5]] : [['-', width(name, 10)], ['', 5]];
  });
  const parts = paths.filter((name) => name !== 'limit' && paths.includes('limit'))
    .map((name) => [medians.limit && medians[name] ? ratio(rounds[name], rounds.limit).toFixed(2) : '-', 13]);
  const times = paths.map(
    (name) => [medians[name] ? `${number(medians[name].p50)}/${number(medians[name].p99)}` : '-', width(name, 13)]);
  const rate = size ? paths.filter((name) => medians[name]?.bytes)
    .map((name) => `  ${name} ${number(medians[name].bytes / medians[name].seconds / 1e6)} MB/s`).join('') : '';
  return line(id.padEnd(14) + title.padEnd(34) + String(connections).padStart(4),
    [...cells, ...parts, ...times, [(medians.socket ?? medians.nginx).trips.toFixed(2), 7]]) + rate;
}

// Where the processor time of a request goes, in µs: all processes of the server, through nginx.
const groups = ['nginx', 'worker', 'database', 'push'];
const cpu = (figures) => groups.map((group) => figures[`${group}Us`]);
const sum = (list) => list.reduce((a, b) => a + b, 0);

export const processorTime = (figures) => `${' '.repeat(14)}processor µs a request through nginx: ` +
  `${number(sum(cpu(figures)))} (${groups.map((group, i) => `${group} ${number(cpu(figures)[i])}`).join(', ')})`;

// Throughput relative to the other revision: the median of the ratios of each round. And the processor time of both.
export function compared({ medians, rounds }) {
  const parts = ['socket', 'nginx'].filter((name) => rounds[name] && rounds[`base ${name}`])
    .map((name) => `${name} ${ratio(rounds[name], rounds[`base ${name}`]).toFixed(2)} ×`);
  const [own, other] = [medians.nginx, medians['base nginx']];
  const times = own?.nginxUs && other?.nginxUs ? `; processor time ${groups.map((group, i) =>
    `${group} ${number(cpu(own)[i])} / ${number(cpu(other)[i])}`).join(', ')}, all ${number(sum(cpu(own)))} / ` +
    `${number(sum(cpu(other)))} µs` : '';
  return `${' '.repeat(14)}compared with the base: ${parts.join(', ')}${times}`;
}

export const streamed = (one) =>
  `\nW10: ${one.streams} open streams, ${one.writes} writes of one operation, ${one.pokes} pokes after ` +
  `${number(one.p50)}/${number(one.p99)} ms\n${processorTime(one)}\n` +
  `${' '.repeat(14)}the streams alone, processor µs a second: ` +
  groups.map((group) => `${group} ${number(one.idleUs[`${group}Us`])}`).join(', ');
