import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import { systemClock } from "../clock.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { startRunnerHarness } from "./testing/runner-harness.ts";

it("housekeeping has a request whose runner fell silent leased again, and goes on after an error", {
  timeout: 60_000,
}, async () => {
  const file = join(import.meta.dirname, "fixtures", "shared-setup.mjs");
  await using harness = await startRunnerHarness([file]);
  const { queue, live, files } = harness;
  // Another runner takes the request and dies.
  await harness.runner.drain();
  const id = await harness.submit(
    "test/first",
    {},
    { retry: { connectionError: 2, serverError: 1, timeout: 1 } },
  );
  const lease = await queue.lease({ runnerId: "doomed", endpointIds: ["test/first"], leaseMs: 200 });
  assert.equal(lease?.requestId, id);

  const complaints: string[] = [];
  const logger = {
    debug() {},
    info() {},
    warn() {},
    error: (_fields: object, message = "") => complaints.push(message),
  };
  let collections = 0;
  const failing = Object.assign(Object.create(files) as typeof files, {
    collect: () => (collections++ === 0 ? Promise.reject(new Error("disk full")) : files.collect()),
  });
  await using housekeeping = startHousekeeping({
    queue,
    files: failing,
    live,
    clock: systemClock,
    logger,
    sweepMs: 50,
    collectMs: 50,
  });
  await harness.waitForUpdate((update) => update.type === "changed" && update.state === "queued");
  const again = await waitForLease();
  assert.equal(again.attempt, 2);
  await harness.waitUntil(() => collections > 1);
  assert.deepEqual(complaints, ["Files could not be collected."]);
  assert(housekeeping !== undefined);

  async function waitForLease(): Promise<{ readonly attempt: number }> {
    for (;;) {
      const next = await queue.lease({ runnerId: "second", endpointIds: ["test/first"], leaseMs: 10_000 });
      if (next !== undefined) return next;
      await systemClock.sleep(50);
    }
  }
});
