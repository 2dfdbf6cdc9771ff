/**
 * Whether the page that calls belongs here. A browser says from where a call comes, and pages cannot change that;
 * other programs say nothing, and have no visitor's cookies to misuse either.
 */
export function isAllowedOrigin(request: Request, allowed: readonly string[] | "*"): boolean {
  if (allowed === "*") return true;
  const { headers } = request;
  const origin = headers.get("origin");
  if (origin !== null && allowed.includes(origin)) return true;
  const site = headers.get("sec-fetch-site");
  if (site !== null) return site === "same-origin" || site === "none";
  if (origin === null) return true;
  const hosts = [headers.get("x-forwarded-host"), headers.get("host"), new URL(request.url).host];
  return URL.canParse(origin) && hosts.includes(new URL(origin).host);
}
