import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { createDiffusionFolder } from "../testing/diffusion-folder.ts";
import { changeModelBindings, getBindingsPath, readModelBindings, resolveBinding } from "./model-bindings.ts";
import { WeightsError } from "./weights-error.ts";

let dataDir = "";
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "sluice-bindings-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

test("bindings are written in one step, and changes at a time follow one another", async () => {
  assert.deepEqual(await readModelBindings(dataDir), []);
  const names = Array.from({ length: 8 }, (_, i) => `m${i}`);
  await Promise.all(
    names.map((name) =>
      changeModelBindings(dataDir, (all) => [...all, { name, endpoints: [`acme/${name}`] }]),
    ),
  );
  assert.deepEqual((await readModelBindings(dataDir)).map(({ name }) => name).sort(), names);
  const before = await readFile(getBindingsPath(dataDir), "utf8");
  await changeModelBindings(dataDir, (all) => all);
  assert.equal(await readFile(getBindingsPath(dataDir), "utf8"), before);
  assert.deepEqual((await readdir(dataDir)).sort(), ["models.json", "models.json.lock"]);
});

test("a file that is not understood is refused with the field", async () => {
  const one = (fields: object) => JSON.stringify({ models: { m: { endpoints: ["acme/x"], ...fields } } });
  for (const [text, message] of [
    ["{", /is not JSON/],
    ["[]", /has no object "models"/],
    [JSON.stringify({ models: { m: {} } }), /"models\.m\.endpoints" is missing/],
    [JSON.stringify({ models: { "../m": { endpoints: [] } } }), /"\.\.\/m" cannot be the name of a model/],
    [one({ endpoints: "acme/x" }), /"models\.m\.endpoints" is not a list of endpoint ids/],
    [one({ step: 1 }), /"models\.m\.step" is not known; known are endpoints, path/],
    [
      one({ steps: { min: 4, max: 1, default: 2 } }),
      /"models\.m\.steps" needs the numbers min ≤ default ≤ max/,
    ],
    [one({ path: "here" }), /"models\.m\.path" is not an absolute path/],
    [one({ files: { vea: "/x" } }), /"models\.m\.files" has "vea"/],
    [one({ maxSide: -1 }), /"models\.m\.maxSide" is not a whole number above 0/],
  ] as const) {
    await writeFile(getBindingsPath(dataDir), text);
    await assert.rejects(readModelBindings(dataDir), (error) => {
      assert(error instanceof WeightsError);
      assert.match(error.message, message);
      return true;
    });
  }
});

test("the mark that editors of Windows put before a text is no part of it", async () => {
  const text = JSON.stringify({ models: { m: { endpoints: ["acme/x"] } } });
  await writeFile(getBindingsPath(dataDir), `\ufeff${text}`);
  assert.deepEqual(await readModelBindings(dataDir), [{ name: "m", endpoints: ["acme/x"] }]);
});

test("what a binding states goes before what its files say", async () => {
  await using model = await createDiffusionFolder("flux");
  const steps = { min: 1, max: 2, default: 2 };
  const binding = { name: "m", endpoints: ["acme/x"], path: model.path, steps, license: "MIT" };
  const { folder, description } = await resolveBinding(binding, join(dataDir, "models"));
  assert.deepEqual([folder, description.steps, description.license], [model.path, steps, "MIT"]);
  await assert.rejects(
    resolveBinding({ name: "gone", endpoints: [] }, join(dataDir, "models")),
    /The model gone is not in /,
  );
});
