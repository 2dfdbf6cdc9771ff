import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import forge from "node-forge";
import { OFFICIAL_HOSTS } from "./official-hosts.ts";
import { openPrivateAuthority } from "./private-authority.ts";

const timeout = 30_000;
const DAY_MS = 86_400_000;

async function openFolder(t: TestContext): Promise<{ readonly data: string; readonly path: string }> {
  const data = await mkdtemp(join(tmpdir(), "sluice-authority-"));
  t.after(() => rm(data, { recursive: true, force: true }));
  return { data, path: join(data, "exec/authority.pem") };
}

/** What a client that trusts only `ca` says of a server with this certificate. */
async function shakeHands(
  t: TestContext,
  server: { readonly cert: string; readonly key: string },
  client: { readonly ca: string; readonly servername: string },
): Promise<"trusted" | string> {
  const listener = createServer(server, (socket) => socket.end()).on("tlsClientError", () => {});
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.after(() => listener.close());
  const { port } = listener.address() as AddressInfo;
  const socket: TLSSocket = connect({ port, host: "127.0.0.1", ...client });
  return await new Promise((resolve) => {
    socket.once("secureConnect", () => {
      socket.destroy();
      resolve("trusted");
    });
    socket.once("error", (error) => resolve(error.message));
  });
}

test("the authority is made once, its key is its owner's alone, and every official host is trusted", {
  timeout,
}, async (t) => {
  const { data, path } = await openFolder(t);
  const [one, other] = await Promise.all([
    openPrivateAuthority(data, Date.now()),
    openPrivateAuthority(data, Date.now()),
  ]);
  assert.equal(one.certificate, other.certificate);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.equal((await stat(join(data, "exec"))).mode & 0o777, 0o700);
  assert.doesNotMatch(one.certificate, /PRIVATE/);
  const issued = await other.issue();
  for (const host of OFFICIAL_HOSTS) {
    const servername = host.replace("*", "v3b");
    assert.equal(await shakeHands(t, issued, { ca: one.certificate, servername }), "trusted", servername);
  }
});

test("a certificate that the authority's key would sign for another host is refused", {
  timeout,
}, async (t) => {
  const { data, path } = await openFolder(t);
  const authority = await openPrivateAuthority(data, Date.now());
  const stolen = await readFile(path, "utf8");
  const issued = await authority.issue();
  const leaf = forge.pki.certificateFromPem(issued.cert);
  leaf.setExtensions([{ name: "subjectAltName", altNames: [{ type: 2, value: "bank.example" }] }]);
  leaf.sign(
    forge.pki.privateKeyFromPem(stolen.slice(stolen.indexOf("-----BEGIN RSA"))),
    forge.md.sha256.create(),
  );
  const forged = { cert: forge.pki.certificateToPem(leaf), key: issued.key };
  const verdict = await shakeHands(t, forged, { ca: authority.certificate, servername: "bank.example" });
  assert.match(verdict, /permitted subtree violation/);
});

test("an authority that is damaged or about to end is made anew, and open permissions are closed", {
  timeout,
}, async (t) => {
  const { data, path } = await openFolder(t);
  const first = await openPrivateAuthority(data, Date.now());
  await chmod(path, 0o644);
  assert.equal((await openPrivateAuthority(data, Date.now())).certificate, first.certificate);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const end = Date.parse(new X509Certificate(first.certificate).validTo);
  const second = await openPrivateAuthority(data, end - 10 * DAY_MS);
  assert.notEqual(second.certificate, first.certificate);
  await writeFile(path, (await readFile(path)).subarray(0, 700));
  const third = await openPrivateAuthority(data, Date.now());
  assert.notEqual(third.certificate, second.certificate);
  assert.equal(
    await shakeHands(t, await third.issue(), { ca: third.certificate, servername: "fal.run" }),
    "trusted",
  );
});
