/**
 * How many durable lifecycles (submit, status, result over HTTP) does a server do in a second, and how far is that
 * from the least possible?
 *
 * Every server runs in a process of its own with a model that does nothing; rounds alternate between the servers, so
 * that all see the same machine. Express with BullMQ and Redis takes part when `redis-server` is on the path and
 * `npm ci` was run in `bench/bullmq`.
 *
 * With `taskset` on the path the server side (Redis too) has the first core to itself and the callers have the others.
 *
 *     node bench/lifecycles.ts [--rounds 5] [--seconds 3] [--warmup 12] [--callers 512] [--only gateway,baseline] [--profile FOLDER]
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { pinToCores } from "./measuring/pin-to-cores.ts";
import {
  type Figure,
  print,
  printBudget,
  printConditions,
  printFigures,
  printHeader,
} from "./measuring/report.ts";
import { type LifecyclePaths, type LifecycleRate, runLifecycles } from "./measuring/run-lifecycles.ts";
import { type MeasuredProcess, readCpuMs, startProcess } from "./measuring/start-process.ts";
import { getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";
import { findRedis, startRedis } from "./servers/start-redis.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    callers: { type: "string", default: "512" },
    warmup: { type: "string", default: "12" },
    only: { type: "string" },
    profile: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const forMs = Number(values.seconds) * 1_000;
const warmupMs = Number(values.warmup) * 1_000;
const callers = Number(values.callers);

interface Subject {
  readonly name: string;
  readonly what: string;
  readonly server: MeasuredProcess;
  readonly paths: LifecyclePaths;
  readonly authorization?: string;
  readonly rates: LifecycleRate[];
}

const OWN_PATHS: LifecyclePaths = {
  submit: "/queue/bench/noop",
  status: (id) => `/queue/bench/noop/requests/${id}/status`,
  result: (id) => `/queue/bench/noop/requests/${id}`,
};
const PLAIN_PATHS: LifecyclePaths = {
  submit: "/",
  status: (id) => `/${id}/status`,
  result: (id) => `/${id}`,
};

printHeader("Durable lifecycles per second: submit, status and result over HTTP, a model that does nothing");
await using opened = new AsyncDisposableStack();
const subjects: Subject[] = [];
const isPinned = pinToCores(process.pid, `1-${availableParallelism() - 1}`);
const isWanted = (name: string): boolean =>
  values.only === undefined || values.only.split(",").includes(name);

if (isWanted("baseline"))
  subjects.push({
    name: "baseline",
    what: "raw node:http and node:sqlite",
    server: await start("servers/baseline-server.ts", (await folder()).path),
    paths: PLAIN_PATHS,
    rates: [],
  });
if (isWanted("gateway")) {
  const { path } = await folder();
  subjects.push({
    name: "gateway",
    what: "this server, completion in its process",
    server: await start("servers/gateway-server.ts", path),
    paths: OWN_PATHS,
    authorization: await readKey(path),
    rates: [],
  });
}
if (isWanted("worker")) {
  const { path } = await folder();
  subjects.push({
    name: "worker",
    what: "this server as it is, one worker process",
    server: await start(
      "../cli/src/main.ts",
      "serve",
      "--no-shipped",
      "--port",
      "0",
      "--data",
      path,
      find("models/noop.ts"),
    ),
    paths: OWN_PATHS,
    authorization: await readKey(path),
    rates: [],
  });
}
if (isWanted("bullmq")) {
  if (findRedis() === undefined) print("redis-server is not installed: Express with BullMQ is left out");
  else if (!existsSync(find("bullmq/node_modules")))
    print("bench/bullmq is not installed (npm ci there): Express with BullMQ is left out");
  else {
    const redis = opened.use(await startRedis((await folder()).path));
    pinToCores(redis.pid, "0");
    const server = await start("bullmq/server.mjs", redis.socket);
    subjects.push({
      name: "bullmq",
      what: "Express, BullMQ and Redis, appendfsync always",
      server: { ...server, readCpuMs: () => server.readCpuMs() + readCpuMs(redis.pid) },
      paths: PLAIN_PATHS,
      rates: [],
    });
  }
}

for (let round = 0; round <= rounds; round++) {
  for (const { server, paths, authorization, rates } of subjects) {
    const rate = await runLifecycles(server, paths, {
      callers,
      forMs: round === 0 ? warmupMs : forMs,
      ...(authorization === undefined ? {} : { authorization }),
    });
    // The first round only warms up: the compiler of Node takes some ten thousand requests to make up its mind.
    if (round > 0) rates.push(rate);
  }
}

print(isPinned ? "server side on one core, callers on the others" : "not pinned to cores");
printConditions(`${rounds} rounds of ${forMs / 1_000} s each, ${callers} callers`);
for (const { name, what } of subjects) print(`${name.padEnd(9)} ${what}`);
print("");
const figures: Figure[] = [];
for (const { name, rates } of subjects)
  figures.push({
    name: `${name}: rate`,
    unit: "lifecycles/s",
    ...getSpread(rates.map((rate) => rate.perSecond)),
  });
for (const { name, rates } of subjects)
  figures.push({
    name: `${name}: CPU of the server`,
    unit: "µs/lifecycle",
    ...getSpread(rates.map((rate) => rate.cpuMicros)),
  });
for (const { name, rates } of subjects)
  figures.push({
    name: `${name}: early polls`,
    unit: "per lifecycle",
    ...getSpread(rates.map((rate) => rate.earlyPolls)),
  });
const toBaseline = compare("gateway", "baseline");
const toBullmq = compare("gateway", "bullmq");
if (toBaseline !== undefined) figures.push({ name: "gateway / baseline", unit: "×", ...toBaseline });
if (toBullmq !== undefined) figures.push({ name: "gateway / bullmq", unit: "×", ...toBullmq });
if (toBaseline !== undefined)
  figures.push({
    name: "CPU per lifecycle, baseline / gateway",
    unit: "×",
    ...compare("baseline", "gateway", (rate) => rate.cpuMicros)!,
  });
const workerToBaseline = compare("worker", "baseline");
if (workerToBaseline !== undefined)
  figures.push({ name: "worker / baseline", unit: "×", ...workerToBaseline });
printFigures(figures);
print("");
if (toBaseline !== undefined)
  printBudget("at least 0.60 of the baseline (median of the rounds)", toBaseline.median >= 0.6);
if (toBullmq !== undefined)
  printBudget("at least 5 times Express with BullMQ and Redis", toBullmq.median >= 5);

/** Figures of the same round, divided. */
function compare(
  one: string,
  other: string,
  read = (rate: LifecycleRate): number => rate.perSecond,
): ReturnType<typeof getSpread> | undefined {
  const [a, b] = [one, other].map((name) => subjects.find((subject) => subject.name === name)?.rates);
  if (a === undefined || b === undefined) return undefined;
  return getSpread(a.map((rate, index) => read(rate) / read(b[index]!)));
}

async function folder(): ReturnType<typeof makeTemporaryFolder> {
  return opened.use(await makeTemporaryFolder());
}

async function start(program: string, ...rest: string[]): Promise<MeasuredProcess> {
  const profile = values.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values.profile}`];
  const server = opened.use(
    await startProcess({
      arguments: ["--disable-warning=ExperimentalWarning", ...profile, find(program), ...rest],
    }),
  );
  pinToCores(server.pid, "0");
  return server;
}

function find(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}

async function readKey(path: string): Promise<string> {
  return `Key ${(await readFile(join(path, "first-key"), "utf8")).trim()}`;
}
