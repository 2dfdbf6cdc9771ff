import type { RequestRecord } from "../../queue/request-queue.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { findEntries } from "./find-entries.ts";
import { limitToCaller } from "./limit-to-caller.ts";
import { listFinished } from "./list-finished.ts";
import { DAY_MS, formatPage, invalid, readExpand, readPeriod, requireEndpointIds } from "./read-query.ts";
import { readTimeBuckets } from "./time-buckets.ts";

/** Everything that is measured of one endpoint in one piece of time. Times in seconds. */
interface Sample {
  readonly prepare: number[];
  readonly durations: number[];
  readonly requests: RequestRecord[];
}

type Metric = (sample: Sample) => number | null;

const count =
  (matches: (request: RequestRecord) => boolean): Metric =>
  ({ requests }) =>
    requests.filter(matches).length;
const hasStatus =
  (hundred: number) =>
  (request: RequestRecord): boolean =>
    request.statusCode !== null && Math.floor(request.statusCode / 100) === hundred;
const hasError =
  (...types: readonly string[]) =>
  (request: RequestRecord): boolean =>
    request.errorType !== null && types.includes(request.errorType);

const STARTUP = ["startup_timeout", "runner_scheduling_failure"];
const CONNECTION = [
  "runner_connection_timeout",
  "runner_disconnected",
  "runner_connection_refused",
  "runner_connection_error",
  "runner_incomplete_response",
];
const TIMEOUT = ["request_timeout", "generation_timeout"];

const METRICS: ReadonlyMap<string, Metric> = new Map<string, Metric>([
  ["request_count", count(() => true)],
  ["success_count", count(hasStatus(2))],
  ["user_error_count", count(hasStatus(4))],
  ["error_count", count(hasStatus(5))],
  ["startup_error_count", count(hasError(...STARTUP))],
  ["connection_error_count", count(hasError(...CONNECTION))],
  ["timeout_error_count", count(hasError(...TIMEOUT))],
  [
    "runtime_error_count",
    count((request) => hasStatus(5)(request) && !hasError(...STARTUP, ...CONNECTION, ...TIMEOUT)(request)),
  ],
  ...[50, 75, 90, 95, 99].map((rank): [string, Metric] => [
    `p${rank}_prepare_duration`,
    ({ prepare }) => findPercentile(prepare, rank),
  ]),
  ...[25, 50, 75, 90, 95, 99].map((rank): [string, Metric] => [
    `p${rank}_duration`,
    ({ durations }) => findPercentile(durations, rank),
  ]),
  // The queue's rows do not say whether a worker had to load the model: null, not zero.
  ...["cold_boot_count", "p50_cold_boot_duration", "p75_cold_boot_duration", "p90_cold_boot_duration"].map(
    (name): [string, Metric] => [name, () => null],
  ),
  [
    "total_billable_duration",
    ({ requests }) => requests.reduce((sum, request) => sum + (request.inferenceSeconds ?? 0), 0),
  ],
]);

/** `GET /v1/models/analytics`: counts and percentiles over finished requests. */
export function addAnalyticsRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { catalog, queue, clock } = context;

  app.get("/models/analytics", tools.requireCaller(), async (c) => {
    const query = c.env.url.searchParams;
    const ids = findEntries(catalog, requireEndpointIds(query)).map((entry) => entry.endpointId);
    const expand = readExpand(query, ["time_series", "summary", ...METRICS.keys()]);
    const metrics = [...METRICS].filter(([name]) => expand.has(name));
    if (!expand.has("time_series") && !expand.has("summary"))
      throw invalid(`"expand" must name "time_series" or "summary", and the metrics wanted.`);
    if (metrics.length === 0)
      throw invalid(`"expand" must name a metric, one of ${[...METRICS.keys()].join(", ")}.`);
    const buckets = readTimeBuckets(query, readPeriod(query, { now: clock.now(), defaultMs: DAY_MS }));
    const series = new Map<string, Map<string, Sample>>();
    const summary = new Map<string, Sample>();
    for await (const request of listFinished(queue, {
      ...buckets.period,
      ...limitToCaller(c.get("caller")),
      endpointIds: ids,
    })) {
      const bucket = buckets.format(request.createdAt);
      const samples = series.get(bucket) ?? new Map<string, Sample>();
      series.set(bucket, samples);
      addSample(samples, request);
      addSample(summary, request);
    }
    const format = (samples: ReadonlyMap<string, Sample>) =>
      [...samples].map(([endpointId, sample]) => ({
        endpoint_id: endpointId,
        ...Object.fromEntries(metrics.map(([name, measure]) => [name, measure(sample)])),
      }));
    const times = [...series].sort(([a], [b]) => (a < b ? -1 : 1));
    return tools.respond.json(200, {
      ...(expand.has("time_series")
        ? { time_series: times.map(([bucket, samples]) => ({ bucket, results: format(samples) })) }
        : {}),
      ...(expand.has("summary") ? { summary: format(summary) } : {}),
      ...formatPage(null),
    });
  });
}

function addSample(samples: Map<string, Sample>, request: RequestRecord): void {
  const sample = samples.get(request.endpointId) ?? { prepare: [], durations: [], requests: [] };
  samples.set(request.endpointId, sample);
  sample.requests.push(request);
  const { createdAt, startedAt, endedAt } = request;
  if (startedAt === null) return;
  sample.prepare.push((startedAt - createdAt) / 1000);
  if (endedAt !== null) sample.durations.push((endedAt - startedAt) / 1000);
}

/** By the nearest rank; null of nothing. */
function findPercentile(values: readonly number[], rank: number): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1)] ?? null;
}
