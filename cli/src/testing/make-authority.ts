import { generateKeyPairSync } from "node:crypto";
import forge from "node-forge";

/** A certificate with its key, as PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority that nobody trusts yet. */
export interface TestAuthority {
  readonly cert: string;
  /** @param name a host name or an IPv4 address; @param days how long it is valid from now on, below 0 for one that ran out */
  issue(name: string, days?: number): Certificate;
}

const DAY_MS = 86_400_000;

export function makeAuthority(commonName: string): TestAuthority {
  const own = makeKeys();
  const authority = begin(own.publicKey, commonName, 2);
  authority.setIssuer(authority.subject.attributes);
  authority.setExtensions([
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, critical: true },
  ]);
  const signingKey = forge.pki.privateKeyFromPem(own.privateKey);
  authority.sign(signingKey, forge.md.sha256.create());
  return {
    cert: forge.pki.certificateToPem(authority),
    issue(name, days = 1) {
      const keys = makeKeys();
      const leaf = begin(keys.publicKey, name, days);
      leaf.setIssuer(authority.subject.attributes);
      const isAddress = /^[\d.]+$/.test(name);
      leaf.setExtensions([
        { name: "extKeyUsage", serverAuth: true },
        { name: "subjectAltName", altNames: [isAddress ? { type: 7, ip: name } : { type: 2, value: name }] },
      ]);
      leaf.sign(signingKey, forge.md.sha256.create());
      return { cert: forge.pki.certificateToPem(leaf), key: keys.privateKey };
    },
  };
}

function begin(publicKey: string, commonName: string, days: number): forge.pki.Certificate {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`;
  certificate.validity.notBefore = new Date(Date.now() - 2 * DAY_MS);
  certificate.validity.notAfter = new Date(Date.now() + days * DAY_MS);
  certificate.setSubject([{ name: "commonName", value: commonName }]);
  return certificate;
}

function makeKeys(): { readonly publicKey: string; readonly privateKey: string } {
  return generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
}
