import { WeightsError } from "./weights-error.ts";

/**
 * What a connection that failed says about the other side's certificate; undefined when it failed for another reason.
 * Trying again does not help.
 */
export function describeCertificateError(host: string, error: unknown): WeightsError | undefined {
  const code = (error as { cause?: { code?: unknown } } | null)?.cause?.code;
  if (typeof code !== "string") return undefined;
  const [problem, ...next] = PROBLEMS.find(([codes]) => codes.test(code))?.[1] ?? [];
  if (problem === undefined) return undefined;
  return new WeightsError(`The certificate of ${host} ${problem} (${code}).`, { next, cause: error });
}

const PROBLEMS: readonly (readonly [RegExp, readonly [problem: string, ...next: string[]]])[] = [
  [/^CERT_HAS_EXPIRED$/, ["has run out", "Renew it there; if it is valid, this machine's clock is wrong."]],
  [/^CERT_NOT_YET_VALID$/, ["is not valid yet", "Is this machine's clock right?"]],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    ["is not for this host", "Write SLUICE_HUB with the name that stands in its certificate."],
  ],
  [
    /SELF_SIGNED_CERT|UNABLE_TO_(VERIFY|GET_ISSUER)|CERT_UNTRUSTED|INVALID_CA|CERT_SIGNATURE_FAILURE/,
    [
      "is not trusted here",
      "If the hub, the mirror or a proxy on the way is your own: put the certificate of its authority",
      "into a file, and set NODE_EXTRA_CA_CERTS=FILE.pem.",
    ],
  ],
];
