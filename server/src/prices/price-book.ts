import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";

/** What requests of an endpoint cost, as the operator set it in place of the model's own price. */
export interface PriceBook {
  /** Every price that is set, by endpoint. */
  list(): Promise<ReadonlyMap<string, Price>>;
  set(endpointId: string, price: Price): Promise<void>;
  /** The model's own price counts again. False when none was set. */
  clear(endpointId: string): Promise<boolean>;
}

export interface Price {
  readonly unit: PriceUnit;
  /** US dollars for one unit. */
  readonly amount: number;
}

/**
 * What is counted of a successful request: 1, the model's seconds, the megapixels of its pictures, or the units that
 * the model itself counts (pictures, of models that make some).
 */
export const PRICE_UNITS = ["request", "second", "megapixel", "image"] as const;
export type PriceUnit = (typeof PRICE_UNITS)[number];

export function createPriceBook(parts: { readonly database: Database; readonly clock: Clock }): PriceBook {
  const { database, clock } = parts;
  return {
    async list() {
      const rows = await database.read((tx) =>
        tx.all<{ endpoint_id: string; unit: string; amount: number }>(
          "SELECT endpoint_id, unit, amount FROM prices ORDER BY endpoint_id",
        ),
      );
      return new Map(
        rows.map(({ endpoint_id, unit, amount }) => [endpoint_id, { unit: unit as PriceUnit, amount }]),
      );
    },
    async set(endpointId, { unit, amount }) {
      await database.transaction((tx) =>
        tx.run(
          `INSERT INTO prices (endpoint_id, unit, amount, set_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (endpoint_id) DO UPDATE SET unit = excluded.unit, amount = excluded.amount, set_at = excluded.set_at`,
          [endpointId, unit, amount, Math.round(clock.now())],
        ),
      );
    },
    async clear(endpointId) {
      const removed = await database.transaction((tx) =>
        tx.run("DELETE FROM prices WHERE endpoint_id = $1", [endpointId]),
      );
      return removed > 0;
    },
  };
}
