/**
 * `@fal-ai/server-proxy` 1.2 by its `handleRequest`, as its adapter for Remix uses it, with `@fal-ai/client` as the page that has no key. Recipe: the proxy may call this
 * server, and the page's client asks it to.
 */

import { createServer } from "node:http";
import { createFalClient } from "@fal-ai/client";
import { handleRequest, resolveProxyConfig, responsePassthrough } from "@fal-ai/server-proxy";
import { getRequestListener } from "@hono/node-server";
import { createClientOperations, recipeUrl, rewrite, runOperations } from "./operations.mjs";

const host = recipeUrl === undefined ? "" : new URL(recipeUrl).host;
const allowed =
  recipeUrl === undefined
    ? {}
    : { allowedUrlPatterns: [`${host}/queue/**`, `${host}/run/**`, `${host}/rest/**`] };

async function startProxy(config) {
  const resolved = resolveProxyConfig({
    allowUnauthorizedRequests: true,
    allowedEndpoints: ["**"],
    ...allowed,
    ...config,
  });
  const answer = (request) => {
    const headers = new Headers();
    return handleRequest(
      {
        id: "web",
        method: request.method,
        getRequestBody: () => request.text(),
        getHeaders: () => Object.fromEntries(request.headers),
        getHeader: (name) => request.headers.get(name),
        sendHeader: (name, value) => headers.set(name, value),
        respondWith: (status, data) => Response.json(data, { status, headers }),
        sendResponse: responsePassthrough,
      },
      resolved,
    );
  };
  const server = createServer(getRequestListener(answer));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${server.address().port}/api/fal/proxy`;
}

function createPage(proxyUrl) {
  return createFalClient({
    proxyUrl: { url: proxyUrl, when: "always" },
    // The page holds no key, even where the environment does.
    credentials: () => undefined,
    ...(recipeUrl === undefined
      ? {}
      : { requestMiddleware: async (request) => ({ ...request, url: rewrite(request.url) }) }),
  });
}

const operations = createClientOperations({
  fal: createPage(await startProxy({})),
  outputOf: ({ data }) => data,
  createWithKey: async (key) => createPage(await startProxy({ resolveFalAuth: async () => `Key ${key}` })),
});
// The socket of realtime does not go through a proxy.
delete operations.realtime;
// What the proxy allows by default leaves out the call that begins an upload in parts.
if (recipeUrl === undefined) delete operations["upload, 120 MB"];
await runOperations(operations);
