import ipaddr from "ipaddr.js";
import { type Settings, SettingsError } from "../settings.ts";
import type { Connection } from "./call.ts";

/** Absolute URLs handed out to one caller. None has a trailing slash. */
export interface PublicUrls {
  /** Origin with path mounts: `http://127.0.0.1:7777`. */
  readonly origin: string;
  /** Base of queue URLs, in the style that was asked: `{origin}/queue` or `https://queue.fal.run`. */
  readonly queue: string;
  /** Base of file URLs: the path mount, `{origin}/cdn`. */
  readonly files: string;
}

/** Scheme and host as the caller sees them. */
export interface PublicAddress {
  readonly scheme: string;
  /** With the port when it is not the scheme's own. */
  readonly host: string;
}

/** Builds the URLs that a caller can reach (fal model API, "One self-hosted origin"). */
export interface UrlBuilder {
  /** What the caller typed: from `X-Forwarded-*` of a trusted proxy, else from the connection. */
  findAddress(request: Request, url: URL, connection: Connection): PublicAddress;
  /**
   * @param virtualHost the kind of name when the surface was picked by it
   * @param userAgent of the caller, when it has one
   */
  build(
    address: PublicAddress,
    virtualHost: "official" | "own" | undefined,
    connection: Connection,
    userAgent?: string | null,
  ): PublicUrls;
}

/** @throws SettingsError when a trusted proxy is not an address or CIDR */
export function createUrlBuilder(settings: Settings): UrlBuilder {
  const trusted = settings.trustedProxies.map(parseRange);
  const isTrusted = (address: string | undefined): boolean => {
    if (trusted.length === 0 || address === undefined || !ipaddr.isValid(address)) return false;
    const ip = ipaddr.process(address);
    return trusted.some(([range, bits]) => range.kind() === ip.kind() && ip.match(range, bits));
  };
  const publicOrigin = settings.publicUrl === null ? null : new URL(settings.publicUrl).origin;
  return {
    findAddress(request, url, connection) {
      const address = { scheme: connection.isTls ? "https" : "http", host: url.host };
      if (!isTrusted(connection.remoteAddress)) return address;
      const scheme = firstOf(request.headers.get("x-forwarded-proto"))?.toLowerCase();
      const host = firstOf(request.headers.get("x-forwarded-host"))?.toLowerCase();
      return {
        scheme: scheme === "http" || scheme === "https" ? scheme : address.scheme,
        host: host !== undefined && HOST.test(host) ? host : address.host,
      };
    },
    build({ scheme, host }, virtualHost, connection, userAgent) {
      // An official name only resolves to us for callers whose connections are redirected; file URLs outlive them.
      const origin =
        publicOrigin ??
        (virtualHost === "official" ? formatOwnOrigin(settings, connection) : `${scheme}://${host}`);
      const queue =
        virtualHost === "official"
          ? `https://${host}`
          : virtualHost === "own"
            ? `${scheme}://${host}`
            : `${origin}/queue`;
      const isBoundToHost = virtualHost === "official" && BOUND_TO_HOST.test(userAgent ?? "");
      return { origin, queue, files: `${isBoundToHost ? `https://${host}` : origin}/cdn` };
    },
  };
}

/**
 * From `@ai-sdk/fal` 3 on (with `@ai-sdk/provider-utils` 5, which it names), the Vercel AI SDK downloads files from private addresses only where they are at the host that it
 * called. It downloads at once and shows the URL to nobody, so that it need not outlive the call.
 */
const BOUND_TO_HOST = /\bai-sdk\/provider-utils\/(?:[5-9]|\d\d)/;

const HOST = /^(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::\d{1,5})?$/;

function firstOf(header: string | null): string | undefined {
  const text = header?.split(",", 1)[0]?.trim();
  return text === undefined || text === "" ? undefined : text;
}

function parseRange(text: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const [address = "", bits] = text.split("/", 2);
  // The library would also read 10.1 as 10.0.0.1, which nobody means here.
  const isPlain = ipaddr.IPv6.isValid(address) || ipaddr.IPv4.isValidFourPartDecimal(address);
  if (isPlain && bits !== undefined && ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text);
  if (isPlain && bits === undefined) {
    const ip = ipaddr.process(address);
    return [ip, ip.kind() === "ipv4" ? 32 : 128];
  }
  throw new SettingsError(
    `SLUICE_TRUSTED_PROXIES must be addresses or CIDRs, for example 10.0.0.0/8; "${text}" is neither.`,
  );
}

function formatOwnOrigin(settings: Settings, connection: Connection): string {
  const scheme = connection.isTls ? "https" : "http";
  const address = connection.localAddress?.replace(/^::ffff:/, "") ?? settings.host;
  const host = address.includes(":") ? `[${address}]` : address;
  return new URL(`${scheme}://${host}:${connection.localPort ?? settings.port}`).origin;
}
