// The page /pool of `./dev up`: what the status endpoint of the server says, as plots of the last two minutes.

import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { Plot, type Series } from './plot.jsx';
import { millis, number, plural } from './words.js';

const STEP = 1000,
  KEPT = 120_000;

interface Sample {
  at: number;
  requests: number;
  busy: number;
  workers: number;
  most: number;
  queue: number;
  slow: number;
  uptime: number;
  /** The requests so far by duration: how many took at most so many seconds. */
  buckets: Map<number, number>;
  seconds: number;
  processes: Record<string, any>[];
}

/** Adds up the durations of all endpoints in the text that Prometheus reads. */
function durationsIn(metrics: string) {
  const buckets = new Map<number, number>();
  let seconds = 0;
  for (const [, kind, label, value] of metrics.matchAll(
    /^booky_sync_http_request_duration_seconds_(bucket|sum)\{endpoint="(?!health)\w+"(?:,le="([^"]+)")?\} (\S+)$/gm,
  )) {
    if (kind === 'sum') seconds += +value;
    else
      buckets.set(
        label === '+Inf' ? Infinity : +label,
        (buckets.get(label === '+Inf' ? Infinity : +label) ?? 0) + +value,
      );
  }
  return { buckets, seconds };
}

async function take(): Promise<Sample> {
  const [status, metrics] = await Promise.all(
    ['/pool?json&full', '/metrics'].map(async (path) => {
      const reply = await fetch(path, { cache: 'no-store' });
      if (!reply.ok) throw new Error(`${path}: ${reply.status}`);
      return reply.text();
    }),
  );
  const pool = JSON.parse(status);
  return {
    at: Date.now(),
    ...durationsIn(metrics),
    requests: pool['accepted conn'],
    busy: pool['active processes'],
    workers: pool['total processes'],
    most: pool['max processes'],
    queue: pool['listen queue'],
    slow: pool['slow requests'],
    uptime: pool['start since'],
    processes: pool.processes,
  };
}

/** What happened between a sample and the one before it. */
function ratesOf(samples: Sample[]) {
  return samples.slice(1).map((now, i) => {
    const before = samples[i],
      count = (s: Sample) => s.buckets.get(Infinity) ?? 0,
      done = count(now) - count(before);
    const least = [...now.buckets]
      .filter(([le, n]) => n - (before.buckets.get(le) ?? 0) >= 0.95 * done)
      .map(([le]) => le);
    return {
      at: now.at,
      persecond: Math.max(0, (now.requests - before.requests) / ((now.at - before.at) / 1000)),
      mean: done > 0 ? ((now.seconds - before.seconds) / done) * 1000 : undefined,
      p95: done > 0 ? Math.min(...least) * 1000 : undefined,
    };
  });
}

function Figure({
  title,
  value,
  more,
  series,
  now,
  top,
}: {
  title: string;
  value: string;
  more?: string;
  series: Series[];
  now: number;
  top?: number;
}) {
  return (
    <div>
      <h2>{title}</h2>
      <b>{value}</b>
      <Plot
        label={`${title}, the last two minutes; now ${value}`}
        start={now - KEPT}
        end={now}
        top={top}
        series={series}
      />
      <small>{more ?? '\u00a0'}</small>
    </div>
  );
}

const ago = (seconds: number) =>
  seconds < 120
    ? `${seconds} s`
    : seconds < 7200
      ? `${Math.floor(seconds / 60)} min`
      : `${Math.floor(seconds / 3600)} h`;

function Workers({ processes }: { processes: Sample['processes'] }) {
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Workers">
      <table className="workers">
        <caption className="unseen">The workers and what each does</caption>
        <thead>
          <tr>
            <th scope="col">Worker</th>
            <th scope="col">State</th>
            <th scope="col">Endpoint</th>
            <th scope="col" className="n">
              Requests
            </th>
            <th scope="col" className="n">
              Last request
            </th>
            <th scope="col" className="n">
              Runs for
            </th>
          </tr>
        </thead>
        <tbody>
          {processes.map((it) => (
            <tr key={it.pid}>
              <th scope="row">{it.pid}</th>
              <td className={it.state}>{it.state}</td>
              <td>{it.endpoint}</td>
              <td className="n">{number(it.requests)}</td>
              <td className="n">{it.requests ? `${(it['request duration'] / 1000).toFixed(1)} ms` : ''}</td>
              <td className="n">{ago(it['start since'])}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Pool() {
  const [samples, setSamples] = useState<Sample[]>([]),
    [problem, setProblem] = useState('');
  useEffect(() => {
    let timer: number,
      ended = false;
    const again = async () => {
      await take().then(
        (sample) => {
          setSamples((old) => [...old.filter(({ at }) => at > sample.at - KEPT), sample]);
          setProblem('');
        },
        (error) => setProblem(`The status endpoint does not answer: ${error.message}`),
      );
      if (!ended) timer = window.setTimeout(again, STEP);
    };
    void again();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, []);
  const now = samples[samples.length - 1],
    rates = ratesOf(samples),
    rate = rates[rates.length - 1];
  const timed = rates.filter(({ mean }) => mean !== undefined),
    last = timed[timed.length - 1];
  const of = (points: [number, number][], kind: Series['kind'] = 'line', className = 'trip'): Series => ({
    className,
    points,
    kind,
  });
  if (!now)
    return (
      <p role="alert" className="problem">
        {problem}
      </p>
    );
  return (
    <>
      <p role="alert" className="problem">
        {problem}
      </p>
      <div className="figures">
        <Figure
          title="Requests"
          value={`${(rate?.persecond ?? 0).toFixed(1)} a second`}
          now={now.at}
          more={`${number(now.requests)} since the start, ${ago(now.uptime)} ago`}
          series={[of(rates.map(({ at, persecond }) => [at, persecond]))]}
        />
        <Figure
          title="Latency"
          value={last ? `${last.mean!.toFixed(1)} ms` : 'no request'}
          now={now.at}
          more={last && Number.isFinite(last.p95) ? `95 of 100 within ${millis(last.p95!)}` : undefined}
          series={[
            of(
              timed.map(({ at, mean }) => [at, mean!]),
              'dots',
            ),
          ]}
        />
        <Figure
          title="Workers"
          value={`${now.busy} of ${now.workers} busy`}
          now={now.at}
          top={now.workers}
          more={`at most ${plural(now.most, 'worker')}`}
          series={[
            of(
              samples.map(({ at, busy }) => [at, busy]),
              'steps',
            ),
          ]}
        />
        <Figure
          title="Queue"
          value={`${number(now.queue)} waiting`}
          now={now.at}
          more={`${plural(now.slow, 'slow request')} since the start`}
          series={[
            of(
              samples.map(({ at, queue }) => [at, queue]),
              'steps',
            ),
          ]}
        />
      </div>
      <Workers processes={now.processes} />
    </>
  );
}

createRoot(document.getElementById('app')!).render(<Pool />);
