import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CliError } from "./cli-error.ts";
import { parseFields, uploadFiles } from "./input-fields.ts";

test("key=value words become input fields; JSON where the value looks like it", async () => {
  const input = await parseFields([
    "prompt=a = b",
    "seed=7",
    'image_size={"width":64,"height":32}',
    "empty=",
  ]);
  assert.deepEqual(input, { prompt: "a = b", seed: "7", image_size: { width: 64, height: 32 }, empty: "" });
});

test("a word that is not key=value is named in the error", async () => {
  await assert.rejects(parseFields(["red", "apple"]), (error: unknown) => {
    return error instanceof CliError && /"red" is not key=value/.test(error.message);
  });
});

test("a field that is given twice is named in the error", async () => {
  await assert.rejects(parseFields(["prompt=a", "seed=1", "prompt=b"]), /^CliError: prompt is given twice/);
});

test("a value that starts like JSON but is not is named in the error", async () => {
  await assert.rejects(parseFields(["image_size={width:64}"]), /image_size starts like JSON but is not/);
});

test("key=@FILE is read at once, and its URL is sent once it is uploaded", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-run-"));
  try {
    const path = join(folder, "dog.png");
    await writeFile(path, "bytes");
    const fields = await parseFields([`image_url=@${path}`, "seed=7"]);
    const uploaded: File[] = [];
    const upload = async (file: File): Promise<string> => {
      uploaded.push(file);
      return "https://files.example/dog.png";
    };
    const told: string[] = [];
    const options = { signal: new AbortController().signal, onUpload: (name: string) => told.push(name) };
    assert.deepEqual(await uploadFiles({ storage: { upload } } as never, fields, options), {
      image_url: "https://files.example/dog.png",
      seed: "7",
    });
    assert.deepEqual(told, ["dog.png"]);
    assert.equal(uploaded[0]?.name, "dog.png");
    assert.equal(uploaded[0]?.type, "image/png");
    await assert.rejects(parseFields(["image_url=@/no/such/file"]), /The file for image_url cannot be read/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
