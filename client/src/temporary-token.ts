import type { RequiredConfig } from "./config.ts";
import { parseEndpointId } from "./endpoint-url.ts";
import { readData } from "./read-response.ts";
import { QUICK_MS, send } from "./send.ts";
import { getSurfaceUrl } from "./surfaces.ts";

/** Gives a short-lived token for an endpoint and path, such as `fal-ai/flux/dev/realtime`. */
export type TokenProvider = (app: string) => Promise<string>;

export const TOKEN_SECONDS = 120;

/** Asks the server for a token that lets its holder call one app for two minutes. */
export async function getTemporaryToken(
  config: RequiredConfig,
  app: string,
  signal?: AbortSignal | undefined,
): Promise<string> {
  const body = { allowed_apps: [parseEndpointId(app).alias], token_expiration: TOKEN_SECONDS };
  const call = {
    method: "POST",
    url: `${getSurfaceUrl(config.url, "rest")}/tokens/`,
    body: JSON.stringify(body),
    signal,
    attemptTimeoutMs: QUICK_MS,
  };
  const token = await send(config, call, readData);
  return typeof token === "string" ? token : (token?.detail ?? token?.token);
}
