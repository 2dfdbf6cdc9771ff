/**
 * `npm run demo [-- "PROMPT"]`: a picture from a prompt, by the whole real path. A server starts on a free port with a
 * data folder of its own, `sluice run` sends the prompt with the key of the first start, and the path of the
 * saved picture is the last line.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readGreeting } from "../cli/src/greeting/read-greeting.ts";

const PROMPT =
  "Extreme close-up of a single tiger eye, direct frontal view. Detailed iris and pupil. Sharp focus on eye texture " +
  'and color. Natural lighting to capture authentic eye shine and depth. The word "FLUX" is painted over it in ' +
  "big, white brush strokes with visible texture.";

const root = fileURLToPath(new URL("..", import.meta.url));
const cli = resolve(root, "cli/src/main.ts");
const data = resolve(root, ".sluice/demo");
const node = [process.execPath, "--disable-warning=ExperimentalWarning", cli] as const;

const prompt = process.argv.slice(2).join(" ") || PROMPT;
process.stderr.write(`prompt   ${prompt}\n`);

const server = spawn(
  node[0],
  [...node.slice(1), "serve", "--port", "0", "--data", data, "--log-level", "warn"],
  {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  },
);
// What the server says matters only when there is no picture.
let messages = "";
server.stderr.on("data", (chunk: Buffer) => {
  messages += chunk.toString();
});
try {
  const { url } = await readGreeting(server);
  process.stderr.write(`server   ${url} (its own, ends with the demo)\n`);
  process.exitCode = await run(url);
} catch (error) {
  process.exitCode = 1;
  messages = `${error instanceof Error ? error.message : String(error)}\n`;
} finally {
  if (process.exitCode !== 0) process.stderr.write(messages);
  if (server.exitCode === null) {
    server.kill("SIGTERM");
    await once(server, "exit");
  }
}

async function run(url: string): Promise<number> {
  // A key that belongs to the hosted service must not be sent to this server.
  const { FAL_KEY: _, FAL_KEY_ID: __, FAL_KEY_SECRET: ___, ...environment } = process.env;
  const child = spawn(
    node[0],
    [...node.slice(1), "run", "fal-ai/flux-pro", `prompt=${prompt}`, "--data", data],
    {
      cwd: process.env["INIT_CWD"] ?? root,
      stdio: "inherit",
      env: { ...environment, SLUICE_URL: url },
    },
  );
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}
