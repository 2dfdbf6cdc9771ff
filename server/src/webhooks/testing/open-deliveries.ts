import { systemClock } from "../../clock.ts";
import type { TestStorage, TestStorageOptions } from "../../files/testing/open-test-storage.ts";
import { openTestStorage } from "../../files/testing/open-test-storage.ts";
import { type AccountId, createRequestId, type RequestId } from "../../ids.ts";
import { createLive } from "../../live/create-live.ts";
import type { Live } from "../../live/live.ts";
import { silentLogger } from "../../logger.ts";
import { createRequestQueue } from "../../queue/create-request-queue.ts";
import type { NewRequest, RequestQueue, RequestResult } from "../../queue/request-queue.ts";
import { createDeliveryStore, type Delivery, type DeliveryStore } from "../delivery-store.ts";
import { createWebhookInbox, type WebhookInbox } from "../inbox.ts";
import { createWebhookSigningKeys, type WebhookSigningKeys } from "../signing-keys.ts";
import { type DeliveryOptions, startDeliveries } from "../start-deliveries.ts";

/** A real queue on a real database, whose ended requests owe webhooks. */
export interface TestDeliveries extends AsyncDisposable {
  readonly storage: TestStorage;
  readonly queue: RequestQueue;
  readonly live: Live;
  readonly store: DeliveryStore;
  readonly signingKeys: WebhookSigningKeys;
  readonly inbox: WebhookInbox;
  /** Starts delivering, and stops when the fixture is disposed; give options to change what is told to it. */
  start(options?: Partial<DeliveryOptions>): Promise<AsyncDisposable>;
  /** Ends a request that wants its result posted to this URL. */
  end(url: string, result?: Partial<RequestResult>, fields?: Partial<NewRequest>): Promise<RequestId>;
  /** The delivery of a request, once it looks as it should. */
  waitForDelivery(id: RequestId, isRight: (delivery: Delivery) => boolean): Promise<Delivery>;
}

export const ACCOUNT: AccountId = "0a1b2c3d-0000-4000-8000-000000000001" as AccountId;
export const FILES_URL = "http://127.0.0.1:7777/cdn";

export async function openDeliveries(options: TestStorageOptions = {}): Promise<TestDeliveries> {
  const storage = await openTestStorage(options);
  const { database, blobs } = storage;
  // Moves with the storage's clock, and can be woken.
  const clock = { ...storage.clock, sleep: systemClock.sleep };
  const queue = createRequestQueue({
    database,
    blobs,
    clock,
    logger: silentLogger,
    getKeyLimits: async () => undefined,
  });
  const live = createLive();
  const store = createDeliveryStore(storage);
  const signingKeys = createWebhookSigningKeys(storage);
  const inbox = createWebhookInbox({ database, clock });
  const started: AsyncDisposable[] = [];
  return {
    storage,
    queue,
    live,
    store,
    signingKeys,
    inbox,
    async start(changes = {}) {
      const deliveries = await startDeliveries({
        database,
        queue,
        live,
        signingKeys,
        inbox,
        settings: { webhookAllowPrivate: null, host: "127.0.0.1" },
        clock,
        logger: silentLogger,
        filesUrl: FILES_URL,
        isAlone: true,
        random: () => 0.5,
        ...changes,
      });
      started.push(deliveries);
      return deliveries;
    },
    async end(url, result = {}, fields = {}) {
      const now = clock.now();
      const request: NewRequest = {
        id: createRequestId(now),
        accountId: ACCOUNT,
        keyId: null,
        endpointId: "test/echo",
        app: "test/echo",
        surface: "queue",
        input: Buffer.from("{}"),
        priority: "normal",
        timeoutMs: 60_000,
        retry: { connectionError: 1, serverError: 1, timeout: 1 },
        keepsPayloads: true,
        createdAt: now,
        webhookUrl: url,
        ...fields,
      };
      const ended: RequestResult = {
        state: "succeeded",
        statusCode: 200,
        headers: { "content-type": "application/json" },
        body: Buffer.from('{"ok":true}'),
        billableUnits: 1,
        inferenceSeconds: 0.1,
        fileIds: [],
        ...result,
      };
      await queue.record(request, ended, { startedAt: now, endedAt: now });
      const { id: requestId, accountId, endpointId } = request;
      live.publish({ type: "changed", requestId, accountId, endpointId, state: ended.state });
      return request.id;
    },
    async waitForDelivery(id, isRight) {
      const until = Date.now() + 15_000;
      for (;;) {
        const delivery = await store.find(id);
        if (delivery !== undefined && isRight(delivery)) return delivery;
        if (Date.now() > until) throw new Error(`the delivery stays ${JSON.stringify(delivery)}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(started.map((each) => each[Symbol.asyncDispose]()));
      await storage[Symbol.asyncDispose]();
    },
  };
}
