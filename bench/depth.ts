/**
 * Does a server with a million requests in line answer as it does with a hundred? Submits and statuses over HTTP on
 * the two, in turns, and the memory of each. (`queue-depth.ts` measures every operation of the queue by itself.)
 *
 *     node bench/depth.ts [--depth 1000000] [--rounds 5] [--calls 300]
 */
import { execFile } from "node:child_process";
import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { HttpConnection } from "./measuring/http-connection.ts";
import { readNumbers } from "./measuring/read-numbers.ts";
import {
  type Figure,
  print,
  printBudget,
  printConditions,
  printFigures,
  printHeader,
} from "./measuring/report.ts";
import { type MeasuredProcess, startProcess } from "./measuring/start-process.ts";
import { getPercentile, getSpread, type Spread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";
import { NOOP_ENDPOINT } from "./models/noop-manifest.ts";

const { depth, rounds, calls } = readNumbers({ depth: 1_000_000, rounds: 5, calls: 300 });
const depths = [100, depth];
const ENDPOINT = `/queue/${NOOP_ENDPOINT}`;
const BODY = '{"prompt":"a lighthouse at dusk"}';
const WARM_UP = 5;

interface Subject {
  readonly depth: number;
  readonly server: MeasuredProcess;
  readonly connection: HttpConnection;
  readonly ids: string[];
  readonly figures: Record<"submit" | "status", number[]>;
}

printHeader("A long line of requests");
await using opened = new AsyncDisposableStack();
const subjects: Subject[] = [];
for (const depth of depths) subjects.push(await open(depth));
for (const { depth, server } of subjects)
  print(
    `${depth.toLocaleString("en")} queued: listening after ${Math.round(server.startMs)} ms, ${toMiB(server.readResidentBytes())} MiB`,
  );

for (let round = -WARM_UP; round < rounds; round++) {
  for (const subject of subjects) {
    const answers = { submit: [] as number[], status: [] as number[] };
    for (let i = 0; i < calls; i++) {
      let sentAt = performance.now();
      const submitted = await subject.connection.send("POST", ENDPOINT, BODY);
      answers.submit.push(performance.now() - sentAt);
      const id = /"request_id":"([^"]+)"/.exec(submitted.body)?.[1];
      if (submitted.status !== 200 || id === undefined)
        throw new Error(`The submit was answered ${submitted.status}: ${submitted.body}`);
      subject.ids.push(id);
      sentAt = performance.now();
      const asked = subject.ids[Math.floor(subject.ids.length / 2)] as string;
      const { status, body } = await subject.connection.send("GET", `${ENDPOINT}/requests/${asked}/status`);
      answers.status.push(performance.now() - sentAt);
      if (status !== 202 || !body.includes("queue_position"))
        throw new Error(`The status was answered ${status}: ${body}`);
    }
    if (round < 0) continue;
    for (const name of ["submit", "status"] as const)
      subject.figures[name].push(getPercentile(answers[name], 0.5));
  }
}

printConditions(`${rounds} rounds of ${calls} submits and statuses each`);
const [shallow, deep] = subjects as [Subject, Subject];
const ratios = new Map<string, Spread>();
const figures: Figure[] = [];
for (const name of ["submit", "status"] as const) {
  for (const { depth, figures: seen } of subjects)
    figures.push({
      name: `${name}, ${depth.toLocaleString("en")} queued`,
      unit: "ms",
      ...getSpread(seen[name]),
    });
  const ratio = getSpread(deep.figures[name].map((ms, round) => ms / shallow.figures[name][round]!));
  ratios.set(name, ratio);
  figures.push({ name: `${name}, ratio`, unit: "×", ...ratio });
}
printFigures(figures);
const memory = toMiB(deep.server.readResidentBytes());
print(`resident memory with ${deep.depth.toLocaleString("en")} queued: ${memory} MiB\n`);
for (const [name, { median }] of ratios) printBudget(`${name}: no more than twice the time`, median <= 2);
printBudget("less than 300 MiB", memory < 300);
for (const { connection } of subjects) connection.close();

async function open(depth: number): Promise<Subject> {
  const folder = opened.use(await makeTemporaryFolder());
  const fill = ["--fill", folder.path, "--depth", String(depth), "--endpoint", NOOP_ENDPOINT];
  await promisify(execFile)(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    find("queue-depth.ts"),
    ...fill,
  ]);
  await rename(join(folder.path, "queue.db"), join(folder.path, "sluice.db"));
  const server = opened.use(
    await startProcess({
      arguments: [
        "--disable-warning=ExperimentalWarning",
        find("servers/gateway-server.ts"),
        folder.path,
        "--no-runner",
      ],
      timeoutMs: 120_000,
    }),
  );
  const credential = await readFile(join(folder.path, "first-key"), "utf8");
  const connection = await HttpConnection.open(server.url, { authorization: `Key ${credential}` });
  return { depth, server, connection, ids: [], figures: { submit: [], status: [] } };
}

function find(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

function toMiB(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
