import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createGpuReader, parseGpus } from "./gpus.ts";

test("GPUs and their processes are read from what the driver's program prints", () => {
  const { gpus, processes } = parseGpus(
    "0, GPU-aa, NVIDIA A10G, 37, 1024, 23028, 51\n1, GPU-bb, NVIDIA A10G, [N/A], 0, 23028, [Not Supported]\n",
    "GPU-bb, 4711\nGPU-zz, 12\nGPU-aa, [N/A]\n",
  );
  assert.deepEqual(gpus, [
    {
      index: 0,
      name: "NVIDIA A10G",
      usage: 0.37,
      memoryUsedBytes: 1024 * 2 ** 20,
      memoryTotalBytes: 23028 * 2 ** 20,
      temperatureCelsius: 51,
    },
    {
      index: 1,
      name: "NVIDIA A10G",
      usage: null,
      memoryUsedBytes: 0,
      memoryTotalBytes: 23028 * 2 ** 20,
      temperatureCelsius: null,
    },
  ]);
  assert.deepEqual([...processes], [[4711, 1]]);
});

test("what the program should not print is left out", () => {
  for (const text of ["", "No devices were found", "NVIDIA-SMI has failed because …", ",,,,", "x, y, z", "0"])
    assert.deepEqual(parseGpus(text, text).gpus, [], text);
});

test("without the program, or when it fails, there is no GPU", async (context) => {
  assert.deepEqual((await createGpuReader({ command: "/no/such/program" })()).gpus, []);
  const folder = await mkdtemp(join(tmpdir(), "sluice-gpus-"));
  context.after(() => rm(folder, { recursive: true, force: true }));
  const program = async (name: string, script: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, `#!/bin/sh\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  };
  const failing = await program("failing", "echo '0, GPU-aa, Broken, 1, 1, 1, 1'; exit 9");
  assert.deepEqual((await createGpuReader({ command: failing })()).gpus, []);
  const good = await program("good", "case $1 in *gpu=*) echo '0, GPU-aa, Fast, 5, 1, 2, 40';; esac");
  assert.equal((await createGpuReader({ command: good })()).gpus[0]?.name, "Fast");
});
