import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const DEMO = fileURLToPath(new URL("./demo.ts", import.meta.url));

test("the demo makes a picture by the real path and ends with where it is", {
  timeout: 150_000,
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-demo-"));
  try {
    const child = spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", DEMO, "a green tree under a blue sky"],
      {
        stdio: ["ignore", "pipe", "pipe"],
        // A key of the hosted service in the environment must do no harm.
        env: { ...process.env, INIT_CWD: folder, FAL_KEY: "somebody:else" },
        timeout: 120_000,
        killSignal: "SIGKILL",
      },
    );
    const [out, err] = await Promise.all([read(child.stdout), read(child.stderr)]);
    const path = out.trim().split("\n").at(-1)!;
    assert.ok(path.startsWith(join(folder, "pictures")), `${out}${err}`);
    const bytes = await readFile(path);
    assert.deepEqual([...bytes.subarray(0, 3)], [0xff, 0xd8, 0xff], "a JPEG");
    assert.ok(bytes.includes("trainedAlgorithmicMedia"), "marked as generated");
    assert.match(err, /a green tree under a blue sky/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

async function read(stream: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
