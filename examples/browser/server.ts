/**
 * A page that makes pictures and holds no key, and the server that holds it.
 *
 *     FAL_KEY=id:secret node examples/browser/server.ts [--port 3000]
 *
 * The API is at `SLUICE_URL`, by default `http://127.0.0.1:7777`.
 */
import { readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createHandler } from "@sluice/proxy/node";
import { build } from "esbuild";

const { values } = parseArgs({ options: { port: { type: "string", default: "3000" } } });
const api = new URL(process.env["SLUICE_URL"] ?? "http://127.0.0.1:7777").origin;

// Whoever finds the proxy can call what is listed here, and nothing else.
const proxy = createHandler({ allowedEndpoints: ["fal-ai/flux-pro", "fal-ai/esrgan"] });

/** Only this page's own files run; pictures come from the API, and uploads go there. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  `img-src 'self' data: ${api}`,
  `connect-src 'self' ${api}`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const files = new Map<string, { readonly type: string; readonly content: Uint8Array }>([
  ["/", { type: "text/html; charset=utf-8", content: await readBeside("page.html") }],
  ["/page.css", { type: "text/css; charset=utf-8", content: await readBeside("page.css") }],
  ...(await bundle("page.ts")),
]);

const server = createServer((request, response) => {
  const [pathname = "/"] = (request.url ?? "/").split("?", 1);
  if (pathname === "/api/fal/proxy") void proxy(request, response);
  else if (request.method === "GET" || request.method === "HEAD") sendFile(response, pathname);
  else response.writeHead(405, { allow: "GET, HEAD" }).end();
});
server.listen(Number(values.port), "127.0.0.1", () => {
  process.stdout.write(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});

function sendFile(response: ServerResponse, path: string): void {
  const file = files.get(path);
  response.setHeader("content-security-policy", POLICY);
  response.setHeader("x-content-type-options", "nosniff");
  response.setHeader("referrer-policy", "no-referrer");
  if (file === undefined) response.writeHead(404, { "content-type": "text/plain" }).end("Not found\n");
  else response.writeHead(200, { "content-type": file.type }).end(file.content);
}

function readBeside(name: string): Promise<Uint8Array> {
  return readFile(new URL(name, import.meta.url));
}

/** The page's program with the client, in pieces that are loaded when they are used. */
async function bundle(name: string): Promise<[string, { type: string; content: Uint8Array }][]> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(name, import.meta.url))],
    bundle: true,
    minify: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    outdir: "/",
    write: false,
  });
  return outputFiles.map(({ path, contents }) => [
    path.replaceAll("\\", "/").replace(/^.*\//, "/"),
    { type: "text/javascript; charset=utf-8", content: contents },
  ]);
}
