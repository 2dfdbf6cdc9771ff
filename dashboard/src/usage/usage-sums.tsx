import { type ReactNode, useCallback, useState } from "react";
import { call } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import { formatSeconds } from "../api/requests.ts";
import { usePolled } from "../api/use-polled.ts";
import { TableBox } from "../shell/table-box.tsx";
import { StackedBars } from "./stacked-bars.tsx";

/** Of one key's requests of one endpoint in one piece of time, as `/v1/sluice/usage` tells it. */
interface Sum {
  readonly bucket: string;
  readonly endpoint_id: string;
  readonly key_id: string | null;
  readonly key_alias: string | null;
  readonly request_count: number;
  readonly success_count: number;
  readonly seconds: number;
  readonly megapixels: number;
  readonly cost: number;
}

export interface Span {
  readonly name: string;
  readonly timeframe: "hour" | "day";
  /** Begins of the pieces of time, epoch ms. */
  readonly buckets: readonly number[];
}

const MEASURES = [
  { id: "requests", name: "requests", read: (sum: Sum) => sum.request_count, format: String },
  { id: "seconds", name: "model time", read: (sum: Sum) => sum.seconds, format: formatSeconds },
  { id: "cost", name: "cost", read: (sum: Sum) => sum.cost, format: formatDollars },
] as const;
const GROUPS = [
  { id: "key", name: "key", read: nameKey },
  { id: "endpoint", name: "endpoint", read: (sum: Sum) => sum.endpoint_id },
] as const;

const LOOK_MS = 60_000;
const concernsUsage = (event: ServerEvent): boolean => event.type === "prices";

/** Requests, model time and cost over time by key or endpoint, and their sums. */
export function UsageSums({ span }: { readonly span: Span }): ReactNode {
  const [measureId, setMeasure] = useState<string>("requests");
  const [groupId, setGroup] = useState<string>("key");
  const { timeframe, buckets } = span;
  const start = buckets[0] ?? 0;
  const load = useCallback(
    (signal: AbortSignal) =>
      call<{ readonly usage: readonly Sum[] }>(
        `/v1/sluice/usage?timeframe=${timeframe}&start=${new Date(start).toISOString()}`,
        { signal },
      ),
    [timeframe, start],
  );
  const { loaded, problem } = usePolled(load, LOOK_MS, concernsUsage);
  const measure = MEASURES.find(({ id }) => id === measureId) ?? MEASURES[0];
  const group = GROUPS.find(({ id }) => id === groupId) ?? GROUPS[0];
  if (loaded.state !== "loaded")
    return problem === undefined ? null : (
      <p className="notice" role="alert">
        {problem}
      </p>
    );
  const { usage } = loaded.value;
  const names = [...new Set(usage.map(group.read))].sort();
  const series = names.map((name) => ({
    name,
    values: buckets.map((at) =>
      usage
        .filter((sum) => group.read(sum) === name && Date.parse(sum.bucket) === at)
        .reduce((total, sum) => total + measure.read(sum), 0),
    ),
  }));
  return (
    <section aria-labelledby="sums-title">
      <h2 id="sums-title">By key and endpoint</h2>
      <div className="filters">
        <label>
          Show
          <select className="input" value={measure.id} onChange={(event) => setMeasure(event.target.value)}>
            {MEASURES.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <label>
          By
          <select className="input" value={group.id} onChange={(event) => setGroup(event.target.value)}>
            {GROUPS.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {usage.length === 0 ? null : (
        <div className="panel">
          <StackedBars
            label={`${measure.name} by ${group.name} over ${span.name}`}
            series={series}
            times={buckets.map((at) => formatTime(at, timeframe))}
            format={measure.format}
          />
        </div>
      )}
      <SumTable usage={usage} />
    </section>
  );
}

function SumTable({ usage }: { readonly usage: readonly Sum[] }): ReactNode {
  const rows = new Map<string, { readonly first: Sum; readonly sums: Sum[] }>();
  for (const sum of usage) {
    const id = `${sum.key_id} ${sum.endpoint_id}`;
    const row = rows.get(id) ?? { first: sum, sums: [] };
    row.sums.push(sum);
    rows.set(id, row);
  }
  const add = (sums: readonly Sum[], read: (sum: Sum) => number): number =>
    sums.reduce((total, sum) => total + read(sum), 0);
  const figures = (sums: readonly Sum[]): ReactNode => (
    <>
      <td className="number-cell">{add(sums, (sum) => sum.request_count)}</td>
      <td className="number-cell">{add(sums, (sum) => sum.success_count)}</td>
      <td className="number-cell">{formatSeconds(add(sums, (sum) => sum.seconds))}</td>
      <td className="number-cell">{add(sums, (sum) => sum.megapixels).toFixed(2)}</td>
      <td className="number-cell">{formatDollars(add(sums, (sum) => sum.cost))}</td>
    </>
  );
  return (
    <TableBox label="Sums by key and endpoint">
      <caption className="visually-hidden">Sums by key and endpoint</caption>
      <thead>
        <tr>
          <th scope="col">Key</th>
          <th scope="col">Endpoint</th>
          {["Requests", "Succeeded", "Model time", "Megapixels", "Would cost"].map((name) => (
            <th key={name} scope="col" className="number-cell">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {[...rows].map(([id, { first, sums }]) => (
          <tr key={id}>
            <td title={first.key_id ?? undefined}>{nameKey(first)}</td>
            <td>{first.endpoint_id}</td>
            {figures(sums)}
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row">All</th>
          <td />
          {figures(usage)}
        </tr>
      </tfoot>
    </TableBox>
  );
}

function nameKey(sum: Sum): string {
  // Of a temporary token, or a sample that the server had made.
  if (sum.key_id === null) return "no key";
  return sum.key_alias ?? sum.key_id;
}

export function formatDollars(amount: number): string {
  if (amount === 0) return "$0";
  return amount < 0.01 ? `$${amount.toPrecision(2)}` : `$${amount.toFixed(2)}`;
}

function formatTime(at: number, timeframe: Span["timeframe"]): string {
  return timeframe === "day"
    ? new Date(at).toLocaleDateString([], { month: "short", day: "numeric", timeZone: "UTC" })
    : new Date(at).toLocaleString([], {
        weekday: "short",
        hour: "2-digit",
        minute: "2-digit",
        hour12: false,
      });
}
