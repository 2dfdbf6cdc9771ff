import { createPriceBook, PRICE_UNITS, type Price } from "../../prices/price-book.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import type { Notices } from "../events/notices.ts";
import { choosePrice } from "./cost.ts";
import { PlatformError } from "./platform-error.ts";
import { readJson } from "./read-json.ts";
import { invalid } from "./read-query.ts";

/** No request is worth more; a slip of the keyboard may be. */
const MAX_AMOUNT = 1_000_000;

/**
 * `/v1/sluice/prices`: what the operator asks for the requests of an endpoint, in place of the model's own price. Prices
 * count for what was used before too: they say what it would cost. Scope ADMIN.
 */
export function addPriceRoutes(
  app: SurfaceApp,
  tools: SurfaceTools,
  context: GatewayContext,
  notices: Notices,
): void {
  const { catalog } = context;
  const { respond } = tools;
  const requireAdmin = tools.requireCaller({ scope: "ADMIN" });
  const book = createPriceBook(context);

  app.get("/sluice/prices", requireAdmin, async () => {
    const set = await book.list();
    // A price outlives its model file.
    const ids = new Set([...catalog.list().map((entry) => entry.endpointId), ...set.keys()]);
    return respond.json(200, {
      prices: [...ids].map((id) => formatPrice(id, choosePrice(catalog, set, id), set.has(id))),
    });
  });

  app.put("/sluice/prices/*", requireAdmin, async (c) => {
    const id = readEndpointId(c.req.path);
    if (catalog.find(id) === undefined)
      throw new PlatformError("not_found", `This server does not offer "${id}".`);
    const price = readPrice(await readJson(c.env.request));
    await book.set(id, price);
    notices.publish({ type: "prices" }, null);
    return respond.json(200, formatPrice(id, price, true));
  });

  app.delete("/sluice/prices/*", requireAdmin, async (c) => {
    // A price that is not set is gone already.
    if (await book.clear(readEndpointId(c.req.path))) notices.publish({ type: "prices" }, null);
    return new Response(null, { status: 204 });
  });
}

/** The id may be written with its slashes or percent-encoded. */
function readEndpointId(path: string): string {
  return path.slice("/sluice/prices/".length).replaceAll(/%2f/gi, "/").replaceAll("\0", "");
}

function readPrice({ unit, amount }: Readonly<Record<string, unknown>>): Price {
  const found = PRICE_UNITS.find((each) => each === unit);
  if (found === undefined) throw invalid(`"unit" must be one of ${PRICE_UNITS.join(", ")}.`);
  if (typeof amount !== "number" || !(amount >= 0 && amount <= MAX_AMOUNT))
    throw invalid(`"amount" must be US dollars for one unit, from 0 to ${MAX_AMOUNT}.`);
  return { unit: found, amount };
}

function formatPrice(
  endpointId: string,
  { unit, amount }: { readonly unit: string; readonly amount: number },
  isSet: boolean,
): Readonly<Record<string, unknown>> {
  return { endpoint_id: endpointId, unit, amount, currency: "USD", is_set: isSet };
}
