/** The code that the app prints, run as it is printed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CODE_LANGUAGES, type CodeCall } from "../src/code/format-code.ts";
import * as snippets from "../src/reference/snippets.ts";
import { openTestServer } from "./testing/open-server.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const timeout = 60_000;

test("every program of the code tabs runs as printed", { timeout }, async (context) => {
  await using server = await openTestServer();
  const input = {
    prompt: `it's a "fox" \\ $HOME \`x\` ü\nsecond line`,
    steps: 2,
    tiled: true,
    tags: ["a", "b'c"],
  };
  const call: CodeCall = { origin: server.url, endpointId: "test/studio", input };
  // Inside of the repository, so that the programs find the packages that they import.
  const folder = await mkdtemp(join(root, "dashboard/test/.snippets-"));
  context.after(() => rm(folder, { recursive: true, force: true }));
  // npx goes to the nearest package, and pictures are saved there.
  await writeFile(join(folder, "package.json"), `{"private":true}`);
  const env = {
    ...process.env,
    FAL_KEY: server.key,
    PATH: `${dirname(process.execPath)}:${join(root, "node_modules/.bin")}:${process.env["PATH"]}`,
  };
  const runners: Record<
    (typeof CODE_LANGUAGES)[number]["id"],
    readonly [file: string, command: string] | undefined
  > = {
    // Run with the official client, which compat/ installs: a test there has it.
    javascript: undefined,
    sluice: ["program.mjs", process.execPath],
    python: ["program.py", "python3"],
    curl: ["curl.sh", "bash"],
    cli: ["cli.sh", "bash"],
  };
  let count = 0;
  for (const language of CODE_LANGUAGES) {
    const runner = runners[language.id];
    if (runner === undefined) continue;
    const [file, command] = runner;
    await writeFile(join(folder, file), language.format(call));
    const { stdout, stderr } = await run(command, [join(folder, file)], {
      cwd: folder,
      env,
      timeout: 30_000,
    });
    // The CLI prints where it saved the picture, the others the output.
    assert.match(stdout, language.id === "cli" ? /\.png/ : /second line/, `${language.id}: ${stderr}`);
    count++;
  }
  assert.equal(count, 4);
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
