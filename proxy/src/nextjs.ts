import { createProxy, DEFAULT_PROXY_ROUTE, type ProxyHandler } from "./create-proxy.ts";
import { answerNodeRequest, type NodeRequest, type NodeResponse } from "./node-handler.ts";
import type { ProxyOptions } from "./proxy-options.ts";

export const PROXY_ROUTE: string = DEFAULT_PROXY_ROUTE;

/** For the app router: `export const { GET, POST, PUT } = createRouteHandler({ … })` in `app/api/fal/proxy/route.ts`. */
export function createRouteHandler(
  options: ProxyOptions,
): Readonly<Record<"GET" | "POST" | "PUT" | "DELETE", ProxyHandler>> {
  const proxy = createProxy(options, "nextjs-app-router");
  // Next passes a second argument that is none of the proxy's.
  const handler: ProxyHandler = (request) => proxy(request);
  return { GET: handler, POST: handler, PUT: handler, DELETE: handler };
}

/**
 * For the pages router: `export default createPageRouterHandler({ … })` in `pages/api/fal/proxy.ts`. Add
 * `export const config = { api: { bodyParser: false, externalResolver: true } }`, so that bodies pass through byte
 * for byte. Streams are passed on as they come.
 */
export function createPageRouterHandler(
  options: ProxyOptions,
): (request: NodeRequest, response: NodeResponse) => Promise<void> {
  const proxy = createProxy(options, "nextjs-page-router");
  return (request, response) => answerNodeRequest(proxy, request, response);
}
