import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { CliError } from "../cli-error.ts";
import { findFiles } from "../output-files.ts";
import { describeStatus, readInput } from "./run.ts";

const noUploads = { storage: { upload: () => Promise.reject(new Error("nothing to upload")) } } as never;

test("key=value words become input fields; JSON where the value looks like it", async () => {
  const input = await readInput(noUploads, [
    "prompt=a = b",
    "seed=7",
    'image_size={"width":64,"height":32}',
    "empty=",
  ]);
  assert.deepEqual(input, { prompt: "a = b", seed: "7", image_size: { width: 64, height: 32 }, empty: "" });
});

test("a word that is not key=value is named in the error", async () => {
  await assert.rejects(readInput(noUploads, ["red", "apple"]), (error: unknown) => {
    return error instanceof CliError && /"red" is not key=value/.test(error.message);
  });
});

test("a value that starts like JSON but is not is named in the error", async () => {
  await assert.rejects(
    readInput(noUploads, ["image_size={width:64}"]),
    /image_size starts like JSON but is not/,
  );
});

test("key=@FILE uploads the file and sends its URL", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sluice-run-"));
  try {
    const path = join(folder, "dog.png");
    await writeFile(path, "bytes");
    const uploaded: File[] = [];
    const client = {
      storage: {
        upload: async (file: File) => {
          uploaded.push(file);
          return "https://files.example/dog.png";
        },
      },
    } as never;
    assert.deepEqual(await readInput(client, [`image_url=@${path}`]), {
      image_url: "https://files.example/dog.png",
    });
    assert.equal(uploaded[0]!.name, "dog.png");
    assert.equal(uploaded[0]!.type, "image/png");
    await assert.rejects(
      readInput(client, ["image_url=@/no/such/file"]),
      /The file for image_url cannot be read/,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

const urls = { request_id: "r", response_url: "", status_url: "", cancel_url: "" };

test("a status is said as a position, a bar or the last log line", () => {
  assert.equal(describeStatus({ status: "IN_QUEUE", queue_position: 0, ...urls }), "waiting: next in line");
  assert.equal(describeStatus({ status: "IN_QUEUE", queue_position: 3, ...urls }), "waiting: 3 ahead");
  const line = (message: string) =>
    ({
      status: "IN_PROGRESS",
      ...urls,
      logs: [{ message, level: "INFO", source: "USER", timestamp: "" }],
    }) as const;
  assert.equal(describeStatus(line("step 7/28 (1.4 it/s)")), "█████░░░░░░░░░░░░░░░ step 7/28 (1.4 it/s)");
  assert.equal(describeStatus(line("loading")), "loading");
  assert.equal(describeStatus({ status: "IN_PROGRESS", logs: null, ...urls }), "running");
});

test("files are found anywhere in an output, with an extension by content type", () => {
  const output = {
    images: [{ url: "http://h/files/a.jpeg", content_type: "image/png" }, { url: "http://h/files/b.webp" }],
    mask: { url: "data:image/jpeg;base64,AAAA" },
    link: "http://h/not-a-file",
    other: { url: "ftp://h/x" },
  };
  assert.deepEqual(
    findFiles(output).map((file) => file.extension),
    [".png", ".webp", ".jpg"],
  );
});
