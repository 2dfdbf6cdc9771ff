import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import { type FileGateway, openFileGateway } from "./testing/open-file-gateway.ts";

const ROUNDS = 800;

function pick<T>(choices: readonly T[]): T {
  return choices[Math.floor(Math.random() * choices.length)] as T;
}

/** Sends what `fetch` would refuse to send. */
function send(
  { origin }: FileGateway,
  method: string,
  path: string,
  headers: Record<string, string>,
  body: Buffer,
): Promise<{ status: number; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(origin);
    const length = body.length === 0 ? {} : { "content-length": String(body.length) };
    const request = httpRequest({
      hostname,
      port,
      method,
      path,
      headers: { ...headers, ...length },
      timeout: 10_000,
    });
    request.on("response", (response: IncomingMessage) => {
      buffer(response).then((bytes) => resolve({ status: response.statusCode ?? 0, body: bytes }), reject);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer to ${method} ${path}`)));
    request.on("error", reject);
    request.end(body);
  });
}

test("made-up calls are answered with a 4xx that says something, never a 5xx", {
  timeout: 120_000,
}, async () => {
  const alarms: unknown[] = [];
  await using gateway = await openFileGateway({
    change: (context) => ({
      ...context,
      logger: { ...context.logger, error: (fields, message) => alarms.push(message, fields) },
    }),
  });
  const key = await gateway.createKey();
  const initiate = async (path: string): Promise<string> => {
    const answer = await send(
      gateway,
      "POST",
      `/rest/storage/upload/${path}`,
      { authorization: key },
      Buffer.from("{}"),
    );
    return new URL((JSON.parse(answer.body.toString()) as { upload_url: string }).upload_url).pathname;
  };
  const single = await initiate("initiate");
  const multipart = await initiate("initiate-multipart");
  const file = `/cdn/files/b/${"0".repeat(8)}/${"a".repeat(21)}_x.png`;
  const paths = [
    "/rest/tokens/",
    "/rest/tokens/realtime",
    "/rest/storage/auth/token",
    "/rest/storage/upload/initiate",
    "/rest/storage/upload/initiate-multipart",
    "/rest/storage/files/acl",
    "/rest/users/current",
    "/rest/.well-known/jwks.json",
    "/cdn/files/upload",
    "/cdn/files/upload/multipart",
    file,
    `${file}/sign`,
    `${file}/multipart/x/1`,
    `${file}/multipart/x/complete`,
    single,
    `${multipart}/1`,
    `${multipart}/complete`,
    `${multipart}/2`,
  ];
  const junk = [
    "",
    "%",
    "%00",
    "%ff",
    "..",
    "/..",
    "//",
    "é",
    "?url=%ff",
    "?url=http://[",
    `?${"a".repeat(3_000)}`,
    "\\",
    ";",
  ];
  const bodies = [
    Buffer.of(),
    Buffer.from("{}"),
    Buffer.from("null"),
    Buffer.from("[".repeat(50_000)),
    Buffer.from('{"a":'.repeat(20_000)),
    Buffer.from(`{"allowed_apps":["${"x".repeat(100_000)}"]}`),
    Buffer.from('{"allowed_apps":[{}],"file_name":{},"parts":[[]],"default":[],"duration":1e999}'),
    Buffer.from('{"__proto__":{"file_name":1},"constructor":1}'),
    Buffer.from('{"file_name":"\\ud800","content_type":"\\u0000"}'),
    Buffer.of(0xff, 0xfe, 0x00, 0xd8),
    randomBytes(1_000),
  ];
  const values = [
    "",
    "x",
    "é",
    "\t",
    '"',
    "{",
    "null",
    "[]",
    "-1",
    "9".repeat(400),
    "bytes=0-",
    "Bearer a.b.c",
    "Key :",
    'W/"',
    key,
  ];
  const names = [
    "authorization",
    "content-type",
    "range",
    "if-none-match",
    "if-range",
    "if-modified-since",
    "x-fal-file-name",
    "x-fal-object-lifecycle",
    "x-fal-object-lifecycle-preference",
    "content-encoding",
    "x-fal-target-url",
  ];
  const seen = new Map<number, number>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const method = pick(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]);
    const path = encodeURI(pick(paths) + (round % 2 === 0 ? "" : pick(junk))).replaceAll("%25", "%");
    const headers: Record<string, string> = round % 3 === 0 ? {} : { authorization: key };
    for (let n = 0; n < round % 3; n += 1)
      headers[pick(names)] = Buffer.from(pick(values), "utf8").toString("latin1");
    const answer = await send(gateway, method, path, headers, method === "GET" ? Buffer.of() : pick(bodies));
    const what = `${method} ${path} ${JSON.stringify(headers)} → ${answer.status}`;
    assert.ok(answer.status >= 200 && answer.status < 500, what);
    if (answer.status >= 400 && method !== "HEAD")
      assert.ok("detail" in (JSON.parse(answer.body.toString()) as object), what);
    seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
  }
  assert.deepEqual(alarms, []);
  for (const status of [200, 400, 401, 403, 404, 405, 422]) assert.ok(seen.has(status), `some ${status}`);
});
