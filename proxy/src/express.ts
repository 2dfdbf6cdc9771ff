import { createProxy, DEFAULT_PROXY_ROUTE } from "./create-proxy.ts";
import { answerNodeRequest, type NodeRequest, type NodeResponse } from "./node-handler.ts";
import type { ProxyOptions } from "./proxy-options.ts";

export const route: string = DEFAULT_PROXY_ROUTE;

/**
 * For Express: `app.all(route, createHandler({ … }))`. Put it before `express.json()`, so that bodies pass through
 * byte for byte; after it they are written anew, which is the same to the API.
 */
export function createHandler(
  options: ProxyOptions,
): (request: NodeRequest, response: NodeResponse) => Promise<void> {
  const proxy = createProxy(options, "express");
  return (request, response) => answerNodeRequest(proxy, request, response);
}
