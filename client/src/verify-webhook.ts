import type { RequiredConfig } from "./config.ts";
import { readData } from "./read-response.ts";
import { QUICK_MS, send } from "./send.ts";
import { getSurfaceUrl } from "./surfaces.ts";
import {
  type VerifyOptions,
  type WebHookResponse,
  type WebhookDelivery,
  WebhookVerificationError,
} from "./webhooks.ts";

const TOLERANCE_SECONDS = 300;
const KEYS_MS = 24 * 3600_000;
/** A signature that no known key made may come from a new key: they are fetched again, but not for every forgery. */
const REFRESH_MS = 60_000;

/** Keys by the URL that they were fetched from. */
export type KeyCache = Map<string, { readonly keys: readonly CryptoKey[]; readonly fetchedAt: number }>;

/** See `WebhooksClient.verify`. */
export async function verifyWebhook(
  config: RequiredConfig,
  cache: KeyCache,
  request: Request | WebhookDelivery,
  options: VerifyOptions,
): Promise<WebHookResponse> {
  const { now = Date.now(), toleranceSeconds = TOLERANCE_SECONDS } = options;
  const url = options.jwksUrl ?? `${getSurfaceUrl(config.url, "rest")}/.well-known/jwks.json`;
  const header = (name: string) => getHeader(request.headers, `x-fal-webhook-${name}`);
  const requestId = header("request-id");
  const userId = header("user-id");
  const timestamp = header("timestamp");
  const signature = parseHex(header("signature"));
  if (!(Math.abs(now / 1000 - Number(timestamp)) <= toleranceSeconds)) {
    throw new WebhookVerificationError(`The delivery is not of now: its timestamp is ${timestamp}`);
  }
  const body = await readBody(request);
  const hash = formatHex(await crypto.subtle.digest("SHA-256", body));
  const message = new TextEncoder().encode([requestId, userId, timestamp, hash].join("\n"));
  for (const maxAgeMs of [KEYS_MS, REFRESH_MS]) {
    for (const key of await getKeys(config, cache, url, maxAgeMs)) {
      if (await crypto.subtle.verify("Ed25519", key, signature, message)) {
        return JSON.parse(new TextDecoder().decode(body));
      }
    }
  }
  throw new WebhookVerificationError("No key of the server made this signature");
}

async function getKeys(
  config: RequiredConfig,
  cache: KeyCache,
  url: string,
  maxAgeMs: number,
): Promise<readonly CryptoKey[]> {
  const known = cache.get(url);
  if (known !== undefined && Date.now() - known.fetchedAt < maxAgeMs) return known.keys;
  const keys = await fetchKeys(config, url);
  cache.set(url, { keys, fetchedAt: Date.now() });
  return keys;
}

async function fetchKeys(config: RequiredConfig, url: string): Promise<CryptoKey[]> {
  const set = await send(
    config,
    { method: "GET", url, isDirect: true, attemptTimeoutMs: QUICK_MS },
    readData,
  );
  const keys: JsonWebKey[] = (set?.keys ?? []).filter(
    (key: JsonWebKey) => key.kty === "OKP" && key.crv === "Ed25519",
  );
  const importKey = ({ x }: JsonWebKey) =>
    crypto.subtle.importKey("jwk", { kty: "OKP", crv: "Ed25519", x: x ?? "" }, "Ed25519", false, ["verify"]);
  return Promise.all(keys.map(importKey));
}

function getHeader(headers: WebhookDelivery["headers"], name: string): string {
  const isMap = typeof (headers as Headers).get === "function";
  const value = isMap
    ? (headers as Headers).get(name)
    : Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  if (typeof value !== "string" || value === "") {
    throw new WebhookVerificationError(`The header ${name} is missing: this is no delivery of a server`);
  }
  return value;
}

async function readBody(request: Request | WebhookDelivery): Promise<Uint8Array<ArrayBuffer>> {
  if ("arrayBuffer" in request) return new Uint8Array(await request.arrayBuffer());
  const { body } = request;
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (body instanceof ArrayBuffer || body instanceof Uint8Array) return new Uint8Array(body);
  throw new TypeError("The body must be the bytes as they came, not what a framework has parsed from them");
}

function parseHex(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[0-9a-f]{128}$/i.test(text))
    throw new WebhookVerificationError("The signature is not 64 bytes in hex");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

function formatHex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
