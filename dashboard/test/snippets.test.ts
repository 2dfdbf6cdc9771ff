/** The code that the app prints, run as it is printed. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CODE_LANGUAGES, type CodeCall } from "@sluice/protocol/snippets";
import { openApp, type TestApp, whyNoBrowser } from "./testing/open-app.ts";
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
    typescript: ["program.mts", process.execPath],
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
  assert.equal(count, 6);
});

test("every snippet of the API page runs as it is printed", {
  timeout: 180_000,
  skip: whyNoBrowser() ?? whyNoOfficialClient(),
}, async (context) => {
  await using app = await openApp();
  const snippets = await readSnippets(app);
  const ours = await mkdtemp(join(tmpdir(), "sluice-snippets-"));
  context.after(() => rm(ours, { recursive: true, force: true }));
  await writeFile(join(ours, "package.json"), `{"private":true}`);
  const official = await createFolder(context, "compat");
  const inClone = await createFolder(context, "dashboard/test");
  const env = {
    ...process.env,
    FAL_KEY: app.key,
    PATH: `${dirname(process.execPath)}:${join(root, "node_modules/.bin")}:${process.env["PATH"]}`,
    // Nothing is asked of a registry.
    npm_config_registry: "http://127.0.0.1:9/",
    npm_config_fetch_retries: "0",
    npm_config_audit: "false",
    npm_config_fund: "false",
  };
  const exec = async (cwd: string, command: string, ...parts: readonly string[]): Promise<string> => {
    const { stdout } = await run(command, parts, { cwd, env, timeout: 60_000 }).catch((error) =>
      assert.fail(`${parts.join(" ")}: ${error.stderr ?? error}`),
    );
    return stdout;
  };
  const shell = (text: string, cwd = inClone): Promise<string> => exec(cwd, "bash", "-euc", text);
  const script = async (cwd: string, text: string, name = "program.mjs"): Promise<string> => {
    const path = join(cwd, name);
    await writeFile(path, text);
    return await exec(cwd, name.endsWith(".py") ? "python3" : process.execPath, path);
  };
  const prompt = /a fox/;
  const get = (label: string): string => snippets.get(label) ?? assert.fail(`there is no snippet "${label}"`);
  const inQueue = (label: string): string =>
    `REQUEST_ID=${requestId}
${get(label).replace(/^curl /, "curl --silent ")}`;
  let requestId = "";
  // The install comes before what needs it, the submit before what asks for its request.
  const runners: readonly (readonly [label: string, run: () => Promise<unknown>])[] = [
    ["install our client", async () => assert.match(await shell(get("install our client"), ours), /added/)],
    ["key", () => shell(get("key"))],
    ["JavaScript code", async () => assert.match(await script(official, get("JavaScript code")), prompt)],
    ["@sluice/client code", async () => assert.match(await script(ours, get("@sluice/client code")), prompt)],
    [
      "TypeScript code",
      async () => assert.match(await script(ours, get("TypeScript code"), "program.mts"), prompt),
    ],
    [
      "Python code",
      async () => assert.match(await script(inClone, get("Python code"), "program.py"), prompt),
    ],
    ["cURL code", async () => assert.match(await shell(get("cURL code")), prompt)],
    ["CLI code", async () => assert.match(await shell(get("CLI code")), /\.png/)],
    [
      "submit",
      async () => {
        requestId = (await shell(get("submit"))).trim();
        assert.match(requestId, /^[0-9a-f-]{36}$/);
      },
    ],
    [
      "status",
      async () => {
        while (!(await shell(inQueue("status"))).includes("COMPLETED"))
          await new Promise((resolve) => setTimeout(resolve, 100));
      },
    ],
    ["result", async () => assert.match(JSON.parse(await shell(inQueue("result"))).prompt, prompt)],
    ["cancel", async () => assert.match(await shell(inQueue("cancel")), /ALREADY_COMPLETED/)],
    ["webhook", async () => assert.match(await shell(get("webhook")), /IN_QUEUE/)],
    ["stream", async () => assert.match(await shell(get("stream")), /^data: .*"prompt":"a fox"/m)],
    ["realtime", async () => assert.match(await script(ours, get("realtime")), prompt)],
    [
      "upload",
      async () => {
        const url = (await script(official, get("upload"))).trim();
        const headers = { authorization: `Key ${app.key}` };
        assert.equal(await (await fetch(url, { headers })).text(), "hello");
      },
    ],
  ];
  for (const [, start] of runners) await start();
  for (const label of ["input example", "output example"]) JSON.parse(get(label));
  // The page for agents prints the same; it knows no output that was made here.
  const twin = await (await fetch(`${app.url}/models/test/studio/llms.txt`)).text();
  assert.deepEqual(
    [...snippets].flatMap(([label, text]) => (twin.includes(`\n${text}\n`) ? [] : [label])),
    ["output example"],
  );
  // The registry has the official client, and a header is no program.
  const others = ["install", "header", "input example", "output example"];
  assert.deepEqual(
    [...snippets.keys()].sort(),
    [...runners.map(([label]) => label), ...others].sort(),
    "a snippet that nobody runs",
  );
  context.diagnostic(`${runners.length} snippets of the API page ran as printed`);
});

/** All code of the API page by its label; of the tabs each. */
async function readSnippets(app: TestApp): Promise<ReadonlyMap<string, string>> {
  await using opened = await app.openPage({ path: "/models/test/studio/api" });
  const { page } = opened;
  const found = new Map<string, string>();
  const read = async (): Promise<void> => {
    for (const block of await page.locator(".code pre").all())
      found.set((await block.getAttribute("aria-label")) ?? "", (await block.textContent()) ?? "");
  };
  await page.getByRole("region", { name: "output example" }).waitFor();
  for (const tab of await page.getByRole("tab").all()) {
    await tab.click();
    await read();
  }
  return found;
}

async function createFolder(context: TestContext, parent: string): Promise<string> {
  const folder = await mkdtemp(join(root, parent, ".snippets-"));
  context.after(() => rm(folder, { recursive: true, force: true }));
  // npx goes to the nearest package, and pictures are saved there.
  await writeFile(join(folder, "package.json"), `{"private":true}`);
  return folder;
}
