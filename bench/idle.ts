/**
 * What does a server that does nothing cost, and how fast is it there? `sluice serve` with the shipped models, none of
 * which is loaded before the first request: from start of the process to the open port, resident memory after that,
 * and the CPU that it uses while nobody calls.
 *
 *     node bench/idle.ts [--rounds 5] [--quiet 10]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { readNumbers } from "./measuring/read-numbers.ts";
import { print, printBudget, printConditions, printFigures, printHeader } from "./measuring/report.ts";
import { startSluice } from "./measuring/start-sluice.ts";
import { getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const { rounds, quiet } = readNumbers({ rounds: 5, quiet: 10 });
const quietMs = quiet * 1_000;
const SETTLE_MS = 2_000;

printHeader("An idle server: start, memory, CPU");
await using folder = await makeTemporaryFolder();
const starts: number[] = [];
const memory: number[] = [];
const cpu: number[] = [];
for (let round = 0; round <= rounds; round++) {
  await using server = await startSluice({ dataFolder: folder.path, hasShippedModels: true, modelFiles: [] });
  if (round === 0) {
    // Makes the data folder and fills the cache of compiled code.
    print(`first start: ${Math.round(server.startMs)} ms`);
    continue;
  }
  starts.push(server.startMs);
  await sleep(SETTLE_MS);
  memory.push(server.readResidentBytes() / 2 ** 20);
  const before = server.readCpuMs();
  const isLast = round === rounds;
  await sleep(isLast ? quietMs : SETTLE_MS);
  cpu.push(((server.readCpuMs() - before) / (isLast ? quietMs : SETTLE_MS)) * 100);
}
printConditions(`${rounds} more starts on the same folder`);
printFigures([
  { name: "start to listening", unit: "ms", ...getSpread(starts) },
  { name: "resident memory, no model loaded", unit: "MiB", ...getSpread(memory) },
  { name: "CPU while idle", unit: "% of a core", ...getSpread(cpu) },
]);
print("");
printBudget("less than 150 MiB without a loaded model", getSpread(memory).median < 150);
printBudget("less than 1 s from start to listening", getSpread(starts).median < 1_000);
