import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import type { Logger } from "../logger.ts";
import { silentLogger } from "../logger.ts";
import { openGateway, type TestGateway } from "./testing/open-gateway.ts";

/**
 * Malformed everything, made from a seed: whatever is sent, the answer is a 4xx with a body that says something (or a
 * good answer, where the input happens to be good), never a 5xx, and never nothing.
 */
const ROUNDS = process.env["SLUICE_LONG"] === "1" ? 20_000 : 1_200;

let gateway: TestGateway;
const errors: unknown[] = [];
const logger: Logger = { ...silentLogger, error: (fields) => errors.push(fields) };
before(async () => {
  gateway = await openGateway({ logger, settings: { maxBodyBytes: 2_000_000 } });
});
after(() => gateway[Symbol.asyncDispose]());

/** mulberry32: small, and the same everywhere. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

type Random = ReturnType<typeof createRandom>;
const pick = <T>(random: Random, items: readonly T[]): T => items[random(items.length)] as T;

const METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY"];
const PIECES = [
  "queue",
  "run",
  "ws",
  "rest",
  "cdn",
  "v1",
  "api",
  "models",
  "test",
  "echo",
  "other",
  "app",
  "requests",
  "status",
  "stream",
  "cancel",
  "response",
  "health",
  "files",
  "upload",
  "tokens",
  "%",
  "%00",
  "%2e%2e",
  "%2F",
  "%ff%fe",
  "..",
  ".",
  "",
  "'",
  '"',
  "<script>",
  "{}",
  "[",
  "\\",
  "~",
  "💥",
  "\u0000",
  "a".repeat(3_000),
  "01890000-0000-7000-8000-000000000000",
  "01890000-0000-7000-8000-00000000000",
  "constructor",
  "__proto__",
];
const VALUES = [
  "",
  "0",
  "-1",
  "1",
  "true",
  "NaN",
  "1e999",
  "9".repeat(400),
  "null",
  "{}",
  "[]",
  '{"a":',
  "💥".repeat(3),
  "\u00ff\u00fe",
  "Key",
  "Key a",
  "Key a:b",
  "Bearer x",
  "Bearer ",
  "Basic Og==",
  ";;;,,,===",
  "a".repeat(5_000),
  "http://[::1]:99999/",
  "%%%",
  "https://queue.fal.run/test/echo",
  "https://",
  "//",
  "*/*",
  "gzip",
  "chunked",
  "0x10",
  "١٢",
];
const HEADERS = [
  "authorization",
  "content-type",
  "accept",
  "idempotency-key",
  "x-fal-request-start-timeout",
  "x-fal-request-timeout",
  "x-fal-queue-priority",
  "x-fal-runner-hint",
  "x-fal-no-retry",
  "x-fal-retry-config",
  "x-fal-store-io",
  "x-fal-object-lifecycle-preference",
  "x-fal-tags",
  "x-fal-target-url",
  "x-forwarded-host",
  "range",
  "expect",
  "content-encoding",
  "if-none-match",
  "origin",
  "x-own",
];
const QUERIES = [
  "fal_webhook",
  "fal_max_queue_length",
  "logs",
  "fal_jwt_token",
  "cursor",
  "limit",
  "endpoint_id",
];

function makePath(random: Random): string {
  const roots = [
    "/queue/test/echo",
    "/run/test/echo",
    "/queue",
    "/run",
    "/v1",
    "/rest",
    "/cdn",
    "/api/fal/proxy",
    "",
  ];
  let path = pick(random, roots);
  if (random(2) === 0) return pick(random, roots.slice(0, 2));
  for (let count = random(5); count > 0; count--) path += `/${pick(random, PIECES)}`;
  if (path === "") path = "/";
  if (random(3) === 0) path += `?${pick(random, QUERIES)}=${pick(random, VALUES)}`;
  if (random(8) === 0) path += `&${pick(random, PIECES)}`;
  return path.replaceAll(/[\r\n ]/g, "+");
}

function makeBody(random: Random): Buffer {
  const good = Buffer.from('{"prompt":"a tiger eye","count":2}');
  switch (random(10)) {
    case 0:
      return Buffer.alloc(0);
    case 1: {
      const flipped = Buffer.from(good);
      for (let count = 1 + random(4); count > 0; count--) flipped[random(flipped.length)] = random(256);
      return flipped;
    }
    case 2:
      return good.subarray(0, random(good.length));
    case 3:
      return Buffer.from("[".repeat(1 + random(50_000)));
    case 4:
      return Buffer.from(`{"prompt":${'{"a":'.repeat(1 + random(20_000))}1`);
    case 5:
      return Buffer.from([0xff, 0xfe, random(256), 0x7b, 0xc3, 0x28]);
    case 6:
      return Buffer.from(`{"prompt":"${"\\ud800".repeat(random(1_000))}"}`);
    case 7:
      return Buffer.from(`{"prompt":"x","count":${pick(random, VALUES)}}`);
    case 8:
      return Buffer.from(
        `{"__proto__":{"prompt":"x"},"constructor":1,"prompt":${"9".repeat(random(5_000))}}`,
      );
    default:
      return good;
  }
}

/** Sends bytes as they are: `fetch` would refuse or repair much of what strangers send. */
function send(bytes: Buffer, isWhole: boolean): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect(gateway.port, "127.0.0.1");
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => socket.destroy(new Error("no answer within ten seconds")), 10_000);
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("error", (error: Error & { code?: string }) => {
      // The server may hang up on what it does not want to read to the end.
      if (error.code !== "ECONNRESET" && error.code !== "EPIPE") reject(error);
    });
    socket.on("close", () => {
      clearTimeout(timer);
      const text = Buffer.concat(chunks)
        .toString("utf8")
        .replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, "");
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
      resolve({ status, body: text.slice(text.indexOf("\r\n\r\n") + 4) });
    });
    // Who ends its side early is taken for gone; that is how a call with a wrong length comes to its end here.
    if (isWhole) socket.write(bytes);
    else socket.end(bytes);
  });
}

test(`${ROUNDS} malformed calls are answered 2xx or 4xx, with a reason, and the server goes on`, async () => {
  const statuses = new Map<number, number>();
  for (let seed = 1; seed <= ROUNDS; seed++) {
    const random = createRandom(seed);
    const method = random(2) === 0 ? "POST" : pick(random, METHODS);
    const path = makePath(random);
    const body = method === "GET" || method === "HEAD" ? Buffer.alloc(0) : makeBody(random);
    const headers = ["host: 127.0.0.1", "connection: close"];
    if (random(3) > 0) headers.push(`authorization: ${gateway.authorization}`);
    for (let count = random(3); count > 0; count--)
      headers.push(`${pick(random, HEADERS)}: ${pick(random, VALUES)}`);
    const length = random(12) === 0 ? pick(random, VALUES) : String(body.length);
    headers.push(`content-length: ${length}`);
    const head = `${method} ${path} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`;
    const isWhole = length === String(body.length);
    const answer = await send(Buffer.concat([Buffer.from(head), body]), isWhole);
    const told = `seed ${seed}: ${JSON.stringify(head.slice(0, 600))} → ${answer.status} ${answer.body.slice(0, 200)}`;
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    // Cut short by a wrong length, a call may end without an answer; it must end.
    if (answer.status === 0 && !isWhole) continue;
    assert.ok(answer.status >= 200 && answer.status < 500, told);
    if (answer.status >= 400 && method !== "HEAD")
      assert.match(answer.body, /"(detail|error|status)"|Invalid request|^null/m, told);
  }
  assert.deepEqual(errors, []);
  assert.ok((statuses.get(200) ?? 0) > 20, JSON.stringify([...statuses]));
  assert.ok((statuses.get(401) ?? 0) > 20, JSON.stringify([...statuses]));
  assert.equal((await gateway.call("/health")).status, 200);
});

test("huge and deep JSON ends as a 422 result within seconds of CPU", async () => {
  const deep = (depth: number): string => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  for (const body of [
    deep(100_000),
    `{"prompt":${deep(400_000)}}`,
    `{${'"a":1,'.repeat(100_000)}"prompt":1}`,
    `{"prompt":"${"x".repeat(1_500_000)}","count":"${"9".repeat(400_000)}"}`,
  ]) {
    const before = process.cpuUsage();
    const submitted = await gateway.call("/queue/test/echo", { method: "POST", body });
    assert.equal(submitted.status, 200);
    const result = await gateway.call(submitted.json.response_url);
    assert.equal(result.status, 422);
    assert.ok(result.text.length < 20_000, `${result.text.length} bytes`);
    // CPU time: the gateway is in this process, and a busy machine is not its fault.
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 5e6, `${(user + system) / 1e6} s of CPU`);
  }
});
