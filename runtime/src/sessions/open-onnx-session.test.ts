import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

test("a session leaves nothing in its user's home: the native runtime collects no events", async (t) => {
  const home = await mkdtemp(join(tmpdir(), "sluice-home-"));
  t.after(() => rm(home, { recursive: true, force: true }));
  const program = `
    import { openOnnxSession } from ${JSON.stringify(new URL("./open-onnx-session.ts", import.meta.url).href)};
    const path = ${JSON.stringify(fileURLToPath(new URL("../../../models/tiny/upscaler.onnx", import.meta.url)))};
    await using session = await openOnnxSession({ path, threads: 1 });
    console.log(session.inputs.length);`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program], {
    env: { PATH: process.env["PATH"] ?? "", HOME: home },
    timeout: 60_000,
  });
  assert.match(stdout, /^\d/);
  assert.deepEqual(await readdir(home, { recursive: true }), []);
});
