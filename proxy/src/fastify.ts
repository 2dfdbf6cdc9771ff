import { createProxy, DEFAULT_PROXY_ROUTE } from "./create-proxy.ts";
import { answerNodeRequest, type NodeRequest, type NodeResponse } from "./node-handler.ts";
import type { ProxyOptions } from "./proxy-options.ts";

/** What is needed of a Fastify instance. */
export interface FastifyLike {
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: null) => void) => void,
  ): unknown;
  all(
    path: string,
    handler: (
      request: { readonly raw: NodeRequest },
      reply: { readonly raw: NodeResponse; hijack(): unknown },
    ) => Promise<void>,
  ): unknown;
}

/** For Fastify: `await app.register(createPlugin({ … }))`. The route is `/api/fal/proxy`, under the plugin's prefix. */
export function createPlugin(
  options: ProxyOptions,
  route: string = DEFAULT_PROXY_ROUTE,
): (app: FastifyLike) => Promise<void> {
  const proxy = createProxy(options, "fastify");
  return async (app) => {
    // Within the plugin nothing reads bodies: they pass through byte for byte.
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", (_request, _payload, done) => done(null));
    app.all(route, async (request, reply) => {
      reply.hijack();
      await answerNodeRequest(proxy, request.raw, reply.raw);
    });
  };
}
