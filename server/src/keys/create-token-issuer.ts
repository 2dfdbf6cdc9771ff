import { createHash, createHmac, hkdfSync, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import type { JWTPayload } from "jose";
import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";
import type { AccountId, KeyId } from "../ids.ts";
import type { Caller } from "./caller.ts";
import type { KeyStore } from "./key-store.ts";
import type { TokenIssuer } from "./token-issuer.ts";

/** Longest life of a runtime token, in seconds. */
export const MAX_RUNTIME_TOKEN_SECONDS = 3_600;
/** Longest life of a session, in seconds. */
export const MAX_SESSION_SECONDS: number = 12 * 3_600;
/** Longest life of a CDN token, in seconds. */
export const MAX_CDN_TOKEN_SECONDS: number = 30 * 86_400;

const CLOCK_SKEW_SECONDS = 30;
const ISSUER = "sluice";

/**
 * Issues JWTs (HS256) with a secret that is made once and kept in the database, so that tokens outlive a restart and
 * hold on every gateway. Claims: `sub` account, `key` the key that asked, `scope` `runtime`, `cdn` or `session`, `apps`,
 * `half` hash of a session's other half, `iat`, `exp`. Revoking a key ends its tokens.
 */
export async function createTokenIssuer(parts: {
  readonly database: Database;
  readonly keys: KeyStore;
  readonly clock: Clock;
}): Promise<TokenIssuer> {
  const { database, keys, clock } = parts;
  const signingKey = await ensureSigningKey(database, clock);
  // One secret for each use, so that a signature made for one can never stand for another.
  const jwtSecret = deriveKey(signingKey.secret, "jwt");
  const linkSecrets = {
    upload: deriveKey(signingKey.secret, "upload"),
    read: deriveKey(signingKey.secret, "read"),
  };

  const issue = async (caller: Caller, claims: JWTPayload, seconds: number): Promise<string> => {
    const issuedAt = Math.floor(clock.now() / 1000);
    const { SignJWT } = await loadJose();
    return await new SignJWT({ ...claims, ...(caller.keyId === null ? {} : { key: caller.keyId }) })
      .setProtectedHeader({ alg: "HS256", typ: "JWT", kid: signingKey.id })
      .setIssuer(ISSUER)
      .setSubject(caller.accountId)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + seconds)
      .sign(jwtSecret);
  };

  const computeSignature = (purpose: "upload" | "read", text: string, expiresAt: number): Buffer =>
    createHmac("sha256", linkSecrets[purpose]).update(`${expiresAt}\n${text}`).digest();

  return {
    issueRuntimeToken: (caller, apps, seconds) =>
      issue(caller, { scope: "runtime", apps: [...apps] }, clamp(seconds, MAX_RUNTIME_TOKEN_SECONDS)),

    async issueCdnToken(caller, seconds) {
      const life = clamp(seconds, MAX_CDN_TOKEN_SECONDS);
      const expiresAt = (Math.floor(clock.now() / 1000) + life) * 1000;
      return { token: await issue(caller, { scope: "cdn" }, life), expiresAt };
    },

    issueSessionToken: (caller, secret, seconds) =>
      issue(caller, { scope: "session", half: hashHalf(secret) }, clamp(seconds, MAX_SESSION_SECONDS)),

    async verifySession(token, secret) {
      const claims = await readClaims(token, jwtSecret, clock.now());
      const keyId = claims?.["key"];
      if (claims?.["scope"] !== "session" || typeof keyId !== "string") return undefined;
      // Both are hashes: comparing them tells nothing about the secret.
      if (claims["half"] !== hashHalf(secret)) return undefined;
      const key = await keys.find(keyId);
      if (key === undefined || key.revokedAt !== null) return undefined;
      return { accountId: key.accountId, keyId: key.id, scope: key.scope, credential: "key" };
    },

    async verify(token) {
      const claims = await readClaims(token, jwtSecret, clock.now());
      if (claims === undefined) return undefined;
      const caller = parseCaller(claims);
      if (caller === undefined || caller.keyId === null) return caller;
      const key = await keys.find(caller.keyId);
      return key === undefined || key.revokedAt !== null ? undefined : caller;
    },

    sign: (purpose, text, expiresAt) => computeSignature(purpose, text, expiresAt).toString("base64url"),

    verifySignature(purpose, text, expiresAt, signature) {
      const given = Buffer.from(signature, "base64url");
      const right = computeSignature(purpose, text, expiresAt);
      return given.length === right.length && timingSafeEqual(given, right) && clock.now() < expiresAt;
    },
  };
}

interface SigningKey {
  readonly id: string;
  readonly secret: string;
}

async function ensureSigningKey(database: Database, clock: Clock): Promise<SigningKey> {
  const fresh = { id: randomUUID(), secret: randomBytes(32).toString("hex") };
  const kept = await database.transaction(async (tx) => {
    await tx.run(
      "INSERT INTO signing_keys (purpose, id, secret, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
      ["tokens", fresh.id, fresh.secret, clock.now()],
    );
    return await tx.get<SigningKey>("SELECT id, secret FROM signing_keys WHERE purpose = $1", ["tokens"]);
  });
  return kept ?? fresh;
}

function deriveKey(secret: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", Buffer.from(secret, "hex"), "", `sluice ${purpose}`, 32));
}

function hashHalf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

function clamp(seconds: number, max: number): number {
  return Math.min(Math.max(Math.floor(seconds), 1), max);
}

async function readClaims(token: string, secret: Uint8Array, now: number): Promise<JWTPayload | undefined> {
  const { jwtVerify } = await loadJose();
  try {
    const { payload } = await jwtVerify(token, secret, {
      algorithms: ["HS256"],
      issuer: ISSUER,
      clockTolerance: CLOCK_SKEW_SECONDS,
      currentDate: new Date(now),
      requiredClaims: ["exp", "sub", "iat"],
    });
    return payload;
  } catch {
    // Whatever is wrong with it (form, signature, age), the caller learns only that it is not valid.
    return undefined;
  }
}

function parseCaller(claims: JWTPayload): Caller | undefined {
  const { sub } = claims;
  const scope = claims["scope"];
  const key = claims["key"];
  const apps = claims["apps"];
  if (sub === undefined || (key !== undefined && typeof key !== "string")) return undefined;
  const common = {
    accountId: sub as AccountId,
    keyId: (key as KeyId | undefined) ?? null,
    scope: "API",
  } as const;
  if (scope === "cdn") return { ...common, credential: "cdn" };
  if (scope !== "runtime" || !Array.isArray(apps)) return undefined;
  return { ...common, credential: "token", apps: apps.filter((app) => typeof app === "string") };
}

/** Loaded by the first token: a server that only sees keys starts without it. */
function loadJose(): Promise<typeof import("jose")> {
  return import("jose");
}
