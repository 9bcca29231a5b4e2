// The figures as a table on the terminal.
const number = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

const line = (first, cells) => first + cells.map(([text, width]) => text.padStart(width)).join('');

export const quantile = (list, part) => {
  const sorted = [...list].sort((a, b) => a - b), at = (sorted.length - 1) * part, low = Math.floor(at);
  return sorted[low] + (at - low) * (sorted[Math.ceil(at)] - sorted[low]);
};

export const median = (list) => quantile(list, 0.5);

// Of each path its throughput with half the spread of the rounds, the throughput as a part of the limit's of the same round (the
// median of the rounds), and its latency.
export function headings(paths) {
  const cells = paths.flatMap((name) => [[`${name}/s`, 10], ['±', 5]]);
  const parts = paths.filter((name) => name !== 'limit').map((name) => [`${name}/limit`, 13]);
  return line('workload'.padEnd(48) + 'conn', [...cells, ...parts, ...paths.map((name) => [`${name} ms`, 13]), ['trips', 7]]);
}

const ratio = (these, those) => median(these.map((one, round) => one.perSecond / those[round].perSecond));

export function measured({ id, title, connections, medians, rounds }, paths, size) {
  const cells = paths.flatMap((name) => {
    const m = medians[name];
    return m ? [[number(m.perSecond), 10], [`${((50 * (m.high - m.low)) / m.perSecond).toFixed(0)}%`, 5]] : [['-', 10], ['', 5]];
  });
  const parts = paths.filter((name) => name !== 'limit')
    .map((name) => [medians.limit && medians[name] ? ratio(rounds[name], rounds.limit).toFixed(2) : '-', 13]);
  const times = paths.map((name) => [medians[name] ? `${number(medians[name].p50)}/${number(medians[name].p99)}` : '-', 13]);
  const rate = size ? paths.filter((name) => medians[name]?.bytes)
    .map((name) => `  ${name} ${number(medians[name].bytes / medians[name].seconds / 1e6)} MB/s`).join('') : '';
  return line(id.padEnd(14) + title.padEnd(34) + String(connections).padStart(4), [...cells, ...parts, ...times, [medians.socket.trips.toFixed(2), 7]]) + rate;
}
