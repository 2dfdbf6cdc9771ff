import { createProxy as createWebProxy } from "./create-proxy.ts";
import type { ProxyOptions } from "./proxy-options.ts";

type RouteFunction = (args: { readonly request: Request }) => Promise<Response>;

/** For Remix and React Router: `export const { action, loader } = createProxy({ … })` in a resource route. */
export function createProxy(options: ProxyOptions): {
  readonly action: RouteFunction;
  readonly loader: RouteFunction;
} {
  const proxy = createWebProxy(options, "react-router");
  const handle: RouteFunction = ({ request }) => proxy(request);
  return { action: handle, loader: handle };
}
