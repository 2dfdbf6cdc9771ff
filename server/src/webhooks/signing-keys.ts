import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";

/**
 * The ED25519 keys that webhook deliveries are signed with, kept in the database and published as a JWKS. Receivers
 * may remember the JWKS for a day: a new key is published a day before it signs, and the old one for a day after.
 */
export interface WebhookSigningKeys {
  /** Signs with the current key: 64 bytes. */
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** The keys that a receiver may meet, newest first (RFC 7517). */
  getJwks(): Promise<{ readonly keys: readonly WebhookJwk[] }>;
  /** Makes the next key. It signs from a day after now on. */
  rotate(): Promise<void>;
}

export interface WebhookJwk {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  /** The public key, base64url. */
  readonly x: string;
  readonly kid: string;
  readonly use: "sig";
  readonly alg: "EdDSA";
}

export function createWebhookSigningKeys(parts: {
  readonly database: Database;
  readonly clock: Clock;
}): WebhookSigningKeys {
  const { database, clock } = parts;
  let known: { readonly keys: readonly SigningKey[]; readonly readAt: number } | undefined;

  /** Oldest first; never empty. Read again every minute, because another process may rotate. */
  const load = async (): Promise<readonly [SigningKey, ...SigningKey[]]> => {
    if (known !== undefined && clock.monotonic() - known.readAt < MEMORY_MS) {
      const [first, ...rest] = known.keys;
      if (first !== undefined) return [first, ...rest];
    }
    let rows = await readRows(database);
    if (rows.length === 0) {
      // The one name makes the first key one key, however many ask at once.
      await insertKey(database, "webhook-first", clock.now());
      rows = await readRows(database);
    }
    const [first, ...rest] = rows.map(parseKey);
    if (first === undefined) throw new Error("The webhook signing key could not be made.");
    known = { keys: [first, ...rest], readAt: clock.monotonic() };
    return [first, ...rest];
  };

  return {
    async sign(message) {
      const keys = await load();
      const current = keys.findLast((key) => key.createdAt + DAY_MS <= clock.now()) ?? keys[0];
      return sign(null, message, current.privateKey);
    },

    async getJwks() {
      const keys = await load();
      const published = keys.filter((_, index) => {
        const next = keys[index + 1];
        return next === undefined || clock.now() < next.createdAt + 2 * DAY_MS;
      });
      return { keys: published.map(toJwk).reverse() };
    },

    async rotate() {
      await load();
      await insertKey(database, `webhook-${randomUUID()}`, clock.now());
      known = undefined;
    },
  };
}

const DAY_MS = 86_400_000;
const MEMORY_MS = 60_000;

interface SigningKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly createdAt: number;
}

interface SigningKeyRow {
  readonly id: string;
  readonly secret: string;
  readonly created_at: number;
}

function readRows(database: Database): Promise<SigningKeyRow[]> {
  return database.read((tx) =>
    tx.all<SigningKeyRow>(
      "SELECT id, secret, created_at FROM signing_keys WHERE purpose LIKE 'webhook-%' ORDER BY created_at, id",
    ),
  );
}

async function insertKey(database: Database, purpose: string, now: number): Promise<void> {
  const { privateKey } = generateKeyPairSync("ed25519");
  const secret = privateKey.export({ type: "pkcs8", format: "der" }).toString("base64");
  await database.transaction((tx) =>
    tx.run(
      "INSERT INTO signing_keys (purpose, id, secret, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
      [purpose, randomUUID(), secret, now],
    ),
  );
}

function parseKey(row: SigningKeyRow): SigningKey {
  const key = Buffer.from(row.secret, "base64");
  return {
    id: row.id,
    privateKey: createPrivateKey({ key, format: "der", type: "pkcs8" }),
    createdAt: row.created_at,
  };
}

function toJwk({ id, privateKey }: SigningKey): WebhookJwk {
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return { kty: "OKP", crv: "Ed25519", x, kid: id, use: "sig", alg: "EdDSA" };
}
