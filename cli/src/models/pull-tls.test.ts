/** `sluice models pull` from a hub behind TLS, as somebody runs one of their own. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type HubServer, startHubServer } from "@sluice/runtime/testing/hub-server";
import { writeSafetensors } from "@sluice/runtime/testing/weights-files";
import { type Certificate, makeAuthority } from "../testing/make-authority.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const TOKEN = "hf_secret";
const WEIGHTS = writeSafetensors(["double_blocks.0.x", "vae.x"], { padding: "1".repeat(100_000) });

const authority = makeAuthority("A hub of one's own");
let folder = "";
let data = "";

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "sluice-tls-"));
  data = join(folder, "data");
  await writeFile(join(folder, "ca.pem"), authority.cert);
});
after(() => rm(folder, { recursive: true, force: true }));

async function startHub(certificate: Certificate): Promise<HubServer> {
  const hub = await startHubServer({ tls: certificate });
  hub.put("acme/one", { "one.safetensors": WEIGHTS }, "apache-2.0");
  hub.setToken(TOKEN);
  return hub;
}

/** @param ca file of further authorities; undefined for those of the system alone */
function pull(
  url: string,
  name: string,
  ca: string | undefined,
): Promise<{ readonly code: number; readonly err: string }> {
  const { NODE_EXTRA_CA_CERTS: _, NODE_TLS_REJECT_UNAUTHORIZED: __, ...inherited } = process.env;
  const words = ["models", "pull", "hf:acme/one", "--name", name, "--data", data];
  const env = { ...inherited, SLUICE_HUB: url, HF_TOKEN: TOKEN, ...(ca && { NODE_EXTRA_CA_CERTS: ca }) };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", MAIN, ...words],
      { env, timeout: 60_000, killSignal: "SIGKILL" },
      (error, _out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? -1), err }),
    );
  });
}

describe("a hub behind TLS", { timeout: 120_000 }, () => {
  test("is pulled from when its authority is named, and its token stays with it", async () => {
    await using hub = await startHub(authority.issue("127.0.0.1"));
    const { code, err } = await pull(hub.url, "good", join(folder, "ca.pem"));
    assert.equal(code, 0, err);
    assert.deepEqual(await readFile(join(data, "models/good/one.safetensors")), Buffer.from(WEIGHTS));
    const [own, other] = ["hub", "cdn"].map((name) => hub.seen.filter(({ server }) => server === name));
    assert(own?.length && own.every(({ authorization }) => authorization === `Bearer ${TOKEN}`));
    // The weights themselves come from another host.
    assert(other?.length && other.every(({ authorization }) => authorization === undefined));
  });

  for (const [what, certificate, ca, message] of [
    [
      "an authority that nobody named",
      authority.issue("127.0.0.1"),
      undefined,
      /is not trusted here .*NODE_EXTRA_CA_CERTS/s,
    ],
    [
      "another authority",
      authority.issue("127.0.0.1"),
      makeAuthority("Somebody else").cert,
      /is not trusted here .*NODE_EXTRA_CA_CERTS/s,
    ],
    [
      "another host's certificate",
      authority.issue("hub.example.org"),
      authority.cert,
      /is not for this host.*SLUICE_HUB/s,
    ],
    ["a certificate that ran out", authority.issue("127.0.0.1", -1), authority.cert, /has run out/],
  ] as const)
    test(`is not asked for anything with ${what}`, async () => {
      await using hub = await startHub(certificate);
      if (ca !== undefined) await writeFile(join(folder, "other.pem"), ca);
      const startedAt = performance.now();
      const { code, err } = await pull(
        hub.url,
        "bad",
        ca === undefined ? undefined : join(folder, "other.pem"),
      );
      assert.equal(code, 1, err);
      assert.match(err, message);
      assert.deepEqual(hub.seen, []);
      assert(!existsSync(join(data, "models/bad")));
      // Asking again would change nothing; the waits between alone are 15 s.
      assert(performance.now() - startedAt < 12_000);
    });

  test("that leads to an address without TLS is not followed, on this machine neither", async () => {
    await using hub = await startHub(authority.issue("127.0.0.1"));
    await using plain = await startHubServer();
    plain.put("acme/one", { "one.safetensors": WEIGHTS });
    const location = `${plain.url}/acme/one/resolve/main/one.safetensors`;
    hub.setTrouble("one.safetensors", { status: 302, headers: { location } });
    const { code, err } = await pull(hub.url, "led", join(folder, "ca.pem"));
    assert.equal(code, 1, err);
    assert.match(err, /leads to http:\/\/127\.0\.0\.1:\d+, which is not https/);
    assert.deepEqual(plain.seen, []);
  });
});
