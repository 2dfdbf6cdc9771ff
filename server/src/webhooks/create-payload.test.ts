import assert from "node:assert/strict";
import { test } from "node:test";
import { stringifyWithFileLinks } from "../files/file-links.ts";
import { createRequestId } from "../ids.ts";
import { createWebhookPayload } from "./create-payload.ts";

const FILES = "https://models.example.org/cdn";
const id = createRequestId(Date.now());

function create(statusCode: number, body: string | Uint8Array | undefined, headers = {}): unknown {
  const result = body === undefined ? undefined : { statusCode, headers, body: Buffer.from(body) };
  return JSON.parse(Buffer.from(createWebhookPayload({ id, statusCode, result }, FILES)).toString("utf8"));
}

test("a result is delivered with links to its files made absolute", () => {
  const body = stringifyWithFileLinks((link) => ({ images: [{ url: link("files/b/1/2_a.png") }], seed: 42 }));
  assert.deepEqual(create(200, body), {
    request_id: id,
    gateway_request_id: id,
    status: "OK",
    payload: { images: [{ url: `${FILES}/files/b/1/2_a.png` }], seed: 42 },
  });
});

test("numbers of a result keep every digit", () => {
  const result = { statusCode: 200, headers: {}, body: Buffer.from('{"seed": 18446744073709551615}') };
  const text = Buffer.from(createWebhookPayload({ id, statusCode: 200, result }, FILES)).toString("utf8");
  assert.match(text, /"payload":\{"seed": 18446744073709551615\}\}$/);
});

test("a model's refusal is told by its status with its body", () => {
  const payload = { detail: [{ loc: ["body", "prompt"], msg: "Field required", type: "missing" }] };
  assert.deepEqual(create(422, JSON.stringify(payload)), {
    request_id: id,
    gateway_request_id: id,
    status: "ERROR",
    error: "Invalid status code: 422",
    payload,
  });
});

test("a failure of the platform is told in words; one that was cancelled or came too late by its status", () => {
  const flat = (detail: string, error_type: string) => JSON.stringify({ detail, error_type });
  const cases = [
    [503, "runner_disconnected", "The worker crashed.", "The worker crashed."],
    [499, "client_cancelled", "Request cancelled by the client.", "Invalid status code: 499"],
    [504, "request_timeout", "Request timed out", "Invalid status code: 504"],
  ] as const;
  for (const [status, type, detail, error] of cases) {
    const told = create(status, flat(detail, type), { "x-fal-error-type": type });
    assert.deepEqual(told, {
      request_id: id,
      gateway_request_id: id,
      status: "ERROR",
      error,
      payload: { detail, error_type: type },
    });
  }
});

test("a result that is not JSON, or is gone, is null with the reason beside it", () => {
  const cases = [
    [Uint8Array.of(0x89, 0x50, 0xff), /not JSON serializable/],
    [Uint8Array.of(0x22, 0xff, 0x22), /not JSON serializable/],
    ["", /not JSON serializable/],
    [undefined, /removed/],
  ] as const;
  for (const [body, reason] of cases) {
    const { payload, payload_error, status } = create(200, body) as Record<string, unknown>;
    assert.equal(payload, null);
    assert.match(String(payload_error), reason);
    assert.equal(status, "OK");
  }
});
