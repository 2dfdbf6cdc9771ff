import type { Catalog } from "../../catalog/catalog.ts";
import type { Price } from "../../prices/price-book.ts";
import type { RequestRecord } from "../../queue/request-queue.ts";

/** Prices by endpoint as the operator set them. */
export type SetPrices = ReadonlyMap<string, Price>;

/** What a request cost, by the price that its endpoint has now. */
export interface Cost {
  readonly unit: string;
  readonly units: number;
  readonly unitPrice: number;
  /** US dollars. */
  readonly total: number;
}

/** What successful requests used, for one price or another. */
export interface Quantities {
  readonly requests: number;
  /** Of the model alone. */
  readonly seconds: number;
  readonly pixels: number;
  /** As the model itself counts them. */
  readonly units: number;
}

/** The operator's price, else the model's; requests of endpoints that are no longer offered cost nothing. */
export function choosePrice(
  catalog: Catalog,
  set: SetPrices,
  endpointId: string,
): { readonly unit: string; readonly amount: number } {
  return set.get(endpointId) ?? catalog.find(endpointId)?.manifest.price ?? { unit: "request", amount: 0 };
}

/** Failed requests cost nothing. */
export function calculateCost(catalog: Catalog, set: SetPrices, request: RequestRecord): Cost {
  const isGood = request.state === "succeeded";
  return calculateCostOf(catalog, set, request.endpointId, {
    requests: isGood ? 1 : 0,
    seconds: isGood ? (request.inferenceSeconds ?? 0) : 0,
    pixels: isGood ? (request.outputPixels ?? 0) : 0,
    units: isGood ? (request.billableUnits ?? 0) : 0,
  });
}

export function calculateCostOf(
  catalog: Catalog,
  set: SetPrices,
  endpointId: string,
  quantities: Quantities,
): Cost {
  const price = choosePrice(catalog, set, endpointId);
  // A model's own price is for what the model counts, whatever it calls that.
  const units = set.has(endpointId) ? count(price.unit, quantities) : quantities.units;
  return { unit: price.unit, units, unitPrice: price.amount, total: roundCost(units * price.amount) };
}

function count(unit: string, { requests, seconds, pixels, units }: Quantities): number {
  switch (unit) {
    case "request":
      return requests;
    case "second":
      return seconds;
    case "megapixel":
      return pixels / 1e6;
    default:
      return units;
  }
}

/** Without the crumbs of binary fractions: to a billionth of a dollar. */
export function roundCost(amount: number): number {
  return Math.round(amount * 1e9) / 1e9;
}
