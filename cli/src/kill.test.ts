/**
 * `kill -9` of the server and its workers at random moments under load. Every submit that was answered must end in
 * exactly one terminal state, with every byte of its result readable, and its webhook must be told of it.
 * Short form: 40 kills. `SLUICE_LONG=1`: 500.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readGreeting } from "./greeting/read-greeting.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const MODEL = fileURLToPath(new URL("./fixtures/slow-card.ts", import.meta.url));
const KILLS = process.env["SLUICE_LONG"] === "1" ? 500 : 40;
const ENDPOINT = "test/slow-card";

interface Server {
  readonly url: string;
  readonly process: ChildProcess;
}

async function start(dataDir: string): Promise<Server> {
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      MAIN,
      "serve",
      "--port",
      "0",
      "--data",
      dataDir,
      "--no-shipped",
      MODEL,
      "--log-level",
      "error",
    ],
    { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, SLUICE_LEASE: "2s" } },
  );
  const { url } = await readGreeting(child);
  return { url, process: child };
}

async function kill(server: Server): Promise<void> {
  server.process.kill("SIGKILL");
  if (server.process.exitCode === null && server.process.signalCode === null)
    await once(server.process, "exit");
}

interface Receiver extends AsyncDisposable {
  readonly url: string;
  /** Requests that were told, with how often. */
  readonly told: Map<string, number>;
}

async function startReceiver(): Promise<Receiver> {
  const told = new Map<string, number>();
  const receiver = createServer(async (request, response) => {
    try {
      let text = "";
      for await (const chunk of request) text += chunk;
      const { request_id: id } = JSON.parse(text) as { request_id: string };
      told.set(id, (told.get(id) ?? 0) + 1);
      response.writeHead(200).end();
    } catch {
      response.destroy(); // The server died while it delivered.
    }
  });
  receiver.listen(0, "127.0.0.1");
  await once(receiver, "listening");
  return {
    url: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/told`,
    told,
    async [Symbol.asyncDispose]() {
      receiver.closeAllConnections();
      receiver.close();
    },
  };
}

/** Pids of the server's children: its workers. */
async function listWorkers(server: Server): Promise<number[]> {
  const path = `/proc/${server.process.pid}/task/${server.process.pid}/children`;
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trim().split(" ").filter(Boolean).map(Number);
}

test(`every answered submit survives ${KILLS} kills of the server and its workers`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-kill-"));
  const dataDir = join(folder, "data");
  await using receiver = await startReceiver();
  let server = await start(dataDir);
  const authorization = `Key ${(await readFile(join(dataDir, "first-key"), "utf8")).trim()}`;
  const answered = new Map<string, string>();
  let isSubmitting = true;
  let sent = 0;

  /** Submits without a pause; what was not answered is not counted. */
  const submitter = async (lane: number): Promise<void> => {
    while (isSubmitting) {
      const name = `${lane}-${sent++}`;
      // Some inputs are small rows, some are blobs; some files are large.
      const body = JSON.stringify({
        name: sent % 7 === 0 ? name.padEnd(40_000, "x") : name,
        ms: sent % 5 === 0 ? 60 : 5,
        bytes: sent % 11 === 0 ? 200_000 : 50,
      });
      const query = sent % 3 === 0 ? `?fal_webhook=${encodeURIComponent(receiver.url)}` : "";
      try {
        const response = await fetch(`${server.url}/queue/${ENDPOINT}${query}`, {
          method: "POST",
          headers: { authorization },
          body,
          signal: AbortSignal.timeout(5_000),
        });
        const reply = (await response.json()) as { request_id?: string };
        if (response.status === 200 && reply.request_id !== undefined) answered.set(reply.request_id, query);
        else if (response.status >= 500) assert.equal(response.status, 503);
      } catch {
        // The server died before it answered: it owes nothing.
      }
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
  };
  const submitters = [submitter(0), submitter(1)];

  try {
    for (let round = 0; round < KILLS; round++) {
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 400));
      const workers = await listWorkers(server);
      const victim = workers[Math.floor(Math.random() * workers.length)];
      if (round % 4 === 3 && victim !== undefined) {
        // A worker alone: it costs its request an attempt.
        try {
          process.kill(victim, "SIGKILL");
        } catch {
          // It had ended by itself.
        }
        continue;
      }
      await kill(server);
      server = await start(dataDir);
    }
    isSubmitting = false;
    await Promise.all(submitters);
    assert.ok(answered.size > KILLS, `only ${answered.size} submits were answered`);

    const until = Date.now() + 120_000 + answered.size * 20;
    for (const id of answered.keys()) {
      for (;;) {
        const response = await fetch(`${server.url}/queue/${ENDPOINT}/requests/${id}/status`, {
          headers: { authorization },
        });
        if (response.status === 200) break;
        assert.equal(response.status, 202, `request ${id} is lost: ${await response.text()}`);
        assert.ok(Date.now() < until, `request ${id} did not end`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }

    let failed = 0;
    for (const id of answered.keys()) {
      const response = await fetch(`${server.url}/queue/${ENDPOINT}/requests/${id}`, {
        headers: { authorization },
      });
      const result = (await response.json()) as { card: { url: string }; name: string; attempt: number };
      if (response.status !== 200) {
        // Its attempts were used up by killed workers; that is an end, and it says so.
        failed += 1;
        assert.ok([500, 503].includes(response.status), `request ${id} ended with ${response.status}`);
        continue;
      }
      const text = await (await fetch(result.card.url)).text();
      assert.ok(
        text.startsWith(`${id} ${result.attempt} ${result.name}\n`),
        "the file is of the attempt that is kept",
      );
    }
    const owed = [...answered].filter(([, query]) => query !== "").map(([id]) => id);
    while (owed.some((id) => !receiver.told.has(id))) {
      assert.ok(Date.now() < until, `webhooks of ${owed.filter((id) => !receiver.told.has(id))} are lost`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const repeated = owed.filter((id) => receiver.told.get(id) !== 1).length;
    t.diagnostic(`${answered.size} answered submits, ${failed} failed for good, ${sent} sent`);
    t.diagnostic(`${owed.length} webhooks told, ${repeated} of them more than once`);
    await kill(server);
    checkDatabase(join(dataDir, "sluice.db"), answered);
    await checkNoPartialFiles(join(dataDir, "blobs"));
  } finally {
    isSubmitting = false;
    await Promise.allSettled(submitters);
    await kill(server);
    await rm(folder, { recursive: true, force: true });
  }
});

/** What only the rows show: one end per request, at most one delivery, none missing. */
function checkDatabase(path: string, answered: ReadonlyMap<string, string>): void {
  using database = new DatabaseSync(path);
  const [integrity] = database.prepare("PRAGMA integrity_check").all() as { integrity_check: string }[];
  assert.equal(integrity!.integrity_check, "ok");
  const ends = database
    .prepare(
      "SELECT requests.id AS id, COUNT(*) AS ends FROM events JOIN requests ON requests.number = events.request_number WHERE kind = 'ended' GROUP BY requests.id",
    )
    .all() as { id: string; ends: number }[];
  for (const { id, ends: count } of ends) assert.equal(count, 1, `request ${id} ended ${count} times`);
  const owed = new Map(
    (
      database
        .prepare("SELECT request_id AS id, COUNT(*) AS owed FROM deliveries GROUP BY request_id")
        .all() as { id: string; owed: number }[]
    ).map((row) => [row.id, row.owed]),
  );
  for (const [id, query] of answered) {
    assert.equal(owed.get(id) ?? 0, query === "" ? 0 : 1, `deliveries of ${id}`);
  }
}

async function checkNoPartialFiles(blobs: string): Promise<void> {
  const incoming = await readdir(join(blobs, "=incoming")).catch(() => []);
  // What the last kill interrupted is removed at the next start; more than that few would be a leak.
  assert.ok(incoming.length <= 4, `${incoming.length} partial files`);
}
