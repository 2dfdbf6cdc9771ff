import { createHash } from "node:crypto";
import { isIP } from "node:net";
import type { Clock } from "../clock.ts";
import { createCheckedLookup, DownloadError, type DownloadRules } from "../files/download.ts";
import type { AccountId, RequestId } from "../ids.ts";
import type { WebhookSigningKeys } from "./signing-keys.ts";

export interface Sending {
  readonly requestId: RequestId;
  readonly accountId: AccountId;
  readonly url: string;
  readonly body: Uint8Array;
  /** For the whole exchange, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What the receiver did. `isFinal`: trying again would not help. */
export type SendOutcome =
  | { readonly kind: "accepted"; readonly status: number }
  | {
      readonly kind: "failed";
      readonly status: number | null;
      readonly error: string;
      readonly isFinal: boolean;
    };

export const USER_AGENT = "sluice-webhook/1";

export interface SendParts {
  readonly signingKeys: Pick<WebhookSigningKeys, "sign">;
  readonly clock: Clock;
  readonly rules: Pick<DownloadRules, "resolve" | "isAllowed">;
}

/**
 * Posts one delivery, signed at this moment. 2xx is success; a redirect is not followed and final, as is a target that
 * the rules do not allow; everything else may be tried again (fal model API, "Webhooks: delivery").
 *
 * @throws the signal's reason when it aborts
 */
export async function sendDelivery(sending: Sending, parts: SendParts): Promise<SendOutcome> {
  const { body, timeoutMs, signal } = sending;
  const url = new URL(sending.url);
  // An address in the URL is connected to without a lookup.
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0 && !parts.rules.isAllowed(host)) return REFUSED;
  const signature = await signBody(sending, parts);
  const timeout = AbortSignal.timeout(timeoutMs);
  const { Agent, request } = await import("undici"); // a hundred modules that many servers never need
  const agent = new Agent({
    connect: { lookup: createCheckedLookup(parts.rules), timeout: Math.min(10_000, timeoutMs) },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxHeaderSize: 32 * 1024,
  });
  try {
    const response = await request(`${url.origin}${url.pathname}${url.search}`, {
      dispatcher: agent,
      method: "POST",
      signal: AbortSignal.any([signal, timeout]),
      headers: {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        ...readAuthorization(url),
        ...signature,
      },
      body,
    });
    // What the receiver says beyond its status is not read; ending the connection must not become an error.
    response.body.on("error", () => {});
    return judgeStatus(response.statusCode);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (timeout.aborted)
      return fail(`the receiver did not answer within ${Math.round(timeoutMs / 100) / 10} s`);
    return explain(error);
  } finally {
    await agent.destroy();
  }
}

/**
 * The headers that a receiver verifies: an ED25519 signature over request id, account id, Unix time and the SHA-256 of
 * the body, joined by line feeds (fal model API, "Webhooks: signature").
 */
export async function signBody(
  delivery: Pick<Sending, "requestId" | "accountId" | "body">,
  { signingKeys, clock }: Pick<SendParts, "signingKeys" | "clock">,
): Promise<Readonly<Record<string, string>>> {
  const { requestId, accountId, body } = delivery;
  const timestamp = String(Math.floor(clock.now() / 1000));
  const hash = createHash("sha256").update(body).digest("hex");
  const message = Buffer.from([requestId, accountId, timestamp, hash].join("\n"));
  return {
    "x-fal-webhook-request-id": requestId,
    "x-fal-webhook-user-id": accountId,
    "x-fal-webhook-timestamp": timestamp,
    "x-fal-webhook-signature": Buffer.from(await signingKeys.sign(message)).toString("hex"),
  };
}

const REFUSED: SendOutcome = {
  kind: "failed",
  status: null,
  error:
    "the receiver is not a public address; the operator may allow private ones with SLUICE_WEBHOOK_ALLOW_PRIVATE",
  isFinal: true,
};

function fail(error: string): SendOutcome {
  return { kind: "failed", status: null, error, isFinal: false };
}

function judgeStatus(status: number): SendOutcome {
  if (status >= 200 && status < 300) return { kind: "accepted", status };
  const isRedirect = status >= 300 && status < 400;
  const error = isRedirect
    ? `the receiver redirected with ${status}, which is not followed`
    : `the receiver answered ${status}`;
  return { kind: "failed", status, error, isFinal: isRedirect };
}

function readAuthorization({ username, password }: URL): Readonly<Record<string, string>> {
  if (username === "" && password === "") return {};
  const text = `${decode(username)}:${decode(password)}`;
  return { authorization: `Basic ${Buffer.from(text, "utf8").toString("base64")}` };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a network failure means; system codes and addresses are for the operator's own tools. */
function explain(error: unknown): SendOutcome {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof DownloadError) return cause.kind === "refused" ? REFUSED : fail(cause.message);
  }
  const { name, code = "" } = error as { readonly name?: string; readonly code?: string };
  if (code === "ECONNREFUSED") return fail("the connection was refused");
  if (code === "ETIMEDOUT" || code.includes("TIMEOUT")) return fail("the receiver did not answer in time");
  if (/CERT|TLS|SSL/.test(code)) return fail("the receiver's certificate is not valid");
  if (name === "HTTPParserError") return fail("the receiver's answer is not HTTP");
  return fail("the connection failed");
}
