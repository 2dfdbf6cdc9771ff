import { setImmediate as nextTurn } from "node:timers/promises";
import type { SqlValue, Statements } from "../database/database.ts";
import type { AccountId, KeyId, RequestId } from "../ids.ts";
import type { QueueContext } from "./queue-context.ts";
import type { HeldLease, UsageFilter, UsageSum } from "./request-queue.ts";

/** Who holds what, the lease that ends first before the others. */
export async function listLeases(context: QueueContext, limit: number): Promise<readonly HeldLease[]> {
  const rows = await context.database.read((tx) =>
    tx.all<{
      id: string;
      endpoint_id: string;
      runner_id: string | null;
      attempts: number;
      started_at: number | null;
      lease_expires_at: number;
    }>(
      `SELECT id, endpoint_id, runner_id, attempts, started_at, lease_expires_at FROM requests
       WHERE state = 'running' ORDER BY lease_expires_at LIMIT $1`,
      [limit],
    ),
  );
  return rows.map((row) => ({
    requestId: row.id as RequestId,
    endpointId: row.endpoint_id,
    runnerId: row.runner_id,
    attempt: row.attempts,
    startedAt: row.started_at,
    expiresAt: row.lease_expires_at,
  }));
}

/** Requests that ended since then, by endpoint. */
export async function countEnded(
  context: QueueContext,
  startAt: number,
): Promise<ReadonlyMap<string, number>> {
  const rows = await context.database.read((tx) =>
    tx.all<{ endpoint_id: string; count: number }>(
      // `|| ''`: counted along the index of ends, and not along one of everything by endpoint.
      `SELECT endpoint_id || '' AS endpoint_id, count(*) AS count FROM requests
       WHERE ended_at IS NOT NULL AND ended_at >= $1 GROUP BY endpoint_id || ''`,
      [Math.ceil(startAt)],
    ),
  );
  return new Map(rows.map((row) => [row.endpoint_id, row.count]));
}

/** Requests that SQLite sums at a time: it works in the event loop, where others wait meanwhile. */
const SLICE = 2_000;

/** Sums of ended requests by time, endpoint and key: made in the database, however many there are. */
export async function sumUsage(context: QueueContext, filter: UsageFilter): Promise<readonly UsageSum[]> {
  const { database } = context;
  const sums = new Map<string, UsageSum>();
  let startAt = Math.ceil(filter.startAt);
  const lastAt = Math.ceil(filter.endAt);
  while (startAt < lastAt) {
    const rest = { ...filter, startAt, endAt: lastAt };
    const { endAt, found } = await database.read(async (tx) => {
      const slice = database.dialect === "sqlite" ? { ...rest, endAt: await findSliceEnd(tx, rest) } : rest;
      return { endAt: slice.endAt, found: await sumSlice(tx, slice) };
    });
    for (const sum of found) addSum(sums, sum);
    startAt = endAt;
    await nextTurn();
  }
  return [...sums].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, sum]) => sum);
}

/** Where the first {@link SLICE} requests end, with those of the same millisecond; the filter's own end for fewer. */
async function findSliceEnd(tx: Statements, filter: UsageFilter): Promise<number> {
  const { where, parameters } = createUsageCondition(filter);
  const row = await tx.get<{ created_at: number }>(
    `SELECT created_at FROM requests ${where} ORDER BY created_at LIMIT 1 OFFSET ${SLICE - 1}`,
    parameters,
  );
  return row === undefined ? filter.endAt : row.created_at + 1;
}

async function sumSlice(tx: Statements, filter: UsageFilter): Promise<readonly UsageSum[]> {
  const { where, parameters } = createUsageCondition(filter);
  // A number of this program, written out: as a parameter PostgreSQL would not know what kind of number it is.
  const bucket = `(created_at - created_at % ${Math.round(filter.bucketMs)})`;
  const rows = await tx.all<UsageRow>(
    `SELECT ${bucket} AS bucket_at, endpoint_id, account_id, key_id, count(*) AS requests,
       sum(CASE WHEN state = 'succeeded' THEN 1 ELSE 0 END) AS succeeded,
       coalesce(sum(inference_seconds), 0) AS seconds,
       coalesce(sum(CASE WHEN state = 'succeeded' THEN inference_seconds END), 0) AS billable_seconds,
       coalesce(sum(CASE WHEN state = 'succeeded' THEN billable_units END), 0) AS billable_units,
       coalesce(sum(CASE WHEN state = 'succeeded' THEN output_pixels END), 0) AS output_pixels
     FROM requests ${where} GROUP BY ${bucket}, endpoint_id, account_id, key_id`,
    parameters,
  );
  return rows.map((row) => ({
    bucketAt: Number(row.bucket_at),
    endpointId: row.endpoint_id,
    accountId: row.account_id as AccountId,
    keyId: row.key_id as KeyId | null,
    requests: Number(row.requests),
    succeeded: Number(row.succeeded),
    seconds: Number(row.seconds),
    billableSeconds: Number(row.billable_seconds),
    billableUnits: Number(row.billable_units),
    outputPixels: Number(row.output_pixels),
  }));
}

function createUsageCondition({ startAt, endAt, accountId }: UsageFilter): {
  readonly where: string;
  readonly parameters: readonly SqlValue[];
} {
  const where = "WHERE ended_at IS NOT NULL AND created_at >= $1 AND created_at < $2";
  if (accountId === undefined) return { where, parameters: [startAt, endAt] };
  return { where: `${where} AND account_id = $3`, parameters: [startAt, endAt, accountId] };
}

/** A piece of time may lie in several slices. The keys sort by time, endpoint, account and key. */
function addSum(sums: Map<string, UsageSum>, sum: UsageSum): void {
  const { bucketAt, endpointId, accountId, keyId } = sum;
  const group = [String(bucketAt).padStart(16, "0"), endpointId, accountId, keyId].join(" ");
  const known = sums.get(group);
  const add = (count: Count): number => (known?.[count] ?? 0) + sum[count];
  sums.set(group, {
    ...sum,
    requests: add("requests"),
    succeeded: add("succeeded"),
    seconds: add("seconds"),
    billableSeconds: add("billableSeconds"),
    billableUnits: add("billableUnits"),
    outputPixels: add("outputPixels"),
  });
}

type Count = Exclude<keyof UsageSum, "bucketAt" | "endpointId" | "accountId" | "keyId">;

/** PostgreSQL gives sums as text. */
interface UsageRow {
  readonly bucket_at: number | string;
  readonly endpoint_id: string;
  readonly account_id: string;
  readonly key_id: string | null;
  readonly requests: number | string;
  readonly succeeded: number | string;
  readonly seconds: number | string;
  readonly billable_seconds: number | string;
  readonly billable_units: number | string;
  readonly output_pixels: number | string;
}
