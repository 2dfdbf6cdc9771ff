/** The proxy in a built Next.js app, by both of its routers, through the suite that all adapters share. */
import { execFileSync } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { type ServedProxy, testProxy } from "@sluice/proxy/testing";
import nextModule from "next";

const dir = fileURLToPath(new URL("../next-app", import.meta.url));
const bin = fileURLToPath(new URL("../node_modules/next/dist/bin/next", import.meta.url));
/** A CommonJS module that marks its default export for bundlers only. */
const next = nextModule as unknown as typeof nextModule.default;
const shared = globalThis as { proxyOptions?: unknown };
let server: Server;
let origin = "";

before(async () => {
  process.env["NEXT_TELEMETRY_DISABLED"] = "1";
  execFileSync(process.execPath, [bin, "build", dir], {
    stdio: ["ignore", "ignore", "inherit"],
    timeout: 300_000,
    env: { ...process.env, NODE_ENV: "production" },
  });
  const app = next({ dev: false, dir, quiet: true });
  await app.prepare();
  const handle = app.getRequestHandler();
  server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server?.closeAllConnections();
  server?.close();
});

/** The built routes read their options when they are called: each scenario sets its own. */
const serveAt =
  (path: string) =>
  async (options: unknown): Promise<ServedProxy> => {
    shared.proxyOptions = options;
    return { url: origin + path, close: async () => undefined };
  };

testProxy("next 16, app router", serveAt("/api/fal/proxy"));
testProxy("next 16, pages router", serveAt("/api/fal/pages-proxy"));
testProxy("next 16, pages router with its body parser", serveAt("/api/fal/parsed-proxy"), {
  rewritesBodies: true,
});
