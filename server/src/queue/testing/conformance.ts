import { testFairness } from "./fairness-conformance.ts";
import { testHistory } from "./history-conformance.ts";
import { testLimits } from "./limits-conformance.ts";
import { testQueueAgainstModel } from "./model-conformance.ts";
import type { QueueFixture } from "./queue-fixture.ts";
import { testRaces } from "./race-conformance.ts";
import { testStates } from "./state-conformance.ts";

/**
 * What every {@link RequestQueue} must do, whatever database it stands on.
 *
 * @param open gives a queue on an empty database.
 */
export function testRequestQueue(open: () => Promise<QueueFixture>): void {
  testStates(open);
  testFairness(open);
  testLimits(open);
  testHistory(open);
  testRaces(open);
  testQueueAgainstModel(open);
}
