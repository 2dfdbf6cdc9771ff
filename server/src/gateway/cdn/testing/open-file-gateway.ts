import { openTestStorage, type TestStorage } from "../../../files/testing/open-test-storage.ts";
import type { AccountId } from "../../../ids.ts";
import { createKeyStore } from "../../../keys/create-key-store.ts";
import { createTokenIssuer } from "../../../keys/create-token-issuer.ts";
import type { KeyLimits, KeyStore } from "../../../keys/key-store.ts";
import type { TokenIssuer } from "../../../keys/token-issuer.ts";
import { createLive } from "../../../live/create-live.ts";
import { createIdleMachine } from "../../../live/idle-machine.ts";
import { silentLogger } from "../../../logger.ts";
import { silentMetrics } from "../../../metrics/metrics.ts";
import { parseSettings, type Settings } from "../../../settings.ts";
import { createWebhookInbox } from "../../../webhooks/inbox.ts";
import type { GatewayContext } from "../../context.ts";
import { createGateway } from "../../gateway.ts";
import { listen } from "../../listen.ts";

/** The gateway on a loopback port over a real database and folder whose clock can be moved, for what concerns files. */
export interface FileGateway extends AsyncDisposable {
  readonly origin: string;
  readonly storage: TestStorage;
  readonly keys: KeyStore;
  readonly tokens: TokenIssuer;
  /** `Authorization` of a new key. */
  createKey(account?: string, limits?: KeyLimits): Promise<string>;
  /** Stops and starts again on what is on disk; the port changes. */
  restart(): Promise<FileGateway>;
}

export interface FileGatewayOptions {
  readonly settings?: Partial<Settings>;
  /** Replaces parts, to inject failures. */
  readonly change?: (context: GatewayContext) => GatewayContext;
}

export async function openFileGateway(
  options: FileGatewayOptions = {},
  kept?: TestStorage,
): Promise<FileGateway> {
  const storage = kept ?? (await openTestStorage());
  const keys = createKeyStore(storage);
  const tokens = await createTokenIssuer({ ...storage, keys });
  const settings = { ...parseSettings({ SLUICE_MIN_FREE: "0", SLUICE_PORT: "0" }), ...options.settings };
  // Requests and models are left out: these tests call no route that needs them.
  const plain = {
    ...storage,
    settings,
    keys,
    tokens,
    logger: silentLogger,
    live: createLive(),
    machine: createIdleMachine(),
    metrics: silentMetrics,
    version: "0.0.0",
    isDraining: () => false,
    listInstalledModels: () => [],
    inbox: createWebhookInbox(storage),
  } satisfies Omit<GatewayContext, "queue" | "catalog" | "directRun">;
  const context = plain as unknown as GatewayContext;
  const gateway = createGateway(options.change?.(context) ?? context);
  const listener = await listen({ gateway, settings, logger: silentLogger });
  const close = async (): Promise<void> => {
    await listener.close(0);
    await keys[Symbol.asyncDispose]();
  };
  return {
    origin: listener.url,
    storage,
    keys,
    tokens,
    async createKey(account, limits) {
      const { credential } = await keys.create({
        alias: "test",
        scope: "API",
        ...(account === undefined ? {} : { accountId: account as AccountId }),
        ...(limits === undefined ? {} : { limits }),
      });
      return `Key ${credential}`;
    },
    async restart() {
      await close();
      return await openFileGateway(options, await storage.reopen());
    },
    async [Symbol.asyncDispose]() {
      await close();
      await storage[Symbol.asyncDispose]();
    },
  };
}
