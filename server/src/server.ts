import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { backupStore } from "./backup-store.ts";
import type { Catalog } from "./catalog/catalog.ts";
import type { InstalledModels } from "./catalog/installed-models.ts";
import { type Clock, systemClock } from "./clock.ts";
import { getControlPath } from "./control/control-client.ts";
import { startControlServer } from "./control/control-server.ts";
import { createIngest } from "./files/ingest.ts";
import { createFirstKey } from "./first-key.ts";
import { openAppFiles } from "./gateway/app/app-files.ts";
import { verifyFileIdentity } from "./gateway/cdn/file-urls.ts";
import type { GatewayContext } from "./gateway/context.ts";
import { fillSampleInput, keepRequired } from "./gateway/documents/sample-input.ts";
import { createGateway } from "./gateway/gateway.ts";
import { listen } from "./gateway/listen.ts";
import { createTokenIssuer } from "./keys/create-token-issuer.ts";
import { createLive } from "./live/create-live.ts";
import type { Logger } from "./logger.ts";
import { createMetrics } from "./metrics/metrics.ts";
import { openOfferedModels } from "./offered-models.ts";
import { startHousekeeping } from "./runner/housekeeping.ts";
import { startRunner } from "./runner/runner.ts";
import type { Settings } from "./settings.ts";
import { openStore, type Store } from "./store.ts";
import { createWebhookInbox } from "./webhooks/inbox.ts";
import { createWebhookSigningKeys } from "./webhooks/signing-keys.ts";
import { startDeliveries } from "./webhooks/start-deliveries.ts";

/** A server that takes requests. */
export interface RunningServer extends AsyncDisposable {
  /** Where this machine reaches it: `http://127.0.0.1:7777`. */
  readonly url: string;
  readonly endpointIds: readonly string[];
  /** A call that anybody can make as it is; undefined when every endpoint wants a file that only its caller has. */
  readonly sampleCall: SampleCall | undefined;
  /** `id:secret` of the key that this start made because there was none; null otherwise. */
  readonly createdKey: string | null;
  /** Takes no new work, lets running requests finish (`settings.drainMs`), queues the rest again. */
  drain(): Promise<void>;
}

export interface SampleCall {
  readonly endpointId: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface ServerOptions {
  readonly settings: Settings;
  /** Absolute paths of model files. */
  readonly modelFiles: readonly string[];
  /** Those of them whose endpoints the others may take over. */
  readonly replaceableFiles?: readonly string[];
  /** Models that come and go while the server runs. */
  readonly installedModels?: InstalledModels;
  readonly logger: Logger;
  readonly version: string;
  readonly clock?: Clock;
  /** Makes the tarball of `@sluice/client` that `/client.tgz` serves; without it that address is unknown. */
  readonly createClientTarball?: () => Promise<Uint8Array>;
  /** Folder of the built web app; without it its addresses say how to build it. */
  readonly appFolder?: string;
  /** What workers see of the environment; default `process.env`. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/**
 * The composition root: the only file that knows every folder. Opens the store, asks a child process what each
 * model file holds, starts the runner and the gateway, and opens the port last, when everything behind it works.
 *
 * @throws DatabaseError, ListenError, WorkerStartError: each says what to do
 */
export async function openServer(options: ServerOptions): Promise<RunningServer> {
  const { settings, logger, version, clock = systemClock, environment = process.env } = options;
  await using opened = new AsyncDisposableStack();
  // The store opens while the children load the model files.
  const describing = openOfferedModels({ ...options, environment });
  describing.catch(() => {}); // Awaited below; a store that does not open must not leave it unhandled.
  const store = opened.use(await openStore({ settings, logger, clock }));
  const offered = await describing;
  const { catalog } = offered;
  const live = createLive();
  const listEndpointIds = () => catalog.list().map((entry) => entry.endpointId);
  const metrics = createMetrics({ queue: store.queue, blobs: store.blobs, clock, listEndpointIds, version });
  const tokens = await createTokenIssuer({ database: store.database, clock, keys: store.keys });
  const runner = opened.use(
    await startRunner({
      queue: store.queue,
      live,
      catalog,
      files: store.files,
      readInputFile: createIngest({
        files: store.files,
        settings,
        findAccount: (id) => store.keys.findAccount(id),
        verifyIdentity: (path, identity) => verifyFileIdentity(tokens, path, identity),
      }),
      metrics,
      clock,
      logger,
      settings,
      runnerId: randomUUID(),
      cacheDir: join(store.dataDir, "cache"),
      environment,
    }),
  );
  opened.use(startHousekeeping({ queue: store.queue, files: store.files, live, clock, logger }));
  const createdKey = (await store.keys.isEmpty()) ? await createFirstKey(store) : null;
  const appFiles = options.appFolder === undefined ? undefined : await openAppFiles(options.appFolder);
  let isDraining = false;
  const context: GatewayContext = {
    settings,
    version,
    database: store.database,
    queue: store.queue,
    live,
    catalog,
    keys: store.keys,
    tokens,
    files: store.files,
    blobs: store.blobs,
    directRun: runner.directRun,
    machine: runner.machine,
    inbox: createWebhookInbox({ database: store.database, clock }),
    metrics,
    appFiles,
    createClientTarball: options.createClientTarball,
    clock,
    logger,
    isDraining: () => isDraining,
    listInstalledModels: offered.listInstalled,
  };
  const reloadModels = async () => {
    const models = await offered.reload();
    runner.update();
    return models;
  };
  const control = await openControl(store, reloadModels, logger);
  if (control !== undefined) opened.use(control);
  const listener = await listen({ gateway: createGateway(context), settings, logger });
  opened.defer(() => listener.close(1_000));
  opened.use(
    await startDeliveries({
      ...context,
      signingKeys: createWebhookSigningKeys(context),
      filesUrl: `${settings.publicUrl?.replace(/\/$/, "") ?? listener.url}/cdn`,
      // SQLite's folder is held by one process at a time.
      isAlone: store.database.dialect === "sqlite",
    }),
  );
  const held = opened.move();
  return {
    url: listener.url,
    get endpointIds() {
      return listEndpointIds();
    },
    get sampleCall() {
      return findSampleCall(catalog);
    },
    createdKey,
    async drain() {
      isDraining = true;
      await runner.drain();
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

function findSampleCall(catalog: Catalog): SampleCall | undefined {
  for (const entry of catalog.list()) {
    const input = fillSampleInput(entry, undefined);
    if (input !== undefined) return { endpointId: entry.endpointId, input: keepRequired(entry, input) };
  }
  return undefined;
}

/** A Unix socket's path may have about a hundred bytes; a deeper data folder does without. */
const MAX_SOCKET_PATH_BYTES = 103;

async function openControl(
  store: Store,
  reloadModels: () => Promise<unknown>,
  logger: Logger,
): Promise<AsyncDisposable | undefined> {
  const path = getControlPath(store.dataDir);
  if (process.platform === "win32" || Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    logger.warn(
      { path },
      "no control socket: the path is too long; stop the server before `sluice keys`, `sluice models add` and `sluice backup`",
    );
    return undefined;
  }
  return await startControlServer({
    path,
    keys: store.keys,
    logger,
    backup: (folder) => backupStore(store, folder),
    reloadModels,
  });
}
