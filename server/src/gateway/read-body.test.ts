import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { openGateway, type TestGateway } from "./testing/open-gateway.ts";

let gateway: TestGateway;
before(async () => {
  gateway = await openGateway({ settings: { maxBodyBytes: 100_000 } });
});
after(() => gateway[Symbol.asyncDispose]());

/** Sends a body in pieces with pauses, and reads the answer only when everything is sent. */
function sendSlowly(pieces: readonly Buffer[], headers: Record<string, string>): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      `${gateway.origin}/queue/test/echo`,
      { method: "POST", headers: { authorization: gateway.authorization, ...headers } },
      (response) => {
        let text = "";
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => resolve([response.statusCode ?? 0, text]));
      },
    );
    outgoing.on("error", reject);
    const send = async (): Promise<void> => {
      for (const piece of pieces) {
        outgoing.write(piece);
        await new Promise((next) => setTimeout(next, 100));
      }
      outgoing.end();
    };
    void send();
  });
}

test("a slow caller with too large a body sends all of it and is told 413, not cut off", async () => {
  const pieces = Array.from({ length: 10 }, () => Buffer.alloc(60_000, "x"));
  for (const headers of [{ "content-length": "600000" }, { "transfer-encoding": "chunked" }] as Record<
    string,
    string
  >[]) {
    const [status, text] = await sendSlowly(pieces, headers);
    assert.equal(status, 413);
    assert.equal(JSON.parse(text).detail, "Request body too large");
  }
});

test("a body of exactly the limit is taken, in pieces too", async () => {
  const body = Buffer.from(JSON.stringify({ prompt: "x".repeat(100_000 - 13) }));
  assert.equal(body.length, 100_000);
  const halves = [body.subarray(0, 50_000), body.subarray(50_000)];
  for (const headers of [{ "content-length": "100000" }, { "transfer-encoding": "chunked" }] as Record<
    string,
    string
  >[]) {
    const [status, text] = await sendSlowly(halves, headers);
    assert.equal(status, 200, text);
  }
});

test("an absurd declared length is refused at once", async () => {
  const startedAt = performance.now();
  const [status] = await new Promise<[number]>((resolve, reject) => {
    const outgoing = httpRequest(
      `${gateway.origin}/queue/test/echo`,
      { method: "POST", headers: { authorization: gateway.authorization, "content-length": "99999999999" } },
      (response) => {
        resolve([response.statusCode ?? 0]);
        outgoing.destroy();
      },
    );
    outgoing.on("error", reject);
    outgoing.write("x");
  });
  assert.equal(status, 413);
  assert.ok(performance.now() - startedAt < 2_000);
});
