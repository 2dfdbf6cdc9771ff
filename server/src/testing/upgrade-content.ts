import assert from "node:assert/strict";
import type { AccountId, KeyId, RequestId } from "../ids.ts";
import type { NewRequest } from "../queue/request-queue.ts";
import type { Store } from "../store.ts";

/**
 * What a store of an older version holds, and what the newest program must still find in it. Ids and times are
 * fixed; `fillStore` writes, {@link checkStore} reads.
 */
const ENDPOINT = "acme/model";
const DONE = "01900000-0000-7000-8000-000000000001" as RequestId;
const WAITING = "01900000-0000-7000-8000-000000000002" as RequestId;
const FAILED = "01900000-0000-7000-8000-000000000003" as RequestId;
const WEBHOOK = "https://receiver.example/hook";
const CREATED_AT = 1_790_000_000_000;
const NAME = "upgraded";

export async function fillStore(store: Store): Promise<void> {
  const { key } = await store.keys.create({ alias: NAME, scope: "API", limits: { queued: 100 } });
  const { accountId, id: keyId } = key;
  await store.queue.enqueue({
    ...createRequest(DONE, accountId, keyId),
    webhookUrl: WEBHOOK,
    tags: { team: "a" },
  });
  const lease = await store.queue.lease({ runnerId: "runner", endpointIds: [ENDPOINT], leaseMs: 15_000 });
  assert.ok(lease !== undefined);
  await store.queue.appendEvents(lease, [
    { kind: "log", at: CREATED_AT, data: { level: "INFO", message: "a line" } },
  ]);
  await store.queue.complete(lease, {
    state: "succeeded",
    statusCode: 200,
    headers: { "content-type": "application/json", "x-model": "model@1" },
    body: Buffer.from('{"text":"done"}'),
    billableUnits: 2,
    inferenceSeconds: 1.5,
    fileIds: [],
  });
  await store.queue.record(
    createRequest(FAILED, accountId, keyId),
    {
      state: "failed",
      statusCode: 422,
      headers: { "content-type": "application/json" },
      body: Buffer.from('{"detail":[]}'),
      error: "Invalid status code: 422",
      errorType: "missing",
      billableUnits: 0,
      inferenceSeconds: null,
      fileIds: [],
    },
    { startedAt: CREATED_AT, endedAt: CREATED_AT },
  );
  await store.queue.enqueue({
    ...createRequest(WAITING, accountId, keyId),
    priority: "low",
    idempotencyKey: "once",
  });
}

/** Everything is there, and work goes on: what waited can be leased and ended. */
export async function checkStore(store: Store): Promise<void> {
  const { keys } = await store.keys.list({ limit: 10 });
  const key = keys.find((each) => each.alias === NAME);
  assert.ok(key !== undefined, "the key is there");
  assert.equal(key.scope, "API");
  assert.equal(key.limits.queued, 100);

  const done = await store.queue.find(DONE);
  assert.equal(done?.state, "succeeded");
  assert.equal(done.webhookUrl, WEBHOOK);
  assert.deepEqual(done.tags, { team: "a" });
  assert.equal(done.billableUnits, 2);
  const result = await store.queue.readResult(DONE);
  assert.equal(Buffer.from(result?.body ?? []).toString(), '{"text":"done"}');
  assert.equal(result?.headers["x-model"], "model@1");
  const logs = await store.queue.listLogs(DONE);
  assert.deepEqual(
    logs.map((line) => line.message),
    ["a line"],
  );
  assert.equal((await store.queue.find(FAILED))?.statusCode, 422);
  const owed = await store.database.read((tx) =>
    tx.get<{ url: string }>("SELECT url FROM deliveries WHERE request_id = $1", [DONE]),
  );
  assert.equal(owed?.url, WEBHOOK, "the webhook is still owed");

  const again = await store.queue.enqueue({
    ...createRequest("01900000-0000-7000-8000-000000000009" as RequestId, key.accountId, key.id),
    priority: "low",
    idempotencyKey: "once",
  });
  assert.equal(again.kind, "replayed", "the idempotency key is remembered");
  const lease = await store.queue.lease({ runnerId: "newer", endpointIds: [ENDPOINT], leaseMs: 15_000 });
  assert.equal(lease?.requestId, WAITING);
  assert.equal(Buffer.from(lease.input ?? []).toString(), '{"text":"hello"}');
  assert.equal(await store.queue.release(lease), "requeued");
}

function createRequest(id: RequestId, accountId: AccountId, keyId: KeyId): NewRequest {
  return {
    id,
    accountId,
    keyId,
    endpointId: ENDPOINT,
    app: ENDPOINT,
    surface: "queue",
    input: Buffer.from('{"text":"hello"}'),
    priority: "normal",
    timeoutMs: 60_000,
    retry: { connectionError: 10, serverError: 3, timeout: 2 },
    keepsPayloads: true,
    createdAt: CREATED_AT,
  };
}
