import assert from "node:assert/strict";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { openOnnxSession } from "../sessions/open-onnx-session.ts";
import { createFloatTensor } from "../sessions/tensor.ts";
import { type OnnxTensor, writeOnnxModel } from "../testing/onnx-writer.ts";
import { scanOnnxFile } from "./scan-onnx-file.ts";

describe("scanning an ONNX file", () => {
  test("counts weights and the bytes beside the graph, and the graph then runs", () =>
    withFolder(async (folder) => {
      const path = await writeAdder(folder, { location: "weights.data", offset: 8, length: 8 });
      await writeFile(join(folder, "weights.data"), Buffer.from(Float32Array.of(9, 9, 1, 2).buffer));
      const facts = await scanOnnxFile(path);
      assert.deepEqual(facts.externalFiles, [join(folder, "weights.data")]);
      assert.equal(facts.parameters, 2 + 3 + 4);
      assert.equal(facts.halfBytes, 6);
      assert.ok(facts.bytes > 16 + 40);
      await using session = await openOnnxSession({ path, threads: 1 });
      const { y } = await session.run({ x: createFloatTensor(Float32Array.of(10, 20), [2]) });
      assert.deepEqual(Array.from(y?.data as Float32Array), [11, 22]);
    }));

  test("weights outside the graph's folder are refused, however the path is written", () =>
    withFolder(async (folder) => {
      for (const location of ["../secret", "a/../../secret", "/etc/passwd", "C:\\secret", "..\\secret", ""]) {
        const path = await writeAdder(folder, { location });
        await assert.rejects(scanOnnxFile(path), /outside its own folder/, location);
      }
    }));

  test("a missing and a short file of weights are named", () =>
    withFolder(async (folder) => {
      const path = await writeAdder(folder, { location: "weights.data", offset: 8, length: 8 });
      await assert.rejects(scanOnnxFile(path), /weights\.data is missing.*Pull the model again/);
      await writeFile(join(folder, "weights.data"), Buffer.alloc(12));
      await assert.rejects(scanOnnxFile(path), /weights\.data is incomplete: the weight "w"/);
    }));

  test("a pointer that stands for a file not fetched yet says how to fetch it", () =>
    withFolder(async (folder) => {
      const path = join(folder, "model.onnx");
      await writeFile(path, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
      await assert.rejects(scanOnnxFile(path), /is a pointer of Git LFS.*`git lfs pull`/);
    }));

  test("a file that ends too early is refused before it is loaded", () =>
    withFolder(async (folder) => {
      const path = await writeAdder(folder, undefined);
      const { bytes } = await scanOnnxFile(path);
      for (const length of [1, 40, bytes - 1]) {
        await truncate(await writeAdder(folder, undefined), length);
        await assert.rejects(scanOnnxFile(path), /damaged or incomplete/, `${length} bytes`);
      }
      await writeFile(path, "<!doctype html><p>not found");
      await assert.rejects(scanOnnxFile(path), /damaged or incomplete/);
    }));
});

/** y = x + w, with a weight in half precision and one of packed bytes that nothing uses. */
async function writeAdder(folder: string, external: OnnxTensor["external"]): Promise<string> {
  const path = join(folder, "model.onnx");
  const w = { name: "w", type: "float32", dims: [2], data: Float32Array.of(1, 2) } as const;
  const model = writeOnnxModel({
    name: "adder",
    nodes: [{ op: "Add", inputs: ["x", "w"], outputs: ["y"] }],
    initializers: [
      external === undefined ? w : { ...w, external },
      { name: "half", type: "float16", dims: [3], data: new Uint16Array(3) },
      { name: "packed", type: "uint8", dims: [2], data: new Uint8Array(2) },
    ],
    inputs: [{ name: "x", type: "float32", shape: [2] }],
    outputs: [{ name: "y", type: "float32", shape: [2] }],
  });
  await writeFile(path, model);
  return path;
}

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-scan-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
