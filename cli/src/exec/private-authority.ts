import { createPrivateKey, generateKeyPair, randomBytes, X509Certificate } from "node:crypto";
import { chmod, link, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import forge from "node-forge";
import { OFFICIAL_HOSTS } from "./official-hosts.ts";

/** A certificate authority of one data folder, trusted by nothing but the processes that `sluice exec` starts. */
export interface PrivateAuthority {
  /** Its certificate as PEM. */
  readonly certificate: string;
  /** A certificate for the official hosts with its key, as PEM. */
  issue(): Promise<{ readonly cert: string; readonly key: string }>;
}

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 730;
/** A process tree may live this long; every start issues anew. */
const CERTIFICATE_DAYS = 90;
/** Renewed when it would not outlive a certificate that it issues. */
const RENEW_DAYS = CERTIFICATE_DAYS + 1;

/**
 * Opens the authority of a data folder; makes it at the first use. Certificate and key lie together in
 * `DIR/exec/authority.pem`, which only its owner may read. The certificate says of itself that it is valid for the
 * official hosts only, so that a stolen key opens no other connection.
 */
export async function openPrivateAuthority(dataDir: string, now: number): Promise<PrivateAuthority> {
  const folder = join(dataDir, "exec");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const path = join(folder, "authority.pem");
  const text = (await readAuthority(path, now)) ?? (await makeAuthority(folder, path, now));
  const [certificate, key] = splitAuthority(text);
  const authority = forge.pki.certificateFromPem(certificate);
  const authorityKey = forge.pki.privateKeyFromPem(key);
  return {
    certificate,
    async issue() {
      const keys = await createKeys();
      const leaf = createCertificate({
        publicKey: keys.publicKey,
        name: "sluice exec",
        now,
        days: CERTIFICATE_DAYS,
      });
      leaf.setIssuer(authority.subject.attributes);
      leaf.setExtensions([
        { name: "basicConstraints", cA: false, critical: true },
        { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
        { name: "extKeyUsage", serverAuth: true },
        { name: "subjectAltName", altNames: OFFICIAL_HOSTS.map((value) => ({ type: DNS_NAME, value })) },
        { name: "subjectKeyIdentifier" },
        {
          name: "authorityKeyIdentifier",
          keyIdentifier: authority.generateSubjectKeyIdentifier().getBytes(),
        },
      ]);
      leaf.sign(authorityKey, forge.md.sha256.create());
      return { cert: forge.pki.certificateToPem(leaf), key: keys.privateKey };
    },
  };
}

/** The stored authority; undefined when there is none, or none that can be used any longer. */
async function readAuthority(path: string, now: number): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  await chmod(path, 0o600);
  try {
    const [certificate, key] = splitAuthority(text);
    const parsed = new X509Certificate(certificate);
    const isUsable =
      parsed.checkPrivateKey(createPrivateKey(key)) && Date.parse(parsed.validTo) - now > RENEW_DAYS * DAY_MS;
    if (isUsable) return text;
  } catch {
    // Half a file or another one's text: it is made anew.
  }
  await rm(path, { force: true });
  return undefined;
}

async function makeAuthority(folder: string, path: string, now: number): Promise<string> {
  const keys = await createKeys();
  const certificate = createCertificate({
    publicKey: keys.publicKey,
    name: "sluice exec, this data folder only",
    now,
    days: AUTHORITY_DAYS,
  });
  certificate.setIssuer(certificate.subject.attributes);
  certificate.setExtensions([
    { name: "basicConstraints", cA: true, pathLenConstraint: 0, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    { name: "subjectKeyIdentifier" },
    { id: "2.5.29.30", critical: true, value: encodeNameConstraints() },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(keys.privateKey), forge.md.sha256.create());
  const text = `${forge.pki.certificateToPem(certificate)}${keys.privateKey}`;
  // Of two first uses at once, one makes it and both use that one: a link to an existing name fails.
  const draft = join(folder, `authority-${randomBytes(6).toString("hex")}`);
  await writeFile(draft, text, { mode: 0o600, flag: "wx" });
  try {
    await link(draft, path);
    return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return await readFile(path, "utf8");
    await rename(draft, path); // A file system without links.
    return text;
  } finally {
    await rm(draft, { force: true });
  }
}

function splitAuthority(text: string): [certificate: string, key: string] {
  const certificate = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\r?\n/s.exec(text)?.[0];
  const key = /-----BEGIN RSA PRIVATE KEY-----.*?-----END RSA PRIVATE KEY-----\r?\n/s.exec(text)?.[0];
  if (certificate === undefined || key === undefined) throw new Error("no certificate with its key");
  return [certificate, key];
}

/** RSA, because it is the one kind that every TLS client and the certificate library speak. */
async function createKeys(): Promise<{ readonly publicKey: string; readonly privateKey: string }> {
  return await promisify(generateKeyPair)("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
}

function createCertificate(parts: {
  readonly publicKey: string;
  readonly name: string;
  readonly now: number;
  readonly days: number;
}): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(parts.publicKey);
  // Positive and at most 20 bytes (RFC 5280, section 4.1.2.2).
  certificate.serialNumber = `01${randomBytes(15).toString("hex")}`;
  // A day back, for clocks that differ.
  certificate.validity.notBefore = new Date(parts.now - DAY_MS);
  certificate.validity.notAfter = new Date(parts.now + parts.days * DAY_MS);
  certificate.setSubject([{ name: "commonName", value: parts.name }]);
  return certificate;
}

/** Kind of a GeneralName that is a host name (RFC 5280, section 4.2.1.6). */
const DNS_NAME = 2;

/** `NameConstraints` that permit the official hosts and names below them, and no other (RFC 5280, section 4.2.1.10). */
function encodeNameConstraints(): forge.asn1.Asn1 {
  const { Class, Type, create } = forge.asn1;
  const roots = ["fal.run", "falrun.com", "fal.ai", "fal.media"];
  const subtrees = roots.map((root) =>
    create(Class.UNIVERSAL, Type.SEQUENCE, true, [
      create(Class.CONTEXT_SPECIFIC, DNS_NAME as never, false, root),
    ]),
  );
  return create(Class.UNIVERSAL, Type.SEQUENCE, true, [
    create(Class.CONTEXT_SPECIFIC, 0 as never, true, subtrees),
  ]);
}
