import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Database, SqlValue, Statements } from "../database/database.ts";
import { type AccountId, createAccountId, createKeyId, type KeyId } from "../ids.ts";
import type {
  Account,
  CreatedKey,
  Key,
  KeyChanges,
  KeyLimits,
  KeyPage,
  KeyStore,
  NewKey,
  Scope,
} from "./key-store.ts";

/**
 * Keys in the database, served from memory: after its first use a key costs no read. A change empties the memory
 * at once; with PostgreSQL, where another gateway may change it, what is in memory is believed for one second.
 *
 * Close it before the database: the last times of use are written behind the callers' backs.
 */
export function createKeyStore(parts: {
  readonly database: Database;
  readonly clock: Clock;
}): KeyStore & AsyncDisposable {
  return new DatabaseKeyStore(parts.database, parts.clock);
}

/** Nickname of the account that keys belong to when none is named. */
export const OWN_ACCOUNT = "local";

const LAST_USE_INTERVAL_MS = 60_000;
const SHARED_DATABASE_MEMORY_MS = 1_000;
const MAX_KEYS_IN_MEMORY = 10_000;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

interface KnownKey {
  readonly key: Key;
  readonly secretHash: Buffer;
  readonly readAt: number;
}

interface KeyRow {
  readonly id: string;
  readonly account_id: string;
  readonly alias: string;
  readonly scope: string;
  readonly secret_hash: string;
  readonly limits: string;
  readonly created_at: number;
  readonly last_used_at: number | null;
  readonly revoked_at: number | null;
}

class DatabaseKeyStore implements KeyStore, AsyncDisposable {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #memoryMs: number;
  readonly #known = new Map<string, KnownKey>();
  readonly #lastUsed = new Map<string, { usedAt: number; writtenAt: number }>();
  readonly #writes = new Set<Promise<void>>();
  /** Grows with every change, so that a read that began before it is not remembered after it. */
  #changes = 0;

  constructor(database: Database, clock: Clock) {
    this.#database = database;
    this.#clock = clock;
    this.#memoryMs = database.dialect === "sqlite" ? Number.POSITIVE_INFINITY : SHARED_DATABASE_MEMORY_MS;
  }

  async create(fields: NewKey): Promise<CreatedKey> {
    const now = this.#clock.now();
    const id = createKeyId(now);
    const secret = randomBytes(16).toString("hex");
    const limits = fields.limits ?? {};
    const accountId = await this.#database.transaction(async (tx) => {
      const owner = await ensureAccount(
        tx,
        fields.accountId ?? (fields.scope === "API" ? createAccountId() : undefined),
        now,
      );
      await tx.run(
        `INSERT INTO keys (id, account_id, alias, scope, secret_hash, limits, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)`,
        [
          id,
          owner,
          fields.alias,
          fields.scope,
          hashSecret(secret).toString("hex"),
          JSON.stringify(limits),
          now,
        ],
      );
      return owner;
    });
    const key: Key = {
      id,
      accountId,
      alias: fields.alias,
      scope: fields.scope,
      limits,
      createdAt: now,
      lastUsedAt: null,
      revokedAt: null,
    };
    return { key, credential: `${id}:${secret}` };
  }

  async verify(keyId: string, secret: string): Promise<Key | undefined> {
    const known = await this.#find(keyId);
    // Digests are compared, also for an unknown id: neither length nor content of a secret shows in the time taken.
    const isRight = timingSafeEqual(hashSecret(secret), known?.secretHash ?? NO_HASH);
    if (known === undefined || !isRight || known.key.revokedAt !== null) return undefined;
    this.#noteUse(known.key.id);
    return known.key;
  }

  async find(keyId: string): Promise<Key | undefined> {
    const known = await this.#find(keyId);
    return known === undefined ? undefined : this.#withLastUse(known.key);
  }

  async list(filter: {
    readonly accountId?: AccountId;
    readonly limit: number;
    readonly cursor?: string;
  }): Promise<KeyPage> {
    const parameters: SqlValue[] = [filter.limit + 1];
    const conditions = ["revoked_at IS NULL"];
    if (filter.accountId !== undefined) conditions.push(`account_id = $${parameters.push(filter.accountId)}`);
    if (filter.cursor !== undefined) conditions.push(`id < $${parameters.push(filter.cursor)}`);
    const rows = await this.#database.read((tx) =>
      tx.all<KeyRow>(
        `SELECT * FROM keys WHERE ${conditions.join(" AND ")} ORDER BY id DESC LIMIT $1`,
        parameters,
      ),
    );
    const keys = rows.slice(0, filter.limit).map((row) => this.#withLastUse(parseKey(row)));
    const last = keys.at(-1);
    return { keys, nextCursor: rows.length > filter.limit && last !== undefined ? last.id : null };
  }

  async update(keyId: string, { alias, limits }: KeyChanges): Promise<Key | undefined> {
    if (!UUID.test(keyId)) return undefined;
    const row = await this.#database.transaction(async (tx) => {
      await tx.run(
        `UPDATE keys SET alias = coalesce($1, alias), limits = coalesce($2, limits)
         WHERE id = $3 AND revoked_at IS NULL`,
        [alias ?? null, limits === undefined ? null : JSON.stringify(limits), keyId],
      );
      return await tx.get<KeyRow>("SELECT * FROM keys WHERE id = $1 AND revoked_at IS NULL", [keyId]);
    });
    this.#forget(keyId);
    return row === undefined ? undefined : this.#withLastUse(parseKey(row));
  }

  async revoke(keyId: string): Promise<boolean> {
    if (!UUID.test(keyId)) return false;
    const changed = await this.#database.transaction((tx) =>
      tx.run("UPDATE keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL", [
        this.#clock.now(),
        keyId,
      ]),
    );
    this.#forget(keyId);
    return changed > 0;
  }

  async isEmpty(): Promise<boolean> {
    const row = await this.#database.read((tx) => tx.get<{ id: string }>("SELECT id FROM keys LIMIT 1"));
    return row === undefined;
  }

  async findAccount(accountId: AccountId): Promise<Account | undefined> {
    const row = await this.#database.read((tx) =>
      tx.get<{ nickname: string }>("SELECT nickname FROM accounts WHERE id = $1", [accountId]),
    );
    return row === undefined ? undefined : { id: accountId, nickname: row.nickname };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#writes);
    const dirty = [...this.#lastUsed].filter(([, use]) => use.usedAt !== use.writtenAt);
    if (dirty.length > 0) await this.#writeLastUse(dirty.map(([id, use]) => [id, use.usedAt]));
  }

  async #find(keyId: string): Promise<KnownKey | undefined> {
    const known = this.#known.get(keyId);
    if (known !== undefined && this.#clock.monotonic() - known.readAt < this.#memoryMs) return known;
    if (!UUID.test(keyId)) return undefined;
    const changes = this.#changes;
    const readAt = this.#clock.monotonic();
    const row = await this.#database.read((tx) =>
      tx.get<KeyRow>("SELECT * FROM keys WHERE id = $1", [keyId]),
    );
    if (row === undefined) return undefined;
    const found = { key: parseKey(row), secretHash: Buffer.from(row.secret_hash, "hex"), readAt };
    if (changes !== this.#changes) return await this.#find(keyId);
    if (this.#known.size >= MAX_KEYS_IN_MEMORY) this.#known.clear();
    this.#known.set(keyId, found);
    return found;
  }

  #forget(keyId: string): void {
    this.#changes += 1;
    this.#known.delete(keyId);
  }

  #withLastUse(key: Key): Key {
    const use = this.#lastUsed.get(key.id);
    return use === undefined ? key : { ...key, lastUsedAt: use.usedAt };
  }

  /** Written back at most once a minute and key; what a crash loses is a minute of one time stamp. */
  #noteUse(keyId: KeyId): void {
    const now = this.#clock.now();
    const use = this.#lastUsed.get(keyId);
    if (use !== undefined && Math.abs(now - use.writtenAt) < LAST_USE_INTERVAL_MS) {
      use.usedAt = now;
      return;
    }
    this.#lastUsed.set(keyId, { usedAt: now, writtenAt: now });
    const write: Promise<void> = this.#writeLastUse([[keyId, now]])
      // A read-only or full disk must not keep a good key out; writes that matter report it.
      .catch(() => {})
      .finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  async #writeLastUse(uses: readonly (readonly [string, number])[]): Promise<void> {
    await this.#database.transaction(async (tx) => {
      for (const [id, usedAt] of uses)
        await tx.run("UPDATE keys SET last_used_at = $1 WHERE id = $2", [usedAt, id]);
    });
  }
}

const NO_HASH = Buffer.alloc(32);

function hashSecret(secret: string): Buffer {
  return hash("sha256", secret, "buffer");
}

async function ensureAccount(
  tx: Statements,
  accountId: AccountId | undefined,
  now: number,
): Promise<AccountId> {
  const id = accountId ?? createAccountId();
  const nickname = accountId === undefined ? OWN_ACCOUNT : `account-${accountId}`;
  await tx.run("INSERT INTO accounts (id, nickname, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", [
    id,
    nickname,
    now,
  ]);
  if (accountId !== undefined) return accountId;
  const own = await tx.get<{ id: string }>("SELECT id FROM accounts WHERE nickname = $1", [OWN_ACCOUNT]);
  return (own?.id ?? id) as AccountId;
}

function parseKey(row: KeyRow): Key {
  return {
    id: row.id as KeyId,
    accountId: row.account_id as AccountId,
    alias: row.alias,
    scope: row.scope as Scope,
    limits: JSON.parse(row.limits) as KeyLimits,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
  };
}
