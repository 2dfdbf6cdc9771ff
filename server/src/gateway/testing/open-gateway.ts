import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ModelManifest } from "@sluice/runtime/model";
import { createCatalog } from "../../catalog/create-catalog.ts";
import { createManifest } from "../../catalog/testing/create-manifest.ts";
import { systemClock } from "../../clock.ts";
import { migrateDatabase } from "../../database/migrate-database.ts";
import { openSqliteDatabase } from "../../database/sqlite-database.ts";
import { createFileStore } from "../../files/create-file-store.ts";
import { openDiskBlobStore } from "../../files/disk-blob-store.ts";
import { createAccountId } from "../../ids.ts";
import { createKeyStore } from "../../keys/create-key-store.ts";
import { createTokenIssuer } from "../../keys/create-token-issuer.ts";
import type { CreatedKey, NewKey } from "../../keys/key-store.ts";
import { createLive } from "../../live/create-live.ts";
import type { DirectRun } from "../../live/direct-run.ts";
import { createIdleMachine } from "../../live/idle-machine.ts";
import { type Logger, silentLogger } from "../../logger.ts";
import { createMetrics } from "../../metrics/metrics.ts";
import { createRequestQueue } from "../../queue/create-request-queue.ts";
import type { Lease, RequestResult } from "../../queue/request-queue.ts";
import { parseSettings, type Settings } from "../../settings.ts";
import { createWebhookInbox } from "../../webhooks/inbox.ts";
import type { GatewayContext } from "../context.ts";
import { createGateway } from "../gateway.ts";
import { type Listener, listen, type Patience } from "../listen.ts";
import type { SocketLimits } from "../ws/accept-upgrades.ts";

/** A whole gateway on a loopback port, over a real database and folder. Only models are missing: tests answer. */
export interface TestGateway extends AsyncDisposable {
  readonly origin: string;
  readonly port: number;
  readonly context: GatewayContext;
  readonly listener: Listener;
  /** `Authorization` of the key that `call` uses. */
  readonly authorization: string;
  /** A further key of the same account, unless another is named. */
  createKey(fields?: Partial<NewKey>): Promise<CreatedKey & { readonly authorization: string }>;
  /** Calls a path with the key; a value as `json` is sent as a POST. `authorization: null` sends none. */
  call(path: string, options?: CallOptions): Promise<Answer>;
  /** Leases the next request, as a runner does. */
  lease(endpointId?: string): Promise<Lease>;
  /** Ends a leased request and tells whoever listens. */
  complete(lease: Lease, result?: Partial<RequestResult>): Promise<void>;
  /** What `context.directRun` does; tests replace it. */
  directRun: DirectRun["run"];
  isDraining: boolean;
}

export interface CallOptions {
  readonly method?: string;
  readonly json?: unknown;
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
  readonly authorization?: string | null;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined when it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: answers are read by path
  readonly json: any;
}

export interface TestGatewayOptions {
  readonly settings?: Partial<Settings>;
  readonly models?: readonly ModelManifest[];
  readonly logger?: Logger;
  readonly patience?: Partial<Patience>;
  readonly socketLimits?: Partial<SocketLimits>;
  /** Replaces parts, to inject failures. */
  readonly change?: (context: GatewayContext) => GatewayContext;
}

/** An endpoint `test/echo` with a required string and an optional whole number. */
export const ECHO: ModelManifest = createManifest("test/echo", {
  input: {
    type: "object",
    required: ["prompt"],
    properties: {
      prompt: { type: "string", minLength: 1 },
      count: { type: "integer", minimum: 1, maximum: 4, default: 1 },
    },
  },
});

export async function openGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  // Opened last, closed first; also when the port cannot be opened.
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "sluice-gateway-"));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const logger = options.logger ?? silentLogger;
  const clock = systemClock;
  const settings: Settings = {
    ...parseSettings({ SLUICE_PORT: "0", SLUICE_DATA: folder, SLUICE_MIN_FREE: "0" }),
    ...options.settings,
  };
  const database = opened.use(await openSqliteDatabase({ path: join(folder, "sluice.db"), clock, logger }));
  await migrateDatabase(database);
  const blobs = await openDiskBlobStore({ dir: join(folder, "blobs") });
  const keys = opened.use(createKeyStore({ database, clock }));
  const live = createLive();
  const models = options.models ?? [
    ECHO,
    createManifest("test/echo/loud", { input: ECHO.input }),
    createManifest("other/app"),
  ];
  const queue = createRequestQueue({
    database,
    blobs,
    clock,
    logger,
    getKeyLimits: async (keyId) => (await keys.find(keyId))?.limits,
  });
  const plain: GatewayContext = {
    settings,
    version: "0.0.0-test",
    database,
    blobs,
    keys,
    tokens: await createTokenIssuer({ database, keys, clock }),
    files: createFileStore({ database, blobs, clock, logger }),
    queue,
    live,
    catalog: createCatalog([{ path: "test.ts", manifest: { models }, updatedAt: 1_700_000_000_000 }]),
    machine: createIdleMachine(),
    inbox: createWebhookInbox({ database, clock }),
    directRun: { run: (request, runOptions) => gateway.directRun(request, runOptions) },
    metrics: createMetrics({ queue, blobs, clock, listEndpointIds: () => [], version: "0.0.0-test" }),
    clock,
    logger,
    isDraining: () => gateway.isDraining,
    listInstalledModels: () => [],
  };
  const context = options.change?.(plain) ?? plain;
  const { patience = {}, socketLimits = {} } = options;
  const listener = await listen({
    gateway: createGateway(context),
    settings,
    logger,
    patience,
    socketLimits,
  });
  opened.defer(() => listener.close(0));
  const held = opened.move();
  const accountId = createAccountId();
  const createKey = async (fields: Partial<NewKey> = {}) => {
    const created = await keys.create({ alias: "test", scope: "API", accountId, ...fields });
    return { ...created, authorization: `Key ${created.credential}` };
  };
  const { authorization } = await createKey();
  const origin = listener.url;

  const gateway: TestGateway = {
    origin,
    port: listener.port,
    context,
    listener,
    authorization,
    createKey,
    isDraining: false,
    directRun: async (request) =>
      createResult({ echo: request.input === null ? null : JSON.parse(decode(request.input)) }),
    async call(path, callOptions = {}) {
      const { json, headers, signal } = callOptions;
      const auth = callOptions.authorization === undefined ? authorization : callOptions.authorization;
      const body = json === undefined ? callOptions.body : JSON.stringify(json);
      const response = await fetch(new URL(path, origin), {
        method: callOptions.method ?? (body === undefined ? "GET" : "POST"),
        headers: { ...(auth === null ? {} : { authorization: auth }), ...headers },
        ...(body === undefined ? {} : { body: body as string }),
        redirect: "manual",
        signal: signal ?? AbortSignal.timeout(10_000),
      });
      const text = await response.text();
      return { status: response.status, headers: response.headers, text, json: parseJson(text) };
    },
    async lease(endpointId = "test/echo") {
      const lease = await queue.lease({ runnerId: "test", endpointIds: [endpointId], leaseMs: 15_000 });
      if (lease === undefined) throw new Error(`nothing to lease for ${endpointId}`);
      const { accountId } = lease.request;
      live.publish({ type: "changed", requestId: lease.requestId, accountId, endpointId, state: "running" });
      return lease;
    },
    async complete(lease, result = {}) {
      const full = { ...createResult({ ok: true }), ...result };
      await queue.complete(lease, full);
      const { accountId, endpointId } = lease.request;
      live.publish({ type: "changed", requestId: lease.requestId, accountId, endpointId, state: full.state });
    },
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
  return gateway;
}

/** A model's good answer. */
export function createResult(output: unknown, fields: Partial<RequestResult> = {}): RequestResult {
  return {
    state: "succeeded",
    statusCode: 200,
    headers: { "content-type": "application/json", "x-fal-billable-units": "1", "x-model": "test@1" },
    body: Buffer.from(JSON.stringify(output)),
    billableUnits: 1,
    inferenceSeconds: 0.25,
    fileIds: [],
    ...fields,
  };
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
