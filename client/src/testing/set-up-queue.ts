import type { TestContext } from "node:test";
import { createFalClient, type FalClient } from "../client.ts";
import type { Config } from "../config.ts";
import { createQueueApp, type QueueApp } from "./queue-app.ts";
import { startTestServer, type TestServer } from "./test-server.ts";

export interface QueueSetup {
  readonly app: QueueApp;
  readonly server: TestServer;
  readonly client: FalClient;
}

/** Retries without the waits. */
export const FAST = { baseDelay: 5, maxDelay: 20 };

/** A server with a queue, and a client for it; both end with the test. */
export async function setUpQueue(context: TestContext, config: Config = {}): Promise<QueueSetup> {
  const app = createQueueApp();
  const server = await startTestServer(app.handler);
  context.after(() => server.stop());
  const client = createFalClient({ url: server.url, credentials: "id:secret", retry: FAST, ...config });
  return { app, server, client };
}
