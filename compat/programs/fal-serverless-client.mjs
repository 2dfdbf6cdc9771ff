/** `@fal-ai/serverless-client` 0.15, the client of the API pages. Recipe: a middleware that rewrites addresses. */
import * as fal from "@fal-ai/serverless-client";
import { createClientOperations, recipeUrl, redirectSockets, rewrite, runOperations } from "./operations.mjs";

const settings =
  recipeUrl === undefined
    ? {}
    : { requestMiddleware: async (request) => ({ ...request, url: rewrite(request.url) }) };
fal.config(settings);
if (recipeUrl !== undefined) redirectSockets();

const { realtime, ...operations } = createClientOperations({
  fal,
  outputOf: (output) => output,
  createWithKey: async (credentials) => {
    fal.config({ ...settings, credentials });
    return fal;
  },
});
const wrongKey = "wrong key (401)";
const { [wrongKey]: last, ...rest } = operations;
await runOperations({
  ...rest,
  ...(globalThis.WebSocket === undefined ? {} : { realtime }),
  // This client has one configuration for the whole process.
  [wrongKey]: last,
});
