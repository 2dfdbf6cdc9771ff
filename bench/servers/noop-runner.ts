import type { Live } from "../../server/src/live/live.ts";
import type { Lease, RequestQueue, RequestResult } from "../../server/src/queue/request-queue.ts";
import { NOOP_ENDPOINT } from "../models/noop-manifest.ts";

/** Leases under way at once: enough that a group commit is never waited for by all of them. */
const SLOTS = 256;
const POLL_MS = 500;

/**
 * Leases and ends requests without a worker. As in the real runner, each slot holds one request and tells listeners
 * of every change.
 */
export async function startNoopRunner(parts: {
  readonly queue: RequestQueue;
  readonly live: Live;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { queue, live, signal } = parts;
  const offer = { runnerId: "bench", endpointIds: [NOOP_ENDPOINT], leaseMs: 15_000 };
  let wakes = 0;
  let sleepers: (() => void)[] = [];
  const wake = (): void => {
    wakes++;
    const woken = sleepers;
    sleepers = [];
    for (const resolve of woken) resolve();
  };
  const listen = async (): Promise<void> => {
    while (!signal.aborted) {
      await live.waitForWork(offer.endpointIds, POLL_MS, signal);
      wake();
    }
    wake();
  };
  const work = async (): Promise<void> => {
    while (!signal.aborted) {
      const seen = wakes;
      const lease = await queue.lease(offer);
      if (lease !== undefined) await end(lease, queue, live);
      else if (wakes === seen) await new Promise<void>((resolve) => sleepers.push(resolve));
    }
  };
  await Promise.all([listen(), ...Array.from({ length: SLOTS }, work)]);
}

async function end(lease: Lease, queue: RequestQueue, live: Live): Promise<void> {
  const { requestId } = lease;
  live.publish({ type: "changed", requestId, endpointId: NOOP_ENDPOINT, state: "running" });
  await queue.complete(lease, RESULT);
  live.publish({ type: "changed", requestId, endpointId: NOOP_ENDPOINT, state: RESULT.state });
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
