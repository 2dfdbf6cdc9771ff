/**
 * `bench/baseline.ts` over HTTP: `POST /`, `GET /{id}/status`, `GET /{id}`, with a model that does nothing in this
 * process. Prints `listening on URL`.
 *
 *     node bench/servers/baseline-server.ts DATA_FOLDER
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { openBaselineQueue } from "../baseline.ts";

/** Leases under way at once, as in the server that is measured against this one. */
const SLOTS = 256;
const RESULT = Buffer.from('{"prompt":"a lighthouse at dusk","done_at":0}');

const [folder = ""] = process.argv.slice(2);
if (folder === "") throw new Error("Give a data folder.");
await using queue = await openBaselineQueue(join(folder, "baseline.db"));

let waiting = 0;
let running = 0;
async function work(): Promise<void> {
  if (running >= SLOTS) return;
  running++;
  while (waiting > 0) {
    waiting--;
    const leased = await queue.lease();
    if (leased !== undefined) await queue.complete(leased.id, RESULT);
  }
  running--;
}

function send(response: ServerResponse, status: number, body: string | Uint8Array): void {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  });
  response.end(body);
}

function readBody(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => resolve(Buffer.concat(parts)));
    request.on("error", reject);
  });
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === "POST") {
    const body = await readBody(request);
    JSON.parse(body.toString("utf8"));
    const id = await queue.submit(body);
    send(response, 200, `{"status":"IN_QUEUE","request_id":"${id}"}`);
    waiting++;
    void work();
    return;
  }
  const [, id = "", rest] = (request.url ?? "").split("/");
  if (rest === "status") {
    const state = await queue.findState(id);
    if (state === undefined) send(response, 404, '{"detail":"unknown request"}');
    else if (state === "succeeded") send(response, 200, '{"status":"COMPLETED"}');
    else send(response, 202, '{"status":"IN_PROGRESS"}');
    return;
  }
  const body = await queue.readResult(id);
  if (body === undefined) send(response, 400, '{"detail":"not finished"}');
  else send(response, 200, body);
}

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => send(response, 500, String(error)));
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
process.stdout.write(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
await new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
server.close();
server.closeAllConnections();
