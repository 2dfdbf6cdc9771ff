import type { ReactNode } from "react";

export interface Series {
  readonly name: string;
  /** One value for each piece of time. */
  readonly values: readonly number[];
}

const HEIGHT = 120;
const STEP = 10;
/** Series beyond have the colour of the last. */
const COLORS = 8;

/** A bar for each piece of time, stacked by series; the sums stand in a table beside it. */
export function StackedBars(props: {
  readonly label: string;
  readonly series: readonly Series[];
  /** Names of the pieces of time. */
  readonly times: readonly string[];
  format(value: number): string;
}): ReactNode {
  const { label, series, times, format } = props;
  const totals = times.map((_, index) => series.reduce((sum, { values }) => sum + (values[index] ?? 0), 0));
  const most = Math.max(...totals);
  const scale = most > 0 ? HEIGHT / most : 0;
  return (
    <figure className="bars bars-tall">
      <svg
        viewBox={`0 0 ${times.length * STEP} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={label}
      >
        {times.map((time, index) => {
          let top = HEIGHT;
          return (
            <g key={time}>
              <title>{`${time}: ${format(totals[index] ?? 0)}`}</title>
              <rect className="bar-base" x={index * STEP + 1} y={HEIGHT - 1} width={STEP - 2} height={1} />
              {series.map(({ name, values }, place) => {
                const height = (values[index] ?? 0) * scale;
                top -= height;
                return height === 0 ? null : (
                  <rect
                    key={name}
                    className={`series-${Math.min(place, COLORS - 1)}`}
                    x={index * STEP + 1}
                    y={top}
                    width={STEP - 2}
                    height={height}
                  />
                );
              })}
            </g>
          );
        })}
      </svg>
      <figcaption>
        <span>{times[0]}</span>
        <span>at most {format(most)}</span>
        <span>{times.at(-1)}</span>
      </figcaption>
      <ul className="chart-key">
        {series.map(({ name }, place) => (
          <li key={name} className={`key-${Math.min(place, COLORS - 1)}`}>
            {name}
          </li>
        ))}
      </ul>
    </figure>
  );
}
