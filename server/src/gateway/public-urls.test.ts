import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSettings, SettingsError } from "../settings.ts";
import type { Connection } from "./call.ts";
import { createUrlBuilder } from "./public-urls.ts";

function build(
  environment: Record<string, string>,
  url: string,
  options: {
    connection?: Partial<Connection>;
    headers?: Record<string, string>;
    virtualHost?: "official" | "own";
  } = {},
) {
  const builder = createUrlBuilder(parseSettings(environment));
  const connection: Connection = {
    remoteAddress: "127.0.0.1",
    isTls: url.startsWith("https:"),
    localAddress: "127.0.0.1",
    localPort: 7777,
    ...options.connection,
  };
  const request = new Request(url, { headers: options.headers ?? {} });
  return builder.build(
    builder.findAddress(request, new URL(url), connection),
    options.virtualHost,
    connection,
    request.headers.get("user-agent"),
  );
}

test("a client that downloads only from the host it called gets file URLs of that host", () => {
  const files = (agent: string, virtualHost?: "official") =>
    build({}, "https://fal.run/x", {
      headers: { "user-agent": agent },
      connection: { isTls: false },
      ...(virtualHost === undefined ? {} : { virtualHost }),
    }).files;
  const bound = "ai/7.0.173 ai-sdk/provider-utils/5.0.40 runtime/node.js/24";
  assert.equal(files(bound, "official"), "https://fal.run/cdn");
  assert.equal(files(bound.replace("5.0.40", "4.0.52"), "official"), "http://127.0.0.1:7777/cdn");
  assert.equal(files("@fal-ai/client/1.10.1", "official"), "http://127.0.0.1:7777/cdn");
});

test("URLs follow the scheme and host that were asked", () => {
  assert.deepEqual(build({}, "http://box.local:7777/x"), {
    origin: "http://box.local:7777",
    queue: "http://box.local:7777/queue",
    files: "http://box.local:7777/cdn",
  });
  assert.equal(build({}, "https://box.local/x").files, "https://box.local/cdn");
  assert.equal(build({}, "http://[::1]:7777/x").queue, "http://[::1]:7777/queue");
});

test("under an official name queue URLs keep it and file URLs use the address of this server", () => {
  const urls = build({}, "http://queue.fal.run/x", { virtualHost: "official" });
  assert.equal(urls.queue, "https://queue.fal.run");
  assert.equal(urls.files, "http://127.0.0.1:7777/cdn");
  const six = build({}, "http://fal.run/x", {
    virtualHost: "official",
    connection: { localAddress: "::ffff:10.1.2.3", localPort: 80 },
  });
  assert.equal(six.files, "http://10.1.2.3/cdn");
  const real = build({}, "http://fal.run/x", {
    virtualHost: "official",
    connection: { localAddress: "fd00::1" },
  });
  assert.equal(real.files, "http://[fd00::1]:7777/cdn");
});

test("a public URL is the origin of everything but virtual hosts' queue URLs", () => {
  const environment = { SLUICE_PUBLIC_URL: "https://models.example.org/" };
  assert.deepEqual(build(environment, "http://127.0.0.1:7777/x"), {
    origin: "https://models.example.org",
    queue: "https://models.example.org/queue",
    files: "https://models.example.org/cdn",
  });
  const official = build(environment, "http://queue.fal.run/x", { virtualHost: "official" });
  assert.deepEqual(official, {
    origin: "https://models.example.org",
    queue: "https://queue.fal.run",
    files: "https://models.example.org/cdn",
  });
});

test("proxies are trusted by address, by range, and in either form of IPv4", () => {
  const headers = { "x-forwarded-proto": "https", "x-forwarded-host": "Public.Example.org:8443" };
  const ask = (trusted: string, remoteAddress: string) =>
    build({ SLUICE_TRUSTED_PROXIES: trusted }, "http://inner:1/x", { headers, connection: { remoteAddress } })
      .origin;
  assert.equal(ask("10.0.0.0/8, ::1", "10.9.8.7"), "https://public.example.org:8443");
  assert.equal(ask("10.0.0.0/8", "::ffff:10.9.8.7"), "https://public.example.org:8443");
  assert.equal(ask("::1", "::1"), "https://public.example.org:8443");
  assert.equal(ask("fd00::/8", "fd12::1"), "https://public.example.org:8443");
  assert.equal(ask("10.0.0.0/8", "11.0.0.1"), "http://inner:1");
  assert.equal(ask("", "127.0.0.1"), "http://inner:1");
});

test("a proxy that is no address is an error of the settings", () => {
  for (const text of ["nonsense", "10.0.0.0/99", "10.0.0"])
    assert.throws(() => createUrlBuilder(parseSettings({ SLUICE_TRUSTED_PROXIES: text })), SettingsError);
});
