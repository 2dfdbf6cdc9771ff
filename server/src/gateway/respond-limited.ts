import type { EnqueueOutcome } from "../queue/request-queue.ts";
import type { Respond } from "./respond.ts";

/** 429 for a key that has reached one of its limits, with the time to wait. */
export function respondLimited(
  respond: Respond,
  { limit, retryAfterMs }: Extract<EnqueueOutcome, { readonly kind: "limited" }>,
): Response {
  const headers = { "retry-after": String(Math.max(1, Math.ceil(retryAfterMs / 1000))) };
  switch (limit) {
    case "queued":
      return respond.flat(
        "queue_length_exceeded",
        "This key has as many requests waiting as it may have.",
        headers,
      );
    case "requests_per_day":
      return respond.flat("rate_limited", DAY_IS_USED_UP, headers);
    default:
      return limit satisfies never;
  }
}

export const DAY_IS_USED_UP = "This key has made as many requests in a day as it may make.";
