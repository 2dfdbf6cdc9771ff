import { lookup } from "node:dns/promises";
import { isIP, type LookupFunction } from "node:net";
import type { Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { AddressRule } from "./public-address.ts";

/** Bounds of what a caller can make this server fetch. */
export interface DownloadRules {
  readonly isAllowed: AddressRule;
  readonly maxBytes: number;
  /** For the whole download, redirects included, in milliseconds. */
  readonly timeoutMs: number;
  /** Longest silence of the other side, in milliseconds. */
  readonly idleMs: number;
  readonly maxRedirects: number;
  /** Finds the addresses of a host name; the system's resolver unless a test brings its own. */
  readonly resolve: (hostName: string) => Promise<readonly ResolvedAddress[]>;
}

export interface ResolvedAddress {
  readonly address: string;
  readonly family: number;
}

export interface Download {
  readonly bytes: Uint8Array;
  /** As the server declared it; null when it did not. */
  readonly contentType: string | null;
  /** Where the bytes came from in the end. */
  readonly url: URL;
}

/** Nothing was downloaded; the message says why and is for the caller. */
export class DownloadError extends Error {
  readonly kind: "refused" | "failed" | "too_large";
  constructor(kind: DownloadError["kind"], message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "DownloadError";
    this.kind = kind;
  }
}

export const DEFAULT_DOWNLOAD_RULES: Omit<DownloadRules, "isAllowed" | "maxBytes"> = {
  timeoutMs: 60_000,
  idleMs: 15_000,
  maxRedirects: 5,
  resolve: (hostName) => lookup(hostName, { all: true, verbatim: true }),
};

/**
 * Fetches an http(s) URL that a stranger wrote, into memory.
 *
 * Names are resolved by the connection itself, through a lookup that refuses any name of which one address is not
 * allowed: what was checked is what is connected to, so that an answer that changes in between gains nothing. Each
 * redirect makes a new connection and is checked the same way; credentials of a URL stay with its origin.
 *
 * @throws DownloadError
 * @throws the signal's reason when it aborts
 */
export async function download(url: URL, rules: DownloadRules, signal?: AbortSignal): Promise<Download> {
  const timeout = AbortSignal.timeout(rules.timeoutMs);
  const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  let current = url;
  let authorization = readCredentials(url);
  try {
    for (let redirects = 0; ; redirects += 1) {
      const answer = await fetchOnce(current, authorization, rules, both);
      if (!("location" in answer)) return answer;
      if (redirects === rules.maxRedirects)
        throw new DownloadError("failed", `it was redirected more than ${rules.maxRedirects} times`);
      const next = parseTarget(answer.location, current);
      authorization = readCredentials(next) ?? (next.origin === current.origin ? authorization : undefined);
      current = next;
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (timeout.aborted) throw new DownloadError("failed", "it took too long", { cause: error });
    throw error instanceof DownloadError ? error : explain(error);
  }
}

async function fetchOnce(
  url: URL,
  authorization: string | undefined,
  rules: DownloadRules,
  signal: AbortSignal,
): Promise<Download | { readonly location: string }> {
  // An address in the URL is connected to without a lookup. The parser has already turned decimal, octal and
  // hexadecimal hosts into dotted ones.
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0 && !rules.isAllowed(host)) throw refuseAddress();
  const { Agent, request } = await import("undici"); // a hundred modules that many servers never need
  const agent = new Agent({
    connect: { lookup: createCheckedLookup(rules), timeout: Math.min(10_000, rules.timeoutMs) },
    headersTimeout: rules.idleMs,
    bodyTimeout: rules.idleMs,
    maxHeaderSize: 32 * 1024,
  });
  try {
    const response = await request(`${url.origin}${url.pathname}${url.search}`, {
      dispatcher: agent,
      signal,
      headers: {
        accept: "*/*",
        "accept-encoding": "identity",
        "user-agent": "sluice",
        ...(authorization === undefined ? {} : { authorization }),
      },
    });
    const { statusCode, headers, body } = response;
    body.on("error", () => {}); // What the reader below sees is enough; a body that nobody reads may fail too.
    const location = readHeader(headers["location"]);
    if (REDIRECTS.has(statusCode) && location !== undefined) return { location };
    if (statusCode < 200 || statusCode > 299)
      throw new DownloadError("failed", `the server answered ${statusCode}`);
    if (Number(readHeader(headers["content-length"]) ?? 0) > rules.maxBytes) throw tooLarge(rules);
    const content = decompress(body, readHeader(headers["content-encoding"]));
    const bytes = await readBounded(content, rules);
    return { bytes, contentType: readHeader(headers["content-type"]) ?? null, url };
  } finally {
    await agent.destroy();
  }
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Resolves names for a connection, and refuses a name of which one address is not allowed. */
export function createCheckedLookup({
  resolve,
  isAllowed,
}: Pick<DownloadRules, "resolve" | "isAllowed">): LookupFunction {
  return (hostName, options, callback) => {
    resolve(hostName).then(
      (addresses) => {
        const [first] = addresses;
        if (first === undefined) {
          callback(new DownloadError("failed", "its host name has no address"), "");
        } else if (!addresses.every(({ address }) => isAllowed(address))) {
          callback(refuseAddress(), "");
        } else if (options.all) {
          callback(
            null,
            addresses.map(({ address, family }) => ({ address, family })),
          );
        } else {
          callback(null, first.address, first.family);
        }
      },
      (error: unknown) =>
        callback(new DownloadError("failed", "its host name was not found", { cause: error }), ""),
    );
  };
}

function refuseAddress(): DownloadError {
  return new DownloadError(
    "refused",
    "its host is not a public address; upload the file instead, or ask the operator to set SLUICE_INPUT_ALLOW_PRIVATE",
  );
}

function tooLarge({ maxBytes }: DownloadRules): DownloadError {
  return new DownloadError("too_large", `it is larger than ${maxBytes} bytes`);
}

function parseTarget(location: string, base: URL): URL {
  if (!URL.canParse(location, base.href)) throw new DownloadError("failed", "it was redirected to no URL");
  const target = new URL(location, base);
  if (target.protocol !== "http:" && target.protocol !== "https:")
    throw new DownloadError("refused", "it was redirected to something that is not http or https");
  return target;
}

function readCredentials(url: URL): string | undefined {
  if (url.username === "" && url.password === "") return undefined;
  const text = `${decode(url.username)}:${decode(url.password)}`;
  return `Basic ${Buffer.from(text, "utf8").toString("base64")}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Asked for plain bytes, some servers send stored compressed ones; the limit is on what they unpack to. */
function decompress(body: Readable, encoding: string | undefined): Readable {
  switch (encoding?.trim().toLowerCase()) {
    case undefined:
    case "":
    case "identity":
      return body;
    case "gzip":
    case "x-gzip":
      return pipe(body, createGunzip());
    case "deflate":
      return pipe(body, createInflate());
    case "br":
      return pipe(body, createBrotliDecompress());
    default:
      throw new DownloadError("failed", "the server sent it in an unknown encoding");
  }
}

function pipe<T extends NodeJS.ReadWriteStream & Readable>(body: Readable, through: T): Readable {
  body.on("error", (error) => through.destroy(error));
  through.on("close", () => body.destroy());
  body.pipe(through);
  return through;
}

async function readBounded(content: Readable, rules: DownloadRules): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of content as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > rules.maxBytes) throw tooLarge(rules);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function readHeader(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** What a network failure means, without the addresses and system codes that only the operator should see. */
function explain(error: unknown): DownloadError {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    if (cause instanceof DownloadError) return cause;
  const { code = "" } = error as { code?: string };
  const reason =
    code === "ECONNREFUSED"
      ? "the connection was refused"
      : code.includes("TIMEOUT") || code === "ETIMEDOUT"
        ? "the server did not answer in time"
        : /CERT|TLS|SSL/.test(code)
          ? "the server's certificate is not valid"
          : "the connection failed";
  return new DownloadError("failed", reason, { cause: error });
}
