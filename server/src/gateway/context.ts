import type { Catalog } from "../catalog/catalog.ts";
import type { InstalledModel } from "../catalog/installed-models.ts";
import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";
import type { BlobStore } from "../files/blob-store.ts";
import type { FileStore } from "../files/file-store.ts";
import type { KeyStore } from "../keys/key-store.ts";
import type { TokenIssuer } from "../keys/token-issuer.ts";
import type { DirectRun } from "../live/direct-run.ts";
import type { Live } from "../live/live.ts";
import type { Machine } from "../live/machine.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { RequestQueue } from "../queue/request-queue.ts";
import type { Settings } from "../settings.ts";
import type { WebhookInbox } from "../webhooks/inbox.ts";
import type { AppFiles } from "./app/app-files.ts";

/** What the HTTP face is given. It never imports the runner: they meet in the queue and in live. */
export interface GatewayContext {
  readonly settings: Settings;
  /** Version of this server, for /health and headers. */
  readonly version: string;
  readonly database: Database;
  readonly queue: RequestQueue;
  readonly live: Live;
  readonly catalog: Catalog;
  readonly keys: KeyStore;
  readonly tokens: TokenIssuer;
  readonly files: FileStore;
  readonly blobs: BlobStore;
  readonly directRun: DirectRun;
  readonly machine: Machine;
  readonly inbox: WebhookInbox;
  readonly metrics: Pick<Metrics, "render" | "countFile">;
  /** The built web app; undefined when it was not built. */
  readonly appFiles?: AppFiles | undefined;
  /** The official tarball of our client, for `/client.tgz`. */
  readonly createClientTarball?: (() => Promise<Uint8Array>) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** True while the server is stopping: new work is answered 503 with Retry-After. */
  isDraining(): boolean;
  /** What the operator installed, with the endpoints that it is bound to. */
  listInstalledModels(): readonly InstalledModel[];
}

/** Which face of the one origin a request is for. */
export type Surface = "queue" | "run" | "ws" | "rest" | "cdn" | "platform" | "docs";
