import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { chooseProvider, type Provider } from "./choose-provider.ts";
import { findProvider } from "./open-onnx-session.ts";

/** A machine with these providers built in, of which some work. */
function createMachine(listed: readonly string[], working: readonly Provider[]) {
  const log: string[] = [];
  const choose = (wanted: string) =>
    chooseProvider(
      wanted,
      {
        listBackends: async () => listed.map((name) => ({ name, bundled: true })),
        tryProvider: async (provider) => {
          if (!working.includes(provider)) throw new Error(`no driver for ${provider}\nat somewhere`);
        },
      },
      (message) => log.push(message),
    );
  return { choose, log };
}

describe("choosing what computes", () => {
  test("auto takes the first that works and says why others do not", async () => {
    const { choose, log } = createMachine(["cpu", "webgpu", "cuda"], ["webgpu"]);
    assert.equal(await choose("auto"), "webgpu");
    assert.deepEqual(log, ['the provider "cuda" does not work here (no driver for cuda)']);
  });

  test("auto without a graphics card is the processor, and says so", async () => {
    const { choose, log } = createMachine(["cpu", "webgpu"], []);
    assert.equal(await choose("auto"), "cpu");
    assert.match(log.at(-1) ?? "", /the processor computes/);
  });

  test("one that is asked for is never replaced by another", async () => {
    const { choose } = createMachine(["cpu", "webgpu", "cuda", "tensorrt"], ["webgpu"]);
    assert.equal(await choose("webgpu"), "webgpu");
    await assert.rejects(choose("cuda"), {
      kind: "unavailable",
      message: /no driver for cuda.*CUDA 12 and cuDNN 9/,
    });
    await assert.rejects(choose("dml"), {
      kind: "unavailable",
      message: /not part of onnxruntime-node.*cpu, cuda, webgpu\. Choose/,
    });
    await assert.rejects(choose("CUDA"), {
      kind: "invalid_input",
      message: /use auto, cpu, cuda, dml, webgpu, coreml/,
    });
  });

  test("a graphics card whose memory is full is no reason for the processor", async () => {
    for (const wanted of ["auto", "cuda"])
      await assert.rejects(
        chooseProvider(
          wanted,
          {
            listBackends: async () => [{ name: "cuda", bundled: false }],
            tryProvider: async () => {
              throw new Error("CUDA failure 2: out of memory ; GPU=0");
            },
          },
          () => {},
        ),
        { kind: "out_of_memory", message: /no memory left for "cuda".*CUDA failure 2: out of memory/ },
      );
  });

  test("on this machine, the real runtime is asked", async () => {
    const log: string[] = [];
    assert.equal(await findProvider("cpu", (message) => log.push(message)), "cpu");
    const elsewhere = process.platform === "linux" ? "dml" : "cuda";
    await assert.rejects(
      findProvider(elsewhere, () => {}),
      /is not part of onnxruntime-node/,
    );
  });
});
