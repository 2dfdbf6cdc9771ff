/** The adapters that need no framework to be installed. The others run the same suite with theirs. */
import type { IncomingMessage } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import { createProxy } from "./create-proxy.ts";
import { createHandler as createExpressHandler } from "./express.ts";
import { createHandler as createH3Handler } from "./h3.ts";
import { createRouteHandler as createHonoHandler } from "./hono.ts";
import { createPageRouterHandler, createRouteHandler } from "./nextjs.ts";
import { createHandler } from "./node.ts";
import { createProxy as createReactRouterProxy } from "./react-router.ts";
import { createRequestHandler } from "./svelte.ts";
import { testProxy } from "./testing/conformance.ts";
import { serveNode } from "./testing/serve-node.ts";

const serveWeb = (handler: (request: Request) => Promise<Response>) => serveNode(getRequestListener(handler));

testProxy("web", (options) => serveWeb(createProxy(options)));
testProxy("node", (options) => serveNode(createHandler(options)));
testProxy("hono", (options) => {
  const app = new Hono();
  app.all("/api/fal/proxy", createHonoHandler(options));
  return serveNode(getRequestListener(app.fetch));
});

type Method = "GET" | "POST" | "PUT";
testProxy("next, app router", (options) => {
  const handlers = createRouteHandler(options);
  return serveWeb((request) => handlers[request.method as Method](request));
});
testProxy("sveltekit", (options) => {
  const handlers = createRequestHandler(options);
  return serveWeb((request) => handlers[request.method as Method]({ request }));
});
testProxy("react router", (options) => {
  const { action, loader } = createReactRouterProxy(options);
  return serveWeb((request) => (request.method === "GET" ? loader : action)({ request }));
});
testProxy("h3 on node", (options) => {
  const handler = createH3Handler(options);
  return serveNode((req, res) => handler({ node: { req, res } }));
});

/** As `express.json()` and the body parser of Next's pages router leave a request. */
async function parseBody(request: IncomingMessage & { body?: unknown }): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  request.body = text === "" ? {} : JSON.parse(text);
}
for (const [name, create] of [
  ["express after its JSON parser", createExpressHandler],
  ["next, pages router, with its body parser", createPageRouterHandler],
] as const) {
  testProxy(
    name,
    (options) => {
      const handler = create(options);
      return serveNode(async (request, response) => {
        await parseBody(request);
        await handler(request, response);
      });
    },
    { rewritesBodies: true },
  );
}
