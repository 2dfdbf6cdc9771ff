import { randomBytes } from "node:crypto";
import type { Database } from "../../database/database.ts";
import type { BlobStore } from "../../files/blob-store.ts";
import { type AccountId, createRequestId, type KeyId, type RequestId } from "../../ids.ts";
import type { KeyLimits } from "../../keys/key-store.ts";
import type { Lease, LeaseOffer, NewRequest, RequestQueue, RequestResult } from "../request-queue.ts";
import type { ManualClock } from "./manual-clock.ts";

/** A queue on an empty database, for one test. */
export interface QueueFixture extends AsyncDisposable {
  readonly queue: RequestQueue;
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly clock: ManualClock;
  /** Limits by key; change it at will. */
  readonly limits: Map<string, KeyLimits>;
}

export const ENDPOINT = "fal-ai/flux-pro";
export const RETENTION_MS: number = 30 * 86_400_000;

/** A request of key `key-a` for {@link ENDPOINT}. */
export function createRequest(clock: ManualClock, changes: Partial<NewRequest> = {}): NewRequest {
  const endpointId = changes.endpointId ?? ENDPOINT;
  return {
    id: createRequestId(clock.now()),
    accountId: "account" as AccountId,
    keyId: "key-a" as KeyId,
    endpointId,
    app: endpointId.split("/").slice(0, 2).join("/"),
    surface: "queue",
    input: Buffer.from('{"prompt":"a lighthouse"}'),
    priority: "normal",
    timeoutMs: 60_000,
    retry: { connectionError: 10, serverError: 3, timeout: 2 },
    keepsPayloads: true,
    createdAt: clock.now(),
    ...changes,
  };
}

export function createResult(changes: Partial<RequestResult> = {}): RequestResult {
  return {
    state: "succeeded",
    statusCode: 200,
    headers: { "content-type": "application/json", "x-fal-billable-units": "1" },
    body: Buffer.from('{"images":[]}'),
    billableUnits: 1,
    inferenceSeconds: 0.25,
    fileIds: [],
    ...changes,
  };
}

export const OFFER: LeaseOffer = { runnerId: "runner", endpointIds: [ENDPOINT], leaseMs: 15_000 };

export async function enqueue(
  { queue, clock }: QueueFixture,
  changes: Partial<NewRequest> = {},
): Promise<RequestId> {
  const request = createRequest(clock, changes);
  const outcome = await queue.enqueue(request);
  if (outcome.kind !== "enqueued") throw new Error(`The request was not enqueued but ${outcome.kind}.`);
  return request.id;
}

export async function lease({ queue }: QueueFixture, offer: Partial<LeaseOffer> = {}): Promise<Lease> {
  const leased = await queue.lease({ ...OFFER, ...offer });
  if (leased === undefined) throw new Error("There was nothing to lease.");
  return leased;
}

/** Leases and completes until nothing is left; the ids in the order of their leases. */
export async function drain(fixture: QueueFixture, offer: Partial<LeaseOffer> = {}): Promise<RequestId[]> {
  const ids: RequestId[] = [];
  for (;;) {
    const leased = await fixture.queue.lease({ ...OFFER, ...offer });
    if (leased === undefined) return ids;
    ids.push(leased.requestId);
    await fixture.queue.complete(leased, createResult());
  }
}

export const key = (name: string): { readonly keyId: KeyId } => ({ keyId: name as KeyId });

export const bytes = (length: number): Buffer => randomBytes(length);
