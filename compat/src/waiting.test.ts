/** The unmodified clients in a line: who goes first, and what happens when the work does not begin in time. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type ApiError, createFalClient, type QueueStatus } from "@fal-ai/client";
import { startServer, type TestServer } from "./start-server.ts";

const SLOW_CARD = fileURLToPath(new URL("../../cli/src/fixtures/slow-card.ts", import.meta.url));
const ENDPOINT = "test/slow-card";
const timeout = 60_000;
let server: TestServer;
let posts = 0;

function createClient(): ReturnType<typeof createFalClient> {
  return createFalClient({
    credentials: server.key,
    proxyUrl: { url: `${server.url}/api/fal/proxy`, when: "always" },
    fetch: (input, init) => {
      if (init?.method === "POST") posts += 1;
      return fetch(input, init);
    },
  });
}

before(async () => {
  server = await startServer({ arguments: ["--no-shipped", SLOW_CARD] });
});
after(() => server[Symbol.asyncDispose]());

/** Keeps every worker busy until it is disposed of. */
async function occupyWorkers(): Promise<AsyncDisposable> {
  const client = createClient();
  const ids: string[] = [];
  for (let n = 0; n < 2; n += 1) {
    const { request_id: requestId } = await client.queue.submit(ENDPOINT, {
      input: { name: `busy ${n}`, ms: 10_000 },
    });
    ids.push(requestId);
  }
  for (const requestId of ids) {
    let status: QueueStatus;
    do status = await client.queue.status(ENDPOINT, { requestId });
    while (status.status === "IN_QUEUE");
  }
  return {
    async [Symbol.asyncDispose]() {
      // What has ended meanwhile cannot be cancelled.
      for (const requestId of ids) await client.queue.cancel(ENDPOINT, { requestId }).catch(() => {});
      for (const requestId of ids) await client.queue.subscribeToStatus(ENDPOINT, { requestId });
    },
  };
}

test("two clients: what is low waits behind what is normal and came later", { timeout }, async () => {
  const [patient, hasty] = [createClient(), createClient()];
  const waiting: string[] = [];
  {
    await using _busy = await occupyWorkers();
    const submit = async (client: typeof patient, priority: "low" | "normal"): Promise<string> => {
      const options = { input: { name: priority }, priority };
      const { request_id: requestId } = await client.queue.submit(ENDPOINT, options);
      waiting.push(requestId);
      return requestId;
    };
    const low = await submit(patient, "low");
    const normal = await submit(hasty, "normal");
    const position = async (requestId: string): Promise<unknown> => {
      const status = await patient.queue.status(ENDPOINT, { requestId });
      return status.status === "IN_QUEUE" ? status.queue_position : status.status;
    };
    assert.deepEqual([await position(normal), await position(low)], [0, 1]);
  }
  for (const requestId of waiting) {
    await patient.queue.subscribeToStatus(ENDPOINT, { requestId });
    const { data } = await patient.queue.result(ENDPOINT, { requestId });
    assert.equal(data.attempt, 1);
  }
});

test("work that does not begin within 1.5 s is a 504 that the client does not send again", {
  timeout,
}, async () => {
  await using _busy = await occupyWorkers();
  const client = createClient();
  const options = { input: { name: "late" }, startTimeout: 1.5 };
  posts = 0;
  const isLate = (error: ApiError<unknown>): boolean => {
    assert.equal(error.status, 504);
    assert.equal((error.body as { error_type: string }).error_type, "startup_timeout");
    return true;
  };
  await assert.rejects(client.run(ENDPOINT, options), isLate);
  assert.equal(posts, 1, "run is called once");
  await assert.rejects(client.subscribe(ENDPOINT, options), isLate);
  assert.equal(posts, 2, "and submitted once");
});
