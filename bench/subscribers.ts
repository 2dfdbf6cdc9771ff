/**
 * What do waiting callers cost? Thousands hold a status stream open while one worker serves the requests in front of
 * them; meanwhile another caller asks for a status and submits, again and again, and nobody may notice the crowd.
 *
 *     node bench/subscribers.ts [--subscribers 2000] [--seconds 20] [--rounds 3]
 */
import { setTimeout as sleep } from "node:timers/promises";
import { HttpConnection } from "./measuring/http-connection.ts";
import { type OpenStream, openEventStream } from "./measuring/open-event-stream.ts";
import { readNumbers } from "./measuring/read-numbers.ts";
import {
  type Figure,
  print,
  printBudget,
  printConditions,
  printFigures,
  printHeader,
} from "./measuring/report.ts";
import { startSluice } from "./measuring/start-sluice.ts";
import { getPercentile, getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const { subscribers, seconds, rounds } = readNumbers({ subscribers: 2_000, seconds: 20, rounds: 3 });
const roundMs = seconds * 1_000;
/** Each request in front takes the worker this long. */
const MODEL_MS = 1_000;
const PROBE_EVERY_MS = 25;
const ENDPOINT = "/queue/bench/noop";

printHeader(`${subscribers} callers wait for their status`);
await using folder = await makeTemporaryFolder();
await using sluice = await startSluice({ dataFolder: folder.path });
const headers = { authorization: `Key ${sluice.credential}` };
const connections = await Promise.all(
  Array.from({ length: 16 }, () => HttpConnection.open(sluice.url, headers)),
);

async function submit(connection: HttpConnection, waitMs: number): Promise<string> {
  const { status, body } = await connection.send(
    "POST",
    ENDPOINT,
    JSON.stringify({ prompt: "a lighthouse", wait_ms: waitMs }),
  );
  const id = /"request_id":"([^"]+)"/.exec(body)?.[1];
  if (status !== 200 || id === undefined) throw new Error(`The submit was answered ${status}: ${body}`);
  return id;
}

const ids: string[] = [];
await Promise.all(
  connections.map(async (connection) => {
    while (ids.length < subscribers) ids.push(await submit(connection, MODEL_MS));
  }),
);
const probe = connections[0] as HttpConnection;
const last = ids.at(-1) as string;
let events = 0;
const alone = await watch();

const streams: OpenStream[] = [];
for (const id of ids.slice(0, subscribers)) {
  streams.push(
    await openEventStream(`${sluice.url}${ENDPOINT}/requests/${id}/status/stream?logs=1`, headers, () => {
      events++;
    }),
  );
}
print(
  `${streams.length} streams are open, the server has ${Math.round(sluice.readResidentBytes() / 2 ** 20)} MiB`,
);
await sleep(2_000);
const crowded: Seen[] = [];
for (let round = 0; round < rounds; round++) crowded.push(await watch());

printConditions(`${rounds} rounds of ${roundMs / 1_000} s`);
const show = (name: string, unit: string, read: (seen: Seen) => number): Figure[] => [
  { name: `${name}, before`, unit, ...getSpread([read(alone)]) },
  { name: `${name}, with them`, unit, ...getSpread(crowded.map(read)) },
];
printFigures([
  ...show("CPU of the server", "cores", (seen) => seen.cores),
  ...show("a status, p50", "ms", (seen) => getPercentile(seen.statusMs, 0.5)),
  ...show("a status, slowest", "ms", (seen) => getPercentile(seen.statusMs, 1)),
  ...show("a submit, p50", "ms", (seen) => getPercentile(seen.submitMs, 0.5)),
  ...show("a submit, slowest", "ms", (seen) => getPercentile(seen.submitMs, 1)),
  ...show("events told to the crowd", "per s", (seen) => seen.eventsPerSecond),
]);
print(`resident memory of the server: ${Math.round(sluice.readResidentBytes() / 2 ** 20)} MiB\n`);
const slowest = Math.max(...crowded.flatMap((seen) => [...seen.statusMs, ...seen.submitMs]));
printBudget("less than one core", Math.max(...crowded.map((seen) => seen.cores)) < 1);
printBudget("no request slower than 100 ms", slowest < 100);
for (const stream of streams) stream.close();
for (const connection of connections) connection.close();

interface Seen {
  readonly cores: number;
  readonly statusMs: number[];
  readonly submitMs: number[];
  readonly eventsPerSecond: number;
}

/** One round of a caller who asks and submits, and of what the server does meanwhile. */
async function watch(): Promise<Seen> {
  const statusMs: number[] = [];
  const submitMs: number[] = [];
  const cpuBefore = sluice.readCpuMs();
  const eventsBefore = events;
  const startedAt = performance.now();
  for (let i = 0; performance.now() - startedAt < roundMs; i++) {
    const sentAt = performance.now();
    if (i % 4 === 0) {
      await submit(probe, 0);
      submitMs.push(performance.now() - sentAt);
    } else {
      const { status } = await probe.send("GET", `${ENDPOINT}/requests/${last}/status`);
      if (status !== 202) throw new Error(`The status was answered ${status}.`);
      statusMs.push(performance.now() - sentAt);
    }
    await sleep(PROBE_EVERY_MS);
  }
  const ms = performance.now() - startedAt;
  return {
    cores: (sluice.readCpuMs() - cpuBefore) / ms,
    statusMs,
    submitMs,
    eventsPerSecond: (events - eventsBefore) / (ms / 1_000),
  };
}
