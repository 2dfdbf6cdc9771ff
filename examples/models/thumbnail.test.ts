import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { waitForOrigin } from "./testing/wait-for-origin.ts";

/** A model in a folder of its own, without any package installed beside it. */
const OUTSIDE = `
import { createModelError, defineModel } from "@sluice/runtime/model";

interface Input { readonly text: string; readonly times?: number }

export default defineModel({
  id: "outside/repeat",
  title: "Repeat",
  model: { name: "repeat", version: "1" },
  input: {
    type: "object",
    required: ["text"],
    properties: { text: { type: "string" }, times: { type: "integer", default: 2, maximum: 10 } },
  },
  output: { type: "object", required: ["text"], properties: { text: { type: "string" } } },
  run(input: Input) {
    if (input.text === "") throw createModelError("value_error", ["body", "text"], { msg: "must not be empty" });
    return { text: input.text.repeat(input.times ?? 1) };
  },
});
`;

let dir = "";
let server: ChildProcess;
let origin = "";
let key = "";

before(async () => {
  dir = await mkdtemp(join(tmpdir(), "sluice-example-"));
  const outside = join(dir, "repeat.ts");
  await writeFile(outside, OUTSIDE);
  const cli = fileURLToPath(new URL("../../cli/src/main.ts", import.meta.url));
  const example = fileURLToPath(new URL("thumbnail.ts", import.meta.url));
  const data = join(dir, "data");
  server = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      cli,
      "serve",
      "--log-level",
      "warn",
      "--no-shipped",
      "--port",
      "0",
      "--data",
      data,
      example,
      outside,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  origin = await waitForOrigin(server);
  key = (await readFile(join(data, "first-key"), "utf8")).trim();
});

after(async () => {
  if (server.exitCode === null) {
    server.kill("SIGTERM");
    await once(server, "exit");
  }
  await rm(dir, { recursive: true, force: true });
});

describe("a model file given to serve", { timeout: 60_000 }, () => {
  it("answers, with its picture stored", async () => {
    const picture = await sharp({ create: { width: 40, height: 20, channels: 3, background: "#dd2211" } })
      .jpeg()
      .toBuffer();
    const image_url = `data:image/jpeg;base64,${picture.toString("base64")}`;
    const { status, body, headers } = await run("examples/thumbnail", { image_url, size: 32 });
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(headers.get("x-model"), "sharp-cover@1");
    const { url, width } = body["image"] as { url: string; width: number };
    assert.equal(width, 32);
    const file = await fetch(url);
    assert.equal(file.headers.get("content-type"), "image/png");
    const metadata = await sharp(Buffer.from(await file.arrayBuffer())).metadata();
    assert.deepEqual([metadata.width, metadata.height], [32, 32]);
  });

  it("has its inputs validated by its schema", async () => {
    const { status, body } = await run("examples/thumbnail", { size: 5_000 });
    assert.equal(status, 422);
    const detail = body["detail"] as { loc: unknown; type: string }[];
    assert.deepEqual(
      detail.map(({ loc, type }) => [loc, type]),
      [
        [["body", "image_url"], "missing"],
        [["body", "size"], "less_than_equal"],
      ],
    );
    const broken = await run("examples/thumbnail", { image_url: "data:image/png;base64,AAAA" });
    assert.equal(broken.status, 422);
    assert.equal((broken.body["detail"] as { type: string }[])[0]?.type, "image_load_error");
  });

  it("has an OpenAPI document", async () => {
    const response = await fetch(`${origin}/api/openapi/queue/openapi.json?endpoint_id=examples/thumbnail`);
    const text = await response.text();
    assert.equal(response.status, 200);
    assert.match(text, /Side in pixels\./);
    assert.match(text, /"maximum":\s*512/);
  });

  it("is what the docs chapter shows", async () => {
    const chapter = await readFile(new URL("../../docs/04-writing-a-model.md", import.meta.url), "utf8");
    const source = await readFile(new URL("thumbnail.ts", import.meta.url), "utf8");
    assert(chapter.includes(source), "copy examples/models/thumbnail.ts into docs/04-writing-a-model.md");
    assert(source.split("\n").length <= 30);
  });

  it("needs nothing installed beside it", async () => {
    const { status, body } = await run("outside/repeat", { text: "ab" });
    assert.deepEqual([status, body], [200, { text: "abab" }]);
    const refused = await run("outside/repeat", { text: "" });
    assert.equal(refused.status, 422);
    assert.deepEqual((refused.body["detail"] as { loc: unknown }[])[0]?.loc, ["body", "text"]);
  });
});

async function run(
  endpointId: string,
  input: object,
): Promise<{ status: number; headers: Headers; body: Record<string, unknown> }> {
  const response = await fetch(`${origin}/run/${endpointId}`, {
    method: "POST",
    headers: { authorization: `Key ${key}`, "content-type": "application/json" },
    body: JSON.stringify(input),
  });
  const body = (await response.json()) as Record<string, unknown>;
  return { status: response.status, headers: response.headers, body };
}
