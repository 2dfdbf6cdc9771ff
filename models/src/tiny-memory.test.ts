import assert from "node:assert/strict";
import { test } from "node:test";
import { openTiny } from "./testing/open-tiny.ts";

const isLong = process.env["SLUICE_LONG"] === "1";

// In a file of its own, so that its process holds nothing of other tests.
test("memory does not grow with the number of pictures", {
  skip: isLong ? false : "long form only",
  timeout: 3_600_000,
}, async (t) => {
  await using model = await openTiny();
  const measure = async (count: number): Promise<number> => {
    for (let i = 0; i < count; i++) await model.run({ seed: i, image_size: "landscape_4_3" });
    return process.memoryUsage().rss / 1e6;
  };
  const before = await measure(50);
  const after = await measure(450);
  t.diagnostic(`${Math.round(before)} MB after 50 pictures, ${Math.round(after)} MB after 500`);
  assert.ok(after < before + 60, `${before} MB became ${after} MB`);
  assert.ok(after < 500, `${after} MB`);
});
