import { createPriceBook } from "../../prices/price-book.ts";
import type { UsageSum } from "../../queue/request-queue.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { calculateCostOf, roundCost, type SetPrices } from "./cost.ts";
import { limitToCaller } from "./limit-to-caller.ts";
import { DAY_MS, invalid, readChoice, readPeriod } from "./read-query.ts";

const HOUR_MS = 3_600_000;
const LENGTHS = { hour: HOUR_MS, day: DAY_MS } as const;
/** Pieces of time in one answer. */
const MAX_BUCKETS = 1_000;

/**
 * `GET /v1/sluice/usage`: ended requests by time, endpoint and key: how many, how many succeeded, the model's seconds,
 * megapixels, and what they would cost by today's prices. Summed in the database. A key of scope API sees its own
 * account's.
 */
export function addUsageSumRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { catalog, clock, keys, queue } = context;
  const { respond, requireCaller } = tools;
  const book = createPriceBook(context);

  app.get("/sluice/usage", requireCaller(), async (c) => {
    const query = c.env.url.searchParams;
    const period = readPeriod(query, { now: clock.now(), defaultMs: DAY_MS });
    const timeframe = readChoice(query, "timeframe", ["hour", "day"]) ?? "hour";
    const bucketMs = LENGTHS[timeframe];
    if ((period.endAt - period.startAt) / bucketMs > MAX_BUCKETS)
      throw invalid(`"start" and "end" span more than ${MAX_BUCKETS} pieces of one ${timeframe}.`);
    const sums = await queue.sumUsage({ ...period, bucketMs, ...limitToCaller(c.get("caller")) });
    const prices = await book.list();
    const names = await findNames(sums);
    return respond.json(200, {
      timeframe,
      currency: "USD",
      usage: sums.map((sum) => formatSum(sum, names, prices)),
    });
  });

  async function findNames(sums: readonly UsageSum[]): Promise<ReadonlyMap<string, string>> {
    const ids = new Set(sums.map(({ keyId }) => keyId).filter((id) => id !== null));
    const found = await Promise.all([...ids].map((id) => keys.find(id)));
    return new Map(found.filter((key) => key !== undefined).map((key) => [key.id, key.alias]));
  }

  function formatSum(
    sum: UsageSum,
    names: ReadonlyMap<string, string>,
    prices: SetPrices,
  ): Readonly<Record<string, unknown>> {
    const cost = calculateCostOf(catalog, prices, sum.endpointId, {
      requests: sum.succeeded,
      seconds: sum.billableSeconds,
      pixels: sum.outputPixels,
      units: sum.billableUnits,
    });
    return {
      bucket: new Date(sum.bucketAt).toISOString(),
      endpoint_id: sum.endpointId,
      account_id: sum.accountId,
      key_id: sum.keyId,
      key_alias: sum.keyId === null ? null : (names.get(sum.keyId) ?? null),
      request_count: sum.requests,
      success_count: sum.succeeded,
      seconds: roundCost(sum.seconds),
      megapixels: sum.outputPixels / 1e6,
      unit: cost.unit,
      quantity: roundCost(cost.units),
      unit_price: cost.unitPrice,
      cost: cost.total,
    };
  }
}
