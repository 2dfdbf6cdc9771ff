import type { ModelManifest } from "@sluice/runtime/model";
import { createManifest } from "../../../catalog/testing/create-manifest.ts";
import { fluxProManifest } from "../../../catalog/testing/flux-pro-manifest.ts";
import { type AccountId, createRequestId, type KeyId, type RequestId } from "../../../ids.ts";
import type { NewRequest, RequestQueue, RequestResult } from "../../../queue/request-queue.ts";
import { createResult, openGateway, type TestGateway } from "../../testing/open-gateway.ts";

/** A gateway that is called with a key of scope API, besides one of scope ADMIN and one of a second account. */
export interface TestPlatform extends AsyncDisposable {
  readonly gateway: TestGateway;
  readonly queue: RequestQueue;
  readonly call: TestGateway["call"];
  /** `Authorization` of the key that `call` uses. */
  readonly mine: string;
  /** `Authorization` of the operator's key, and of a key of scope API of another account. */
  readonly admin: string;
  readonly other: string;
  readonly accountId: AccountId;
  readonly keyId: KeyId;
  readonly otherAccountId: AccountId;
  /** Puts a finished request into the history. */
  record(fields?: Partial<NewRequest>, result?: Partial<RequestResult>, times?: Times): Promise<RequestId>;
  /** Puts a request into the queue. */
  enqueue(fields?: Partial<NewRequest>): Promise<RequestId>;
}

export interface Times {
  readonly createdAt?: number;
  readonly startedAt?: number;
  readonly endedAt?: number;
}

const MODELS: readonly ModelManifest[] = [
  { ...fluxProManifest, price: { unit: "image", amount: 0.05 } },
  createManifest("test/echo", {
    title: "Echo",
    description: "Says it again.",
    category: "text",
    tags: ["loud"],
  }),
  createManifest("test/echo/loud", { title: "Loud echo", license: "CC-BY-NC-4.0" }),
];

export async function openPlatform(): Promise<TestPlatform> {
  const gateway = await openGateway({ models: MODELS });
  const { keys, queue } = gateway.context;
  const mine = await keys.create({ alias: "mine", scope: "API" });
  const admin = await keys.create({ alias: "admin", scope: "ADMIN" });
  const other = await gateway.createKey({
    alias: "other",
    scope: "API",
    accountId: "11111111-1111-4111-8111-111111111111" as AccountId,
  });
  const createRequest = (fields: Partial<NewRequest>, createdAt: number): NewRequest => ({
    id: createRequestId(createdAt),
    accountId: mine.key.accountId,
    keyId: mine.key.id,
    endpointId: "test/echo",
    app: "test/echo",
    surface: "queue",
    input: Buffer.from(JSON.stringify({ prompt: "a fox" })),
    priority: "normal",
    timeoutMs: 60_000,
    retry: { connectionError: 10, serverError: 3, timeout: 2 },
    keepsPayloads: true,
    createdAt,
    ...fields,
  });
  return {
    gateway,
    queue,
    call: (path, options) => gateway.call(path, { authorization: `Key ${mine.credential}`, ...options }),
    mine: `Key ${mine.credential}`,
    admin: `Key ${admin.credential}`,
    other: other.authorization,
    accountId: mine.key.accountId,
    keyId: mine.key.id,
    otherAccountId: other.key.accountId,
    async record(fields = {}, result = {}, times = {}) {
      const createdAt = times.createdAt ?? Date.now() - 5000;
      const request = createRequest(fields, createdAt);
      const startedAt = times.startedAt ?? createdAt + 1000;
      const endedAt = times.endedAt ?? startedAt + 2000;
      await queue.record(request, createResult({ ok: true }, result), { startedAt, endedAt });
      return request.id;
    },
    async enqueue(fields = {}) {
      const request = createRequest(fields, Date.now());
      await queue.enqueue(request);
      return request.id;
    },
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  };
}
