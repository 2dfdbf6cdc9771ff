import { testRequestQueue } from "./testing/conformance.ts";
import { createManualClock } from "./testing/manual-clock.ts";
import { openSqliteQueue } from "./testing/open-sqlite-queue.ts";

testRequestQueue(() => openSqliteQueue(createManualClock()));
