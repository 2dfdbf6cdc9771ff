/** Realtime with the unmodified clients, whose sockets go here by the one rewriting class that the docs give to callers. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createFalClient, type FalClient } from "@fal-ai/client";
import * as fal from "@fal-ai/serverless-client";
import { createFalClient as createSluiceClient } from "@sluice/client";
import { createRewrite } from "./rewrite.ts";
import { startServer, type TestServer } from "./start-server.ts";

const timeout = 120_000;
const NativeWebSocket = globalThis.WebSocket;
const nativeSetTimeout = globalThis.setTimeout;
const urls: string[] = [];
/** Close codes by the path of the socket. */
const closes: { readonly path: string; readonly code: number }[] = [];
let server: TestServer;

before(async () => {
  // A client refreshes its token long after its connection was closed: that must not keep this process.
  globalThis.setTimeout = ((callback: () => void, ms?: number, ...rest: []) => {
    const timer = nativeSetTimeout(callback, ms, ...rest);
    return (ms ?? 0) > 60_000 ? timer.unref() : timer;
  }) as typeof setTimeout;
  server = await startServer();
  const target = `${server.url.replace(/^http/, "ws")}/run/`;
  globalThis.WebSocket = class extends NativeWebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      const rewritten = String(url).replace("wss://fal.run/", target);
      super(rewritten, protocols);
      urls.push(rewritten);
      this.addEventListener("close", ({ code }) => closes.push({ path: new URL(rewritten).pathname, code }));
    }
  };
  const rewrite = createRewrite(server.url);
  fal.config({
    credentials: server.key,
    requestMiddleware: async (request) => ({ ...request, url: rewrite(request.url) }),
  });
});
after(async () => {
  globalThis.setTimeout = nativeSetTimeout;
  globalThis.WebSocket = NativeWebSocket;
  await server[Symbol.asyncDispose]();
});

interface Picture {
  readonly images: readonly { readonly url: string; readonly width: number }[];
  readonly seed: number;
  readonly request_id?: string;
}

type Handler = Parameters<FalClient["realtime"]["connect"]>[1];

interface Heard {
  readonly results: Picture[];
  readonly errors: { readonly message: string }[];
  readonly handler: Handler;
  waitFor(isEnough: () => boolean): Promise<void>;
}

function listen(): Heard {
  const results: Picture[] = [];
  const errors: { message: string }[] = [];
  return {
    results,
    errors,
    handler: {
      throttleInterval: 0,
      onResult: (result: Picture) => void results.push(result),
      onError: (error: { message: string }) => void errors.push(error),
    } as Handler,
    async waitFor(isEnough) {
      const until = Date.now() + 60_000;
      while (!isEnough()) {
        if (Date.now() > until)
          throw new Error(`only ${JSON.stringify({ results, errors }).slice(0, 500)} came`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}

const input = (seed: number) => ({
  prompt: "a red kite",
  seed,
  image_size: "square",
  num_inference_steps: 2,
});

test("@fal-ai/client sends prompts and gets pictures over one socket, and a close is no error", {
  timeout,
}, async () => {
  const rewrite = createRewrite(server.url);
  const client = createFalClient({
    credentials: server.key,
    fetch: ((url: string, init: RequestInit) => fetch(rewrite(String(url)), init)) as typeof fetch,
  });
  const { results, errors, handler, waitFor } = listen();
  const connection = client.realtime.connect("fal-ai/flux/schnell", { ...handler, maxBuffering: 3 });
  connection.send(input(1));
  await waitFor(() => results.length === 1);
  connection.send({ ...input(2), request_id: "mine" });
  await waitFor(() => results.length === 2);
  assert.deepEqual(
    results.map(({ seed, request_id }) => [seed, request_id]),
    [
      [1, undefined],
      [2, "mine"],
    ],
  );
  assert.match(results[0]!.images[0]!.url, /^data:image\/jpeg;base64,\/9j\//);
  assert.equal(urls.length, 1);
  assert.match(
    urls[0]!,
    /\/run\/fal-ai\/flux\/schnell\/realtime\?(?=.*fal_jwt_token=.)(?=.*max_buffering=3)/,
  );
  connection.send({ ...input(3), num_images: 99 });
  await waitFor(() => errors.length === 1);
  assert.match(errors[0]!.message, /^INVALID_INPUT: .*num_images/);
  const before = closes.length;
  connection.close();
  await waitFor(() => closes.length > before);
  assert.deepEqual(closes.slice(before), [{ path: "/run/fal-ai/flux/schnell/realtime", code: 1000 }]);
  assert.equal(errors.length, 1);
});

test("the page's client echoes its request ids", { timeout }, async () => {
  const { results, errors, handler, waitFor } = listen();
  const connection = fal.realtime.connect("fal-ai/flux/schnell", handler as never);
  connection.send(input(4) as never);
  await waitFor(() => results.length === 1);
  assert.equal(results[0]!.seed, 4);
  assert.match(results[0]!.request_id ?? "", /^[0-9a-f-]{36}$/);
  const before = closes.length;
  connection.close();
  await waitFor(() => closes.length > before);
  assert.deepEqual(closes.slice(before), [{ path: "/run/fal-ai/flux/schnell/realtime", code: 1000 }]);
  assert.deepEqual(errors, []);
});

test("@fal-ai/client takes a path and a token provider of its own", { timeout }, async () => {
  const asked: string[] = [];
  const client = createFalClient({ credentials: "unused:unused" });
  const { results, handler, waitFor } = listen();
  const connection = client.realtime.connect("fal-ai/flux", {
    ...handler,
    path: "/schnell",
    tokenProvider: async (app) => {
      asked.push(app);
      const response = await fetch(`${server.url}/rest/tokens/realtime`, {
        method: "POST",
        headers: { authorization: `Key ${server.key}` },
        body: JSON.stringify({ allowed_apps: [app], duration: 60 }),
      });
      return ((await response.json()) as { token: string }).token;
    },
  });
  connection.send(input(5));
  await waitFor(() => results.length === 1);
  assert.equal(results[0]!.seed, 5);
  assert.deepEqual(asked, ["fal-ai/flux/schnell"]);
  connection.close();
});

test("a token for another app is an error on the socket, which the server closes with 1008", {
  timeout,
}, async () => {
  const client = createFalClient({ credentials: "unused:unused" });
  const { errors, handler, waitFor } = listen();
  const connection = client.realtime.connect("fal-ai/flux/dev", {
    ...handler,
    tokenProvider: async () => "not.a.token",
  });
  connection.send(input(6));
  await waitFor(() => closes.some(({ path }) => path === "/run/fal-ai/flux/dev/realtime"));
  assert.equal(closes.find(({ path }) => path === "/run/fal-ai/flux/dev/realtime")?.code, 1008);
  await waitFor(() => errors.length > 0);
  connection.close();
});

test("@sluice/client does the same without a rewriting class", { timeout }, async () => {
  const client = createSluiceClient({ url: server.url, credentials: server.key });
  const { results, errors, handler, waitFor } = listen();
  const connection = client.realtime.connect("fal-ai/flux/schnell", handler as never);
  connection.send(input(1) as never);
  await waitFor(() => results.length === 1);
  assert.match(results[0]!.images[0]!.url, /^data:image\/jpeg/);
  connection.close();
  assert.deepEqual(errors, []);
});
