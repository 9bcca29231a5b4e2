// The figures as a table on the terminal.
const number = (n) => (n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2));

const line = (first, cells) => first + cells.map(([text, width]) => text.padStart(width)).join('');

// Of each path its throughput with half the spread of the rounds, the throughput as a part of the limit's, and its latency.
export function headings(paths) {
  const cells = paths.flatMap((name) => [[`${name}/s`, 10], ['±', 5]]);
  const parts = paths.filter((name) => name !== 'limit').map((name) => [`${name}/limit`, 13]);
  return line('workload'.padEnd(48) + 'conn', [...cells, ...parts, ...paths.map((name) => [`${name} ms`, 13]), ['trips', 7]]);
}

export function measured({ id, title, connections, medians }, paths, size) {
  const cells = paths.flatMap((name) => {
    const m = medians[name];
    return m ? [[number(m.perSecond), 10], [`${((50 * (m.high - m.low)) / m.perSecond).toFixed(0)}%`, 5]] : [['-', 10], ['', 5]];
  });
  const parts = paths.filter((name) => name !== 'limit')
    .map((name) => [medians.limit && medians[name] ? (medians[name].perSecond / medians.limit.perSecond).toFixed(2) : '-', 13]);
  const times = paths.map((name) => [medians[name] ? `${number(medians[name].p50)}/${number(medians[name].p99)}` : '-', 13]);
  const rate = size ? paths.filter((name) => medians[name]?.bytes)
    .map((name) => `  ${name} ${number(medians[name].bytes / medians[name].seconds / 1e6)} MB/s`).join('') : '';
  return line(id.padEnd(14) + title.padEnd(34) + String(connections).padStart(4), [...cells, ...parts, ...times, [medians.socket.trips.toFixed(2), 7]]) + rate;
}
