/** `@fal-ai/client` 1.10. Recipe: the built-in proxy, and a socket class for realtime, whose token goes by `fetch`. */
import { createFalClient, fal } from "@fal-ai/client";
import { createClientOperations, recipeUrl, redirectSockets, rewrite, runOperations } from "./operations.mjs";

const settings =
  recipeUrl === undefined ? {} : { proxyUrl: { url: `${recipeUrl}/api/fal/proxy`, when: "always" } };
if (recipeUrl !== undefined) {
  fal.config(settings);
  redirectSockets();
}
const byFetch =
  recipeUrl === undefined ? fal : createFalClient({ fetch: (url, init) => fetch(rewrite(url), init) });

const { realtime, ...operations } = createClientOperations({
  fal,
  outputOf: ({ data }) => data,
  createWithKey: (credentials) => createFalClient({ ...settings, credentials }),
  realtime: byFetch.realtime,
});
// The caller's Node may be older than its WebSocket.
await runOperations(globalThis.WebSocket === undefined ? operations : { ...operations, realtime });
