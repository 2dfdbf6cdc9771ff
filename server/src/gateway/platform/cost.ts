import type { Catalog } from "../../catalog/catalog.ts";
import type { RequestRecord } from "../../queue/request-queue.ts";

/** What a request cost, by the price that its endpoint has now. */
export interface Cost {
  readonly unit: string;
  readonly units: number;
  readonly unitPrice: number;
  /** US dollars. */
  readonly total: number;
}

/** Failed requests, and requests of endpoints that are no longer offered, cost nothing. */
export function calculateCost(catalog: Catalog, request: RequestRecord): Cost {
  const price = catalog.find(request.endpointId)?.manifest.price ?? { unit: "request", amount: 0 };
  const units = request.state === "succeeded" ? (request.billableUnits ?? 0) : 0;
  return { unit: price.unit, units, unitPrice: price.amount, total: roundCost(units * price.amount) };
}

/** Without the crumbs of binary fractions: to a billionth of a dollar. */
export function roundCost(amount: number): number {
  return Math.round(amount * 1e9) / 1e9;
}
