import type { ErrorDetail } from "@sluice/protocol";
import { createErrorDetail } from "@sluice/protocol";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { readFields } from "./read-fields.ts";

/**
 * Short-lived tokens that a browser may hold (fal model API, "Temporary tokens") and tokens for files ("CDN token").
 *
 * - `POST /tokens/` `{"allowed_apps", "token_expiration"}` answers with a JSON string;
 * - `POST /tokens/realtime` `{"allowed_apps", "duration"}` answers with `{"token"}`;
 * - `POST /storage/auth/token` `{"expiration_seconds"}` answers with a token for the CDN.
 */
export function addTokenRoutes(app: SurfaceApp, context: GatewayContext, tools: SurfaceTools): void {
  const { respond, requireCaller } = tools;
  const { tokens } = context;

  app.post("/tokens", requireCaller(), async (c) => {
    const fields = await readFields(c.env.request, respond);
    if (fields instanceof Response) return fields;
    const apps = readApps(fields);
    const seconds = readSeconds(fields, "token_expiration", DEFAULT_TOKEN_SECONDS);
    if (!apps.ok) return respond.list(apps.detail);
    if (!seconds.ok) return respond.list(seconds.detail);
    return respond.json(201, await tokens.issueRuntimeToken(c.get("caller"), apps.value, seconds.value));
  });

  app.post("/tokens/realtime", requireCaller(), async (c) => {
    const fields = await readFields(c.env.request, respond);
    if (fields instanceof Response) return fields;
    const apps = readApps(fields);
    const seconds = readSeconds(fields, "duration", DEFAULT_TOKEN_SECONDS);
    if (!apps.ok) return respond.list(apps.detail);
    if (!seconds.ok) return respond.list(seconds.detail);
    const token = await tokens.issueRuntimeToken(c.get("caller"), apps.value, seconds.value);
    return respond.json(201, { token });
  });

  app.post("/storage/auth/token", requireCaller(), async (c) => {
    const fields = await readFields(c.env.request, respond);
    if (fields instanceof Response) return fields;
    const seconds = readSeconds(fields, "expiration_seconds", DEFAULT_CDN_TOKEN_SECONDS);
    if (!seconds.ok) return respond.list(seconds.detail);
    const { token, expiresAt } = await tokens.issueCdnToken(c.get("caller"), seconds.value);
    return respond.json(200, {
      token,
      token_type: "Bearer",
      base_url: c.env.urls.files,
      // With an offset in digits: older Pythons do not read `Z`.
      expires_at: new Date(expiresAt).toISOString().replace(/\.\d+Z$/, "+00:00"),
    });
  });
}

const DEFAULT_TOKEN_SECONDS = 120;
const DEFAULT_CDN_TOKEN_SECONDS = 3_600;
const MAX_APPS = 100;

type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly detail: readonly ErrorDetail[] };

function readApps(fields: Readonly<Record<string, unknown>>): Reading<readonly string[]> {
  const value = fields["allowed_apps"];
  const loc = ["body", "allowed_apps"];
  if (value === undefined) return refuse(createErrorDetail("missing", loc));
  if (!Array.isArray(value)) return refuse(createErrorDetail("list_type", loc, { input: value }));
  if (value.length === 0)
    return refuse(createErrorDetail("sequence_too_short", loc, { ctx: { min_length: 1 } }));
  if (value.length > MAX_APPS)
    return refuse(createErrorDetail("sequence_too_long", loc, { ctx: { max_length: MAX_APPS } }));
  const bad = value.findIndex((app) => typeof app !== "string" || !/^[\w.-]+(?:\/[\w.-]+)*$/.test(app));
  if (bad !== -1)
    return refuse(
      createErrorDetail("value_error", [...loc, bad], {
        msg: "must be an alias, owner/alias or owner/alias/path",
        input: value[bad],
      }),
    );
  return { ok: true, value: value as string[] };
}

/** Times that are too long are cut by the issuer; the token says when it ends. */
function readSeconds(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  fallback: number,
): Reading<number> {
  const value = fields[name] ?? fallback;
  const loc = ["body", name];
  if (typeof value !== "number" || !Number.isFinite(value))
    return refuse(createErrorDetail("float_type", loc, { input: value }));
  if (value < 1)
    return refuse(createErrorDetail("greater_than_equal", loc, { ctx: { ge: 1 }, input: value }));
  return { ok: true, value };
}

function refuse(detail: ErrorDetail): { readonly ok: false; readonly detail: readonly ErrorDetail[] } {
  return { ok: false, detail: [detail] };
}
