import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { openTestStorage, type TestStorage } from "../../../files/testing/open-test-storage.ts";
import type { AccountId } from "../../../ids.ts";
import { createRequestId } from "../../../ids.ts";
import { createKeyStore } from "../../../keys/create-key-store.ts";
import { createTokenIssuer } from "../../../keys/create-token-issuer.ts";
import type { KeyLimits, KeyStore } from "../../../keys/key-store.ts";
import type { TokenIssuer } from "../../../keys/token-issuer.ts";
import { type Logger, silentLogger } from "../../../logger.ts";
import { parseSettings, type Settings } from "../../../settings.ts";
import type { Call } from "../../call.ts";
import type { GatewayContext } from "../../context.ts";
import { createUrlBuilder } from "../../public-urls.ts";
import { createRespond } from "../../respond.ts";
import { createRestRoutes } from "../../rest/rest-routes.ts";
import { findPlace } from "../../surfaces.ts";
import { type CdnOptions, createCdnRoutes } from "../cdn-routes.ts";

/** The rest and cdn surfaces on a loopback port, over a real database and a real folder. */
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
  readonly cdn?: CdnOptions;
  readonly logger?: Logger;
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
  const settings = { ...parseSettings({ SLUICE_MIN_FREE: "0" }), ...options.settings };
  const logger = options.logger ?? silentLogger;
  // Only what these two surfaces use: the rest of the context belongs to the others.
  const plain = { ...storage, settings, keys, tokens, logger, version: "0.0.0" } as unknown as GatewayContext;
  const context = options.change?.(plain) ?? plain;
  const surfaces = { rest: createRestRoutes(context), cdn: createCdnRoutes(context, options.cdn) };
  const urls = createUrlBuilder(settings);
  const respond = createRespond(settings);
  const answer = async (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    const connection = {
      remoteAddress: "127.0.0.1",
      isTls: false,
      localAddress: "127.0.0.1",
      localPort: port,
    };
    const place = findPlace(url.host, url.pathname, null);
    if (place.kind !== "surface" || (place.surface !== "rest" && place.surface !== "cdn"))
      return respond.sentence(404, "Not Found");
    const call: Call = {
      request,
      url,
      surface: place.surface,
      path: place.path,
      style: "mount",
      requestId: createRequestId(Date.now()),
      urls: urls.build(urls.findAddress(request, url, connection), place.virtualHost, connection),
      connection,
    };
    return await surfaces[place.surface].fetch(request, call);
  };
  const server = createServer(getRequestListener(answer, { overrideGlobalObjects: false }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    await keys[Symbol.asyncDispose]();
  };
  return {
    origin: `http://127.0.0.1:${port}`,
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
