/** The proxy's adapters, each in its real framework, through the one suite that all of them share. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { createHandler as createExpressHandler, route } from "@sluice/proxy/express";
import { createPlugin } from "@sluice/proxy/fastify";
import { createHandler as createH3Handler } from "@sluice/proxy/h3";
import { createRouteHandler } from "@sluice/proxy/hono";
import { createProxy } from "@sluice/proxy/react-router";
import { type ServedProxy, testProxy } from "@sluice/proxy/testing";
import express from "express";
import fastify from "fastify";
import { createApp, createRouter, defineEventHandler, toNodeListener } from "h3";
import { H3, toNodeHandler } from "h3-2";
import { Hono } from "hono";
import { createRequestHandler, type ServerBuild } from "react-router";

async function serve(
  listener: (request: IncomingMessage, response: ServerResponse) => unknown,
): Promise<ServedProxy> {
  const server = createServer((request, response) => void listener(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${route}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

testProxy("express 5", (options) => {
  const app = express();
  app.all(route, createExpressHandler(options));
  return serve(app);
});

testProxy(
  "express 5 after express.json()",
  (options) => {
    const app = express();
    app.use(express.json({ limit: "10mb" }));
    app.all(route, createExpressHandler(options));
    return serve(app);
  },
  { rewritesBodies: true },
);

testProxy("fastify 5", async (options) => {
  const app = fastify({ forceCloseConnections: true });
  await app.register(createPlugin(options));
  const address = await app.listen({ port: 0, host: "127.0.0.1" });
  return { url: address + route, close: () => app.close() };
});

testProxy("hono 4", (options) => {
  const app = new Hono();
  app.all(route, createRouteHandler(options));
  return serve(getRequestListener(app.fetch));
});

testProxy("h3 1, as in Nuxt 3 and 4", (options) => {
  const app = createApp();
  const router = createRouter();
  router.use(route, defineEventHandler(createH3Handler(options)));
  app.use(router);
  return serve(toNodeListener(app));
});

testProxy("h3 2", (options) => {
  const app = new H3();
  app.all(route, createH3Handler(options));
  return serve(toNodeHandler(app));
});

testProxy("react router 8", (options) => {
  const build = {
    entry: { module: { default: () => new Response() } },
    routes: { proxy: { id: "proxy", path: route.slice(1), module: createProxy(options) } },
    assets: { entry: { imports: [], module: "" }, routes: {}, url: "", version: "" },
    publicPath: "/",
    assetsBuildDirectory: "",
    future: {},
    ssr: true,
    isSpaMode: false,
    prerender: [],
    routeDiscovery: { mode: "initial", manifestPath: "/__manifest" },
  } as unknown as ServerBuild;
  const handle = createRequestHandler(build, "production");
  return serve(getRequestListener((request) => handle(request)));
});
