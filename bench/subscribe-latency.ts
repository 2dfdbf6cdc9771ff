/**
 * How long after the model is done does a caller have its result? Our client (push) and the official one (polling,
 * its default, and streaming) subscribe to the same model on the same server, in turns. The model notes the time at
 * which it is done; worker, server and caller share one clock.
 *
 *     node bench/subscribe-latency.ts [--rounds 5] [--calls 12]
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { createFalClient } from "@sluice/client";
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

const { rounds, calls } = readNumbers({ rounds: 5, calls: 12 });

const ENDPOINT = "bench/noop";

interface Input {
  readonly prompt: string;
  readonly wait_ms: number;
}
interface Output {
  readonly done_at: number;
}
/** What is used of `@fal-ai/client`, which is installed for the compatibility tests alone. */
interface OfficialClient {
  subscribe(
    endpoint: string,
    options: { readonly input: Input; readonly mode: "polling" | "streaming" },
  ): Promise<{ readonly data: unknown }>;
}

printHeader("From model done to subscribe resolved");
await using folder = await makeTemporaryFolder();
await using sluice = await startSluice({ dataFolder: folder.path });
const own = createFalClient({ url: sluice.url, credentials: sluice.credential });
const official = await loadOfficial();

interface Subject {
  readonly name: string;
  readonly subscribe: (input: Input) => Promise<Output>;
  /** Median of each round, and every figure. */
  readonly medians: number[];
  readonly all: number[];
}

const subjects: Subject[] = [
  createSubject("our client, push", (options) => own.subscribe(ENDPOINT, options)),
  ...(["polling", "streaming"] as const).flatMap((mode) =>
    official === undefined
      ? []
      : createSubject(`official client, ${mode}`, (options) =>
          official.subscribe(ENDPOINT, { ...options, mode }),
        ),
  ),
];
for (const subject of subjects) for (let i = 0; i < 20; i++) await measure(subject, 1);
for (let round = 0; round < rounds; round++) {
  const figures = subjects.map(() => [] as number[]);
  for (let i = 0; i < calls; i++) {
    // The wait varies, so that the end of the model meets the polls at every distance.
    const waitMs = 300 + Math.round((600 * (i + round / rounds)) / calls);
    for (const [index, subject] of subjects.entries()) figures[index]!.push(await measure(subject, waitMs));
  }
  for (const [index, subject] of subjects.entries()) {
    subject.medians.push(getPercentile(figures[index]!, 0.5));
    subject.all.push(...figures[index]!);
  }
}

printConditions(`${rounds} rounds of ${calls} calls by each client`);
printFigures(
  subjects.flatMap(({ name, medians, all }): Figure[] => [
    { name: `${name}, p50 of a round`, unit: "ms", ...getSpread(medians) },
    { name: `${name}, all calls`, unit: "ms", ...getSpread(all) },
  ]),
);
print("");
printBudget("median less than 5 ms with our client", getSpread(subjects[0]!.all).median < 5);

function createSubject(
  name: string,
  subscribe: (options: { input: Input }) => Promise<{ data: unknown }>,
): Subject {
  return {
    name,
    subscribe: async (input) => (await subscribe({ input })).data as Output,
    medians: [],
    all: [],
  };
}

/** Milliseconds from the model's note to the resolved promise. */
async function measure({ subscribe }: Subject, waitMs: number): Promise<number> {
  const output = await subscribe({ prompt: "a lighthouse at dusk", wait_ms: waitMs });
  return performance.timeOrigin + performance.now() - output.done_at;
}

/** The official client, unmodified, through the server's own proxy; undefined when `compat/` is not installed. */
async function loadOfficial(): Promise<OfficialClient | undefined> {
  const folder = new URL("../compat/", import.meta.url);
  if (!existsSync(new URL("node_modules/@fal-ai/client", folder))) {
    print("compat/ is not installed (npm ci there): the official client is left out");
    return undefined;
  }
  const path = createRequire(folder).resolve("@fal-ai/client");
  const library = (await import(pathToFileURL(path).href)) as {
    createFalClient(config: object): OfficialClient;
  };
  return library.createFalClient({
    credentials: sluice.credential,
    proxyUrl: { url: `${sluice.url}/api/fal/proxy`, when: "always" },
  });
}
