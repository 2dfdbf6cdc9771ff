import type { ProxyRuntimeGate, RequestMiddleware } from "./middleware.ts";
import type { ResponseHandler } from "./read-response.ts";
import type { RetryOptions } from "./retry.ts";
import { isBrowser, readEnvironment } from "./runtime.ts";
import type { Untyped } from "./untyped.ts";

export type CredentialsResolver = () => string | undefined;

export type ProxyUrlConfig = {
  url: string;
  /** `"browser"` by default. */
  when?: ProxyRuntimeGate | undefined;
};

export type Config = {
  /**
   * The server's address: a Sluice, or `https://fal.run` for the hosted service. Unset: the environment variable
   * `SLUICE_URL`, else `http://127.0.0.1:7777`.
   */
  url?: string | undefined;
  /**
   * The key, as `id:secret`, or a function that gives it for each call. Unset: `FAL_KEY`, else `FAL_KEY_ID` and
   * `FAL_KEY_SECRET` of the environment. In a page, use `proxyUrl` instead.
   */
  credentials?: string | CredentialsResolver | undefined;
  /** Do not warn about a key in a page. */
  suppressLocalCredentialsWarning?: boolean | undefined;
  /** A proxy that holds the key. A plain string counts in browsers only. */
  proxyUrl?: string | ProxyUrlConfig | undefined;
  requestMiddleware?: RequestMiddleware | undefined;
  /** Reads the answers of models (`run`, `subscribe`, `queue.result`) in place of the built-in reader. */
  responseHandler?: ResponseHandler<Untyped> | undefined;
  fetch?: typeof fetch | undefined;
  /** Changes the retries of every call; `{ maxRetries: 0 }` turns them off. */
  retry?: Partial<RetryOptions> | undefined;
  /** For realtime, where the runtime has none of its own (Node before 22). */
  WebSocket?: Untyped;
};

/** A configuration with its defaults; what `getConfig()` shows. */
export type RequiredConfig = Config & {
  readonly fetch: typeof fetch;
  readonly credentials: string | CredentialsResolver;
  readonly retry: Partial<RetryOptions>;
};

/**
 * Completes a configuration. The environment is read at each call, not here, so it may be filled later.
 *
 * @throws Error when the runtime has no `fetch` and none is given
 */
export function createConfig(config: Config = {}): RequiredConfig {
  if (config.fetch === undefined && typeof globalThis.fetch !== "function") {
    throw new Error("This runtime has no fetch: give one with `config({ fetch })`");
  }
  if (config.credentials && !config.suppressLocalCredentialsWarning && isBrowser()) {
    console.warn(
      "The key is visible to everyone who opens this page. Use `proxyUrl` to keep it on your server.",
    );
  }
  return {
    ...config,
    // Looked up at each call, so that a fetch that is replaced later (by instrumentation, in tests) is used.
    fetch: config.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    credentials: config.credentials ?? readCredentials,
    retry: config.retry ?? {},
  };
}

/** The value of the `Authorization` header, if there are credentials. */
export function getAuthorization(config: RequiredConfig): string | undefined {
  const { credentials } = config;
  const key = (typeof credentials === "function" ? credentials() : credentials)?.trim();
  return key ? `Key ${key}` : undefined;
}

function readCredentials(): string | undefined {
  const id = readEnvironment("FAL_KEY_ID");
  const secret = readEnvironment("FAL_KEY_SECRET");
  return readEnvironment("FAL_KEY") ?? (id && secret && `${id}:${secret}`);
}
