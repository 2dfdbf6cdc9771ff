import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { loadModelFile, ModelFileError } from "./load-model-file.ts";

let folder = "";
let count = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-model-file-"));
});
after(() => rm(folder, { recursive: true, force: true }));

const FINE = `{ id: "acme/shout", title: "Shout", model: { name: "shout", version: "1" },
  input: { type: "object" }, output: { type: "object" }, run: () => ({}) }`;

describe("loading a model file", () => {
  it("takes one definition or a list, in JavaScript or TypeScript, and fills in defaults", async () => {
    const one = await load(`export default ${FINE};`);
    assert.deepEqual(one.manifest.models, [
      {
        id: "acme/shout",
        title: "Shout",
        description: "",
        category: "other",
        tags: [],
        model: { name: "shout", version: "1" },
        license: null,
        input: { type: "object" },
        output: { type: "object" },
        examples: [],
        limits: {
          timeoutMs: 3_600_000,
          setupTimeoutMs: 600_000,
          workers: 1,
          idleMs: 300_000,
          memoryBytes: null,
        },
        price: { unit: "request", amount: 0 },
      },
    ]);
    const typed = await load(`const list: readonly object[] = [${FINE}]; export default list;`, "ts");
    assert.equal(typed.manifest.models.length, 1);
  });

  it("names every field that is wrong and says what it should be", async () => {
    await rejects(`export default {};`, [
      '"id" must be an endpoint id: owner/name or owner/name/path.',
      '"title" must be a text that is not empty.',
      '"model" must say what answers',
      '"run" must be a function',
      '"input" must be a JSON Schema',
      '"output" must be a JSON Schema',
    ]);
    await rejects(`export default { ...${FINE}, setUp() {} };`, [
      'acme/shout: "setUp" is not a field of a model',
    ]);
    await rejects(`export default { ...${FINE}, limits: { timeout: 3, workers: 0 } };`, [
      '"limits.timeout" is not a limit',
      '"limits.workers" must be a whole number above 0.',
    ]);
    await rejects(`export default { ...${FINE}, limits: { idleMs: 1e12 } };`, [
      '"limits.idleMs" must be at most',
    ]);
    await rejects(`export default { ...${FINE}, input: { type: "string" } };`, [
      '"input" must describe an object',
    ]);
    await rejects(`export default { ...${FINE}, model: { name: "a\\nb", version: "1" } };`, [
      '"model" must say',
    ]);
    await rejects(`export default [${FINE}, ${FINE}];`, ["acme/shout: this id is used twice."]);
    await rejects(`export default [${FINE}, 5];`, ["model 2: it is not a model definition"]);
    await rejects("export default [];", ["exports an empty list"]);
    await rejects("export const model = 1;", ["has no default export"]);
    await rejects('import "nowhere"; export default 1;', ["does not load: Cannot find package 'nowhere'"]);
  });

  it("says where it does not parse, or what it ran into, also in a file that it imports", async () => {
    const broken = "export default {\n  run: async ( => ({}),\n};\n";
    await rejects(broken, [
      "Unexpected token '=>'\n  at ",
      ".mjs:2:16\n",
      "\n    run: async ( => ({}),\n",
      `\n${" ".repeat(17)}^`,
    ]);
    const typed = "const name: string = ;\nexport default name;\n";
    await rejects(typed, ["Expression expected", ".ts:1:22\n"], "ts");
    await rejects("enum A { B }\nexport default A;", ["enum is not supported", ".ts:1:1\n"], "ts");
    await rejects("const a = {};\nexport default a.b.c;", ["reading 'c'", ".mjs:2:20"]);
    await rejects('import { no } from "node:fs";\nexport default no;', ["named 'no'", ".mjs:1:10\n"]);

    await writeFile(join(folder, "part.mjs"), broken);
    await rejects('import part from "./part.mjs";\nexport default part;', [
      `at ${join(folder, "part.mjs")}:2:16`,
    ]);
  });

  it("asks a Standard Schema for the side that callers see", async () => {
    const { manifest } = await load(`
      const schema = { "~standard": { version: 1, vendor: "test", jsonSchema: {
        input: ({ target }) => ({ type: "object", title: "input " + target }),
        output: ({ target }) => ({ type: "object", title: "output " + target }) } } };
      export default { ...${FINE}, input: schema, output: schema };`);
    assert.equal(manifest.models[0]?.input["title"], "input draft-2020-12");
    assert.equal(manifest.models[0]?.output["title"], "output draft-2020-12");
  });
});

async function load(text: string, extension = "mjs"): ReturnType<typeof loadModelFile> {
  const file = join(folder, `model-${count++}.${extension}`);
  await writeFile(file, text);
  return loadModelFile(file);
}

async function rejects(text: string, problems: readonly string[], extension = "mjs"): Promise<void> {
  await assert.rejects(load(text, extension), (error) => {
    assert(error instanceof ModelFileError);
    assert.match(error.message, /model-\d+\.(mjs|ts)/);
    for (const problem of problems)
      assert(error.message.includes(problem), `${problem}\nin ${error.message}`);
    return true;
  });
}
