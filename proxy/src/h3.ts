import { createProxy } from "./create-proxy.ts";
import { answerNodeRequest, type NodeRequest, type NodeResponse } from "./node-handler.ts";
import type { ProxyOptions } from "./proxy-options.ts";

/** An event of h3: version 1 holds Node's pair or a web request, version 2 a web request. */
export interface H3Event {
  readonly node?: { readonly req: NodeRequest; readonly res?: NodeResponse | undefined } | undefined;
  readonly web?: { readonly request?: Request | undefined } | undefined;
  readonly req?: unknown;
}

/** For h3 and Nuxt: `export default defineEventHandler(createHandler({ … }))` in `server/api/fal/proxy.ts`. */
export function createHandler(options: ProxyOptions): (event: H3Event) => Promise<Response | undefined> {
  const proxy = createProxy(options, "h3");
  return async (event) => {
    const request = event.web?.request ?? (event.req instanceof Request ? event.req : undefined);
    if (request !== undefined) return proxy(request);
    if (event.node?.res === undefined) throw new TypeError("This is not an event of h3");
    await answerNodeRequest(proxy, event.node.req, event.node.res);
    return undefined;
  };
}
