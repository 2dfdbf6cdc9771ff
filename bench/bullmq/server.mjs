/**
 * The same three calls as `bench/baseline.ts`, as a Node team would write them: Express, BullMQ, and Redis on a Unix
 * socket with `appendfsync always`. The worker that does nothing runs in this process. Prints `listening on URL`.
 *
 *     node server.mjs REDIS_SOCKET
 */
import { Queue, Worker } from "bullmq";
import express from "express";
import { Redis } from "ioredis";

const connect = () => new Redis({ path: process.argv[2], maxRetriesPerRequest: null });
const RESULT = { prompt: "a lighthouse at dusk", done_at: 0 };
const queue = new Queue("requests", { connection: connect() });
const worker = new Worker("requests", async () => RESULT, { connection: connect(), concurrency: 256 });
await worker.waitUntilReady();

const app = express();
app.disable("x-powered-by");
app.disable("etag");
app.use(express.json());
app.post("/", async (request, response) => {
  const job = await queue.add("request", request.body);
  response.json({ status: "IN_QUEUE", request_id: job.id });
});
app.get("/:id/status", async (request, response) => {
  const state = await queue.getJobState(request.params.id);
  if (state === "unknown") response.status(404).json({ detail: "unknown request" });
  else if (state === "completed") response.json({ status: "COMPLETED" });
  else response.status(202).json({ status: "IN_PROGRESS" });
});
app.get("/:id", async (request, response) => {
  const job = await queue.getJob(request.params.id);
  if (job?.finishedOn === undefined) response.status(400).json({ detail: "not finished" });
  else response.json(job.returnvalue);
});

const server = app.listen(0, "127.0.0.1", () => {
  process.stdout.write(`listening on http://127.0.0.1:${server.address().port}\n`);
});
process.once("SIGTERM", async () => {
  server.close();
  server.closeAllConnections();
  await worker.close();
  await queue.close();
  process.exit(0);
});
