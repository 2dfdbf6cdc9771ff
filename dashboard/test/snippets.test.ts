/** The code that the app prints, run as it is printed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CODE_LANGUAGES, type CodeCall } from "../src/code/format-code.ts";
import * as snippets from "../src/reference/snippets.ts";
import { openTestServer } from "./testing/open-server.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const timeout = 60_000;

/** `npm test` installs it before it begins. */
function whyNoOfficialClient(): string | false {
  if (existsSync(join(root, "compat/node_modules/@fal-ai/client"))) return false;
  const reason = "The official client is not installed: npm ci --prefix compat";
  if (process.env["SLUICE_REQUIRE_ALL"]) throw new Error(reason);
  return reason;
}

test("every program of the code tabs runs as printed", {
  timeout,
  skip: whyNoOfficialClient(),
}, async (context) => {
  await using server = await openTestServer();
  const input = {
    prompt: `it's a "fox" \\ $HOME \`x\` ü\nsecond line`,
    steps: 2,
    tiled: true,
    tags: ["a", "b'c"],
  };
  const call: CodeCall = { origin: server.url, endpointId: "test/studio", input };
  // Inside of the repository, so that the programs find the packages that they import: compat/ has the official client.
  const folder = await createFolder(context, "dashboard/test");
  const official = await createFolder(context, "compat");
  const env = {
    ...process.env,
    FAL_KEY: server.key,
    PATH: `${dirname(process.execPath)}:${join(root, "node_modules/.bin")}:${process.env["PATH"]}`,
  };
  const runners: Record<(typeof CODE_LANGUAGES)[number]["id"], readonly [file: string, command: string]> = {
    javascript: ["program.mjs", process.execPath],
    sluice: ["program.mjs", process.execPath],
    python: ["program.py", "python3"],
    curl: ["curl.sh", "bash"],
    cli: ["cli.sh", "bash"],
  };
  let count = 0;
  for (const language of CODE_LANGUAGES) {
    const [file, command] = runners[language.id];
    const cwd = language.id === "javascript" ? official : folder;
    await writeFile(join(cwd, file), language.format(call));
    const { stdout, stderr } = await run(command, [join(cwd, file)], { cwd, env, timeout: 30_000 });
    // The CLI prints where it saved the picture, the others the output.
    assert.match(stdout, language.id === "cli" ? /\.png/ : /second line/, `${language.id}: ${stderr}`);
    count++;
  }
  assert.equal(count, 5);
  await writeFile(join(official, "upload.mjs"), snippets.formatUpload(call));
  const { stdout } = await run(process.execPath, [join(official, "upload.mjs")], { env, timeout: 30_000 });
  const uploaded = await fetch(stdout.trim(), { headers: { authorization: `Key ${server.key}` } });
  assert.equal(await uploaded.text(), "hello");
});

test("the queue calls of the API page run as printed, one after the other", { timeout }, async () => {
  await using server = await openTestServer();
  const call: CodeCall = {
    origin: server.url,
    endpointId: "test/studio",
    input: { prompt: "it's", steps: 1 },
  };
  const script = [
    "set -eu",
    snippets.formatSubmit(call),
    "for i in $(seq 50); do",
    `  ${snippets.formatStatus(call)} --silent | grep -q COMPLETED && break`,
    "  sleep 0.1",
    "done",
    snippets.formatResult(call),
    "echo",
    snippets.formatCancel(call),
    "echo",
    snippets.formatStream(call),
  ].join("\n");
  const { stdout } = await run("bash", ["-c", script], { env: { ...process.env, FAL_KEY: server.key } });
  const lines = stdout.split("\n").filter((line) => line !== "");
  assert.match(lines[0] ?? "", /^[0-9a-f-]{36}$/);
  assert.equal(JSON.parse(lines[1] ?? "").prompt, "it's");
  assert.match(lines[2] ?? "", /ALREADY_COMPLETED/);
  assert.match(lines.at(-1) ?? "", /^data: .*"prompt":"it's"/);
});

async function createFolder(context: TestContext, parent: string): Promise<string> {
  const folder = await mkdtemp(join(root, parent, ".snippets-"));
  context.after(() => rm(folder, { recursive: true, force: true }));
  // npx goes to the nearest package, and pictures are saved there.
  await writeFile(join(folder, "package.json"), `{"private":true}`);
  return folder;
}
