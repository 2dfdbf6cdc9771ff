import assert from "node:assert/strict";
import test from "node:test";
import { formatProxyTarget, getSurfaceUrl, isTrustedUrl } from "./surfaces.ts";

test("the address is the configured one, else SLUICE_URL, else port 7777 of this machine", (t) => {
  const before = process.env["SLUICE_URL"];
  t.after(() => {
    if (before === undefined) delete process.env["SLUICE_URL"];
    else process.env["SLUICE_URL"] = before;
  });
  delete process.env["SLUICE_URL"];
  assert.equal(getSurfaceUrl(undefined, "queue"), "http://127.0.0.1:7777/queue");
  process.env["SLUICE_URL"] = "https://models.example.org/";
  assert.equal(getSurfaceUrl(undefined, "rest"), "https://models.example.org/rest");
  assert.equal(getSurfaceUrl("http://localhost:4790/sluice//", "run"), "http://localhost:4790/sluice/run");
});

test("the hosted service has one host for each part of the API, however it is named", () => {
  for (const url of ["https://fal.run", "https://queue.fal.run/", "https://fal.ai", "https://rest.fal.ai"]) {
    assert.equal(getSurfaceUrl(url, "queue"), "https://queue.fal.run");
    assert.equal(getSurfaceUrl(url, "run"), "https://fal.run");
    assert.equal(getSurfaceUrl(url, "rest"), "https://rest.fal.ai");
  }
  assert.equal(getSurfaceUrl("https://evilfal.run", "queue"), "https://evilfal.run/queue");
});

test("an address that is none says so", () => {
  for (const url of ["localhost:7777", "ftp://x", "nonsense"]) {
    assert.throws(() => getSurfaceUrl(url, "run"), /must be an http\(s\) URL/);
  }
});

test("the key goes to the configured server and to the hosted service only", () => {
  const trusts = (url: string) => isTrustedUrl("http://10.0.0.1:7777", new URL(url));
  assert.ok(trusts("https://fal.run/a/b"));
  assert.ok(trusts("http://10.0.0.1:7777/run/a/b"));
  for (const url of [
    "https://evilfal.run/",
    "http://fal.run/",
    "http://10.0.0.1/",
    "https://fal.run.evil.org/",
  ]) {
    assert.ok(!trusts(url), url);
  }
});

test("a proxy is told the hosted names by a client that knows no address, else the address itself", () => {
  assert.equal(formatProxyTarget("http://127.0.0.1:7777/queue/a/b?x=1"), "https://queue.fal.run/a/b?x=1");
  assert.equal(formatProxyTarget("http://127.0.0.1:7777/rest/tokens/"), "https://rest.fal.ai/tokens/");
  assert.equal(formatProxyTarget("http://10.0.0.1:7777/run/a/b"), "http://10.0.0.1:7777/run/a/b");
});
