import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, formatRequest, type RequestDetail } from "./format-request.ts";

const AT = Date.parse("2026-11-28T12:57:45.000Z");
const after = (ms: number): string => new Date(AT + ms).toISOString();

test("one request is shown with its timeline and logs, in lines that fit the terminal", () => {
  const request: RequestDetail = {
    request_id: "01a2223b-ac06-7667-b618-e8cc9e0fcfe6",
    endpoint_id: "fal-ai/flux-pro",
    state: "succeeded",
    created_at: after(0),
    started_at: after(125),
    ended_at: after(38_900),
    attempts: 2,
    status_code: 200,
    error: null,
    error_type: null,
    timeline: [
      { kind: "accepted", at: after(0), attempt: 0, data: {} },
      { kind: "leased", at: after(125), attempt: 1, data: { runner: "r" } },
      { kind: "abandoned", at: after(15_300), attempt: 1, data: { message: "The runner vanished" } },
      { kind: "loaded", at: after(19_800), attempt: 2, data: { warm: false, load_ms: 2399 } },
      { kind: "stored", at: after(38_800), attempt: 2, data: { files: 1, bytes: 308_885 } },
      { kind: "ended", at: after(38_900), attempt: 2, data: { state: "succeeded" } },
    ],
    logs: [{ timestamp: after(20_000), level: "INFO", message: `step 1/28\u001B[2J ${"x".repeat(100)}` }],
  };
  const text = formatRequest(request, 60);
  assert.equal(
    text,
    `request   01a2223b-ac06-7667-b618-e8cc9e0fcfe6
endpoint  fal-ai/flux-pro
state     succeeded, status 200, 2 attempts
created   2026-11-28 12:57:45
waited    125 ms
took      38.8 s

AFTER   ATTEMPT  EVENT
0 ms             accepted
125 ms  1        leased
15.3 s  1        abandoned  The runner vanished
19.8 s  2        loaded     in 2.4 s
38.8 s  2        stored     1 file, 309 kB
38.9 s  2        ended      succeeded

AFTER   LEVEL  LOG
20.0 s  info   step 1/28 ${"x".repeat(34)}…`,
  );
  assert(text.split("\n").every((line) => line.length <= 60));
});

test("a refused request is shown with its input and the fields that were wrong", () => {
  const request: RequestDetail = {
    request_id: "01a2223b-ac06-7667-b618-e8cc9e0fcfe6",
    endpoint_id: "fal-ai/flux-pro",
    state: "failed",
    created_at: after(0),
    started_at: null,
    ended_at: after(2),
    attempts: 0,
    status_code: 422,
    error: "Invalid status code: 422",
    error_type: "value_error",
    timeline: [],
    logs: [],
    json_input: { prompt: "a red apple", image_size: { width: 9000, height: 8 } },
    json_output: {
      detail: [
        {
          loc: ["body", "image_size", "width"],
          msg: "Input should be less than or equal to 1536",
          type: "x",
        },
        { loc: ["body"], msg: "Too much", type: "x" },
      ],
    },
  };
  assert.equal(
    formatRequest(request, 70),
    `request   01a2223b-ac06-7667-b618-e8cc9e0fcfe6
endpoint  fal-ai/flux-pro
state     failed, status 422
created   2026-11-28 12:57:45
waited    -
took      -
error     Invalid status code: 422 (value_error)
          image_size.width: Input should be less than or equal to 1536
          input: Too much

INPUT
prompt      a red apple
image_size  {"width":9000,"height":8}`,
  );
});

test("an error that is no more than a status is named by its type too", () => {
  assert.equal(describeError({ error: null, error_type: null }), "");
  const cancelled = { error: "Request cancelled by the client.", error_type: "client_cancelled" };
  assert.equal(describeError(cancelled), cancelled.error);
  assert.equal(
    describeError({ error: "Invalid status code: 422", error_type: "int_parsing" }),
    "Invalid status code: 422 (int_parsing)",
  );
});
