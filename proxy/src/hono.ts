import { createProxy } from "./create-proxy.ts";
import type { ProxyOptions } from "./proxy-options.ts";

/** For Hono: `app.all("/api/fal/proxy", createRouteHandler({ … }))`. */
export function createRouteHandler(
  options: ProxyOptions,
): (context: { readonly req: { readonly raw: Request } }) => Promise<Response> {
  const proxy = createProxy(options, "hono");
  return (context) => proxy(context.req.raw);
}
