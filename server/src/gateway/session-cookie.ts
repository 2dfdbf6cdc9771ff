/** How long a signed-in page stays signed in. */
export const SESSION_SECONDS: number = 12 * 3600;

/** Carries the half of a session that only pages of this origin can read; the other half is an HttpOnly cookie. */
export const SESSION_HEADER = "x-sluice-session";

/**
 * The two halves of a session, when a request carries both and comes from a page of this origin. A page elsewhere
 * knows no half; a program that was sent the cookie (another port of the same host) does not know the other.
 */
export function readSession(
  request: Request,
  url: URL,
): { readonly token: string; readonly secret: string } | undefined {
  const secret = request.headers.get(SESSION_HEADER) ?? "";
  const cookie = request.headers.get("cookie") ?? "";
  if (secret === "" || cookie === "" || isFromElsewhere(request)) return undefined;
  const start = `${formatName(url)}=`;
  const pair = cookie.split(";").find((each) => each.trim().startsWith(start));
  const token = pair?.trim().slice(start.length) ?? "";
  return token === "" ? undefined : { token, secret };
}

/** True for a request that a browser says another origin's page made. */
export function isFromElsewhere(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  return site !== null && site !== "same-origin" && site !== "none";
}

/** Value of `Set-Cookie`; an empty token removes the cookie. */
export function formatSessionCookie(url: URL, token: string, isSecure: boolean): string {
  const life = token === "" ? 0 : SESSION_SECONDS;
  const secure = isSecure ? "; Secure" : "";
  return `${formatName(url)}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${life}${secure}`;
}

/** Cookies know no ports: two servers on one host would sign each other out. */
function formatName(url: URL): string {
  return url.port === "" ? "sluice_session" : `sluice_session_${url.port}`;
}
