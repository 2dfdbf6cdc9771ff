import { readFile } from "node:fs/promises";
import { getCACertificates, rootCertificates } from "node:tls";

type Environment = Readonly<Record<string, string | undefined>>;

/** Variables that name a file of roots which is used in place of the program's own. */
export const BUNDLE_VARIABLES = [
  "SSL_CERT_FILE",
  "REQUESTS_CA_BUNDLE",
  "CURL_CA_BUNDLE",
  "DENO_CERT",
] as const;

/**
 * A file of roots for programs that take one in place of their own: the system's, those that most programs carry
 * (Mozilla's), those that the environment already names, and this authority.
 */
export async function createTrustBundle(environment: Environment, authority: string): Promise<string> {
  const named = await Promise.all(BUNDLE_VARIABLES.map((name) => readNamed(environment[name])));
  return join([...(await readSystemRoots()), ...rootCertificates, ...named.flat(), authority]);
}

/** What Node adds to its own roots: those that the environment already names, and this authority. */
export async function createExtraRoots(environment: Environment, authority: string): Promise<string> {
  return join([...(await readNamed(environment["NODE_EXTRA_CA_CERTS"])), authority]);
}

/** Where systems keep their roots as one file; others answer through Node. */
const SYSTEM_FILES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

async function readSystemRoots(): Promise<readonly string[]> {
  for (const path of SYSTEM_FILES) {
    const found = await readNamed(path);
    if (found.length > 0) return found;
  }
  return getCACertificates("system");
}

/** Certificates of a file; none when it cannot be read, as for the programs that would have read it. */
async function readNamed(path: string | undefined): Promise<readonly string[]> {
  if (path === undefined || path === "") return [];
  const text = await readFile(path, "utf8").catch(() => "");
  return (
    text.match(/-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----/gs) ?? []
  );
}

function join(certificates: readonly string[]): string {
  return [...new Set(certificates.map((text) => text.trim()))].map((text) => `${text}\n`).join("");
}
