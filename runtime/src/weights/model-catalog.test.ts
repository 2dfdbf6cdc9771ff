import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { FAMILIES } from "./families.ts";
import { classifyLicense } from "./license-terms.ts";
import { needsAcceptance, readModelCatalog } from "./model-catalog.ts";
import { parseModelSource, suggestName } from "./model-source.ts";
import { NATIVE_FAMILIES } from "./recognize-weights.ts";

async function readJson(name: string): Promise<object> {
  return JSON.parse(await readFile(new URL(name, import.meta.url), "utf8")) as object;
}

test("the catalog is what its schema says", async () => {
  const ajv = new Ajv2020({ allErrors: true, strict: true, strictTypes: false, strictRequired: false });
  formats.default(ajv);
  const validate = ajv.compile(await readJson("./model-catalog.schema.json"));
  assert(
    validate(await readJson("./model-catalog.json")),
    ajv.errorsText(validate.errors, { separator: "\n" }),
  );
  assert(!validate({ models: { x: { title: "x" } } }), "the schema refuses something");
});

test("every model of the catalog can be asked for, within limits that make sense", () => {
  const hub = { url: "https://huggingface.co" };
  for (const [name, model] of readModelCatalog()) {
    assert.deepEqual(suggestName(parseModelSource(name, hub)), name);
    for (const range of [model.steps, model.guidance])
      if (range) assert(range.min <= range.default && range.default <= range.max, name);
    if (model.maxSide !== undefined) assert((model.maxArea ?? 0) <= model.maxSide ** 2, name);
    const roles = model.files.map(({ role }) => role);
    if (model.engine === "sd-server") {
      assert(roles.includes("model") || roles.includes("diffusion-model"), name);
      assert.equal(new Set(roles).size, roles.length, `${name}: one file for each role`);
      const needs = NATIVE_FAMILIES[model.family as keyof typeof NATIVE_FAMILIES]?.needs ?? [];
      if (roles.includes("diffusion-model"))
        for (const role of needs) assert(roles.includes(role), `${name}: ${role}`);
    }
    if (model.engine === "onnx") assert(Object.hasOwn(FAMILIES, model.family ?? ""), name);
  }
});

test("an option of sd-server takes one file, by its whole path", () => {
  for (const [name, { files }] of readModelCatalog())
    for (const { role, include, repository } of files)
      if (role !== undefined) {
        assert.equal(include.length, 1, `${name}: ${repository}`);
        assert.doesNotMatch(include[0] ?? "", /[*?]/, `${name}: ${repository} may have several such files`);
      }
});

test("nothing of an open model comes from a repository that wants its terms accepted first", () => {
  // As far as is known: these answer 401 without a token.
  const gated = /^(black-forest-labs\/FLUX\.(1-|2-dev|2-klein-9)|stabilityai\/stable-diffusion-3|krea\/)/;
  for (const [name, { terms, files, note }] of readModelCatalog())
    for (const { repository } of files)
      if (gated.test(repository))
        assert(terms !== "open" && /HF_TOKEN/.test(note ?? ""), `${name}: ${repository}`);
});

test("models with conditions are those that ask to be accepted", () => {
  const asking = [...readModelCatalog()]
    .filter(([, { terms }]) => needsAcceptance(terms))
    .map(([name]) => name);
  assert.deepEqual(asking.sort(), [
    "flux-1-dev",
    "flux-2-dev",
    "flux-2-klein-9b",
    "krea-2-turbo",
    "qwen-image-2.1",
    "sana-sprint-1.6b",
    "sd-turbo",
    "sd3.5-large",
    "sd3.5-medium",
    "sdxl-turbo",
  ]);
  for (const [name, { terms, license, licenseUrl }] of readModelCatalog()) {
    if (needsAcceptance(terms)) assert(licenseUrl !== undefined, `${name}: where to read it`);
    // The name says the same, so that a copy of the model under this licence is treated alike.
    assert.equal(classifyLicense(license), terms, `${name}: ${license}`);
  }
});
