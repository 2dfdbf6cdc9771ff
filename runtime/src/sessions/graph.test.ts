import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createGraph } from "./graph.ts";
import type { Session, TensorInfo } from "./session.ts";
import type { Tensor } from "./tensor.ts";

const SIGNATURE = { inputs: ["x", "t"], optional: ["ids"], outputs: [["y", "z"]] };

describe("a graph under its family's names", () => {
  test("values are brought to the types and axes that the graph has", async () => {
    const { session, runs } = createSession([
      { name: "x", type: "float16", shape: ["B", 2] },
      { name: "t", type: "int64", shape: [] },
      { name: "ids", type: "int32", shape: [1, "N", 1] },
    ]);
    const graph = createGraph(session, SIGNATURE);
    await graph.run({
      x: { data: [1, -2], dims: [1, 2] },
      t: { data: [981.4], dims: [1], isShared: true },
      ids: { data: [3, 4], dims: [2, 1], isShared: true },
    });
    const [feeds] = runs;
    assert.deepEqual(feeds?.["x"], { type: "float16", dims: [1, 2], data: Uint16Array.of(0x3c00, 0xc000) });
    assert.deepEqual(feeds?.["t"], { type: "int64", dims: [], data: BigInt64Array.of(981n) });
    assert.deepEqual(feeds?.["ids"], { type: "int32", dims: [1, 2, 1], data: Int32Array.of(3, 4) });
  });

  test("rows run together where the batch is free, one by one where it is fixed, with the same answers", async () => {
    const rows = [1, 2].map((value) => ({
      x: { data: [value, value], dims: [1, 2] },
      t: { data: [7], dims: [1], isShared: true },
    }));
    for (const [batch, expected] of [
      ["B", 1],
      [1, 2],
    ] as const) {
      const { session, runs } = createSession([
        { name: "x", type: "float32", shape: [batch, 2] },
        { name: "t", type: "float32", shape: ["steps"] },
      ]);
      const answers = await createGraph(session, SIGNATURE).runRows(rows);
      assert.equal(runs.length, expected);
      assert.deepEqual(runs[0]?.["t"]?.dims, [1]);
      assert.deepEqual(
        answers.map((answer) => Array.from(answer("y").data)),
        [
          [1, 1],
          [2, 2],
        ],
      );
      assert.deepEqual(answers[0]?.("y").dims, [1, 2]);
    }
  });

  test("other names can be given, and are the only ones that are used", async () => {
    const { session, runs } = createSession([
      { name: "sample", type: "float32", shape: ["B", 2] },
      { name: "t", type: "float32", shape: ["B"] },
    ]);
    const names = { inputs: { x: "sample" }, outputs: { z: "y" } };
    const graph = createGraph(session, SIGNATURE, names);
    const answer = await graph.run({ x: { data: [1, 2], dims: [1, 2] }, t: { data: [0], dims: [1] } });
    assert.deepEqual(Object.keys(runs[0] ?? {}), ["sample", "t"]);
    assert.deepEqual(Array.from(answer("z").data), [1, 2]);
    assert.deepEqual([graph.outputs, graph.hasInput("ids")], [["z"], false]);
  });

  test("a graph that does not fit is refused with what was found and what was expected", () => {
    const { session } = createSession([
      { name: "latents", type: "float32", shape: ["B", 2] },
      { name: "t", type: "float32", shape: ["B"] },
    ]);
    assert.throws(
      () => createGraph(session, { ...SIGNATURE, outputs: [["noise"]] }),
      /input "x" is missing; input "latents" is not known; output "noise" is missing\. Inputs found: latents, t; expected: x, t, ids \(optional\)\. Outputs found: y; expected: noise\. .*engine\.json/,
    );
  });

  test("a size that the graph fixes and the picture does not have is explained", async () => {
    const { session } = createSession([
      { name: "x", type: "float32", shape: ["B", 64] },
      { name: "t", type: "float32", shape: ["B"] },
    ]);
    const graph = createGraph(session, SIGNATURE);
    await assert.rejects(
      graph.run({ x: { data: [1, 2], dims: [1, 2] }, t: { data: [0], dims: [1] } }),
      /"x" is fixed to \[B,64\], but \[1,2\] is needed/,
    );
    await assert.rejects(graph.run({ x: { data: [1], dims: [1, 1] } }), /"x" is fixed|was given no "t"/);
  });
});

/** A session that returns its input `x`, or the first one, as `y`, and keeps what it was given. */
function createSession(inputs: readonly TensorInfo[]) {
  const runs: Readonly<Record<string, Tensor>>[] = [];
  const session: Session = {
    path: "model.onnx",
    inputs,
    outputs: [{ name: "y", type: "float32", shape: [] }],
    async run(feeds) {
      runs.push(feeds);
      return { y: feeds[inputs[0]?.name ?? ""] as Tensor };
    },
    [Symbol.asyncDispose]: async () => {},
  };
  return { session, runs };
}
