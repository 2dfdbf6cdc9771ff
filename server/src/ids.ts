import { randomUUID } from "node:crypto";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type RequestId = Branded<"RequestId">;
export type KeyId = Branded<"KeyId">;
export type AccountId = Branded<"AccountId">;
export type FileId = Branded<"FileId">;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A new request id: UUID version 7, so that ids sort by time. */
export function createRequestId(now: number): RequestId {
  return uuidV7(now) as RequestId;
}

export function createKeyId(now: number): KeyId {
  return uuidV7(now) as KeyId;
}

/** Account ids are opaque and stable; version 4. */
export function createAccountId(): AccountId {
  return randomUUID() as AccountId;
}

/** The id when the text is a UUID in lower case with hyphens. */
export function parseRequestId(text: string): RequestId | undefined {
  return UUID.test(text) ? (text as RequestId) : undefined;
}

let lastMs = 0;
let counter = 0;

/** RFC 9562 version 7 with a 12-bit counter in `rand_a`: ids made in one process never go back. */
function uuidV7(now: number): string {
  // A version 4 id brings 62 random bits with the variant in place, from randomness that Node fetches in bulk.
  const random = randomUUID();
  if (now >= lastMs + 1) {
    lastMs = Math.floor(now);
    counter = Number.parseInt(random.slice(0, 3), 16) & 0x7ff;
  } else if (++counter > 0xfff) {
    lastMs += 1;
    counter = 0;
  }
  const time = lastMs.toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${counter.toString(16).padStart(3, "0")}-${random.slice(19)}`;
}
