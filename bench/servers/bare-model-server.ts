/**
 * The least that runs a model behind HTTP: `node:http`, JSON in, the runner's own worker process, JSON out. No key, no
 * schema, no record, one request at a time. Prints `listening on URL`.
 *
 *     node bench/servers/bare-model-server.ts MODEL_FILE
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { systemClock } from "../../server/src/clock.ts";
import { createWorkerEnvironment } from "../../server/src/runner/worker-environment.ts";
import { type RunListener, WorkerProcess } from "../../server/src/runner/worker-process.ts";

const [file = ""] = process.argv.slice(2);
if (file === "") throw new Error("Give a model file.");
await using worker = new WorkerProcess({
  environment: createWorkerEnvironment(process.env),
  clock: systemClock,
  memoryBytes: null,
  graceMs: 2_000,
});
const { models } = await worker.describe(file, { timeoutMs: 30_000 });
const endpointId = models[0]?.id;
if (endpointId === undefined) throw new Error(`${file} defines no model.`);
await worker.setup({ threads: 2, cacheDir: tmpdir(), settings: {} }, { timeoutMs: 30_000 });

const LISTENER: RunListener = {
  log() {},
  progress() {},
  preview() {},
  wantsPreviews: () => false,
  emit() {},
  readFile: () => Promise.reject(new Error("This server reads no files.")),
};
const never = new AbortController().signal;
let count = 0;

async function readBody(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return JSON.parse(Buffer.concat(parts).toString("utf8"));
}

const server = createServer(async (request, response) => {
  const input = await readBody(request);
  const runId = String(++count);
  const run = {
    runId,
    requestId: runId,
    endpointId,
    attempt: 1,
    seed: 1,
    input,
    headers: {},
    wantsPreviews: false,
  };
  const outcome = await worker.run(run, LISTENER, never);
  const body = JSON.stringify(outcome.kind === "done" ? outcome.output : { detail: outcome.kind });
  response.writeHead(outcome.kind === "done" ? 200 : 500, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
process.stdout.write(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
await new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
server.close();
server.closeAllConnections();
