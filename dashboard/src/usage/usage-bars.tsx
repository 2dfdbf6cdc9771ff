import type { ReactNode } from "react";
import type { UsageRow } from "./usage-page.tsx";

interface Bar {
  /** Epoch ms. */
  readonly start: number;
  readonly row: UsageRow | undefined;
}

const HEIGHT = 72;
const STEP = 10;

/** One bar for each piece of time, stacked by how requests ended; the numbers stand beside the chart as text. */
export function UsageBars(props: {
  readonly label: string;
  readonly bars: readonly Bar[];
  readonly isDaily: boolean;
}): ReactNode {
  const { label, bars, isDaily } = props;
  const most = Math.max(...bars.map(({ row }) => row?.request_count ?? 0), 1);
  const width = bars.length * STEP;
  const format = (at: number): string =>
    isDaily
      ? new Date(at).toLocaleDateString([], { month: "short", day: "numeric", timeZone: "UTC" })
      : new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  return (
    <figure className="bars">
      <svg viewBox={`0 0 ${width} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
        {bars.map(({ start, row }, index) => {
          const scale = HEIGHT / most;
          const good = (row?.success_count ?? 0) * scale;
          const refused = (row?.user_error_count ?? 0) * scale;
          const failed = (row?.error_count ?? 0) * scale;
          const x = index * STEP + 1;
          return (
            <g key={start}>
              <title>{`${format(start)}: ${row?.request_count ?? 0}`}</title>
              <rect className="bar-base" x={x} y={HEIGHT - 1} width={STEP - 2} height={1} />
              <rect className="bar-good" x={x} y={HEIGHT - good} width={STEP - 2} height={good} />
              <rect
                className="bar-refused"
                x={x}
                y={HEIGHT - good - refused}
                width={STEP - 2}
                height={refused}
              />
              <rect
                className="bar-failed"
                x={x}
                y={HEIGHT - good - refused - failed}
                width={STEP - 2}
                height={failed}
              />
            </g>
          );
        })}
      </svg>
      <figcaption>
        <span>{format(bars[0]?.start ?? 0)}</span>
        <span>at most {most}</span>
        <span>{isDaily ? "today" : "now"}</span>
      </figcaption>
    </figure>
  );
}
