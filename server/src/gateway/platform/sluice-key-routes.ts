import type { Key, KeyLimits, Scope } from "../../keys/key-store.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { PlatformError } from "./platform-error.ts";
import { readJson } from "./read-json.ts";
import { formatPage, invalid, isId, readId, readLimit } from "./read-query.ts";

const SCOPES: readonly Scope[] = ["API", "ADMIN"];
/** Names of limits on the wire. */
const LIMITS = {
  concurrency: "concurrency",
  queued: "queued",
  requests_per_day: "requestsPerDay",
  stored_bytes: "storedBytes",
} as const satisfies Readonly<Record<string, keyof KeyLimits>>;
const LIMIT_NAMES = Object.keys(LIMITS) as readonly (keyof typeof LIMITS)[];
const MAX_ALIAS = 255;

/**
 * `/v1/sluice/keys`: what `/v1/keys` lacks, limits and the last use of keys. Revoking is `DELETE /v1/keys/{key_id}`.
 * All need the scope ADMIN.
 */
export function addSluiceKeyRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { keys } = context;
  const { respond } = tools;
  const requireAdmin = tools.requireCaller({ scope: "ADMIN" });

  app.get("/sluice/keys", requireAdmin, async (c) => {
    const query = c.env.url.searchParams;
    const cursor = readId(query, "cursor");
    const page = await keys.list({
      limit: readLimit(query, { fallback: 50, max: 1000 }),
      ...(cursor === undefined ? {} : { cursor }),
    });
    return respond.json(200, { keys: page.keys.map(formatKey), ...formatPage(page.nextCursor) });
  });

  app.post("/sluice/keys", requireAdmin, async (c) => {
    const { alias, scope = "API", limits = {} } = await readJson(c.env.request);
    const found = SCOPES.find((each) => each === scope);
    if (found === undefined) throw invalid(`"scope" must be one of ${SCOPES.join(", ")}.`);
    const made = await keys.create({ alias: readAlias(alias), scope: found, limits: readLimits(limits) });
    return respond.json(201, { ...formatKey(made.key), key: made.credential });
  });

  app.patch("/sluice/keys/:keyId", requireAdmin, async (c) => {
    const { alias, limits } = await readJson(c.env.request);
    const id = c.req.param("keyId");
    const changes = {
      ...(alias === undefined ? {} : { alias: readAlias(alias) }),
      ...(limits === undefined ? {} : { limits: readLimits(limits) }),
    };
    const key = isId(id) ? await keys.update(id, changes) : undefined;
    if (key === undefined) throw new PlatformError("not_found", "There is no such key.");
    return respond.json(200, formatKey(key));
  });
}

function readAlias(alias: unknown): string {
  if (typeof alias !== "string" || alias.length < 1 || alias.length > MAX_ALIAS || alias.includes("\0"))
    throw invalid(`"alias" must be a text of 1 to ${MAX_ALIAS} characters.`);
  return alias;
}

/** Limits as the store takes them; null lifts one. @throws PlatformError that names the member */
function readLimits(value: unknown): KeyLimits {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalid(`"limits" must be an object with any of ${LIMIT_NAMES.join(", ")}.`);
  const given = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(LIMITS, name));
  if (unknown !== undefined)
    throw invalid(`"limits.${unknown}" is no limit; there are ${LIMIT_NAMES.join(", ")}.`);
  const entries = LIMIT_NAMES.flatMap((name) => {
    const limit = given[name] ?? null;
    if (limit === null) return [];
    if (typeof limit !== "number" || !Number.isSafeInteger(limit) || limit < 1)
      throw invalid(`"limits.${name}" must be a whole number from 1, or null for no limit.`);
    return [[LIMITS[name], limit] as const];
  });
  return Object.fromEntries(entries);
}

function formatKey(key: Key): Readonly<Record<string, unknown>> {
  return {
    key_id: key.id,
    alias: key.alias,
    scope: key.scope,
    account_id: key.accountId,
    created_at: new Date(key.createdAt).toISOString(),
    last_used_at: key.lastUsedAt === null ? null : new Date(key.lastUsedAt).toISOString(),
    limits: Object.fromEntries(LIMIT_NAMES.map((name) => [name, key.limits[LIMITS[name]] ?? null])),
  };
}
