/**
 * How many submits does one program get accepted per second? Our client and the official ones, unmodified, through
 * the same number of callers at once, on the same server with a model that does nothing, in turns; and `fetch` with
 * nothing around it, which none of them can beat.
 *
 *     node bench/client-submits.ts [--submits 10000] [--callers 50] [--rounds 3]
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { createFalClient } from "@sluice/client";
import { readNumbers } from "./measuring/read-numbers.ts";
import { print, printConditions, printFigures, printHeader } from "./measuring/report.ts";
import { startSluice } from "./measuring/start-sluice.ts";
import { getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const { submits, callers, rounds } = readNumbers({ submits: 10_000, callers: 50, rounds: 3 });

const ENDPOINT = "bench/noop";
const INPUT = { prompt: "a red apple", wait_ms: 0 };

type Submit = () => Promise<unknown>;

printHeader("Submits accepted per second, by client");
await using folder = await makeTemporaryFolder();
await using sluice = await startSluice({ dataFolder: folder.path });
const own = createFalClient({ url: sluice.url, credentials: sluice.credential });

const submitByFetch: Submit = async () => {
  const response = await fetch(`${sluice.url}/queue/${ENDPOINT}`, {
    method: "POST",
    headers: { authorization: `Key ${sluice.credential}`, "content-type": "application/json" },
    body: JSON.stringify(INPUT),
  });
  if (!response.ok) throw new Error(`The submit was answered ${response.status}: ${await response.text()}`);
  return await response.json();
};

const subjects: {
  readonly name: string;
  readonly submit: Submit;
  readonly rates: number[];
  readonly cpu: number[];
}[] = [
  { name: "fetch alone", submit: submitByFetch, rates: [], cpu: [] },
  { name: "our client", submit: () => own.queue.submit(ENDPOINT, { input: INPUT }), rates: [], cpu: [] },
  ...(await loadOfficial()),
];
for (const { submit } of subjects) await submitAll(submit, 200);
for (let round = 0; round < rounds; round++) {
  for (const { submit, rates, cpu } of subjects) {
    const cpuBefore = process.cpuUsage();
    const began = performance.now();
    await submitAll(submit, submits);
    const { user, system } = process.cpuUsage(cpuBefore);
    cpu.push((user + system) / submits);
    rates.push(submits / ((performance.now() - began) / 1000));
  }
}
printConditions(`${submits} submits by ${callers} callers at once, ${rounds} rounds`);
printFigures([
  ...subjects.map(({ name, rates }) => ({ name, unit: "submits/s", ...getSpread(rates) })),
  ...subjects.map(({ name, cpu }) => ({ name: `${name}, CPU`, unit: "µs/submit", ...getSpread(cpu) })),
]);

async function submitAll(submit: Submit, count: number): Promise<void> {
  let left = count;
  const caller = async () => {
    while (left-- > 0) await submit();
  };
  await Promise.all(Array.from({ length: callers }, caller));
}

/** The official clients through the middleware of the docs; none when `compat/` is not installed. */
async function loadOfficial(): Promise<typeof subjects> {
  const compat = new URL("../compat/", import.meta.url);
  if (!existsSync(new URL("node_modules/@fal-ai/client", compat))) {
    print("compat/ is not installed (npm ci there): the official clients are left out");
    return [];
  }
  const load = (name: string) => import(pathToFileURL(createRequire(compat).resolve(name)).href);
  const config = {
    credentials: sluice.credential,
    requestMiddleware: async <Request extends { url: string }>(request: Request) => ({
      ...request,
      url: request.url.replace("https://queue.fal.run", `${sluice.url}/queue`),
    }),
  };
  const current = (await load("@fal-ai/client")).createFalClient(config);
  const old = await load("@fal-ai/serverless-client");
  old.config(config);
  return [
    {
      name: "@fal-ai/client",
      submit: () => current.queue.submit(ENDPOINT, { input: INPUT }),
      rates: [],
      cpu: [],
    },
    {
      name: "@fal-ai/serverless-client",
      submit: () => old.queue.submit(ENDPOINT, { input: INPUT }),
      rates: [],
      cpu: [],
    },
  ];
}
