import type { GatewayContext } from "../context.ts";
import type { ServerCall } from "../server-routes.ts";
import type { AppFile } from "./app-files.ts";
import { NOT_BUILT_PAGE } from "./not-built-page.ts";

/**
 * The web app: one page for `/`, `/models/{id}`, `/models/{id}/api` and `/app/*`, which draws what the address names,
 * and its files under `/app/assets/`.
 *
 * @returns undefined for every path that is not the app's
 */
export function createAppRoutes(
  context: GatewayContext,
): (call: ServerCall) => Promise<Response | undefined> {
  const { appFiles, catalog, settings } = context;
  const pageHeaders = {
    ...PAGE_HEADERS,
    "content-security-policy": formatPolicy(settings.publicUrl),
  };

  return async ({ request, path }) => {
    const place = findPlace(path, (id) => catalog.find(id) !== undefined);
    if (place === undefined) return undefined;
    if (request.method !== "GET" && request.method !== "HEAD")
      return Response.json(
        { detail: "Method Not Allowed" },
        { status: 405, headers: { allow: "GET, HEAD" } },
      );
    if (place.kind === "file") {
      const file = appFiles?.find(place.name);
      return file === undefined
        ? undefined
        : await respondFile(request, file, { "x-content-type-options": "nosniff" });
    }
    if (appFiles === undefined) {
      const headers = { ...pageHeaders, "content-type": "text/html; charset=utf-8" };
      return new Response(request.method === "HEAD" ? null : NOT_BUILT_PAGE, { status: 200, headers });
    }
    return await respondFile(request, appFiles.page, pageHeaders, place.isKnown ? 200 : 404);
  };
}

type AppPlace =
  | { readonly kind: "page"; readonly isKnown: boolean }
  | { readonly kind: "file"; readonly name: string };

function findPlace(path: string, isEndpoint: (id: string) => boolean): AppPlace | undefined {
  if (path === "/") return { kind: "page", isKnown: true };
  if (path.startsWith("/models/")) {
    const id = path.slice("/models/".length).replace(/\/$/, "");
    return { kind: "page", isKnown: isEndpoint(id) || isEndpoint(id.replace(/\/api$/, "")) };
  }
  if (path === "/app" || path.startsWith("/app/")) {
    const name = path.slice("/app/".length);
    return name.includes(".") ? { kind: "file", name } : { kind: "page", isKnown: true };
  }
  return undefined;
}

async function respondFile(
  request: Request,
  file: AppFile,
  headers: Readonly<Record<string, string>>,
  status = 200,
): Promise<Response> {
  const encoding = chooseEncoding(request.headers.get("accept-encoding") ?? "", file);
  const etag = `"${file.hash}${encoding === undefined ? "" : `-${encoding}`}"`;
  const all = {
    ...headers,
    "content-type": file.contentType,
    "cache-control": file.isImmutable ? "public, max-age=31536000, immutable" : "no-cache",
    etag,
    vary: "accept-encoding",
    ...(encoding === undefined ? {} : { "content-encoding": encoding }),
  };
  const known = (request.headers.get("if-none-match") ?? "").split(",").map((each) => each.trim());
  if (status === 200 && known.some((each) => each === etag || each === `W/${etag}`)) {
    const { "content-type": _, "content-encoding": __, ...rest } = all as Record<string, string>;
    return new Response(null, { status: 304, headers: rest });
  }
  const bytes = encoding === undefined ? file.bytes : await file.compress(encoding);
  const length = { "content-length": String(bytes.length) };
  const body = request.method === "HEAD" ? null : new Uint8Array(bytes);
  return new Response(body, { status, headers: { ...all, ...length } });
}

function chooseEncoding(accepted: string, file: AppFile): "br" | "gzip" | undefined {
  if (file.contentType === "font/woff2" || file.bytes.length < 512) return undefined;
  const names = accepted
    .split(",")
    .filter((each) => !/;\s*q=0(\.0*)?\s*$/.test(each))
    .map((each) => each.split(";", 1)[0]?.trim());
  return names.includes("br") ? "br" : names.includes("gzip") ? "gzip" : undefined;
}

/** The page loads nothing from elsewhere; files may be handed out under the public origin of the settings. */
function formatPolicy(publicUrl: string | null): string {
  const files = publicUrl === null ? "" : ` ${new URL(publicUrl).origin}`;
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src 'self' data: blob:${files}`,
    `media-src 'self' data: blob:${files}`,
    `connect-src 'self'${files}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
};
