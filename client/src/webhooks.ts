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
