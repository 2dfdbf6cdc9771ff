import type { Catalog, CatalogEntry } from "../../catalog/catalog.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { createEndpointDocument, type DocumentUrls } from "../documents/endpoint-document.ts";
import { findEntries } from "./find-entries.ts";
import { readChoice, readEndpointIds, readExpand, readLimit, takePage } from "./read-query.ts";

/** `GET /v1/models`: what this server offers. Public. */
export function addModelRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { catalog, settings } = context;

  app.get("/models", (c) => {
    const query = c.env.url.searchParams;
    const limit = readLimit(query, { fallback: 100, max: 1000 });
    const expand = readExpand(query, ["openapi-3.0", "enterprise_status"]);
    const entries = filterEntries(catalog, query);
    const { items, page } = takePage(entries, query, limit);
    const models = items.map((entry) => ({
      endpoint_id: entry.endpointId,
      metadata: formatMetadata(entry, c.env.urls, settings.strict),
      ...(expand.has("openapi-3.0") ? { openapi: createEndpointDocument(entry, c.env.urls) } : {}),
      ...(expand.has("enterprise_status") ? { enterprise_status: "ready" } : {}),
    }));
    return tools.respond.json(200, { models, ...page });
  });
}

function filterEntries(catalog: Catalog, query: URLSearchParams): readonly CatalogEntry[] {
  const ids = readEndpointIds(query);
  const entries = ids.length > 0 ? findEntries(catalog, ids) : catalog.list();
  const words = (query.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const category = query.get("category");
  if (readChoice(query, "status", ["active", "deprecated"]) === "deprecated") return [];
  return entries.filter(({ endpointId, manifest }) => {
    if (category !== null && category !== "" && manifest.category !== category) return false;
    const { title, description, tags } = manifest;
    const text = [endpointId, title, description, manifest.category, ...tags].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function formatMetadata(
  { endpointId, manifest, updatedAt }: CatalogEntry,
  { origin }: DocumentUrls,
  isStrict: boolean,
): Readonly<Record<string, unknown>> {
  const time = new Date(updatedAt).toISOString();
  const licenseType = classifyLicense(manifest.license);
  return {
    display_name: manifest.title,
    category: manifest.category,
    description: manifest.description,
    status: "active",
    tags: manifest.tags,
    updated_at: time,
    date: time,
    is_favorited: null,
    thumbnail_url: "",
    model_url: `${origin}/run/${endpointId}`,
    stream_url: `${origin}/run/${endpointId}/stream`,
    ...(licenseType === undefined ? {} : { license_type: licenseType }),
    highlighted: false,
    kind: "inference",
    pinned: false,
    // What really answers: the hosted service has no such field.
    ...(isStrict ? {} : { model: manifest.model, license: manifest.license }),
  };
}

const OPEN =
  /^(?:MIT|MIT-0|Apache-2\.0|BSD-[0-9]-Clause|ISC|0BSD|Unlicense|CC0-1\.0|CC-BY(?:-SA)?-[0-9.]+)$/i;

/** `commercial` for licences that are known to allow it, `research` for those that say non-commercial. */
function classifyLicense(license: string | null): "commercial" | "research" | undefined {
  if (license === null) return undefined;
  if (/(?:^|[^a-z])(?:NC|non-?commercial|research)(?:[^a-z]|$)/i.test(license)) return "research";
  const parts = license.split(/\s+(?:AND|OR)\s+/i).map((part) => part.replaceAll(/[()]/g, ""));
  return parts.every((part) => OPEN.test(part)) ? "commercial" : undefined;
}
