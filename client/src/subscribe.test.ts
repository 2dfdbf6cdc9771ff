import assert from "node:assert/strict";

import test, { type TestContext } from "node:test";
import { createFalClient, type FalClient } from "./client.ts";
import type { Config } from "./config.ts";
import type { QueueStatus } from "./queue-status.ts";
import { createQueueApp, type QueueApp } from "./testing/queue-app.ts";
import { startTestServer, type TestServer } from "./testing/test-server.ts";

interface Setup {
  readonly app: QueueApp;
  readonly server: TestServer;
  readonly client: FalClient;
}

async function setUp(context: TestContext, config: Config = {}): Promise<Setup> {
  const app = createQueueApp();
  const server = await startTestServer(app.handler);
  context.after(() => server.stop());
  const client = createFalClient({ url: server.url, credentials: "id:secret", ...config });
  return { app, server, client };
}

test("subscribe submits, tells the request id before it waits, and resolves to data and request id", async (t) => {
  const { app, server, client } = await setUp(t);
  const order: string[] = [];
  app.onSubmit = (request) => {
    setTimeout(() => app.update(request.id, { status: "IN_PROGRESS", log: "1/2" }), 20);
    setTimeout(() => app.update(request.id, { log: "2/2" }), 30);
    setTimeout(() => app.complete(request.id, { images: [{ url: "x" }] }), 40);
  };
  const updates: QueueStatus[] = [];
  const result = await client.subscribe("acme/model/path", {
    input: { prompt: "a cat" },
    logs: true,
    onEnqueue: (id) => order.push(id),
    onQueueUpdate: (status) => {
      order.push(status.status);
      updates.push(status);
    },
  });
  const [request] = app.requests.values();
  assert.deepEqual(result, { data: { images: [{ url: "x" }] }, requestId: request!.id });
  assert.deepEqual(order, [request!.id, "IN_QUEUE", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED"]);
  const last = updates.at(-1)!;
  assert.ok(last.status === "COMPLETED");
  assert.deepEqual(
    last.logs.map((log) => log.message),
    ["1/2", "2/2"],
  );
  const [submit, stream, get] = server.calls;
  assert.equal(submit!.path, "/queue/acme/model/path");
  assert.equal(submit!.headers.authorization, "Key id:secret");
  assert.equal(submit!.headers["x-fal-queue-priority"], "normal");
  assert.match(String(submit!.headers["idempotency-key"]), /^[0-9a-f-]{36}$/);
  assert.equal(stream!.path, `/queue/acme/model/requests/${request!.id}/status/stream`);
  assert.equal(get!.path, `/queue/acme/model/requests/${request!.id}`);
  assert.equal(server.calls.length, 3);
});
