/**
 * Every route there is, found in the apps themselves, is called without a key, with a revoked one, a made-up one and
 * that of another account, with the ids of everything that an account has. None is told any of it, none changes
 * anything, and what succeeds without a key is on a list here.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { KeyId, RequestId } from "../ids.ts";
import { createCdnRoutes } from "./cdn/cdn-routes.ts";
import { createDocumentRoutes } from "./documents/document-routes.ts";
import { createPlatformRoutes } from "./platform/platform-routes.ts";
import { openPlatform, type TestPlatform } from "./platform/testing/open-platform.ts";
import { createRestRoutes } from "./rest/rest-routes.ts";

/** In everything that belongs to the account, and nowhere else. */
const SECRET = "xyzzy";

/** What answers nobody with success, by method and path as the apps have it; the rest of the list is closed. */
const OPEN: readonly string[] = [
  "DELETE /v1/sluice/session", // signs out, whoever it is
  "GET /health",
  "GET /llms.txt",
  "GET /models/*", // an endpoint as text
  "GET /ready",
  "GET /rest/.well-known/jwks.json", // public keys
  "GET /v1/meta", // addresses that receivers of webhooks let in
  "GET /v1/models",
  "GET /v1/openapi.json",
  "GET /v1/sluice/samples", // what models made of the sample inputs of their pages
];

let platform: TestPlatform;
let waiting: RequestId;
let ended: RequestId;
let victim: KeyId;
let filePath: string;
let revoked: string;

before(async () => {
  platform = await openPlatform();
  const { files, keys } = platform.gateway.context;
  const input = Buffer.from(JSON.stringify({ prompt: SECRET }));
  const fields = { input, tags: { team: SECRET }, webhookUrl: `https://example.com/${SECRET}`, hint: SECRET };
  waiting = await platform.enqueue(fields);
  const body = Buffer.from(JSON.stringify({ text: SECRET }));
  ended = await platform.record(fields, { body });
  const { accountId } = platform;
  const { key } = await keys.create({ alias: SECRET, scope: "API", accountId });
  victim = key.id;
  const file = await files.create(
    {
      accountId,
      requestId: null,
      fileName: `${SECRET}.txt`,
      contentType: "text/plain",
      expiresAt: null,
      acl: { default: "forbid", rules: [] },
    },
    Buffer.from(SECRET),
  );
  filePath = file.path;
  const gone = await keys.create({ alias: "gone", scope: "ADMIN" });
  await keys.revoke(gone.key.id);
  revoked = `Key ${gone.credential}`;
});
after(() => platform[Symbol.asyncDispose]());

interface Probe {
  /** `GET /v1/models`: as the app has it. */
  readonly route: string;
  readonly method: string;
  readonly path: string;
}

/** Every route with every id of the account in its place. */
function listProbes(): Probe[] {
  const { context } = platform.gateway;
  const found: (readonly [string, string])[] = [
    ...[
      ["/v1", createPlatformRoutes(context)] as const,
      ["/rest", createRestRoutes(context)] as const,
      ["/cdn", createCdnRoutes(context)] as const,
      ["", createDocumentRoutes(context)] as const,
    ].flatMap(([mount, app]) =>
      app.routes.flatMap(({ method, path }) =>
        (method === "ALL" ? ["GET", "POST", "PUT", "PATCH", "DELETE"] : [method]).map(
          (verb) => [verb, `${mount}${path}`] as const,
        ),
      ),
    ),
    // What is not made of routes of Hono.
    ...["GET /health", "GET /ready", "GET /metrics", "POST /queue/test/echo", "POST /run/test/echo"].map(
      split,
    ),
    ...["GET", "PUT", "POST", "DELETE"].flatMap((verb) =>
      ["", "/status", "/status/stream", "/cancel"].map(
        (action) => [verb, `/queue/test/echo/requests/:id${action}`] as const,
      ),
    ),
    ...["POST /run/test/echo/stream", "GET /run/test/echo/realtime", "GET /ws/test/echo"].map(split),
  ];
  const probes = new Map<string, Probe>();
  for (const [method, pattern] of found) {
    const [, folder = "", name = ""] = /^files\/b\/([^/]+)\/(.+)$/.exec(filePath) ?? [];
    for (const id of [waiting, ended, victim, "test", encodeURIComponent(filePath)]) {
      const path = pattern
        .replace(/:folder\b/, folder)
        .replace(/:name\b/, name)
        .replace(/:part\b/, "1")
        .replaceAll(/:[a-z_]+(\{[^}]*\})?/gi, id)
        .replaceAll("*", "test/echo/llms.txt");
      probes.set(`${method} ${path}`, { route: `${method} ${pattern}`, method, path });
    }
  }
  return [...probes.values()];
}

const split = (text: string): readonly [string, string] => text.split(" ") as [string, string];

async function probe(
  { method, path }: Probe,
  authorization: string | null,
): Promise<{ status: number; text: string }> {
  const leave = new AbortController();
  const hasBody = method !== "GET" && method !== "HEAD" && method !== "DELETE";
  const response = await fetch(new URL(path, platform.gateway.origin), {
    method,
    redirect: "manual",
    headers: {
      ...(authorization === null ? {} : { authorization }),
      ...(hasBody ? { "content-type": "application/json" } : {}),
      // As from another machine, behind a proxy of this one.
      "x-forwarded-for": "203.0.113.9",
    },
    ...(hasBody ? { body: "{}" } : {}),
    signal: leave.signal,
  });
  const isEndless = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  if (!isEndless) return { status: response.status, text: leaveOutEcho(await response.text()) };
  const timer = setTimeout(() => leave.abort(), 100);
  let text = "";
  try {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString("utf8");
  } catch {
    // Left.
  }
  clearTimeout(timer);
  return { status: response.status, text: leaveOutEcho(text) };
}

/** What the call itself said is no secret to the caller. */
function leaveOutEcho(text: string): string {
  return text.replaceAll(filePath, "").replaceAll(encodeURIComponent(filePath), "");
}

/** Everything that belongs to the account is as it was. */
async function checkUntouched(): Promise<void> {
  const { context } = platform.gateway;
  assert.equal((await context.queue.find(waiting))?.state, "queued");
  assert.notEqual(await context.queue.readResult(ended), undefined);
  assert.equal((await context.keys.find(victim))?.revokedAt, null);
  assert.equal((await context.keys.find(victim))?.alias, SECRET);
  assert.notEqual(await context.files.find(filePath), undefined);
  assert.deepEqual(
    (await context.queue.getStats()).filter(({ isPaused }) => isPaused),
    [],
  );
}

const timeout = 60_000;

test("without a good key every route asks for one or tells nothing of anybody", { timeout }, async () => {
  const open = new Set<string>();
  for (const one of listProbes()) {
    for (const authorization of [null, revoked, "Key made:up"]) {
      const { status, text } = await probe(one, authorization);
      const name = `${one.method} ${one.path} (${authorization?.slice(0, 8)})`;
      assert.ok(!text.includes(SECRET), `${name} told: ${text}`);
      assert.ok(status < 500 || status === 501, `${name} answered ${status}: ${text}`);
      if (status < 400) open.add(one.route);
    }
  }
  await checkUntouched();
  assert.deepEqual([...open].sort(), OPEN);
});

test("another account's key is told nothing and changes nothing", { timeout }, async () => {
  for (const one of listProbes()) {
    const { status, text } = await probe(one, platform.other);
    const name = `${one.method} ${one.path}`;
    assert.ok(!text.includes(SECRET), `${name} told: ${text}`);
    assert.ok(status < 500 || status === 501 || status === 503, `${name} answered ${status}: ${text}`);
  }
  await checkUntouched();
});

test("the same calls tell the account itself: what is kept from others is there to be told", {
  timeout,
}, async () => {
  const telling = new Set<string>();
  for (const one of listProbes()) {
    if (one.method !== "GET") continue;
    const { text } = await probe(one, platform.mine);
    if (text.includes(SECRET)) telling.add(one.route);
  }
  for (const route of [
    "GET /queue/test/echo/requests/:id",
    "GET /cdn/files/b/:folder/:name",
    "GET /v1/sluice/requests/:requestId",
    "GET /v1/sluice/requests/:requestId/deliveries",
  ])
    assert.ok(telling.has(route), `${route} is not among ${[...telling]}`);
});
