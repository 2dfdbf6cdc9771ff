import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { createDiffusionFolder } from "@sluice/runtime/testing/diffusion-folder";
import { openTargetServer } from "./open-target-server.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));

test("the server that is started for a command answers with the models that were added", {
  timeout: 120_000,
}, async () => {
  const data = await mkdtemp(join(tmpdir(), "sluice-target-"));
  await using weights = await createDiffusionFolder("flux", { variant: "schnell" });
  try {
    const { status, stderr } = spawnSync(
      process.execPath,
      [
        ...["--disable-warning=ExperimentalWarning", MAIN, "models", "add", weights.path],
        ...["--name", "drawing", "--endpoint", "acme/drawing", "--provider", "cpu", "--data", data],
      ],
      { encoding: "utf8", timeout: 60_000 },
    );
    assert.equal(status, 0, stderr);
    await using server = await openTargetServer({}, data);
    const response = await fetch(`${server.url}/v1/models?endpoint_id=acme/drawing`);
    const { models } = (await response.json()) as { models: { endpoint_id: string }[] };
    assert.deepEqual(
      models.map((model) => model.endpoint_id),
      ["acme/drawing"],
    );
  } finally {
    await rm(data, { recursive: true, force: true });
  }
});
