import { isBrowser } from "./runtime.ts";
import { formatProxyTarget } from "./surfaces.ts";

/** What a middleware may change about a call before it is sent. */
export type RequestConfig = {
  url: string;
  method: string;
  headers?: Record<string, string | string[]>;
};

/** Runs before every try of every call to the server (not before bytes go to an upload URL). */
export type RequestMiddleware = (request: RequestConfig) => Promise<RequestConfig>;

export type ProxyRuntimeEnv = {
  isBrowser: boolean;
};

/** When the proxy is used: in browsers only (default), always, or when the function says so. */
export type ProxyRuntimeGate = "browser" | "always" | ((env: ProxyRuntimeEnv) => boolean);

export type RequestProxyConfig = {
  targetUrl: string;
  when?: ProxyRuntimeGate;
};

export const TARGET_URL_HEADER = "x-fal-target-url";

/** One middleware that runs the given ones in order. */
export function withMiddleware(...middlewares: RequestMiddleware[]): RequestMiddleware {
  return async (request) => {
    let current = request;
    for (const middleware of middlewares) current = await middleware(current);
    return current;
  };
}

/** Sends calls to a proxy that holds the key; the real target travels in a header. */
export function withProxy(config: RequestProxyConfig): RequestMiddleware {
  return async (request) => {
    const { when = "browser" } = config;
    const env = { isBrowser: isBrowser() };
    const applies = typeof when === "function" ? when(env) : when === "always" || env.isBrowser;
    const isProxied = Object.keys(request.headers ?? {}).some(
      (name) => name.toLowerCase() === TARGET_URL_HEADER,
    );
    if (!applies || isProxied) return request;
    return {
      ...request,
      url: config.targetUrl,
      headers: { ...request.headers, [TARGET_URL_HEADER]: formatProxyTarget(request.url) },
    };
  };
}
