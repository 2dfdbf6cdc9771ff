import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type OnnxType, writeOnnxModel } from "../testing/onnx-writer.ts";
import { createGraph } from "./graph.ts";
import { openOnnxSession } from "./open-onnx-session.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-session-"));
});
after(() => rm(folder, { recursive: true, force: true }));

describe("a session that something goes wrong in", () => {
  test("says so when memory runs out, and can be used again", async () => {
    const path = join(folder, "expand.onnx");
    await writeFile(
      path,
      writeOnnxModel({
        name: "expand",
        nodes: [{ op: "Expand", inputs: ["x", "shape"], outputs: ["y"] }],
        initializers: [],
        inputs: [
          { name: "x", type: "float32", shape: [1, 1] },
          { name: "shape", type: "int64", shape: [2] },
        ],
        outputs: [{ name: "y", type: "float32", shape: ["a", "b"] }],
      }),
    );
    await using session = await openOnnxSession({ path, threads: 1 });
    const run = (rows: bigint, columns: bigint) =>
      session.run({
        x: { type: "float32", dims: [1, 1], data: Float32Array.of(7) },
        shape: { type: "int64", dims: [2], data: BigInt64Array.of(rows, columns) },
      });
    // More than there are addresses, so that no machine grants it.
    await assert.rejects(run(2n ** 24n, 2n ** 24n), { name: "EngineError", kind: "out_of_memory" });
    const { y } = await run(2n, 3n);
    assert.deepEqual(y?.data, new Float32Array(6).fill(7));
  });

  test("says what the runtime finds wrong with a graph", async () => {
    const path = join(folder, "custom.onnx");
    const nodes = [{ op: "SlowMatMul", inputs: ["x"], outputs: ["y"] }];
    const port = (name: string) => ({ name, type: "float32" as const, shape: [1] });
    const ports = { inputs: [port("x")], outputs: [port("y")] };
    await writeFile(path, writeOnnxModel({ name: "custom", nodes, initializers: [], ...ports }));
    await assert.rejects(openOnnxSession({ path, threads: 1 }), (error: Error) => {
      assert.match(
        error.message,
        /custom\.onnx is damaged or not an ONNX graph that this version can run \(.*SlowMatMul/,
      );
      assert.equal(error.message.split(path).length, 2, "the path stands there once");
      return true;
    });
  });

  test("is refused by name for an input of a type that no family of models uses", async () => {
    for (const [type, isRefused] of [
      ["uint8", true],
      ["float16", false],
    ] as const satisfies readonly (readonly [OnnxType, boolean])[]) {
      const path = join(folder, `${type}.onnx`);
      await writeFile(
        path,
        writeOnnxModel({
          name: type,
          nodes: [{ op: "Cast", inputs: ["sample"], outputs: ["out"], attributes: { to: { int: 1 } } }],
          initializers: [],
          inputs: [{ name: "sample", type, shape: [1] }],
          outputs: [{ name: "out", type: "float32", shape: [1] }],
        }),
      );
      await using session = await openOnnxSession({ path, threads: 1 });
      const graph = createGraph(session, { inputs: ["sample"], outputs: [["out"]] });
      const running = graph.run({ sample: { data: [2], dims: [1] } });
      if (isRefused)
        await assert.rejects(
          running,
          /input "sample" is uint8, which no family of models uses\. Export it with float32/,
        );
      else assert.deepEqual([...(await running)("out").data], [2]);
    }
  });
});
