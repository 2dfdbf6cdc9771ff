/**
 * Every client that is known, unmodified, each operation twice: with the settings that the docs give for it, and under
 * `sluice exec` with none. What they report becomes `docs/compatibility.md`.
 */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CLIENTS, type Client, listExpected, type Way } from "./clients.ts";
import { ensurePython } from "./ensure-python.ts";
import { makeCertificate } from "./make-certificate.ts";
import { run, runExec } from "./run-exec.ts";
import { startServer, type TestServer } from "./start-server.ts";
import { formatRow, type Outcome, PAGE_PATH, RESULTS_PATH } from "./write-compatibility.ts";

const PROGRAMS = fileURLToPath(new URL("../programs/", import.meta.url));
const SLOW_CARD = fileURLToPath(new URL("../../cli/src/fixtures/slow-card.ts", import.meta.url));
const PROGRAM_TIMEOUT_MS = 150_000;
const timeout = 2 * PROGRAM_TIMEOUT_MS;

const python = await ensurePython();
if ("missing" in python) {
  if (process.env["SLUICE_REQUIRE_ALL"]) throw new Error(python.missing);
  process.stderr.write(`\n*** The Python client was NOT tested: ${python.missing}\n\n`);
}

let server: TestServer;
let tlsServer: TestServer | undefined;
let folder: string;
let certificate: string;
const outcomes: Outcome[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-compat-tls-"));
  server = await startServer({ arguments: [SLOW_CARD] });
  if ("missing" in python) return;
  // The Python client speaks https only.
  const { cert, key } = makeCertificate();
  certificate = join(folder, "cert.pem");
  await writeFile(certificate, cert);
  await writeFile(join(folder, "key.pem"), key, { mode: 0o600 });
  const files = ["--tls-cert", certificate, "--tls-key", join(folder, "key.pem")];
  tlsServer = await startServer({ arguments: [...files, SLOW_CARD] });
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await tlsServer?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Line {
  readonly operation: string;
  readonly ok: boolean;
  readonly error?: string;
}

/** Runs a client's program and gives what it reports. */
async function perform(client: Client, way: Way): Promise<readonly Line[]> {
  const runtime = client.runtime === "node" ? process.execPath : (python as { python: string }).python;
  const command = [
    runtime,
    ...(client.runtime === "python" ? ["-B"] : []),
    join(PROGRAMS, client.program[0]!),
  ];
  command.push(...client.program.slice(1));
  const { out, err } = way === "recipe" ? await runRecipe(client, command) : await runUnderExec(command);
  const lines = out.split("\n").filter((line) => line.startsWith('{"operation"'));
  assert.ok(lines.length > 0, err);
  return lines.map((line) => JSON.parse(line) as Line);
}

async function runUnderExec(command: readonly string[]) {
  const { url, dataDir } = server;
  return await runExec(command, { serverUrl: url, dataDir, timeoutMs: PROGRAM_TIMEOUT_MS });
}

async function runRecipe(client: Client, command: readonly string[]) {
  const target = client.runtime === "python" ? tlsServer! : server;
  const url = client.runtime === "python" ? `https://localhost:${new URL(target.url).port}` : target.url;
  return await run(command, {
    timeoutMs: PROGRAM_TIMEOUT_MS,
    environment: {
      FAL_KEY: target.key,
      RECIPE_URL: url,
      ...(client.runtime === "python" ? { SSL_CERT_FILE: certificate } : {}),
    },
  });
}

const WAYS: Readonly<Record<Way, string>> = { recipe: "with the docs' settings", exec: "under sluice exec" };

// Two at a time: clients that poll leave much of the time unused.
describe("every client", { concurrency: 2 }, () => {
  for (const client of CLIENTS) {
    for (const way of ["recipe", "exec"] as const) {
      const skip = client.runtime === "python" && "missing" in python ? python.missing : false;
      test(`${client.title} works ${WAYS[way]}`, { timeout, skip }, async () => {
        const lines = await perform(client, way);
        outcomes.push(...lines.map(({ operation, ok }) => ({ client: client.title, way, operation, ok })));
        const failures = lines
          .filter(({ ok }) => !ok)
          .map(({ operation, error }) => `${operation}: ${error}`);
        assert.equal(failures.join("\n\n"), "");
        assert.deepEqual(
          lines.map(({ operation }) => operation).sort(),
          [...listExpected(client, way)].sort(),
        );
      });
    }
  }
});

test("the page about compatibility says what these tests saw", async () => {
  await mkdir(dirname(RESULTS_PATH), { recursive: true });
  await writeFile(RESULTS_PATH, `${JSON.stringify(outcomes, null, 1)}\n`);
  const page = await readFile(PAGE_PATH, "utf8");
  for (const client of CLIENTS) {
    for (const way of ["recipe", "exec"] as const) {
      const isSeen = outcomes.some((outcome) => outcome.client === client.title && outcome.way === way);
      const row = formatRow(outcomes, client.title, way);
      if (isSeen)
        assert.ok(page.includes(row), `run node compat/src/write-compatibility.ts: it lacks ${row}`);
    }
  }
});
