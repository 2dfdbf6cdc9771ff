import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, test } from "node:test";
import { type Answer, openGateway, type TestGateway } from "./testing/open-gateway.ts";

let gateway: TestGateway;
before(async () => {
  gateway = await openGateway({ settings: { baseDomain: "models.example.org" } });
});
after(() => gateway[Symbol.asyncDispose]());

const BODY = JSON.stringify({ prompt: "x" });

/** Like `gateway.call`, with a Host header of one's own, which fetch does not allow. */
async function callHost(
  host: string,
  path: string,
  options: { method?: string; body?: string; headers?: Record<string, string>; target?: TestGateway } = {},
): Promise<Pick<Answer, "status" | "json"> & { headers: Record<string, string | string[] | undefined> }> {
  const { method = "POST", body = method === "POST" ? BODY : undefined, target = gateway } = options;
  return await new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      {
        port: target.port,
        host: "127.0.0.1",
        path,
        method,
        headers: { host, authorization: target.authorization, ...options.headers },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => {
          let json: unknown;
          try {
            json = JSON.parse(text);
          } catch {
            json = undefined;
          }
          resolve({ status: response.statusCode ?? 0, json, headers: response.headers });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

test("the official host names pick the surface, and queue URLs answer in the same style", async () => {
  const submitted = await callHost("queue.fal.run", "/test/echo");
  assert.equal(submitted.status, 200);
  const id = submitted.json.request_id;
  assert.equal(submitted.json.status_url, `https://queue.fal.run/test/echo/requests/${id}/status`);
  const status = await callHost("queue.fal.run", `/test/echo/requests/${id}/status`, { method: "GET" });
  assert.equal(status.status, 202);
  assert.equal(status.json.cancel_url, `https://queue.fal.run/test/echo/requests/${id}/cancel`);
  assert.equal((await callHost("fal.run", "/test/echo")).status, 200);
  assert.equal((await callHost("queue.falrun.com", "/test/echo")).status, 200);
  assert.equal((await callHost("api.fal.ai", "/v1/nothing", { method: "GET" })).json.error.type, "not_found");
});

test("names under the base domain pick the surface too", async () => {
  const submitted = await callHost(`queue.models.example.org:${gateway.port}`, "/test/echo");
  assert.equal(submitted.status, 200);
  assert.match(
    submitted.json.status_url,
    new RegExp(`^http://queue\\.models\\.example\\.org:${gateway.port}/test/echo/requests/`),
  );
  assert.equal((await callHost("run.models.example.org", "/test/echo")).status, 200);
  assert.equal((await callHost("other.models.example.org", "/test/echo")).status, 404);
});

test("a mount wins over a virtual host", async () => {
  const submitted = await callHost("fal.run", "/queue/test/echo");
  assert.equal(submitted.status, 200);
  assert.equal(submitted.json.status, "IN_QUEUE");
  assert.match(submitted.json.status_url, /\/queue\/test\/echo\/requests\//);
});

test("file URLs are reachable from outside whatever name the request came by", async () => {
  const submitted = await callHost("queue.fal.run", "/other/app", { body: "{}" });
  const lease = await gateway.lease("other/app");
  await gateway.complete(lease, { body: Buffer.from('{"url":"\\u002Ffile\\u002Ffiles/b/1/a.png"}') });
  const result = await callHost("queue.fal.run", `/other/app/requests/${submitted.json.request_id}`, {
    method: "GET",
  });
  assert.equal(result.json.url, `${gateway.origin}/cdn/files/b/1/a.png`);
});

test("a configured public URL is used in every URL of path mounts", async () => {
  await using other = await openGateway({ settings: { publicUrl: "https://models.example.org" } });
  const { json } = await other.call("/queue/test/echo", { json: { prompt: "x" } });
  assert.match(json.status_url, /^https:\/\/models\.example\.org\/queue\/test\/echo\/requests\//);
});

test("forwarded scheme and host are believed from trusted proxies only", async () => {
  const headers = { "x-forwarded-proto": "https", "x-forwarded-host": "public.example.org, inner:1" };
  const untrusted = await gateway.call("/queue/test/echo", { json: { prompt: "x" }, headers });
  assert.ok(untrusted.json.status_url.startsWith(`${gateway.origin}/queue/`));
  await using trusting = await openGateway({ settings: { trustedProxies: ["10.0.0.0/8", "127.0.0.1"] } });
  const trusted = await trusting.call("/queue/test/echo", { json: { prompt: "x" }, headers });
  assert.match(trusted.json.status_url, /^https:\/\/public\.example\.org\/queue\//);
  const nonsense = await trusting.call("/queue/test/echo", {
    json: { prompt: "x" },
    headers: { "x-forwarded-proto": "javascript", "x-forwarded-host": "a b/<script>" },
  });
  assert.ok(nonsense.json.status_url.startsWith(`${trusting.origin}/queue/`));
  const byHost = await trusting.call("/test/echo", {
    json: { prompt: "x" },
    headers: { "x-forwarded-host": "queue.fal.run" },
  });
  assert.equal(byHost.status, 200);
});

test("every surface answers preflights without a key and lists what a page may read", async () => {
  for (const path of [
    "/queue/test/echo",
    "/run/test/echo",
    "/rest/tokens/",
    "/cdn/files/upload",
    "/v1/models",
    "/api/fal/proxy",
    "/nowhere",
  ]) {
    const answer = await gateway.call(path, {
      method: "OPTIONS",
      authorization: null,
      headers: {
        origin: "https://app.example.org",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "authorization,x-fal-queue-priority,x-anything",
      },
    });
    assert.equal(answer.status, 204, path);
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
    assert.equal(
      answer.headers.get("access-control-allow-headers"),
      "authorization,x-fal-queue-priority,x-anything",
    );
    assert.match(answer.headers.get("access-control-allow-methods") ?? "", /PUT/);
    assert.equal(answer.headers.get("access-control-allow-credentials"), null);
  }
  for (const path of [
    "/queue/test/echo",
    "/run/test/echo",
    "/rest/nothing",
    "/v1/models",
    "/llms.txt",
    "/nowhere",
    "/health",
  ]) {
    const answer = await gateway.call(path);
    assert.equal(answer.headers.get("access-control-allow-origin"), "*", path);
    for (const name of ["x-fal-request-id", "x-fal-billable-units", "x-fal-error-type", "retry-after"])
      assert.match(answer.headers.get("access-control-expose-headers") ?? "", new RegExp(name), path);
    assert.match(answer.headers.get("x-fal-request-id") ?? "", /^[0-9a-f-]{36}$/, path);
  }
});

test("health and readiness need no key; readiness ends with draining", async () => {
  const health = await gateway.call("/health", { authorization: null });
  assert.deepEqual(health.json, { status: "ok", version: "0.0.0-test" });
  assert.equal((await gateway.call("/ready", { authorization: null })).status, 200);
  gateway.isDraining = true;
  try {
    const ready = await gateway.call("/ready", { authorization: null });
    assert.equal(ready.status, 503);
    assert.ok(ready.headers.get("retry-after"));
    for (const path of ["/queue/test/echo", "/run/test/echo"]) {
      const answer = await gateway.call(path, { json: { prompt: "x" } });
      assert.equal(answer.status, 503);
      assert.ok(answer.headers.get("retry-after"));
    }
    assert.equal((await gateway.call("/health")).status, 200);
  } finally {
    gateway.isDraining = false;
  }
});

test("metrics are for programs on this machine and for ADMIN keys", async () => {
  const plain = await gateway.call("/metrics", { authorization: null });
  assert.equal(plain.status, 200);
  assert.match(plain.text, /sluice_queue_depth/);
  const proxied = { "x-forwarded-for": "192.0.2.1" };
  assert.equal((await gateway.call("/metrics", { authorization: null, headers: proxied })).status, 401);
  assert.equal((await gateway.call("/metrics", { headers: proxied })).status, 403);
  const { authorization } = await gateway.createKey({ scope: "ADMIN" });
  assert.equal((await gateway.call("/metrics", { authorization, headers: proxied })).status, 200);
  const rebound = await callHost("evil.example.org", "/metrics", {
    method: "GET",
    headers: { authorization: "" },
  });
  assert.equal(rebound.status, 401);
});

test("below the free-disk mark submits are 503, and reading goes on", async () => {
  await using full = await openGateway({ settings: { minFreeBytes: Number.MAX_SAFE_INTEGER } });
  const submitted = await full.call("/queue/test/echo", { json: { prompt: "x" } });
  assert.equal(submitted.status, 503);
  assert.match(submitted.json.detail, /disk space/);
  assert.ok(submitted.headers.get("retry-after"));
  assert.equal((await full.call("/health")).status, 200);
});

test("a body over the limit is 413, declared or not", async () => {
  await using small = await openGateway({ settings: { maxBodyBytes: 1_000 } });
  const big = JSON.stringify({ prompt: "x".repeat(2_000) });
  for (const path of ["/queue/test/echo", "/run/test/echo"]) {
    const declared = await small.call(path, { method: "POST", body: big });
    assert.equal(declared.status, 413);
    assert.equal(declared.json.detail, "Request body too large");
    const chunked = await callHost(`127.0.0.1:${small.port}`, path, {
      body: big,
      headers: { "transfer-encoding": "chunked" },
      target: small,
    });
    assert.equal(chunked.status, 413);
    const fits = await callHost(`127.0.0.1:${small.port}`, path, {
      body: BODY,
      headers: { "transfer-encoding": "chunked" },
      target: small,
    });
    assert.equal(fits.status, 200);
  }
});

test("the built-in proxy answers as the host that its header names", async () => {
  const proxy = (target: string | undefined, options: { method?: string; body?: string } = {}) =>
    gateway.call("/api/fal/proxy", {
      method: options.method ?? "POST",
      ...(options.body === undefined ? {} : { body: options.body }),
      headers: target === undefined ? {} : { "x-fal-target-url": target },
    });
  const submitted = await proxy("https://queue.fal.run/test/echo?fal_max_queue_length=9000", { body: BODY });
  assert.equal(submitted.status, 200);
  assert.match(submitted.json.status_url, new RegExp(`^${gateway.origin}/queue/test/echo/requests/`));
  const id = submitted.json.request_id;
  const status = await proxy(`https://queue.fal.run/test/echo/requests/${id}/status?logs=1`, {
    method: "GET",
  });
  assert.equal(status.status, 202);
  const cancelled = await proxy(`https://queue.fal.run/test/echo/requests/${id}/cancel`, { method: "PUT" });
  assert.equal(cancelled.status, 202);
  assert.equal((await proxy("https://fal.run/test/echo", { body: BODY })).status, 200);
  assert.equal((await proxy(`${gateway.origin}/run/test/echo`, { body: BODY })).status, 200);
  assert.equal((await proxy("https://rest.fal.ai/nothing", { method: "GET" })).status, 404);
  const stream = await fetch(`${gateway.origin}/api/fal/proxy`, {
    method: "POST",
    body: BODY,
    headers: {
      authorization: gateway.authorization,
      "x-fal-target-url": "https://fal.run/test/echo/stream",
    },
  });
  assert.match(stream.headers.get("content-type") ?? "", /^text\/event-stream/);
  assert.match(await stream.text(), /^data: \{"echo"/);
  for (const target of [
    undefined,
    "",
    "nonsense",
    "https://example.org/queue/test/echo",
    "https://evilfal.run/test/echo",
    "https://fal.run.example.org/test/echo",
    "http://fal.run/test/echo",
    "https://user:pass@fal.run/test/echo",
    "https://fal.run:8443/test/echo",
    "file:///etc/passwd",
    "https://fal.run/api/fal/proxy",
    `${gateway.origin}/api/fal/proxy`,
    "https://fal.ai/unknown",
  ]) {
    const answer = await proxy(target, { body: BODY });
    assert.equal(answer.status, 400, target);
    assert.equal(answer.text, '"Invalid request"');
  }
  const unauthenticated = await gateway.call("/api/fal/proxy", {
    method: "POST",
    body: BODY,
    headers: { "x-fal-target-url": "https://fal.run/test/echo" },
    authorization: null,
  });
  assert.equal(unauthenticated.status, 401);
});

test("outside the proxy entry, x-fal-target-url means nothing", async () => {
  const answer = await gateway.call("/run/test/echo", {
    json: { prompt: "x" },
    headers: { "x-fal-target-url": "https://queue.fal.run/test/missing" },
  });
  assert.equal(answer.status, 200);
});

test("an unexpected failure is a plain 500 that tells nothing", async () => {
  await using broken = await openGateway({
    change: (context) => ({
      ...context,
      queue: { ...context.queue, findOutline: () => Promise.reject(new Error("secret")) },
    }),
  });
  const answer = await broken.call("/queue/test/echo/requests/01890000-0000-7000-8000-000000000000");
  assert.equal(answer.status, 500);
  assert.equal(answer.json.detail, "Internal Server Error");
  assert.ok(answer.headers.get("x-fal-request-id"));
});
