import { type ReactNode, useCallback, useEffect, useState } from "react";
import { Link } from "wouter";
import { call } from "../api/call.ts";
import { loadModels } from "../api/models.ts";
import { formatSeconds } from "../api/requests.ts";
import { useSession } from "../api/session.ts";
import { usePolled } from "../api/use-polled.ts";
import { Alert } from "../shell/alert.tsx";
import { SignInNotice } from "../shell/sign-in.tsx";
import "../styles/operations.css";
import { Prices } from "./prices.tsx";
import { UsageBars } from "./usage-bars.tsx";
import { UsageSums } from "./usage-sums.tsx";

/** Counts of one endpoint: over the whole period, or of one bar. */
export interface UsageRow {
  readonly endpoint_id: string;
  readonly request_count: number;
  readonly success_count: number;
  readonly user_error_count: number;
  readonly error_count: number;
  readonly p50_duration: number | null;
  readonly p95_duration: number | null;
}

interface Usage {
  readonly time_series: readonly { readonly bucket: string; readonly results: readonly UsageRow[] }[];
  readonly summary: readonly UsageRow[];
  /** Of all bars of the period, also the empty ones; epoch ms. */
  readonly buckets: readonly number[];
}

const HOUR_MS = 3_600_000;
const PERIODS = [
  { id: "day", name: "24 hours", count: 24, timeframe: "hour", ms: HOUR_MS },
  { id: "week", name: "7 days", count: 7, timeframe: "day", ms: 24 * HOUR_MS },
  { id: "month", name: "30 days", count: 30, timeframe: "day", ms: 24 * HOUR_MS },
] as const;

type Period = (typeof PERIODS)[number];

const METRICS = "request_count,success_count,user_error_count,error_count,p50_duration,p95_duration";
/** What one look may ask about. */
const MAX_ENDPOINTS = 50;
const LOOK_MS = 60_000;

/** Finished requests over time, by endpoint: how many, how they ended, how long they took. */
export default function UsagePage(): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = "Usage · Sluice";
  }, []);
  return (
    <div className="page operations">
      <h1>Usage</h1>
      {session === undefined ? <SignInNotice>Sign in to see what was used.</SignInNotice> : <UsageList />}
    </div>
  );
}

function UsageList(): ReactNode {
  const [period, setPeriod] = useState<Period>(PERIODS[0]);
  const load = useCallback((signal: AbortSignal) => loadUsage(period, signal), [period]);
  const { loaded, problem } = usePolled(load, LOOK_MS);
  const session = useSession();
  return (
    <>
      <div className="filters">
        <label>
          Period
          <select
            className="input"
            value={period.id}
            onChange={(event) => setPeriod(PERIODS.find(({ id }) => id === event.target.value) ?? PERIODS[0])}
          >
            {PERIODS.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      <Alert text={problem} />
      {loaded.state === "loading" ? <p className="empty">Loading …</p> : null}
      {loaded.state !== "loaded" ? null : loaded.value.summary.length === 0 ? (
        <p className="empty">Nothing was finished in this time.</p>
      ) : (
        <ul className="usages">
          {loaded.value.summary.map((row) => (
            <li key={row.endpoint_id} className="panel usage">
              <h2>
                <Link href={`/models/${row.endpoint_id}`}>{row.endpoint_id}</Link>
              </h2>
              <UsageBars
                label={`Requests of ${row.endpoint_id} over ${period.name}`}
                bars={loaded.value.buckets.map((start) => ({
                  start,
                  row: findRow(loaded.value, start, period, row.endpoint_id),
                }))}
                isDaily={period.timeframe === "day"}
              />
              <dl className="numbers">
                <Figure name="requests" value={String(row.request_count)} />
                <Figure name="succeeded" value={String(row.success_count)} />
                <Figure name="refused" value={String(row.user_error_count)} />
                <Figure name="failed" value={String(row.error_count)} />
                <Figure
                  name="median"
                  value={row.p50_duration === null ? "–" : formatSeconds(row.p50_duration)}
                />
                <Figure
                  name="95 of 100 within"
                  value={row.p95_duration === null ? "–" : formatSeconds(row.p95_duration)}
                />
              </dl>
            </li>
          ))}
        </ul>
      )}
      {loaded.state !== "loaded" ? null : (
        <UsageSums span={{ name: period.name, timeframe: period.timeframe, buckets: loaded.value.buckets }} />
      )}
      {session?.scope === "ADMIN" ? <Prices /> : null}
    </>
  );
}

function Figure({ name, value }: { readonly name: string; readonly value: string }): ReactNode {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

async function loadUsage(period: Period, signal: AbortSignal): Promise<Usage> {
  const ids = (await loadModels()).slice(0, MAX_ENDPOINTS).map(({ endpointId }) => endpointId);
  // Bars begin at whole hours and days of UTC, as the server counts them.
  const last = Math.floor(Date.now() / period.ms) * period.ms;
  const buckets = Array.from(
    { length: period.count },
    (_, index) => last - (period.count - 1 - index) * period.ms,
  );
  const query = new URLSearchParams({
    endpoint_id: ids.join(","),
    timeframe: period.timeframe,
    start: new Date(buckets[0] ?? last).toISOString(),
    expand: `time_series,summary,${METRICS}`,
  });
  const answer = await call<Omit<Usage, "buckets">>(`/v1/models/analytics?${query}`, { signal });
  return { ...answer, buckets };
}

function findRow(usage: Usage, start: number, { ms }: Period, endpointId: string): UsageRow | undefined {
  return usage.time_series
    .filter(({ bucket }) => Date.parse(bucket) >= start && Date.parse(bucket) < start + ms)
    .flatMap(({ results }) => results)
    .find(({ endpoint_id }) => endpoint_id === endpointId);
}
