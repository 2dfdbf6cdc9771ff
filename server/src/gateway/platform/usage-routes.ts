import type { KeyId } from "../../ids.ts";
import { createPriceBook } from "../../prices/price-book.ts";
import type { RequestRecord } from "../../queue/request-queue.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { type Cost, calculateCost, roundCost } from "./cost.ts";
import { findEntries } from "./find-entries.ts";
import { limitToCaller } from "./limit-to-caller.ts";
import { listFinished } from "./list-finished.ts";
import {
  DAY_MS,
  formatPage,
  readEndpointIds,
  readExpand,
  readLimit,
  readList,
  readPeriod,
} from "./read-query.ts";
import { readTimeBuckets } from "./time-buckets.ts";

/** `GET /v1/models/usage` and `GET /v1/models/billing-events`: what was used. */
export function addUsageRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { catalog, queue, clock, keys } = context;
  const book = createPriceBook(context);
  const requireAdmin = tools.requireCaller({ scope: "ADMIN" });

  app.get("/models/usage", requireAdmin, async (c) => {
    const query = c.env.url.searchParams;
    const expand = readExpand(query, ["time_series", "summary", "auth_method", "auth_method_structured"]);
    const ids = findEntries(catalog, readEndpointIds(query)).map((entry) => entry.endpointId);
    const keyIds = new Set<string | null>(readList(query, "api_key_id"));
    const buckets = readTimeBuckets(query, readPeriod(query, { now: clock.now(), defaultMs: DAY_MS }));
    const byKey = expand.has("auth_method") || expand.has("auth_method_structured");
    const series = new Map<string, Usage>();
    const summary: Usage = new Map();
    const prices = await book.list();
    // Nobody logs in with a name here: every request has a key.
    const isByLogin = readList(query, "login_username").length > 0;
    const requests = isByLogin
      ? []
      : listFinished(queue, {
          ...buckets.period,
          ...limitToCaller(c.get("caller")),
          ...(ids.length === 0 ? {} : { endpointIds: ids }),
        });
    for await (const request of requests) {
      if (keyIds.size > 0 && !keyIds.has(request.keyId)) continue;
      const cost = calculateCost(catalog, prices, request);
      const bucket = buckets.format(request.createdAt);
      const row = series.get(bucket) ?? new Map();
      series.set(bucket, row);
      for (const usage of [row, summary]) addUsage(usage, request, cost, byKey);
    }
    const names = byKey ? await findNames([...summary.values()]) : new Map<string, string>();
    const format = (usage: Usage) =>
      [...usage.values()].map((total) => formatUsage(total, names, expand.has("auth_method_structured")));
    const times = [...series].sort(([a], [b]) => (a < b ? -1 : 1));
    const wantsSummary = expand.has("summary");
    return tools.respond.json(200, {
      ...(expand.has("time_series") || !wantsSummary
        ? { time_series: times.map(([bucket, usage]) => ({ bucket, results: format(usage) })) }
        : {}),
      ...(wantsSummary ? { summary: format(summary) } : {}),
      ...formatPage(null),
    });
  });

  app.get("/models/billing-events", requireAdmin, async (c) => {
    const query = c.env.url.searchParams;
    const ids = findEntries(catalog, readEndpointIds(query)).map((entry) => entry.endpointId);
    const cursor = query.get("cursor") ?? "";
    const found = await queue.listRequests({
      ...readPeriod(query, { now: clock.now(), defaultMs: DAY_MS, maxMs: 90 * DAY_MS }),
      ...limitToCaller(c.get("caller")),
      states: ["succeeded"],
      limit: readLimit(query, { fallback: 100, max: 10_000 }),
      ...(ids.length === 0 ? {} : { endpointIds: ids }),
      ...(cursor === "" ? {} : { cursor }),
    });
    const prices = await book.list();
    const events = found.requests.map((request) => {
      const cost = calculateCost(catalog, prices, request);
      return {
        request_id: request.id,
        endpoint_id: request.endpointId,
        timestamp: new Date(request.endedAt ?? request.createdAt).toISOString(),
        output_units: cost.units,
        unit_price: cost.unitPrice,
        percent_discount: 0,
        cost_subtotal: cost.total,
        cost_discount: 0,
        cost_total: cost.total,
        cost_estimate_nano_usd: Math.round(cost.total * 1e9),
      };
    });
    return tools.respond.json(200, { billing_events: events, ...formatPage(found.nextCursor) });
  });

  async function findNames(totals: readonly Total[]): Promise<ReadonlyMap<string, string>> {
    const ids = new Set(totals.map((total) => total.keyId).filter((id) => id !== null));
    const found = await Promise.all([...ids].map((id) => keys.find(id)));
    return new Map(found.filter((key) => key !== undefined).map((key) => [key.id, key.alias]));
  }
}

/** Totals by endpoint, unit and, when asked for, key. */
type Usage = Map<string, Total>;

interface Total {
  readonly endpointId: string;
  readonly keyId: KeyId | null;
  readonly isByKey: boolean;
  readonly cost: Cost;
  readonly quantity: number;
  readonly total: number;
}

function addUsage(usage: Usage, request: RequestRecord, cost: Cost, isByKey: boolean): void {
  const id = JSON.stringify([request.endpointId, isByKey ? request.keyId : null]);
  const known = usage.get(id);
  usage.set(id, {
    endpointId: request.endpointId,
    keyId: isByKey ? request.keyId : null,
    isByKey,
    cost,
    quantity: (known?.quantity ?? 0) + cost.units,
    total: (known?.total ?? 0) + cost.total,
  });
}

function formatUsage(
  { endpointId, keyId, isByKey, cost, quantity, total }: Total,
  names: ReadonlyMap<string, string>,
  isStructured: boolean,
): Readonly<Record<string, unknown>> {
  const amount = roundCost(total);
  const detail = keyId === null ? "Token" : `Key: ${names.get(keyId) ?? keyId}`;
  return {
    endpoint_id: endpointId,
    unit: cost.unit,
    quantity,
    unit_price: cost.unitPrice,
    percent_discount: 0,
    cost_subtotal: amount,
    cost_discount: 0,
    cost_total: amount,
    cost: amount,
    currency: "USD",
    ...(isByKey ? { auth_method: detail } : {}),
    ...(isStructured
      ? { auth_method_structured: { detail, ...(keyId === null ? {} : { api_key_id: keyId }) } }
      : {}),
  };
}
