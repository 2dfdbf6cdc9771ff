import type { Live } from "../../server/src/live/live.ts";
import type { Lease, RequestQueue, RequestResult } from "../../server/src/queue/request-queue.ts";
import { NOOP_ENDPOINT } from "../models/noop-manifest.ts";

/** Leases under way at once: enough that a group commit is never waited for by all of them. */
const SLOTS = 256;

/**
 * Leases and ends requests without a worker, one lease per request that was submitted. As in the real runner, each
 * slot holds one request and tells listeners of every change. Stops when the returned function is called.
 */
export function startNoopRunner(queue: RequestQueue, live: Live): () => Promise<void> {
  const offer = { runnerId: "bench", endpointIds: [NOOP_ENDPOINT], leaseMs: 15_000 };
  const slots = new Set<Promise<void>>();
  let waiting = 0;
  const work = async (): Promise<void> => {
    while (waiting > 0) {
      waiting--;
      const lease = await queue.lease(offer);
      if (lease !== undefined) await end(lease, queue, live);
    }
  };
  const unsubscribe = live.subscribeAll((update) => {
    if (update.type !== "changed" || update.state !== "queued") return;
    waiting++;
    if (slots.size >= SLOTS) return;
    const slot: Promise<void> = work().finally(() => slots.delete(slot));
    slots.add(slot);
  });
  return async () => {
    unsubscribe();
    await Promise.all(slots);
  };
}

async function end(lease: Lease, queue: RequestQueue, live: Live): Promise<void> {
  const { requestId } = lease;
  const { accountId } = lease.request;
  live.publish({ type: "changed", requestId, accountId, endpointId: NOOP_ENDPOINT, state: "running" });
  await queue.complete(lease, RESULT);
  live.publish({ type: "changed", requestId, accountId, endpointId: NOOP_ENDPOINT, state: RESULT.state });
}

const RESULT: RequestResult = {
  state: "succeeded",
  statusCode: 200,
  headers: { "content-type": "application/json", "x-fal-billable-units": "1", "x-model": "noop@1" },
  body: Buffer.from('{"prompt":"a lighthouse at dusk","done_at":0}'),
  billableUnits: 1,
  inferenceSeconds: 0,
  fileIds: [],
};
