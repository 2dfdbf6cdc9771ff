/**
 * What does the proxy cost a call? Calls through `@sluice/proxy` on `node:http`, through a bare reverse proxy of a
 * dozen lines, and straight to an API that answers at once; one caller, in turns. The proxies and the API are
 * processes of their own.
 *
 *     node bench/proxy-overhead.ts [--calls 2000] [--rounds 5]
 */
import { fork } from "node:child_process";
import { createServer, request as openRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createHandler } from "@sluice/proxy/node";
import { print, printConditions, printFigures, printHeader } from "./measuring/report.ts";
import { getPercentile, getSpread } from "./measuring/statistics.ts";

const BODY = JSON.stringify({ prompt: "a red apple" });
const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "2000" },
    rounds: { type: "string", default: "5" },
    serve: { type: "string" },
    target: { type: "string", default: "" },
  },
});
if (values.serve !== undefined) serve(values.serve, values.target);
else await compare(Number(values.calls), Number(values.rounds));

/** The child: one of the three servers; tells its port to the parent. */
function serve(kind: string, target: string): void {
  const server = createOne(kind, target);
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
}

function createOne(kind: string, target: string): Server {
  if (kind === "api") {
    return createServer((request, response) => {
      request.resume().on("end", () => {
        response.writeHead(200, { "content-type": "application/json" }).end('{"images":[]}');
      });
    });
  }
  if (kind === "proxy") {
    return createServer(
      createHandler({ allowedEndpoints: ["bench/noop"], targetOrigin: target, credentials: "id:secret" }),
    );
  }
  return createServer((request, response) => {
    const { method, headers } = request;
    const forwarded = { ...headers, host: new URL(target).host, authorization: "Key id:secret" };
    const call = openRequest(`${target}/run/bench/noop`, { method, headers: forwarded }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(call);
  });
}

async function compare(calls: number, rounds: number): Promise<void> {
  printHeader("What the proxy costs a call");
  using api = await start("api");
  using bare = await start("bare", api.url);
  using proxy = await start("proxy", api.url);
  const subjects = [
    { name: "straight", url: `${api.url}/run/bench/noop`, all: [] as number[], medians: [] as number[] },
    { name: "bare reverse proxy", url: bare.url, all: [] as number[], medians: [] as number[] },
    {
      name: "@sluice/proxy",
      url: `${proxy.url}/api/fal/proxy`,
      all: [] as number[],
      medians: [] as number[],
    },
  ];
  for (const { url } of subjects) await callMany(url, 300);
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) {
      const times = await callMany(subject.url, calls);
      subject.medians.push(getPercentile(times, 0.5));
      subject.all.push(...times);
    }
  }
  printConditions(`${rounds} rounds of ${calls} calls`);
  printFigures(
    subjects.map(({ name, medians }) => ({
      name: `${name}, p50 of a round`,
      unit: "ms",
      ...getSpread(medians),
    })),
  );
  print("");
  for (const { name, all } of subjects) print(`${name}: p99 ${getPercentile(all, 0.99).toFixed(2)} ms`);
}

async function start(kind: string, target = ""): Promise<Disposable & { readonly url: string }> {
  const child = fork(fileURLToPath(import.meta.url), ["--serve", kind, "--target", target]);
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message) => resolve(Number(message)));
    child.once("error", reject);
  });
  return { url: `http://127.0.0.1:${port}`, [Symbol.dispose]: () => void child.kill() };
}

async function callMany(url: string, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    const began = performance.now();
    const response = await fetch(url, {
      method: "POST",
      headers: { "x-fal-target-url": "https://fal.run/bench/noop", "content-type": "application/json" },
      body: BODY,
    });
    await response.arrayBuffer();
    times.push(performance.now() - began);
  }
  return times;
}
