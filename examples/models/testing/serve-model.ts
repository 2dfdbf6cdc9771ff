import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { waitForOrigin } from "./wait-for-origin.ts";

export interface Answer {
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

/** `sluice serve` with one model file, as a user starts it. */
export interface ServedModel extends AsyncDisposable {
  /** A direct run. */
  run(endpointId: string, input: object): Promise<Answer>;
  /** Through the queue: submitted, asked for until it is done, fetched. */
  submit(endpointId: string, input: object): Promise<Answer>;
  /**
   * Cancels a request of the queue soon after it began to run.
   * @returns milliseconds from the cancel to its end
   */
  cancelRunning(endpointId: string, input: object): Promise<number>;
}

/** @param data folder for what the server keeps */
export async function serveModel(file: string, data: string): Promise<ServedModel> {
  const cli = fileURLToPath(new URL("../../../cli/src/main.ts", import.meta.url));
  const flags = ["--log-level", "warn", "--port", "0", "--data", data];
  const server = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", cli, "serve", ...flags, file],
    {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, SLUICE_MODEL_PROVIDER: "cpu" },
    },
  );
  const origin = await waitForOrigin(server);
  const key = (await readFile(join(data, "first-key"), "utf8")).trim();
  const headers = { authorization: `Key ${key}`, "content-type": "application/json" };
  const call = async (url: string, input?: object, method = "POST"): Promise<Answer> => {
    const response = await fetch(url, {
      headers,
      ...(input === undefined ? {} : { method, body: JSON.stringify(input) }),
    });
    const body = (await response.json()) as Record<string, unknown>;
    assert.ok(
      response.status === 200 || response.status === 202,
      `${response.status} ${JSON.stringify(body)}`,
    );
    return { headers: response.headers, body };
  };
  return {
    run: (endpointId, input) => call(`${origin}/run/${endpointId}`, input),
    async submit(endpointId, input) {
      const { body } = await call(`${origin}/queue/${endpointId}`, input);
      while ((await call(String(body["status_url"]))).body["status"] !== "COMPLETED") await sleep(50);
      return await call(String(body["response_url"]));
    },
    async cancelRunning(endpointId, input) {
      const { body } = await call(`${origin}/queue/${endpointId}`, input);
      const readStatus = async () => (await call(String(body["status_url"]))).body["status"];
      while ((await readStatus()) !== "IN_PROGRESS") await sleep(20);
      await sleep(500);
      const cancelledAt = performance.now();
      await call(String(body["cancel_url"]), {}, "PUT");
      while ((await readStatus()) !== "COMPLETED") await sleep(20);
      const tookMs = performance.now() - cancelledAt;
      const { status } = await fetch(String(body["response_url"]), { headers });
      assert.equal(status, 499, "it was not drawn");
      return tookMs;
    },
    async [Symbol.asyncDispose]() {
      if (server.exitCode !== null) return;
      server.kill("SIGTERM");
      await once(server, "exit");
    },
  };
}
