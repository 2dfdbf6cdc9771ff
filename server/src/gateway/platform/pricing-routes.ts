import type { CatalogEntry } from "../../catalog/catalog.ts";
import type { Caller } from "../../keys/caller.ts";
import { createPriceBook } from "../../prices/price-book.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { calculateCost, choosePrice, roundCost, type SetPrices } from "./cost.ts";
import { findEntries } from "./find-entries.ts";
import { limitToCaller } from "./limit-to-caller.ts";
import { readJson } from "./read-json.ts";
import { invalid, readLimit, requireEndpointIds, takePage } from "./read-query.ts";

const ESTIMATES = {
  historical_api_price: "call_quantity",
  unit_price: "unit_quantity",
} as const;
/** Finished calls that a historical estimate looks at. */
const HISTORY = 100;

/** `GET /v1/models/pricing` and `POST /v1/models/pricing/estimate`. */
export function addPricingRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { catalog, queue } = context;
  const book = createPriceBook(context);

  app.get("/models/pricing", tools.requireCaller(), async (c) => {
    const query = c.env.url.searchParams;
    const entries = findEntries(catalog, requireEndpointIds(query));
    const { items, page } = takePage(entries, query, readLimit(query, { fallback: 50, max: 50 }));
    const set = await book.list();
    const prices = items.map(({ endpointId }) => {
      const { unit, amount } = choosePrice(catalog, set, endpointId);
      return { endpoint_id: endpointId, unit_price: amount, unit, currency: "USD" };
    });
    return tools.respond.json(200, { prices, ...page });
  });

  app.post("/models/pricing/estimate", tools.requireCaller(), async (c) => {
    const caller = c.get("caller");
    const estimate = readEstimate(await readJson(c.env.request));
    const entries = findEntries(catalog, [...estimate.quantities.keys()]);
    const set = await book.list();
    let total = 0;
    for (const entry of entries) {
      const quantity = estimate.quantities.get(entry.endpointId) ?? 0;
      const { amount } = choosePrice(catalog, set, entry.endpointId);
      const cost = estimate.type === "unit_price" ? amount : await averageCost(caller, entry, set);
      total += quantity * cost;
    }
    return tools.respond.json(200, {
      estimate_type: estimate.type,
      total_cost: roundCost(total),
      currency: "USD",
    });
  });

  /** Of the caller's latest successful calls; of one unit when there are none. */
  async function averageCost(caller: Caller, entry: CatalogEntry, set: SetPrices): Promise<number> {
    const { requests } = await queue.listRequests({
      ...limitToCaller(caller),
      endpointIds: [entry.endpointId],
      outcome: "success",
      limit: HISTORY,
    });
    if (requests.length === 0) return choosePrice(catalog, set, entry.endpointId).amount;
    const costs = requests.map((request) => calculateCost(catalog, set, request).total);
    return costs.reduce((sum, cost) => sum + cost, 0) / requests.length;
  }
}

function readEstimate(body: Readonly<Record<string, unknown>>): {
  readonly type: keyof typeof ESTIMATES;
  readonly quantities: ReadonlyMap<string, number>;
} {
  const types = Object.keys(ESTIMATES) as (keyof typeof ESTIMATES)[];
  const type = types.find((each) => each === body["estimate_type"]);
  if (type === undefined) throw invalid(`"estimate_type" must be one of ${types.join(", ")}.`);
  const { endpoints } = body;
  if (typeof endpoints !== "object" || endpoints === null || Array.isArray(endpoints))
    throw invalid(`"endpoints" must be an object whose keys are endpoint ids.`);
  const list = Object.entries(endpoints);
  if (list.length === 0 || list.length > 50) throw invalid(`"endpoints" must name 1 to 50 endpoints.`);
  const field = ESTIMATES[type];
  const isWhole = type === "historical_api_price";
  const quantities = list.map(([id, value]): [string, number] => {
    const quantity = (value as Readonly<Record<string, unknown>> | null)?.[field];
    if (typeof quantity !== "number" || quantity <= 0 || (isWhole && !Number.isInteger(quantity)))
      throw invalid(
        `"endpoints"."${id}"."${field}" must be ${isWhole ? "a whole number of at least 1" : "a number above 0"}.`,
      );
    return [id, quantity];
  });
  return { type, quantities: new Map(quantities) };
}
