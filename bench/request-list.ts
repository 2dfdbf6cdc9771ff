/**
 * What does a page of requests cost when there are 1,000,000 of them? Every filter of the list over HTTP, on SQLite,
 * 50 requests to a page, read by the operator's key and by a caller's.
 *
 *     node bench/request-list.ts [--requests 1000000] [--rounds 20] [--data FOLDER]
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createRequestId } from "../server/src/ids.ts";
import { silentLogger } from "../server/src/logger.ts";
import { parseSettings } from "../server/src/settings.ts";
import { openStore } from "../server/src/store.ts";
import {
  describeLoad,
  type Figure,
  print,
  printBudget,
  printFigures,
  printHeader,
} from "./measuring/report.ts";
import { startProcess } from "./measuring/start-process.ts";
import { getPercentile, getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const DAY_MS = 86_400_000;
const DAYS = 30;
const BUDGET_MS = 50;
const ENDPOINTS = ["bench/noop", "fal-ai/flux-pro", "fal-ai/flux/dev", "fal-ai/esrgan", "fal-ai/rare"];
const PROMPTS = ["a red fox in the snow", "a lighthouse at night", "three pears on a table", "a paper boat"];

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "20" },
    /** Is filled when it is empty, and kept. */
    data: { type: "string" },
  },
});
const count = Number(values.requests);
const rounds = Number(values.rounds);

interface Filled {
  readonly admin: string;
  readonly caller: string;
  readonly keys: { readonly busy: string; readonly rare: string };
  /** Creation of the newest request, epoch ms. */
  readonly newest: number;
}

await using temporary = await makeTemporaryFolder();
const folder = values.data === undefined ? temporary.path : resolve(values.data);
await mkdir(folder, { recursive: true });
printHeader(`Pages of ${count.toLocaleString("en")} requests`);
const filled = await openFilled();
await measure(filled);

async function openFilled(): Promise<Filled> {
  const path = join(folder, "filled.json");
  const before = await readFile(path, "utf8").catch(() => undefined);
  if (before !== undefined) return JSON.parse(before) as Filled;
  const startedAt = performance.now();
  const made = await fill();
  await writeFile(path, JSON.stringify(made));
  print(`filled in ${Math.round((performance.now() - startedAt) / 1000)} s`);
  return made;
}

/**
 * 30 days of requests: 94 in 100 succeeded; endpoints and keys of very different use; 200 wait. Rows are written as the
 * queue writes them, but without the queue, which would take an hour to make so many.
 */
async function fill(): Promise<Filled> {
  const settings = parseSettings({ SLUICE_DATA: folder });
  const store = await openStore({ settings, logger: silentLogger });
  const admin = await store.keys.create({ alias: "operator", scope: "ADMIN" });
  const busy = await store.keys.create({ alias: "busy", scope: "API" });
  const rare = await store.keys.create({ alias: "rare", scope: "API" });
  await store[Symbol.asyncDispose]();
  const newest = Date.now() - 60_000;
  const database = new DatabaseSync(join(folder, "sluice.db"));
  const insertRequest =
    database.prepare(`INSERT INTO requests (number, id, account_id, key_id, fair_key, endpoint_id,
      app, surface, state, priority, fair_rank, created_at, available_at, started_at, ended_at, timeout_ms,
      keeps_payloads, has_webhook, is_counted, connection_attempts, server_attempts, timeout_attempts, attempts,
      status_code, error, billable_units, inference_seconds)
    VALUES (?, ?, ?, ?, ?, ?, ?, 'queue', ?, 0, ?, ?, ?, ?, ?, 3600000, 1, 0, 0, 10, 3, 2, ?, ?, ?, ?, ?)`);
  const insertPayload =
    database.prepare(`INSERT INTO payloads (request_number, has_input, input, result_headers, result)
    VALUES (?, 1, ?, ?, ?)`);
  const headers = JSON.stringify({ "content-type": "application/json" });
  for (let number = 1; number <= count; number++) {
    if (number % 50_000 === 1) database.exec("BEGIN");
    const at = Math.round(newest - ((count - number) / count) * DAYS * DAY_MS);
    const isWaiting = number > count - 200;
    const kind = number % 100;
    const state = isWaiting ? "queued" : kind < 94 ? "succeeded" : kind < 98 ? "failed" : "cancelled";
    const { key } = number % 2_000 === 7 ? rare : busy;
    const endpointId = number % 5_000 === 11 ? (ENDPOINTS[4] as string) : (ENDPOINTS[number % 4] as string);
    const app = endpointId.split("/").slice(0, 2).join("/");
    const endedAt = isWaiting ? null : at + 1_500;
    const statusCode = { succeeded: 200, failed: number % 3 === 0 ? 500 : 422, cancelled: 499, queued: null }[
      state
    ];
    insertRequest.run(
      ...[number, createRequestId(at), key.accountId, key.id, key.id, endpointId, app, state, number],
      ...[at, at, isWaiting ? null : at + 400, endedAt, isWaiting ? 0 : 1, statusCode],
      ...[state === "failed" ? "The model refused it." : null, isWaiting ? null : 1, isWaiting ? null : 1.1],
    );
    const prompt =
      number === Math.round(count * 0.99) ? "the needle" : `${PROMPTS[number % 4]}, number ${number}`;
    const input = JSON.stringify({
      prompt,
      image_size: "landscape_4_3",
      num_inference_steps: 28,
      seed: number,
    });
    const output = JSON.stringify({
      images: [{ url: `files/b/${number}`, width: 1024, height: 768 }],
      prompt,
    });
    insertPayload.run(
      number,
      Buffer.from(input),
      isWaiting ? null : headers,
      isWaiting ? null : Buffer.from(output),
    );
    if (number % 50_000 === 0 || number === count) database.exec("COMMIT");
  }
  database.close();
  return {
    admin: admin.credential,
    caller: rare.credential,
    keys: { busy: busy.key.id, rare: rare.key.id },
    newest,
  };
}

async function measure({ admin, caller, keys, newest }: Filled): Promise<void> {
  await using server = await startProcess({
    arguments: [
      "--disable-warning=ExperimentalWarning",
      fileURLToPath(new URL("servers/gateway-server.ts", import.meta.url)),
      folder,
      "--no-runner",
    ],
    timeoutMs: 60_000,
  });
  const day = (ago: number): string => new Date(newest - ago * DAY_MS).toISOString();
  const cases: readonly (readonly [name: string, query: Readonly<Record<string, string>>, key?: string])[] = [
    ["newest", {}],
    ["an endpoint of every fourth request", { endpoint_id: ENDPOINTS[1] as string }],
    ["an endpoint of every 5,000th", { endpoint_id: ENDPOINTS[4] as string }],
    ["a key of nearly all", { key_id: keys.busy }],
    ["a key of every 2,000th", { key_id: keys.rare }],
    ["queued", { state: "queued" }],
    ["running (none)", { state: "running" }],
    ["succeeded", { state: "succeeded" }],
    ["failed", { state: "failed" }],
    ["cancelled", { state: "cancelled" }],
    ["failed, of the rare key", { state: "failed", key_id: keys.rare }],
    ["failed, of the rare endpoint", { state: "failed", endpoint_id: ENDPOINTS[4] as string }],
    ["cancelled, of an endpoint", { state: "cancelled", endpoint_id: ENDPOINTS[1] as string }],
    ["server errors", { status: "error" }],
    ["a day three weeks ago", { start: day(21), end: day(20) }],
    ["failed, a day three weeks ago", { state: "failed", start: day(21), end: day(20) }],
    [
      "a key, an endpoint, two days",
      { key_id: keys.busy, endpoint_id: ENDPOINTS[2] as string, start: day(9), end: day(7) },
    ],
    ["longest", { sort_by: "duration" }],
    ["latest to end", { sort_by: "ended_at" }],
    ["text of every fourth", { q: "lighthouse" }],
    ["text of none: 2,000 looked through", { q: "no such words" }],
    ["text of none, failed", { q: "no such words", state: "failed" }],
    ["text of none, the rare key", { q: "no such words", key_id: keys.rare }],
    ["a caller's own", {}, caller],
    ["a caller's own, failed", { state: "failed" }, caller],
  ];
  const ask = async (
    query: Readonly<Record<string, string>>,
    key = admin,
  ): Promise<Page & { ms: number }> => {
    const startedAt = performance.now();
    const response = await fetch(
      `${server.url}/v1/sluice/requests?${new URLSearchParams({ limit: "50", ...query })}`,
      { headers: { authorization: `Key ${key}` } },
    );
    const page = (await response.json()) as Page;
    if (!response.ok) throw new Error(JSON.stringify(page));
    return { ...page, ms: performance.now() - startedAt };
  };
  // The first answers of a process are slow whatever they are: its code is not compiled yet.
  for (let round = 0; round < 2; round++) for (const [, query, key] of cases) await ask(query, key);
  const figures: Figure[] = [];
  for (const [name, query, key] of cases) {
    const times: number[] = [];
    let rows = 0;
    for (let round = 0; round < rounds; round++) {
      const page = await ask(query, key);
      rows = page.requests.length;
      times.push(page.ms);
    }
    figures.push({ name: `${name} (${rows})`, unit: "ms", ...getSpread(times) });
  }
  const turned: number[] = [];
  let cursor: string | null = "";
  for (let pages = 0; pages < 400 && cursor !== null; pages++) {
    const page: Page & { ms: number } = await ask({ limit: "500", ...(cursor === "" ? {} : { cursor }) });
    cursor = page.next_cursor;
    turned.push(page.ms);
  }
  const deep = await ask({ end: day(29) });
  const middle = await Promise.all([ask({ cursor: deep.next_cursor ?? "" })]);
  figures.push({ name: "by a cursor at the far end", unit: "ms", ...getSpread(middle.map(({ ms }) => ms)) });
  const search = await searchAll((query) => ask(query));
  printFigures([
    ...figures,
    { name: "one page after another, 500 to a page", unit: "ms", ...getSpread(turned) },
  ]);
  print("");
  print(`the one needle 1 % into the history: ${search.pages} pages, ${Math.round(search.ms)} ms`);
  print(`500 to a page, p95: ${getPercentile(turned, 0.95).toFixed(1)} ms; ${describeLoad()} at the end`);
  print(`resident memory of the server: ${Math.round(server.readResidentBytes() / 2 ** 20)} MiB`);
  for (const { name, median } of figures) {
    if (median >= BUDGET_MS) printBudget(`${name}: ${median.toFixed(0)} ms`, false);
  }
  printBudget(
    `every page of 50 in less than ${BUDGET_MS} ms (median)`,
    figures.every(({ median }) => median < BUDGET_MS),
  );
}

interface Page {
  readonly requests: readonly unknown[];
  readonly next_cursor: string | null;
}

/** Goes on until the one request is found. */
async function searchAll(
  ask: (query: Readonly<Record<string, string>>) => Promise<Page>,
): Promise<{ readonly pages: number; readonly ms: number }> {
  const startedAt = performance.now();
  let cursor = "";
  for (let pages = 1; ; pages++) {
    const page = await ask({ q: "the needle", ...(cursor === "" ? {} : { cursor }) });
    if (page.requests.length > 0) return { pages, ms: performance.now() - startedAt };
    if (page.next_cursor === null) throw new Error("The needle was not found.");
    cursor = page.next_cursor;
  }
}
