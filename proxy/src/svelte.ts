import { createProxy } from "./create-proxy.ts";
import type { ProxyOptions } from "./proxy-options.ts";

type RequestHandler = (event: { readonly request: Request }) => Promise<Response>;

/** For SvelteKit: `export const { GET, POST, PUT } = createRequestHandler({ … })` in `routes/api/fal/proxy/+server.ts`. */
export function createRequestHandler(
  options: ProxyOptions,
): Readonly<Record<"requestHandler" | "GET" | "POST" | "PUT" | "DELETE", RequestHandler>> {
  const proxy = createProxy(options, "svelte");
  const handler: RequestHandler = (event) => proxy(event.request);
  return { requestHandler: handler, GET: handler, POST: handler, PUT: handler, DELETE: handler };
}
