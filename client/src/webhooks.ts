import type { RequiredConfig } from "./config.ts";
import { readData } from "./read-response.ts";
import { QUICK_MS, send } from "./send.ts";
import { getSurfaceUrl } from "./surfaces.ts";
import type { Untyped } from "./untyped.ts";

/** What a server posts to the webhook of a request that has ended. */
export type WebHookResponse<Payload = Untyped> =
  | {
      status: "OK";
      payload: Payload;
      error: never;
      request_id: string;
    }
  | {
      status: "ERROR";
      payload: Payload;
      error: string;
      request_id: string;
    };

/** A delivery as other frameworks than the Web-standard ones hold it. The body must be the bytes as they came. */
export interface WebhookDelivery {
  readonly headers: Headers | Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string | ArrayBuffer | Uint8Array;
}

export type VerifyOptions = {
  /** Where the server publishes its keys; `/.well-known/jwks.json` of the configured server by default. */
  jwksUrl?: string | undefined;
  /** How old, or how far in the future, a signature may be; 300 by default. */
  toleranceSeconds?: number | undefined;
  /** Epoch milliseconds; the present by default. */
  now?: number | undefined;
};

export interface WebhooksClient {
  /**
   * Checks that a delivery comes from the server, as it is and just now, and returns its parsed body.
   *
   * @throws WebhookVerificationError when it does not: answer it with 401 and do nothing
   */
  verify<Payload = Untyped>(
    request: Request | WebhookDelivery,
    options?: VerifyOptions,
  ): Promise<WebHookResponse<Payload>>;
}

export class WebhookVerificationError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "WebhookVerificationError";
  }
}

const SIGNED_HEADERS = ["request-id", "user-id", "timestamp"] as const;
const TOLERANCE_SECONDS = 300;
const KEYS_MS = 24 * 3600_000;
/** A signature that no known key made may come from a new key: they are fetched again, but not for every forgery. */
const REFRESH_MS = 60_000;

export function createWebhooksClient(config: RequiredConfig): WebhooksClient {
  const cache = new Map<string, { readonly keys: readonly CryptoKey[]; readonly fetchedAt: number }>();

  const getKeys = async (url: string, maxAgeMs: number, now: number) => {
    const known = cache.get(url);
    if (known !== undefined && now - known.fetchedAt < maxAgeMs) return known.keys;
    const keys = await fetchKeys(config, url);
    cache.set(url, { keys, fetchedAt: now });
    return keys;
  };

  return {
    async verify(request, options = {}) {
      const { now = Date.now(), toleranceSeconds = TOLERANCE_SECONDS } = options;
      const url = options.jwksUrl ?? `${getSurfaceUrl(config.url, "rest")}/.well-known/jwks.json`;
      const header = (name: string) => getHeader(request.headers, `x-fal-webhook-${name}`);
      const [requestId, userId, timestamp] = SIGNED_HEADERS.map(header) as [string, string, string];
      const signature = parseHex(header("signature"));
      if (!(Math.abs(now / 1000 - Number(timestamp)) <= toleranceSeconds)) {
        throw new WebhookVerificationError(`The delivery is not of now: its timestamp is ${timestamp}`);
      }
      const body = await readBody(request);
      const hash = formatHex(await crypto.subtle.digest("SHA-256", body));
      const message = new TextEncoder().encode([requestId, userId, timestamp, hash].join("\n"));
      const isSigned = async (keys: readonly CryptoKey[]) => {
        for (const key of keys)
          if (await crypto.subtle.verify("Ed25519", key, signature, message)) return true;
        return false;
      };
      const isGenuine =
        (await isSigned(await getKeys(url, KEYS_MS, now))) ||
        (await isSigned(await getKeys(url, REFRESH_MS, now)));
      if (!isGenuine) throw new WebhookVerificationError("No key of the server made this signature");
      return JSON.parse(new TextDecoder().decode(body));
    },
  };
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
