// Small plots without axes: what the numbers beside them do over time.

const WIDTH = 240,
  HEIGHT = 48;

export interface Series {
  className: string;
  /** Values at times, oldest first. `steps`: a value holds until the next one. */
  points: [at: number, value: number][];
  kind: 'line' | 'steps' | 'dots';
}

/** Plots series over the time from `start` to `end`. Each series is scaled to its own largest value, or to `top`. */
export function Plot({
  label,
  series,
  start,
  end,
  top,
}: {
  label: string;
  series: Series[];
  start: number;
  end: number;
  top?: number;
}) {
  const x = (at: number) => +(((at - start) / (end - start)) * WIDTH).toFixed(1);
  return (
    <svg className="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      <line className="ground" x1="0" x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
      {series.map(({ className, points, kind }) => {
        const most = top ?? Math.max(1, ...points.map(([, value]) => value));
        const y = (value: number) => +(HEIGHT - 1 - (Math.min(value, most) / most) * (HEIGHT - 6)).toFixed(1);
        if (kind === 'dots')
          return points.map(([at, value], i) => (
            <line key={`${at}-${i}`} className={className} x1={x(at)} x2={x(at)} y1={HEIGHT - 1} y2={y(value)} />
          ));
        const path = points
          .map(([at, value], i) => `${i ? (kind === 'steps' ? `H${x(at)}V` : `L${x(at)} `) : `M${x(at)} `}${y(value)}`)
          .join('');
        return (
          points.length > 0 && (
            <path key={className} className={className} d={path + (kind === 'steps' ? `H${WIDTH}` : '')} />
          )
        );
      })}
    </svg>
  );
}
