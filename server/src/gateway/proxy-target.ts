/**
 * Where a call of the built-in proxy goes (fal model API, "Built-in proxy route"): the URL of `x-fal-target-url` when it
 * is one of the hosted service's hosts over https, or this server's own origin. Undefined for everything else:
 * other hosts, user-info, another proxy entry, text that is no absolute URL.
 *
 * @param ownOrigins origins by which callers reach this server
 */
export function parseProxyTarget(header: string | null, ownOrigins: readonly string[]): URL | undefined {
  if (header === null || !URL.canParse(header)) return undefined;
  const url = new URL(header);
  if (url.username !== "" || url.password !== "") return undefined;
  const isOfficial = url.protocol === "https:" && url.port === "" && isOfficialHost(url.hostname);
  if (!isOfficial && !ownOrigins.includes(url.origin)) return undefined;
  return url.pathname.startsWith("/api/fal/proxy") ? undefined : url;
}

const OFFICIAL_HOSTS = new Set(["fal.ai", "fal.run", "fal.media", "falrun.com", "queue.falrun.com"]);

function isOfficialHost(host: string): boolean {
  return OFFICIAL_HOSTS.has(host) || /\.fal\.(ai|run|media)$/.test(host);
}
