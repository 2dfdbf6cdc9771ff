/** The programs of the chapter on server-side integration, as printed, each called as a page calls it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { getRequestListener } from "@hono/node-server";
import { ApiError, createFalClient } from "@sluice/client";
import { createApp, type EventHandler, toNodeListener } from "h3";
import {
  type DocsProgram,
  makeProgramFolder,
  type ProgramFolder,
  readDocsPrograms,
} from "./docs-programs.ts";
import { findFreePort, waitForPort } from "./ports.ts";
import { startServer, type TestServer } from "./start-server.ts";

const ROUTE = "/api/fal/proxy";
const timeout = 60_000;
const programs = await readDocsPrograms("docs/07-server-side-integration.md");
let server: TestServer;
let folder: ProgramFolder;

before(async () => {
  server = await startServer();
  folder = await makeProgramFolder();
});
after(async () => {
  await folder[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

type Served = AsyncDisposable & { readonly url: string };
type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;
type WebRoute = (request: Request) => Response | Promise<Response>;
// biome-ignore lint/suspicious/noExplicitAny: each framework's modules export what it asks for
type Module = any;

/** Modules that a framework loads: what it calls for a request to the route. */
const ROUTES: Readonly<Record<string, (module: Module) => Listener>> = {
  "next-app-router": (module) => getRequestListener((request) => module[request.method](request)),
  "next-pages-router": (module) => {
    assert.equal(module.config.api.bodyParser, false);
    return module.default;
  },
  "react-router": (module) =>
    getRequestListener((request) => module[request.method === "GET" ? "loader" : "action"]({ request })),
  sveltekit: (module) => getRequestListener((request) => module[request.method]({ request })),
  h3: (module) => toNodeListener(createApp().use(module.default as EventHandler)),
  web: (module) => getRequestListener(module.default.fetch as WebRoute),
};
/** Programs that listen by themselves. */
const PROGRAMS = ["express", "fastify", "hono", "node", "who-may-call"];
const ENDED = ["on the server"];

async function serveModule(program: DocsProgram, toListener: (module: Module) => Listener): Promise<Served> {
  // Read from the environment at each call.
  Object.assign(process.env, { FAL_KEY: server.key, SLUICE_URL: server.url });
  const module: Module = await import(pathToFileURL(await folder.write(program)).href);
  const listener = createServer(toListener(module));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      listener.close();
    },
  };
}

async function serveProgram(program: DocsProgram): Promise<Served> {
  const port = await findFreePort();
  assert.equal(program.text.split("3000").length, 2, "the port is written once");
  const path = await folder.write({ ...program, text: program.text.replace("3000", String(port)) });
  const child = spawn(process.execPath, [path], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, FAL_KEY: server.key, SLUICE_URL: server.url },
  });
  const url = `http://localhost:${port}`;
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.kill("SIGKILL")) await once(child, "exit");
  };
  await waitForPort(child, port).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return { url, [Symbol.asyncDispose]: stop };
}

async function checkProxy({ url }: Served, name: string): Promise<void> {
  const client = createFalClient({
    proxyUrl: { url: url + ROUTE, when: "always" },
    requestMiddleware: async (request) => ({
      ...request,
      headers: { ...request.headers, cookie: "session=1" },
    }),
  });
  const { data } = await client.subscribe("fal-ai/flux-pro", {
    input: { prompt: "a red apple", image_size: { width: 64, height: 64 }, num_inference_steps: 2 },
  });
  const picture = await fetch(data.images[0]?.url ?? "");
  assert.equal(picture.headers.get("content-type"), "image/jpeg");
  const refused = await client.queue.submit("fal-ai/esrgan", { input: { image_url: "x" } }).catch((e) => e);
  assert.ok(refused instanceof ApiError && refused.status === 400, String(refused));
  if (name !== "who-may-call") return;
  const stranger = createFalClient({ proxyUrl: { url: url + ROUTE, when: "always" } });
  await assert.rejects(stranger.queue.submit("fal-ai/flux-pro", { input: { prompt: "x" } }), { status: 401 });
  const once = createFalClient({
    proxyUrl: { url: url + ROUTE, when: "always" },
    retry: { maxRetries: 0 },
    requestMiddleware: async (request) => ({
      ...request,
      headers: { ...request.headers, cookie: "session=2" },
    }),
  });
  const submit = () => once.queue.submit("fal-ai/flux-pro", { input: { prompt: "" } });
  for (let n = 0; n < 20; n += 1) await submit();
  await assert.rejects(submit(), { status: 429 });
}

test("the chapter has a program for every framework, and each is run", () => {
  assert.deepEqual(
    programs.map(({ name }) => name).sort(),
    [...Object.keys(ROUTES), ...PROGRAMS, ...ENDED].sort(),
  );
});

for (const program of programs) {
  const { name } = program;
  test(`${name}: a page's call goes through, another endpoint's does not`, { timeout }, async () => {
    if (ENDED.includes(name)) {
      const lines = await folder.run(program, { FAL_KEY: server.key, SLUICE_URL: server.url });
      assert.equal((await fetch(lines.at(-1) ?? "")).status, 200);
      return;
    }
    const toListener = ROUTES[name];
    await using served = await (toListener === undefined
      ? serveProgram(program)
      : serveModule(program, toListener));
    await checkProxy(served, name);
  });
}
