/**
 * How fast does a large file go up, and how much memory does that take? Our client, reading the file from disk and
 * sending it in parts, against `curl -T`, which sends it in one piece to the same server. Each upload runs in a
 * process of its own, whose largest resident set is reported, and the server's while it takes each kind.
 *
 *     node bench/client-uploads.ts [--megabytes 1024] [--rounds 3]
 */
import { execFile } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { openAsBlob } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { createFalClient } from "@sluice/client";
import { print, printBudget, printConditions, printFigures, printHeader } from "./measuring/report.ts";
import type { MeasuredProcess } from "./measuring/start-process.ts";
import { startSluice } from "./measuring/start-sluice.ts";
import { getSpread } from "./measuring/statistics.ts";
import { makeTemporaryFolder } from "./measuring/temporary-folder.ts";

const run = promisify(execFile);
const MIB = 1024 * 1024;
const MEMORY_BUDGET_MIB = 256;

const { values } = parseArgs({
  options: {
    megabytes: { type: "string", default: "1024" },
    rounds: { type: "string", default: "3" },
    upload: { type: "string" },
    url: { type: "string" },
  },
});
if (values.upload !== undefined) await uploadOnce(values.upload, values.url ?? "");
else await compare(Number(values.megabytes), Number(values.rounds));

/** The child: uploads one file and prints its milliseconds and its largest resident set. */
async function uploadOnce(path: string, url: string): Promise<void> {
  const client = createFalClient({ url });
  const began = performance.now();
  await client.storage.upload(await openAsBlob(path, { type: "application/zip" }));
  const ms = performance.now() - began;
  print(JSON.stringify({ ms, mib: process.resourceUsage().maxRSS / 1024 }));
}

async function compare(megabytes: number, rounds: number): Promise<void> {
  printHeader(`Upload of ${megabytes} MiB`);
  await using folder = await makeTemporaryFolder();
  await using sluice = await startSluice({ dataFolder: join(folder.path, "data") });
  const path = join(folder.path, "large.zip");
  await writeRandomFile(path, megabytes);
  const own = { rates: [] as number[], mib: [] as number[] };
  const curl = { rates: [] as number[] };
  const server = { own: [] as number[], curl: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    using ownPeak = watchMemory(sluice);
    const { stdout } = await run(
      process.execPath,
      [fileURLToPath(import.meta.url), "--upload", path, "--url", sluice.url],
      { env: { ...process.env, FAL_KEY: sluice.credential } },
    );
    const seen = JSON.parse(stdout) as { ms: number; mib: number };
    own.rates.push(megabytes / (seen.ms / 1000));
    own.mib.push(seen.mib);
    server.own.push(ownPeak.readMib());
    const uploadUrl = await initiate(sluice.url, sluice.credential);
    using curlPeak = watchMemory(sluice);
    const began = performance.now();
    await run("curl", ["-sfS", "-T", path, "-H", "Content-Type: application/zip", uploadUrl]);
    curl.rates.push(megabytes / ((performance.now() - began) / 1000));
    server.curl.push(curlPeak.readMib());
  }
  const completions: number[] = [];
  for (let round = 0; round < rounds; round++)
    completions.push(await measureCompletion(sluice.url, sluice.credential, megabytes));
  printConditions(`${rounds} rounds in turns`);
  printFigures([
    { name: "our client", unit: "MiB/s", ...getSpread(own.rates) },
    { name: "curl -T", unit: "MiB/s", ...getSpread(curl.rates) },
    {
      name: "our client / curl -T",
      unit: "×",
      ...getSpread(own.rates.map((rate, round) => rate / (curl.rates[round] ?? Number.NaN))),
    },
    { name: "completion of the parts", unit: "ms", ...getSpread(completions) },
    { name: "our client, largest resident set", unit: "MiB", ...getSpread(own.mib) },
    { name: "the server, our client sends", unit: "MiB", ...getSpread(server.own) },
    { name: "the server, curl sends", unit: "MiB", ...getSpread(server.curl) },
  ]);
  print("");
  printBudget(
    `memory of client and server under ${MEMORY_BUDGET_MIB} MiB, whatever the size`,
    Math.max(...own.mib, ...server.own, ...server.curl) < MEMORY_BUDGET_MIB,
  );
}

/** The largest resident set of a process from now on, seen ten times a second. */
function watchMemory(subject: MeasuredProcess): Disposable & { readMib(): number } {
  let largest = 0;
  const look = (): void => {
    largest = Math.max(largest, subject.readResidentBytes());
  };
  look();
  const timer = setInterval(look, 100);
  return { readMib: () => largest / MIB, [Symbol.dispose]: () => clearInterval(timer) };
}

async function writeRandomFile(path: string, megabytes: number): Promise<void> {
  await using file = await open(path, "w");
  const chunk = Buffer.alloc(MIB);
  for (let n = 0; n < megabytes; n++) await file.write(randomFillSync(chunk));
}

/** Milliseconds from the last part to a file that can be read; the parts are sent one after the other. */
async function measureCompletion(url: string, credential: string, megabytes: number): Promise<number> {
  const uploadUrl = new URL(await initiate(url, credential, "initiate-multipart"));
  const path = uploadUrl.pathname;
  const part = randomFillSync(Buffer.alloc(10 * MIB));
  const parts: unknown[] = [];
  for (let number = 1; number <= Math.ceil(megabytes / 10); number++) {
    uploadUrl.pathname = `${path}/${number}`;
    const response = await fetch(uploadUrl, { method: "PUT", body: part });
    parts.push(await response.json());
  }
  uploadUrl.pathname = `${path}/complete`;
  const began = performance.now();
  const response = await fetch(uploadUrl, { method: "POST", body: JSON.stringify({ parts }) });
  if (!response.ok)
    throw new Error(`The completion was answered ${response.status}: ${await response.text()}`);
  return performance.now() - began;
}

async function initiate(
  url: string,
  credential: string,
  operation: "initiate" | "initiate-multipart" = "initiate",
): Promise<string> {
  const response = await fetch(`${url}/rest/storage/upload/${operation}?storage_type=fal-cdn-v3`, {
    method: "POST",
    headers: { authorization: `Key ${credential}`, "content-type": "application/json" },
    body: JSON.stringify({ content_type: "application/zip", file_name: "large.zip" }),
  });
  const { upload_url } = (await response.json()) as { upload_url: string };
  return upload_url;
}
