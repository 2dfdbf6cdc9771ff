import type { Catalog, CatalogEntry } from "../../catalog/catalog.ts";
import { PlatformError } from "./platform-error.ts";

/** The endpoints with these ids, in this order. @throws PlatformError that names those that are not offered */
export function findEntries(catalog: Catalog, ids: readonly string[]): readonly CatalogEntry[] {
  const found = ids.map((id) => catalog.find(id));
  const missing = ids.filter((_, index) => found[index] === undefined);
  if (missing.length > 0) {
    const names = missing.map((id) => `"${id}"`).join(", ");
    throw new PlatformError(
      "not_found",
      `This server does not offer ${names}; GET /v1/models lists what it offers.`,
    );
  }
  return found.filter((entry) => entry !== undefined);
}
