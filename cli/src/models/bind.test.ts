import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { createDiffusionFolder } from "@sluice/runtime/testing/diffusion-folder";
import { changeModelBindings, type ModelBinding, readModelBindings } from "@sluice/runtime/weights";
import { getControlPath } from "@sluice/server";
import { addModel, removeModel } from "./bind.ts";
import { undoChange } from "./undo-change.ts";
import { readWeightsSettings } from "./weights-settings.ts";

let data = "";
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "sluice-bind-"));
});
afterEach(() => rm(data, { recursive: true, force: true }));

const settings = () => readWeightsSettings({ data }, {});
const read = async () =>
  Object.fromEntries((await readModelBindings(data)).map(({ name, endpoints }) => [name, endpoints]));

/** A server that cannot offer any model; whatever `onReload` does happens before it says so. */
async function serveRefusal(onReload: () => Promise<void>, status = 200): Promise<AsyncDisposable> {
  let calls = 0;
  const server = createServer((request, response) => {
    request.resume().on("end", async () => {
      if (calls++ === 0) await onReload();
      const models = (await readModelBindings(data)).map(({ name }) => ({ name, problem: "it is odd" }));
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ models }));
    });
  });
  const path = getControlPath(data);
  await mkdir(dirname(path), { recursive: true });
  await new Promise<void>((done) => server.listen(path, done));
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

test("a model that the server refuses is taken out again, and what changed meanwhile stays", async () => {
  await using weights = await createDiffusionFolder("flux");
  const old = { name: "old", endpoints: ["acme/a", "acme/b"], path: weights.path };
  await changeModelBindings(data, () => [old]);
  await using _server = await serveRefusal(async () => {
    const other = { name: "other", endpoints: ["acme/c"], path: weights.path };
    await changeModelBindings(data, (bindings) => [...bindings, other]);
  });
  await assert.rejects(
    addModel(weights.path, { name: "mine", endpoint: ["acme/b", "acme/d"] }, settings()),
    /mine cannot be served: it is odd/,
  );
  assert.deepEqual(await read(), { old: ["acme/a", "acme/b"], other: ["acme/c"] });
});

test("a removal that the server does not take is undone, and nothing else", async () => {
  await using weights = await createDiffusionFolder("flux");
  await changeModelBindings(data, () => [{ name: "m", endpoints: ["acme/a"], path: weights.path }]);
  await using _server = await serveRefusal(async () => {
    const other = { name: "other", endpoints: ["acme/c"], path: weights.path };
    await changeModelBindings(data, (bindings) => [...bindings, other]);
  }, 500);
  await assert.rejects(removeModel("m", {}, settings()), /does not take the change/);
  assert.deepEqual(await read(), { m: ["acme/a"], other: ["acme/c"] });
});

test("without another change, undoing gives the file back as it was", async () => {
  await using weights = await createDiffusionFolder("flux");
  await changeModelBindings(data, () => [{ name: "m", endpoints: ["acme/a"], path: weights.path }]);
  const before = await readFile(join(data, "models.json"), "utf8");
  await using _server = await serveRefusal(async () => {});
  await assert.rejects(addModel(weights.path, { name: "n", endpoint: ["acme/a"] }, settings()));
  assert.equal(await readFile(join(data, "models.json"), "utf8"), before);
});

const was: readonly ModelBinding[] = [
  { name: "a", endpoints: ["x/1", "x/2"], path: "/a" },
  { name: "b", endpoints: ["x/3"], provider: "cpu" },
];

for (const [what, made, now, expected] of [
  ["a new model is taken out", [...was, { name: "n", endpoints: ["x/4"] }], undefined, was],
  [
    "an endpoint that somebody else has taken since stays theirs",
    [{ ...was[0], endpoints: ["x/1"] }, was[1], { name: "n", endpoints: ["x/2"] }],
    [
      { ...was[0], endpoints: ["x/1"] },
      { ...was[1], endpoints: ["x/3", "x/2"] },
      { name: "n", endpoints: [] },
    ],
    [
      { ...was[0], endpoints: ["x/1"] },
      { ...was[1], endpoints: ["x/3", "x/2"] },
    ],
  ],
  [
    "a model that lost its only endpoint comes back",
    [was[0], { name: "n", endpoints: ["x/3"] }],
    [was[0], { name: "n", endpoints: ["x/3"] }, { name: "o", endpoints: ["x/9"] }],
    [was[0], { name: "o", endpoints: ["x/9"] }, was[1]],
  ],
  [
    "a model that somebody gave another endpoint since keeps that one",
    [...was, { name: "n", endpoints: ["x/4"] }],
    [...was, { name: "n", endpoints: ["x/4", "x/5"] }],
    [...was, { name: "n", endpoints: ["x/5"] }],
  ],
  [
    "a provider goes back, unless somebody has changed it since",
    [was[0], { ...was[1], provider: "cuda" }],
    [
      { ...was[0], license: "MIT" },
      { ...was[1], provider: "cuda" },
    ],
    [{ ...was[0], license: "MIT" }, was[1]],
  ],
  [
    "what somebody else changed stays",
    [was[0], { ...was[1], provider: "cuda" }],
    [was[0], { ...was[1], provider: "dml" }],
    [was[0], { ...was[1], provider: "dml" }],
  ],
  [
    "what somebody else removed stays removed",
    [...was, { name: "n", endpoints: ["x/4"] }],
    was.slice(1),
    was.slice(1),
  ],
] as unknown as readonly (readonly [string, ModelBinding[], ModelBinding[] | undefined, ModelBinding[]])[])
  test(`undone: ${what}`, () => {
    assert.deepEqual(undoChange(now ?? made, { before: was, after: made }), expected);
  });
