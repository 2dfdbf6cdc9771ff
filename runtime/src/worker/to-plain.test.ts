import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createArtifact } from "../model/artifact.ts";
import { inlineArtifacts, takeArtifacts } from "./to-plain.ts";

const artifact = createArtifact({ bytes: Buffer.from("abc"), contentType: "image/png", width: 2, height: 1 });

describe("taking artifacts out of an output", () => {
  it("replaces each by its index, and the same one by the same index", () => {
    const { output, artifacts } = takeArtifacts({ images: [artifact, artifact], mask: { ...artifact } });
    assert.deepEqual(output, { images: [{ $artifact: 0 }, { $artifact: 0 }], mask: { $artifact: 1 } });
    assert.equal(artifacts.length, 2);
    assert.deepEqual(artifacts[0], {
      bytes: Buffer.from("abc"),
      contentType: "image/png",
      width: 2,
      height: 1,
    });
  });

  it("never takes the model's own data for an artifact", () => {
    const { output } = takeArtifacts({ echo: { $artifact: 0 } });
    assert.deepEqual(output, { echo: { $artifact: null, value: { $artifact: 0 } } });
  });

  it("writes what JSON would write", () => {
    const at = new Date(0);
    const value = { at, gone: undefined, list: [undefined, 1], nested: { toJSON: () => ({ a: 1 }) } };
    assert.deepEqual(takeArtifacts(value).output, JSON.parse(JSON.stringify(value)));
  });

  it("names the place of what JSON cannot hold", () => {
    const cycle: { self?: unknown } = {};
    cycle.self = [cycle];
    for (const [value, message] of [
      [{ a: [Number.NaN] }, "output.a.0 is NaN, which JSON cannot hold"],
      [{ a: 1n }, "output.a is a bigint, which JSON cannot hold"],
      [() => {}, "output is a function, which JSON cannot hold"],
      [cycle, "output.self.0 is a part of itself"],
    ] as const) {
      assert.throws(() => takeArtifacts(value), { message });
    }
  });

  it("puts the bytes of an event's artifacts into its URLs", () => {
    assert.deepEqual(inlineArtifacts([artifact]), [
      { url: "data:image/png;base64,YWJj", content_type: "image/png", width: 2, height: 1 },
    ]);
  });
});
