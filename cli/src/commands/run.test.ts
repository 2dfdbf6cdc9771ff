import assert from "node:assert/strict";
import { test } from "node:test";
import { findFiles } from "../output-files.ts";
import { describeStatus } from "./run.ts";

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
