/**
 * What does the server add to a direct run? The same no-op model in the same kind of worker process is called through
 * `sluice serve` and through bare `node:http`, in turns, by one caller on one connection each.
 *
 *     node bench/direct-run.ts [--rounds 5] [--calls 400]
 */
import { fileURLToPath } from "node:url";
import { HttpConnection } from "./measuring/http-connection.ts";
import { readNumbers } from "./measuring/read-numbers.ts";
import { print, printBudget, printConditions, printFigures, printHeader } from "./measuring/report.ts";
import { startProcess } from "./measuring/start-process.ts";
import { NOOP_MODEL, startSluice } from "./measuring/start-sluice.ts";
import { getPercentile, getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const { rounds, calls } = readNumbers({ rounds: 5, calls: 400 });
const BODY = '{"prompt":"a lighthouse at dusk"}';
const WARM_UP = 2_000;

printHeader("The server's own time on a direct run, over the same model behind bare node:http");
await using folder = await makeTemporaryFolder();
await using sluice = await startSluice({ dataFolder: folder.path });
await using bare = await startProcess({
  arguments: [
    "--disable-warning=ExperimentalWarning",
    fileURLToPath(new URL("servers/bare-model-server.ts", import.meta.url)),
    NOOP_MODEL,
  ],
});
const own = await HttpConnection.open(sluice.url, { authorization: `Key ${sluice.credential}` });
const plain = await HttpConnection.open(bare.url, {});

async function call(connection: HttpConnection, path: string): Promise<number> {
  const startedAt = performance.now();
  const { status, body } = await connection.send("POST", path, BODY);
  if (status !== 200 || !body.includes("lighthouse")) throw new Error(`Answered ${status}: ${body}`);
  return performance.now() - startedAt;
}

for (let i = 0; i < WARM_UP; i++) {
  await call(own, "/run/bench/noop");
  await call(plain, "/");
}
const medians = { own: [] as number[], plain: [] as number[], added: [] as number[] };
const tails = { own: [] as number[], plain: [] as number[], added: [] as number[] };
for (let round = 0; round < rounds; round++) {
  const ownMs: number[] = [];
  const plainMs: number[] = [];
  // One after the other, so that what else the machine does meets both alike.
  for (let i = 0; i < calls; i++) {
    ownMs.push(await call(own, "/run/bench/noop"));
    plainMs.push(await call(plain, "/"));
  }
  for (const [figures, share] of [
    [medians, 0.5],
    [tails, 0.99],
  ] as const) {
    const ofOwn = getPercentile(ownMs, share);
    const ofPlain = getPercentile(plainMs, share);
    figures.own.push(ofOwn);
    figures.plain.push(ofPlain);
    figures.added.push(ofOwn - ofPlain);
  }
}
own.close();
plain.close();

printConditions(`${rounds} rounds of ${calls} calls each`);
printFigures([
  { name: "through the server, p50", unit: "ms", ...getSpread(medians.own) },
  { name: "through node:http, p50", unit: "ms", ...getSpread(medians.plain) },
  { name: "added, p50", unit: "ms", ...getSpread(medians.added) },
  { name: "through the server, p99", unit: "ms", ...getSpread(tails.own) },
  { name: "through node:http, p99", unit: "ms", ...getSpread(tails.plain) },
  { name: "added, p99", unit: "ms", ...getSpread(tails.added) },
]);
print("");
printBudget("median less than 2 ms over bare node:http", getSpread(medians.added).median < 2);
printBudget("p99 less than 10 ms over it", getSpread(tails.added).median < 10);
