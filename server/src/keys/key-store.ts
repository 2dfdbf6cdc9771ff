import type { AccountId, KeyId } from "../ids.ts";

/** Callers' credentials. Secrets are kept as hashes only; verification takes constant time. */
export interface KeyStore {
  /** Makes a key; the secret is in the answer and nowhere else. */
  create(key: NewKey): Promise<CreatedKey>;
  /** Undefined for an unknown id, a wrong secret or a revoked key. Served from memory after the first time. */
  verify(keyId: string, secret: string): Promise<Key | undefined>;
  find(keyId: string): Promise<Key | undefined>;
  /** Keys that are not revoked, newest first. */
  list(filter: {
    readonly accountId?: AccountId;
    readonly limit: number;
    readonly cursor?: string;
  }): Promise<KeyPage>;
  /** Changes name or limits of a key; acts at once. Undefined for one that is unknown or revoked. */
  update(keyId: string, changes: KeyChanges): Promise<Key | undefined>;
  /** Acts at once. True when the key existed and was not yet revoked. */
  revoke(keyId: string): Promise<boolean>;
  /** True when no key was ever made: first start. */
  isEmpty(): Promise<boolean>;
  findAccount(accountId: AccountId): Promise<Account | undefined>;
}

/** Whom keys, requests and files belong to. */
export interface Account {
  readonly id: AccountId;
  /** Unique; what access rules of files name. */
  readonly nickname: string;
}

export type Scope = "API" | "ADMIN";

export interface NewKey {
  readonly alias: string;
  readonly scope: Scope;
  /** Default: the server's own account. A new id makes a new account. */
  readonly accountId?: AccountId;
  readonly limits?: KeyLimits;
}

export interface KeyChanges {
  readonly alias?: string;
  /** All limits anew: one that is left out is lifted. Requests that wait keep the concurrency of their submit. */
  readonly limits?: KeyLimits;
}

export interface KeyLimits {
  /** Requests running at once. */
  readonly concurrency?: number;
  /** Requests waiting at once. */
  readonly queued?: number;
  readonly requestsPerDay?: number;
  /** Bytes of files kept. */
  readonly storedBytes?: number;
}

export interface Key {
  readonly id: KeyId;
  readonly accountId: AccountId;
  readonly alias: string;
  readonly scope: Scope;
  readonly limits: KeyLimits;
  readonly createdAt: number;
  readonly lastUsedAt: number | null;
  readonly revokedAt: number | null;
}

export interface CreatedKey {
  readonly key: Key;
  /** `id:secret`, shown once. */
  readonly credential: string;
}

export interface KeyPage {
  readonly keys: readonly Key[];
  readonly nextCursor: string | null;
}
