import { formatApp, parseEndpointId } from "@sluice/protocol";
import type { Caller } from "../keys/caller.ts";
import type { KeyStore, Scope } from "../keys/key-store.ts";
import type { TokenIssuer } from "../keys/token-issuer.ts";
import type { Surface } from "./context.ts";
import type { Respond } from "./respond.ts";
import { readSession } from "./session-cookie.ts";

/** Who calls, or the answer that refuses them. */
export type Authentication =
  | { readonly ok: true; readonly caller: Caller }
  | { readonly ok: false; readonly response: Response };

export interface Access {
  /** Decides the shape and text of a refusal. */
  readonly surface: Surface;
  /** What is called, as `[namespace/]owner/alias[/path]`: named in refusals, and checked against a token's apps. */
  readonly endpoint?: string;
  /** Kinds of credential that may be used; default: keys only. */
  readonly accepts?: readonly Caller["credential"][];
  /** `ADMIN` refuses keys of scope API; default `API`. */
  readonly scope?: Scope;
}

export interface Authenticator {
  /**
   * Checks the credential of a request: `Authorization: Key id:secret`, `Authorization: Bearer token`, or
   * `?fal_jwt_token=` when there is no such header, or the session of a page of this origin. Status and text of every refusal are those of the fal model API,
   * "Authentication: refusals".
   */
  authenticate(request: Request, url: URL, access: Access): Promise<Authentication>;
  /** True when the request carries anything that looks like a credential. */
  hasCredential(request: Request, url: URL): boolean;
}

export function createAuthenticator(parts: {
  readonly keys: KeyStore;
  readonly tokens: TokenIssuer;
  readonly respond: Respond;
}): Authenticator {
  const { keys, tokens, respond } = parts;

  const refuse = (access: Access, status: 401 | 403, detail: string): Authentication => {
    const headers = status === 401 ? { "www-authenticate": "Key" } : {};
    const response =
      access.surface === "platform"
        ? respond.platform(status, "authorization_error", detail, headers)
        : respond.sentence(status, detail, headers);
    return { ok: false, response };
  };

  const admit = (access: Access, caller: Caller): Authentication => {
    if (!(access.accepts ?? KEYS_ONLY).includes(caller.credential))
      return refuse(access, 401, describeMissing(access));
    if (caller.credential === "token" && !mayCall(caller.apps ?? [], access.endpoint))
      return refuse(access, 401, describeMissing(access));
    if (access.scope === "ADMIN" && caller.scope !== "ADMIN")
      return refuse(access, 403, "This operation needs a key of scope ADMIN; the key given has scope API.");
    return { ok: true, caller };
  };

  return {
    async authenticate(request, url, access) {
      const credential = readCredential(request, url);
      switch (credential.kind) {
        case "none":
          return refuse(access, 401, describeMissing(access));
        case "malformed":
          return refuse(
            access,
            401,
            "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'.",
          );
        case "key": {
          const key = await keys.verify(credential.id, credential.secret);
          if (key === undefined) return refuse(access, 401, "No user found for Key ID and Secret");
          const { accountId, id: keyId, scope } = key;
          return admit(access, { accountId, keyId, scope, credential: "key" });
        }
        case "token": {
          const caller = await tokens.verify(credential.token);
          // The token itself is never echoed: answers end up in logs.
          if (caller === undefined) return refuse(access, 401, "Authorization token=<…> is invalid.");
          return admit(access, caller);
        }
        case "session": {
          const caller = await tokens.verifySession(credential.token, credential.secret);
          if (caller === undefined) return refuse(access, 401, "The session has ended; sign in again.");
          return admit(access, caller);
        }
        default:
          return credential satisfies never;
      }
    },
    hasCredential: (request, url) => readCredential(request, url).kind !== "none",
  };
}

const KEYS_ONLY: readonly Caller["credential"][] = ["key"];

type Credential =
  | { readonly kind: "none" }
  | { readonly kind: "malformed" }
  | { readonly kind: "key"; readonly id: string; readonly secret: string }
  | { readonly kind: "token"; readonly token: string }
  | { readonly kind: "session"; readonly token: string; readonly secret: string };

function readCredential(request: Request, url: URL): Credential {
  const header = request.headers.get("authorization")?.trim() ?? "";
  if (header === "") {
    const token = url.search === "" ? null : url.searchParams.get("fal_jwt_token");
    if (token !== null && token !== "") return { kind: "token", token };
    const session = readSession(request, url);
    return session === undefined ? { kind: "none" } : { kind: "session", ...session };
  }
  const space = header.search(/\s/);
  const scheme = (space === -1 ? header : header.slice(0, space)).toLowerCase();
  const value = space === -1 ? "" : header.slice(space).trim();
  if (scheme === "bearer") return { kind: "token", token: value };
  if (scheme !== "key") return { kind: "none" };
  const colon = value.indexOf(":");
  const id = value.slice(0, Math.max(colon, 0)).trim();
  const secret = colon === -1 ? "" : value.slice(colon + 1).trim();
  return id === "" || secret === "" ? { kind: "malformed" } : { kind: "key", id, secret };
}

function describeMissing({ surface, endpoint }: Access): string {
  if (surface === "queue" || surface === "run" || surface === "ws") {
    const app = endpoint === undefined ? "" : formatAppOf(endpoint);
    return `Cannot access application "${app}". Authentication is required to access this application.`;
  }
  return "Authorization header is required";
}

function formatAppOf(endpoint: string): string {
  const id = parseEndpointId(endpoint);
  return id === undefined ? endpoint : formatApp(id);
}

/** A token names what it may call as `alias`, `owner/alias` or `owner/alias/path…`, which includes what is below. */
function mayCall(apps: readonly string[], endpoint: string | undefined): boolean {
  if (endpoint === undefined) return true;
  const id = parseEndpointId(endpoint);
  if (id === undefined) return false;
  const app = formatApp(id);
  return apps.some(
    (entry) =>
      entry === id.alias ||
      entry === app ||
      (entry.startsWith(`${app}/`) && (endpoint === entry || endpoint.startsWith(`${entry}/`))),
  );
}
