/** The proxy in a built SvelteKit app, through the suite that all adapters share. */
import { execFileSync } from "node:child_process";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { testProxy } from "@sluice/proxy/testing";

const dir = fileURLToPath(new URL("../svelte-app", import.meta.url));
const bin = fileURLToPath(new URL("../node_modules/vite/bin/vite.js", import.meta.url));
const shared = globalThis as { proxyOptions?: unknown };
let server: Server;
let origin = "";

before(async () => {
  execFileSync(process.execPath, [bin, "build", "--logLevel", "error"], {
    cwd: dir,
    stdio: ["ignore", "ignore", "inherit"],
    timeout: 300_000,
  });
  process.env["BODY_SIZE_LIMIT"] = "10M";
  const built = new URL("../svelte-app/build/node/handler.js", import.meta.url).href;
  const { handler } = (await import(built)) as {
    handler: (request: IncomingMessage, response: ServerResponse) => void;
  };
  server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server?.closeAllConnections();
  server?.close();
});

// The built route reads its options when it is called: each scenario sets its own.
testProxy(
  "sveltekit 2",
  async (options) => {
    shared.proxyOptions = options;
    return { url: `${origin}/api/fal/proxy`, close: async () => undefined };
  },
  { missesEarlyLeave: "SvelteKit's Node adapter never aborts the signal of a request" },
);
