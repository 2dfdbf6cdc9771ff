import type { Catalog } from "./catalog.ts";

/** A catalog whose endpoints may change while it is in use. Every call sees one set of them. */
export interface LiveCatalog extends Catalog {
  replace(next: Catalog): void;
}

export function createLiveCatalog(first: Catalog): LiveCatalog {
  let current = first;
  return {
    list: () => current.list(),
    find: (endpointId) => current.find(endpointId),
    hasApp: (app) => current.hasApp(app),
    replace(next) {
      current = next;
    },
  };
}
