/**
 * The real gateway, queue and database with a model that does nothing inside this process: what a request costs when
 * its model costs nothing. Prints `listening on URL`.
 *
 *     node bench/servers/gateway-server.ts DATA_FOLDER [--no-runner]
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCatalog } from "../../server/src/catalog/create-catalog.ts";
import { systemClock } from "../../server/src/clock.ts";
import { createGateway } from "../../server/src/gateway/gateway.ts";
import { listen } from "../../server/src/gateway/listen.ts";
import { createTokenIssuer } from "../../server/src/keys/create-token-issuer.ts";
import { createLive } from "../../server/src/live/create-live.ts";
import { createIdleMachine } from "../../server/src/live/idle-machine.ts";
import { type Logger, silentLogger } from "../../server/src/logger.ts";
import { createMetrics } from "../../server/src/metrics/metrics.ts";
import { parseSettings } from "../../server/src/settings.ts";
import { openStore } from "../../server/src/store.ts";
import { createWebhookInbox } from "../../server/src/webhooks/inbox.ts";
import { NOOP_ENDPOINT, NOOP_MANIFEST } from "../models/noop-manifest.ts";
import { startNoopRunner } from "./noop-runner.ts";

const [folder = "", flag] = process.argv.slice(2);
if (folder === "") throw new Error("Give a data folder.");
const clock = systemClock;
const logger: Logger = { ...silentLogger, error: (fields) => console.error(fields) };
const settings = parseSettings({ SLUICE_PORT: "0", SLUICE_DATA: folder });
await using store = await openStore({ settings, logger, clock });
const live = createLive();
const { database, keys, files, blobs, queue } = store;
const { credential } = await keys.create({ alias: "bench", scope: "API" });
await writeFile(join(folder, "first-key"), credential, { mode: 0o600 });
const listener = await listen({
  gateway: createGateway({
    settings,
    version: "0.0.0-bench",
    database,
    queue,
    live,
    catalog: createCatalog([
      { path: "noop", manifest: { models: [NOOP_MANIFEST] }, updatedAt: 1_700_000_000_000 },
    ]),
    keys,
    tokens: await createTokenIssuer({ database, clock, keys }),
    files,
    blobs,
    machine: createIdleMachine(),
    inbox: createWebhookInbox({ database, clock }),
    directRun: { run: () => Promise.reject(new Error("This server has no workers.")) },
    metrics: createMetrics({
      queue,
      blobs,
      clock,
      listEndpointIds: () => [NOOP_ENDPOINT],
      version: "0.0.0-bench",
    }),
    clock,
    logger,
    isDraining: () => false,
    listInstalledModels: () => [],
  }),
  settings,
  logger,
});
const stopRunner = flag === "--no-runner" ? undefined : startNoopRunner(queue, live);
process.stdout.write(`listening on ${listener.url}\n`);
await new Promise<void>((resolve) => process.once("SIGTERM", () => resolve()));
await stopRunner?.();
await listener.close(0);
